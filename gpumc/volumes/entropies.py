"""`entropy` and `local_entropy`: arguments checked and laid out, a method called, its answers put into a dataset."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import entr

import gpumc
from gpumc.checks import shown
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount, Loss
from gpumc.machines import Machine, require_binary
from gpumc.measures import check_loss
from gpumc.messages import BeliefPropagation, Problems, volumes
from gpumc.messages.formulae import both_labels, check_values
from gpumc.messages.volume import check_problem
from gpumc.patterns import Patterns, check_together
from gpumc.schema import PARAMETERS
from gpumc.volumes.grid import Grid, distances, fields, instances, references
from gpumc.volumes.integration import Estimate, ThermodynamicIntegration, around, over_all
from gpumc.volumes.splitting import Splitting, split
from gpumc.volumes.walls import check_walls

How = BeliefPropagation | ThermodynamicIntegration | Splitting
Method = str | How

ATTRIBUTES = {
    "entropy": ("entropy per weight", "nat"),
    "entropy_error": ("standard error of the entropy per weight, over chains or populations", "nat"),
    "entropy_bound": ("entropy per weight without patterns", "nat"),
    "log_volume": ("entropy per weight less its value without patterns", "nat"),
    "free_entropy": ("free entropy per weight, log Z / N", "nat"),
    "energy": ("mean loss", "1"),
    "field": ("field h toward the reference", "nat"),
    "distance": ("normalised distance D from the reference", "1"),
    "magnetisation": ("mean of a weight", "1"),
    "overlap": ("mean overlap q of two solutions", "1"),
    "norm_spread": ("standard deviation over units of their squared norms, divided by fan-in", "1"),
    "converged": ("whether there is an answer", "1"),
    "iterations": ("iterations made", "1"),
    "residual": ("largest change of a magnetisation in the last iteration", "1"),
    "instance": ("instance of the patterns", "1"),
    **{name: (long_name, "1") for name, long_name in PARAMETERS.items()},
}


def entropy(
    machine: Machine,
    patterns: Patterns,
    *,
    loss: Loss | None = None,
    beta: ArrayLike = np.inf,
    method: Method = "bp",
    device: str = "auto",
) -> xr.Dataset:
    """The entropy of exp(-beta L) over (instance, [beta,] [parameters of the loss]): ``entropy``, float64, in nats per weight.

    By default the loss is the error count and beta is inf, which counts the configurations without error; any other loss is taken too.
    ``method`` is "bp" (or `BeliefPropagation` with other settings), which gives ``free_entropy`` per weight, ``energy`` (the mean
    loss), ``magnetisation`` (..., weight), ``iterations`` and ``residual`` too; or "ti" (`ThermodynamicIntegration`), which gives
    ``entropy_error``. Where the method fails, or fewer than exp(-3) configurations are to be expected, the answer is NaN and
    ``converged`` is false. A full committee's configurations are counted with all k! orders of its units. Of spherical weights the
    entropy is the log of the part of the sphere, at most 0 where beta is inf; "splitting" (`Splitting`) measures it by sampling, with
    ``entropy_error`` and the ``overlap`` of two solutions, "ti" does not. Raises ConfigError for what makes no sense.
    """
    loss, how = ErrorCount() if loss is None else loss, _method(method)
    check_together(machine, patterns)
    _check(machine, loss, how)
    grid = Grid.of(loss, beta, instance=instances(patterns))
    empty = _empty(machine, patterns, loss, grid)
    if isinstance(how, ThermodynamicIntegration):
        estimates = [over_all(machine, patterns, one, b, how, device) for one, b in _cases(grid, patterns, loss)]
        values = {key: _filled(~empty, v.reshape(-1)[~empty]) for key, v in _gathered(estimates).items()}
        return _dataset(grid, values, machine, patterns, loss, "ti")
    if isinstance(how, Splitting):
        _only_solutions(grid)
        number, of_rows = grid.flat("instance")[~empty], grid.rows_of(loss).take(~empty)
        volume = split(choose(device), machine, patterns, of_rows, number, None, np.zeros(len(number)), how)
        volume["entropy"] = volume.pop("log_volume")
        values = {key: _filled(~empty, v) for key, v in volume.items()}
        return _dataset(grid, values, machine, patterns, loss, "splitting")
    number, beta_of, of_rows = grid.flat("instance")[~empty], grid.flat("beta")[~empty], grid.rows_of(loss).take(~empty)
    nowhere = np.ones((len(number), machine.weight_count), np.int8)
    problems = Problems(number, beta_of, of_rows, nowhere, np.arange(len(number)), h=np.zeros(len(number)))
    found = volumes(choose(device), machine, patterns, problems, how)
    names = ("entropy", "free_entropy", "converged", "iterations", "residual", *_own(machine))
    values = {key: getattr(found, key) for key in names} | {"energy": found.energy * machine.weight_count}
    data = _dataset(grid, {key: _filled(~empty, v) for key, v in values.items()}, machine, patterns, loss, "bp")
    data["magnetisation"] = ((*grid.dims, "weight"), _filled(~empty, found.magnetisation).reshape(*grid.shape, -1))
    return _described(data)


def local_entropy(
    machine: Machine,
    patterns: Patterns,
    reference: xr.DataArray | ArrayLike,
    *,
    distance: ArrayLike | None = None,
    field: ArrayLike | None = None,
    loss: Loss | None = None,
    beta: ArrayLike = np.inf,
    method: Method = "bp",
    device: str = "auto",
) -> xr.Dataset:
    """The entropy S(D) of exp(-beta L) at mean normalised ``distance`` D from a reference, or at a ``field`` h toward it, per
    weight.

    ``reference`` +-1: an array (weights,), (instances, weights) or (instances, references, weights), or a DataArray with the
    dimension ``weight`` and any others, such as the ``centre`` or the ``weights`` of a sampled dataset, whose coordinate ``instance``
    says which of the patterns' instances it belongs to. The result has its other dimensions, then [beta,] [parameters of the loss,] and
    ``distance`` (or ``field``): ``entropy``; ``entropy_bound``, the same without patterns,
    -D log D - (1 - D) log(1 - D); ``log_volume``, their difference; the ``field`` h = dS/dD (or the ``distance``), each differing
    weight having the factor exp(-h).

    By default configurations without error are counted. ``method`` is as for `entropy`; "ti" needs distances, and gives
    ``entropy_error``. An answer that cannot be had is NaN with ``converged`` false: a distance that is not reached, messages
    that do not converge, a reference whose weights are not all +-1 (where others are right). Raises ConfigError for distances
    outside (0, 1/2] and for shapes that do not belong together.

    Spherical weights: references are real, of any norm; ``entropy_bound`` is (1/2) log(4 D (1 - D)), the cap; "splitting" holds the
    distance in every unit, "bp" its mean.
    """
    loss, how = ErrorCount() if loss is None else loss, _method(method)
    check_together(machine, patterns)
    _check(machine, loss, how)
    if distance is None and field is not None:
        name, along = "field", fields(field)
    elif distance is not None and field is None:
        name, along = "distance", distances(distance)
    else:
        raise ConfigError("local_entropy needs either distance or field, and not both")
    rows, places = references(machine, patterns, reference)
    for taken in (ATTRIBUTES.keys() - {"instance", *PARAMETERS, name}) & set(places["reference"].dims):
        raise ConfigError(f"the reference has a dimension {taken!r}, which is a variable of the result: rename it")
    grid = Grid.of(loss, beta, **places, **{name: along})
    row = grid.flat("reference")
    good = rows[row].any(axis=1) & ~_empty(machine, patterns, loss, grid)
    if isinstance(how, ThermodynamicIntegration):
        if name == "field":
            raise ConfigError("method = 'ti' needs distances: give distance instead of field")
        values = _sampled(machine, patterns, loss, grid, rows, good, how, device)
        return _with_bound(_dataset(grid, values, machine, patterns, loss, "ti"), machine)
    if isinstance(how, Splitting):
        if name == "field":
            raise ConfigError("method = 'splitting' needs distances: give distance instead of field")
        _only_solutions(grid)
        number, around_rows, far = grid.flat("instance")[good], rows[row[good]], grid.flat("distance")[good]
        of_rows = grid.rows_of(loss).take(good)
        volume = split(choose(device), machine, patterns, of_rows, number, around_rows, far, how)
        values = {key: _filled(good, v) for key, v in volume.items()}
        return _with_bound(_dataset(grid, values, machine, patterns, loss, "splitting"), machine)
    number, beta_of, of_rows = grid.flat("instance")[good], grid.flat("beta")[good], grid.rows_of(loss).take(good)
    wanted = {"distance": "distance", "field": "h"}[name]
    curve = grid.curves()[1][good]
    problems = Problems(number, beta_of, of_rows, rows[row[good]], curve, **{wanted: grid.flat(name)[good]})
    found = volumes(choose(device), machine, patterns, problems, how)
    other = "field" if name == "distance" else "distance"
    names = ("entropy", other, "free_entropy", "converged", "iterations", "residual", *_own(machine))
    values = {key: getattr(found, key) for key in names} | {"energy": found.energy * machine.weight_count}
    return _with_bound(
        _dataset(grid, {key: _filled(good, v) for key, v in values.items()}, machine, patterns, loss, "bp"), machine
    )


def _check(machine: Machine, loss: Loss, how: How) -> None:
    """Raise ConfigError for what is no loss, and for a machine or loss that the method is not for."""
    check_loss(loss)
    if isinstance(how, ThermodynamicIntegration):
        require_binary(machine, "thermodynamic integration")
    elif isinstance(how, BeliefPropagation):
        check_problem(machine, loss)
    elif not machine.spherical or machine.fan_in < 3:
        raise ConfigError(f"splitting is for spherical weights, 3 or more a unit, and this is {machine}")
    else:
        check_values(machine, loss)
        check_walls(machine, loss)


def _only_solutions(grid: Grid) -> None:
    if not np.all(np.isinf(grid.flat("beta"))):
        raise ConfigError("splitting measures configurations without error: use beta = inf")


def _method(method: Method) -> How:
    if isinstance(method, How):
        return method
    if isinstance(method, type) and issubclass(method, How):
        raise ConfigError(f"method is the class {method.__name__} and no object of it: write {method.__name__}()")
    known = {"bp": BeliefPropagation, "ti": ThermodynamicIntegration, "splitting": Splitting}
    if not isinstance(method, str) or method not in known:
        raise ConfigError(
            f"method = {shown(method)}: 'bp' (belief propagation), 'ti' (thermodynamic integration) or 'splitting' is needed"
        )
    return known[method]()


def _empty(machine: Machine, patterns: Patterns, loss: Loss, grid: Grid) -> np.ndarray:
    """The problems that no configuration solves, since their patterns contradict each other; said once."""
    number = grid.flat("instance")
    empty = patterns.contradictions(machine)[number] & np.isinf(grid.flat("beta"))
    if empty.any():
        points, place = np.unique([grid.flat(name) for name in ("beta", *loss.axes)], axis=1, return_inverse=True)
        possible = [
            both_labels(machine, loss.at(**dict(zip(loss.axes, at, strict=True)))) for at in points.T[:, 1:].tolist()
        ]
        empty &= ~np.array(possible)[place.reshape(-1)]
    if empty.any():
        where = ", ".join(str(i) for i in np.unique(number[empty]))
        warnings.warn(
            f"patterns of instance {where} contradict each other: no configuration is without error, and the answer is NaN",
            stacklevel=3,
        )
    return empty


def _filled(good: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of the good problems among all; of the others NaN, False or 0."""
    full = np.full((len(good), *values.shape[1:]), np.nan if values.dtype.kind == "f" else 0, values.dtype)
    full[good] = values
    return full


