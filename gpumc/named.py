"""Arrays over the dimensions of a run.

Named arrays (xarray's DataArray) are placed by the names of their dimensions and by the values of their coordinates, in any order: what
the run has must be there once, and what it does not have is left out. Dimensions without coordinates are placed by position, and dimensions
of size one that a run does not have are dropped.

Arrays without names follow one rule: they are (weight,), (instance, weight), or have all dimensions of the run, whose parameters may be
flattened into one, the grid: (instance, grid, chain, replica, weight). A dimension of size one is the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from gpumc.checks import shown
from gpumc.errors import ConfigError

Check = Callable[[str, Any], np.ndarray]


def named(name: str, given: object) -> xr.DataArray | None:
    """``given`` where its dimensions have names, None where they have not. Raises ConfigError for a dataset."""
    if isinstance(given, (xr.Dataset, xr.DataTree)):
        found = ", ".join(map(str, given.data_vars)) or "nothing"
        raise ConfigError(f"{name} is a {type(given).__name__}: one of its variables is needed ({found})")
    if isinstance(given, xr.Variable):
        given = xr.DataArray(given)
    if not isinstance(given, xr.DataArray):
        return None
    if len(set(given.dims)) < given.ndim:
        raise ConfigError(f"{name} has the dimensions {_listed(given.dims)}: each may be there once")
    return given


def placed(
    name: str,
    given: Any,
    dims: Mapping[str, np.ndarray],
    check: Check,
    part: Mapping[str, slice] | None = None,
) -> np.ndarray:
    """``given`` with the dimensions ``dims`` of a run, from "instance" to "weight", each with the values of its coordinate or of size one
    where it is the same for all; of a ``part`` of the run, if one is given.

    ``check`` turns values into numbers. Raises ConfigError for what has no place.
    """
    part = part or {}
    array = named(name, given)
    if array is not None:
        return _by_name(name, array, dims, part, check)
    values = check(name, given)
    values = values.reshape(_shape(name, values.shape, {dim: len(places) for dim, places in dims.items()}))
    return values[tuple(_own(part, dim, size) for dim, size in zip(dims, values.shape, strict=True))]


def by_name(name: str, given: Any, *dims: str) -> Any:
    """A named array with the dimensions ``dims`` (the first of which it may lack) as a plain one in their order; others as they are."""
    array = named(name, given)
    if array is None:
        return given
    if set(array.dims) not in (set(dims), set(dims[1:])):
        raise ConfigError(f"{name} has the dimensions {_listed(array.dims)}: {_listed(dims)} are needed")
    return array.transpose(*(dim for dim in dims if dim in array.dims)).values


def places(name: str, array: xr.DataArray, dim: str, wanted: np.ndarray) -> np.ndarray:
    """Where along ``dim``, which has a coordinate, its ``wanted`` values are."""
    index = array.indexes[dim]
    if not index.is_unique:
        raise ConfigError(f"{name} has {dim} = {index[index.duplicated()][0]} more than once")
    try:
        found = index.get_indexer(wanted)
    except (TypeError, ValueError):  # labels that no number can be compared with
        found = np.full(len(wanted), -1)
    if np.any(found < 0):
        raise ConfigError(
            f"{name} has no {dim} = {wanted[found < 0][0]}, only {shown(index.tolist())}: give it too, or drop the "
            f"dimension to use one for all, as by .isel({dim}=0, drop=True)"
        )
    return found


def _by_name(
    name: str, array: xr.DataArray, wanted: Mapping[str, np.ndarray], part: Mapping[str, slice], check: Check
) -> np.ndarray:
    array = array.squeeze([dim for dim in array.dims if dim not in wanted and array.sizes[dim] == 1], drop=True)
    for dim in array.dims:
        if dim not in wanted:
            raise ConfigError(
                f"{name} has the dimension {dim!r} of size {array.sizes[dim]}, which is not among {_listed(wanted)}: "
                f"select one, such as .isel({dim}=0)"
            )
    count = len(wanted["weight"])
    if array.sizes.get("weight") != count:
        raise ConfigError(
            f"{name} has the dimensions {dict(array.sizes)}: 'weight' of size {count} is needed among them"
        )
    array = array.transpose(*(dim for dim in wanted if dim in array.dims))
    values = check(name, array.values)
    for axis, dim in enumerate(map(str, array.dims)):
        size, most = array.sizes[dim], len(wanted[dim])
        if dim in array.indexes:
            values = np.take(values, places(name, array, dim, wanted[dim][part.get(dim, slice(None))]), axis)
        elif size not in (1, most):
            raise ConfigError(f"{name} has {size} along {dim!r}: {most} are needed, or one for all")
        else:
            values = values[(slice(None),) * axis + (_own(part, dim, size),)]
    return values.reshape([values.shape[array.dims.index(dim)] if dim in array.dims else 1 for dim in wanted])


def _own(part: Mapping[str, slice], dim: str, size: int) -> slice:
    """A part's own along ``dim``; all, where one is for all."""
    return part.get(dim, slice(None)) if size > 1 else slice(None)


def _shape(name: str, shape: tuple[int, ...], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape with all dimensions of ``sizes`` of an array without names."""
    all_sizes = tuple(sizes.values())
    axes = tuple(size for dim, size in sizes.items() if dim not in ("instance", "chain", "replica", "weight"))
    behind = len(all_sizes) - 1 - len(axes)
    if len(shape) in (1, 2):
        full = (*(shape[:1] if len(shape) == 2 else (1,)), *[1] * (len(all_sizes) - 2), shape[-1])
    elif len(shape) == 2 + behind and shape[1] in (1, math.prod(axes)):
        full = (shape[0], *(axes if shape[1] > 1 else [1] * len(axes)), *shape[2:])
    else:
        full = shape
    fits = len(full) == len(all_sizes) and all(size in (1, most) for size, most in zip(full, all_sizes, strict=True))
    if not fits or full[-1] != all_sizes[-1]:
        dims = ("instances", "grid", "chains", "replicas", "weights")
        flat = (all_sizes[0], math.prod(axes), *all_sizes[1 + len(axes) :])
        chosen = ", ".join((*dims[: len(flat) - 1], dims[-1]))
        raise ConfigError(
            f"{name} has shape {shape}: (weights,), (instances, weights) or ({chosen}) is needed, here {flat}, or 1 where all "
            "are the same; or a DataArray, whose dimensions have names"
        )
    return full


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))
