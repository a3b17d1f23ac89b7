"""What replica theory says of a result, where it has an answer to the same question, in a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from gpumc import theory
from gpumc.errors import ConfigError
from gpumc.losses import LOSSES
from gpumc.measures import Gibbs, LocalEntropy, Measure
from gpumc.results.statistics import swept
from gpumc.theory.replica_symmetric import SOLUTIONS

#: Seconds after which no further point is begun.
PATIENCE = 8.0
#: What is taken of the theory of a measure, and of the volumes around its configurations.
OF_MEASURE = ("energy_per_pattern", "error_rate", "overlap_replicas", "overlap_centre")
OF_VOLUMES = ("entropy", "log_volume")


class Beside(NamedTuple):
    """Answers over the axes that they depend on, NaN where there is none; what they are of, and whether of the very thing that was
    measured; the points that were solved, and all."""

    data: xr.Dataset
    says: str
    same: bool
    solved: int
    points: int


def of_measure(data: xr.Dataset, patience: float = PATIENCE) -> Beside | None:
    """The theory of the measure that ``data`` samples, as n tends to infinity; None where it has none."""

    def solve(point: Mapping[str, float]) -> xr.Dataset:
        return theory.replica_symmetric(_limit(data), _measure(data, point), alpha=_alpha(data, point))

    if "measure" not in data.attrs or "draw" not in data.dims:
        return None
    return _beside(data, swept(data), "theory of the measure, n → ∞", True, {}, OF_MEASURE, solve, patience)


def of_volumes(data: xr.Dataset, patience: float = PATIENCE) -> Beside | None:
    """Entropies at the distances of ``data``: around typical configurations of a `Gibbs` measure that it samples, else around typical
    configurations without error; None where there is no theory of them."""
    if "distance" not in data.dims:
        return None
    own = data.attrs.get("measure") == "gibbs" and "draw" in data.dims
    says = "theory around typical configurations of the measure" if own else "theory around typical solutions"

    def solve(point: Mapping[str, float]) -> xr.Dataset:
        reference = _measure(data, point) if own else SOLUTIONS
        assert isinstance(reference, Gibbs)
        return theory.franz_parisi(_limit(data), reference, alpha=_alpha(data, point), distance=data.distance.values)

    axes = swept(data) if own else [name for name in swept(data) if name == "alpha"]
    return _beside(data, axes, f"{says}, n → ∞", own, {"distance": data.distance}, OF_VOLUMES, solve, patience)


def _beside(
    data: xr.Dataset,
    over: list[str],
    says: str,
    same: bool,
    inner: Mapping[str, xr.DataArray],
    names: tuple[str, ...],
    solve: Callable[[Mapping[str, float]], xr.Dataset],
    patience: float,
) -> Beside | None:
    """``names`` of what ``solve`` gives at every point of the axes ``over``, as long as there is patience."""
    axes = {name: data[name] for name in over}
    if data.attrs.get("patterns") != "random" or any(array.dtype.kind not in "fiu" for array in axes.values()):
        return None
    shape = [array.size for array in axes.values()]
    found: dict[str, np.ndarray] = {}
    solved, end = 0, time.monotonic() + patience
    for place, point in _points(axes):
        if time.monotonic() > end:
            break
        try:
            answers = solve(point)
        except ConfigError:
            return None
        for name in [name for name in names if name in answers]:
            if name not in found:
                found[name] = np.full([*shape, *answers[name].shape], np.nan)
            found[name][place] = answers[name]
        solved += 1
    variables = {name: ((*axes, *inner), values) for name, values in found.items()}
    return Beside(xr.Dataset(variables, {**axes, **inner}), says, same, solved, int(np.prod(shape)))


def _points(axes: Mapping[str, xr.DataArray]) -> Iterator[tuple[tuple[int, ...], dict[str, float]]]:
    """Every place on the ``axes`` and the values there."""
    for place in np.ndindex(*[array.size for array in axes.values()]):
        yield place, {name: float(array[i]) for (name, array), i in zip(axes.items(), place, strict=True)}


def _limit(data: xr.Dataset) -> theory.Limit:
    """The machine of infinitely many inputs. Raises ConfigError where it has no theory."""
    facts = data.attrs
    if facts["machine"] == "perceptron":
        return theory.Limit("perceptron", facts["weights"])
    if "output" in facts:
        raise ConfigError("theory is of the default output weights")
    return theory.Limit(facts["machine"], facts["weights"], int(facts["k"]), facts.get("activation", "sign"))


def _measure(data: xr.Dataset, point: Mapping[str, float]) -> Measure:
    """The measure at a point. Raises ConfigError for a loss that is not shipped, a fixed centre, and a parameter that moves."""
    facts = data.attrs
    if facts["loss"] not in LOSSES:
        raise ConfigError("the theory beside results is of losses that are shipped")
    kind = LOSSES[facts["loss"]]
    loss = kind(**{name: _value(data, name, point) for name in kind.axes})
    beta = _value(data, "beta", point)
    if facts["measure"] == "gibbs":
        return Gibbs(loss, beta)
    if facts["centre_kind"] == "fixed":
        raise ConfigError("a fixed centre has no theory")
    return LocalEntropy(loss, beta, _value(data, "coupling", point), int(_value(data, "replicas", point)))


def _value(data: xr.Dataset, name: str, point: Mapping[str, float]) -> float:
    """A parameter: of the point, of the whole result, or of a ramp that has ended before the first draw. Raises ConfigError."""
    if name in point:
        return point[name]
    if name in data.attrs:
        return float(data.attrs[name])
    values: Any = np.unique(data[name].values) if name in data.coords else ()
    if np.size(values) != 1:
        raise ConfigError(f"{name} moves")
    return float(values[0])


def _alpha(data: xr.Dataset, point: Mapping[str, float]) -> float:
    """Patterns per weight, as many as there are."""
    count = data.pattern_count if "pattern_count" in data else None
    if count is None or "weight" not in data.dims:
        return _value(data, "alpha", point)
    chosen = count.sel({name: value for name, value in point.items() if name in count.dims})
    return float(chosen) / data.sizes["weight"]