def _cases(grid: Grid, patterns: Patterns, loss: Loss) -> Iterator[tuple[Loss, float]]:
    """(loss, beta) at every beta and point of the loss, all instances together, in the grid's order."""
    every = (grid.flat(name).reshape(patterns.instances, -1)[0].tolist() for name in ("beta", *loss.axes))
    for beta, *numbers in zip(*every, strict=True):
        yield loss.at(**dict(zip(loss.axes, numbers, strict=True))), beta


def _gathered(found: list[Estimate]) -> dict[str, np.ndarray]:
    """Estimates (instances,) of every case as arrays over the grid."""
    stacked = {
        name: np.stack([getattr(one, name) for one in found], axis=1) for name in ("entropy", "error", "reached")
    }
    return {"entropy": stacked["entropy"], "entropy_error": stacked["error"], "converged": stacked["reached"]}


def _sampled(
    machine: Machine,
    patterns: Patterns,
    loss: Loss,
    grid: Grid,
    rows: np.ndarray,
    good: np.ndarray,
    how: ThermodynamicIntegration,
    device: str,
) -> dict[str, np.ndarray]:
    """Thermodynamic integration of every curve at all distances where problems are ``good``: each reference is sampled as an instance of
    its own."""
    first, curve = grid.curves()
    number, row = grid.flat("instance")[first], grid.flat("reference")[first]
    keys = np.stack([grid.flat(name)[first] for name in ("beta", *loss.axes)], axis=1)
    wanted, place = np.unique(grid.flat("distance"), return_inverse=True)
    values = {name: np.full((len(first), len(wanted)), np.nan) for name in ("entropy", "entropy_error", "field")}
    converged = np.zeros((len(first), len(wanted)), bool)
    good = good[first]
    for key in np.unique(keys[good], axis=0):
        chosen = np.flatnonzero(good & (keys == key).all(axis=1))
        own = Patterns(patterns.xi[number[chosen]], patterns.labels[number[chosen]])
        beta, *numbers = key.tolist()
        one_loss = loss.at(**dict(zip(loss.axes, numbers, strict=True)))
        found = around(machine, own, one_loss, beta, rows[row[chosen]], wanted, how, device)
        for name, array in (("entropy", found.entropy), ("entropy_error", found.error), ("field", found.field)):
            values[name][chosen] = array
        converged[chosen] = found.reached
    return {name: array[curve, place] for name, array in (values | {"converged": converged}).items()}


