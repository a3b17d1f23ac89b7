"""All problems of a call as one grid: references and parameters broadcast against each other by the names of their dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.checks import numbers, series, shown
from gpumc.errors import ConfigError
from gpumc.losses import Loss
from gpumc.machines import Machine
from gpumc.measures import Gibbs
from gpumc.named import named, places
from gpumc.patterns import Patterns
from gpumc.ramps import Parameter, Ramp, values_of

#: The dimensions of a reference given as a plain array, by how many it has.
PLAIN = {1: ("weight",), 2: ("instance", "weight"), 3: ("instance", "reference", "weight")}
#: What runs fastest.
LAST = ("distance", "field")


@dataclass(frozen=True)
class Grid:
    """Arrays by name, all of the same dimensions, the first of which is ``instance``: of every problem, its ``instance`` (a
    place in the patterns), ``beta``, the parameters of the loss, and, around references, ``reference`` (a row) and ``distance`` or
    ``field``."""

    arrays: dict[str, xr.DataArray]

    @classmethod
    def of(cls, measure: Gibbs, **places: xr.DataArray) -> Grid:
        """The problems at ``places`` ("instance" first; then what runs slowest), every parameter of ``measure``. Raises ConfigError."""
        for name, value in measure.parameters.items():
            if isinstance(value, Ramp):
                raise ConfigError(f"{name} is a ramp: an entropy needs a number, or a list of them")
        if not measure.loss.counts and np.any(np.isinf(values_of(measure.beta))):
            raise ConfigError(
                f"beta = inf is for losses that count errors: the loss {measure.loss.kind!r} needs a finite beta, such as beta = 5.0"
            )
        last = [name for name in places if name in LAST]
        arrays = {name: array for name, array in places.items() if name not in last}
        arrays |= {name: parameter(name, value) for name, value in measure.parameters.items()}
        arrays |= {name: places[name] for name in last}
        try:
            placed = xr.align(*arrays.values(), join="exact", copy=False)
        except ValueError:
            raise ConfigError(
                "the reference has a dimension of the name of a parameter, and other values along it: give both the same ones"
            ) from None
        return cls(dict(zip(arrays, xr.broadcast(*placed), strict=True)))

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions."""
        return tuple(str(dim) for dim in self.arrays["instance"].dims)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self.arrays["instance"].shape

    @property
    def size(self) -> int:
        """The number of problems."""
        return self.arrays["instance"].size

    @property
    def coords(self) -> dict:
        """Coordinates that every array has."""
        return dict(self.arrays["instance"].coords)

    def flat(self, name: str) -> np.ndarray:
        """An array in the order of all problems, instance by instance."""
        return np.ascontiguousarray(self.arrays[name].values).reshape(-1)

    def rows_of(self, loss: Loss) -> Loss:
        """``loss`` with the parameters of every problem, as arrays."""
        return loss.at(**{name: self.flat(name) for name in loss.axes})

    def curves(self) -> np.ndarray:
        """The number of the curve of every problem: those of a curve share their reference, or instance, their beta and loss."""
        start = "reference" if "reference" in self.arrays else "instance"
        names = [start, *(name for name in self.arrays if name not in ("instance", "reference", *LAST))]
        keys = np.stack([self.flat(name) for name in names], axis=1)
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


def parameter(name: str, values: Parameter) -> xr.DataArray:
    """A number, or the dimension that a list of numbers makes. Raises ConfigError for what is no number, but inf for beta."""
    array = series(name, values, lambda v: np.isfinite(v) | (name == "beta"), "finite numbers")
    return xr.DataArray(array, {name: array} if array.ndim else {}, [name] if array.ndim else [])


def distances(values: ArrayLike) -> xr.DataArray:
    """The dimension ``distance``. Raises ConfigError outside (0, 1/2]."""
    array = series("distance", values, lambda d: (d > 0) & (d <= 0.5), "normalised distances above 0 and at most 1/2")
    return _dimension("distance", array)


def fields(values: ArrayLike) -> xr.DataArray:
    """The dimension ``field``. Raises ConfigError unless all are finite."""
    return _dimension("field", series("field", values, np.isfinite, "finite numbers"))


def _dimension(name: str, array: np.ndarray) -> xr.DataArray:
    array = np.atleast_1d(array)
    return xr.DataArray(array, {name: array}, [name])


def instances(patterns: Patterns) -> xr.DataArray:
    """The dimension ``instance``, each its own place."""
    places = np.arange(patterns.instances)
    return xr.DataArray(places, {"instance": places}, ["instance"])


def references(
    machine: Machine, patterns: Patterns, given: xr.DataArray | ArrayLike
) -> tuple[np.ndarray, dict[str, xr.DataArray]]:
    """The rows (rows, weights) of ``given``, int8 +-1 or float64 with every unit on its sphere, 0 throughout where one is not so, and the
    place of each: ``instance`` and ``reference``.

    Raises ConfigError for shapes that do not fit the machine and the patterns, and where no row is right.
    """
    array = _named(given)
    if array.sizes.get("weight") != machine.weight_count:
        raise ConfigError(
            f"the reference has the dimensions {dict(array.sizes)}: 'weight' (or the last) must be the {machine.weight_count} weights of "
            f"the {machine.kind}"
        )
    if array.size == 0:
        raise ConfigError(
            f"the reference has shape {tuple(array.sizes.values())}, which holds no row: at least one is needed"
        )
    if "weight" in array.indexes:
        array = array.isel(weight=places("reference", array, "weight", np.arange(machine.weight_count)))
    if array.sizes.get("instance") == 1 and "instance" not in array.indexes:
        array = array.isel(instance=0, drop=True)
    if "instance" not in array.dims:
        array = array.expand_dims(instance=np.arange(patterns.instances))
    order = ["instance", *[dim for dim in array.dims if dim not in ("instance", "weight")], "weight"]
    array = array.transpose(*order)
    array = array.drop_vars([name for name, c in array.coords.items() if "weight" in c.dims or name not in array.dims])
    number = array["instance"] if "instance" in array.coords else instances(patterns)
    if array.sizes["instance"] != number.size:
        found = array.sizes["instance"]
        raise ConfigError(
            f"the reference has {found} instances and the patterns have {patterns.instances}: they must be as many, or numbered"
        )
    if not set(number.values.tolist()) <= set(range(patterns.instances)):
        raise ConfigError(
            f"the reference has the instances {shown(number.values.tolist())} and the patterns have {patterns.instances}: they must be "
            "among these, numbered from 0"
        )
    number = number.astype(int)
    rows = numbers("reference", array.values).reshape(-1, machine.weight_count)
    right = machine.weight_kind.allowed(rows.reshape(len(rows), machine.k, -1))
    if not right.any():
        raise ConfigError(f"reference: {machine.weight_kind.wanted}, and no reference is so")
    lead = array.isel(weight=0, drop=True)
    row = lead.copy(data=np.arange(len(rows)).reshape(lead.shape))
    rows = np.where(right[:, None], rows, 0)
    rows = machine.normalised(rows.astype(float))
    return rows, {"instance": number.broadcast_like(row).drop_attrs(), "reference": row.drop_attrs()}


def _named(given: xr.DataArray | ArrayLike) -> xr.DataArray:
    array = named("reference", given)
    if array is not None:
        return array
    plain = numbers("reference", given)
    if plain.ndim not in PLAIN:
        raise ConfigError(
            f"reference has shape {plain.shape}: (weights,), (instances, weights) or (instances, references, weights) is needed"
        )
    return xr.DataArray(plain, dims=PLAIN[plain.ndim])
