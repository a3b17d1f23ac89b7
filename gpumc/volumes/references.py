"""Where entropies are asked for: around references, at distances or fields, on instances."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.checks import numbers, series, shown
from gpumc.errors import ConfigError
from gpumc.machines import Machine
from gpumc.named import named, places
from gpumc.patterns import Patterns

#: The dimensions of a reference given as a plain array, by how many it has.
PLAIN = {1: ("weight",), 2: ("instance", "weight"), 3: ("instance", "reference", "weight")}


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