def _dataset(
    grid: Grid, values: dict[str, np.ndarray], machine: Machine, patterns: Patterns, loss: Loss, method: str
) -> xr.Dataset:
    variables: dict[str, Any] = {name: (grid.dims, array.reshape(grid.shape)) for name, array in values.items()}
    attributes = {
        "gpumc_version": gpumc.__version__,
        "machine": machine.kind,
        "n": machine.n,
        "k": machine.k,
        "alpha": patterns.count / machine.weight_count,
        "loss": loss.kind,
        "method": method,
    }
    for name in ("beta", *loss.axes):
        constant = np.unique(grid.flat(name))
        if name not in grid.dims and constant.size == 1:
            attributes[name] = float(constant[0])
    return _described(xr.Dataset(variables, grid.coords, attributes))


def _own(machine: Machine) -> tuple[str, ...]:
    """Variables that only spherical weights have."""
    return ("norm_spread",) if machine.spherical else ()


def _with_bound(data: xr.Dataset, machine: Machine) -> xr.Dataset:
    """Add what the entropy would be without patterns, and how much less it is."""
    d = data["distance"]
    if machine.spherical:
        with np.errstate(divide="ignore"):
            bound = d.copy(data=0.5 * np.log(4 * d.values * (1 - d.values)))
    else:
        bound = d.copy(data=entr(d.values) + entr(1 - d.values))
    if "entropy" in data:
        return _described(data.assign(entropy_bound=bound, log_volume=data.entropy - bound))
    return _described(data.assign(entropy_bound=bound, entropy=data.log_volume + bound))


def _described(data: xr.Dataset) -> xr.Dataset:
    for name, array in data.variables.items():
        long_name, units = ATTRIBUTES.get(str(name), (str(name), "1"))
        array.attrs.setdefault("long_name", long_name)
        array.attrs.setdefault("units", units)
    return data
