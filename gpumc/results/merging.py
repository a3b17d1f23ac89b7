"""Shards of a run put together: along chains and instances, which one run has in parts, and along the axes that have one task a value."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpumc.errors import RunError
from gpumc.results.files import seal_of
from gpumc.results.manifest import IN_PARTS
from gpumc.schema import attributes, dims_in_order

#: The array of counts over chains, which add.
COUNTS = "stability_count"


def merge_shards(shards: Sequence[tuple[dict[str, float], xr.Dataset]]) -> xr.Dataset:
    """One dataset of shards, each with its values of the axes along which tasks are split, which are those that are swept.

    Shorter ``replica`` and ``epoch`` axes are padded with NaN, or 0 for int8, and so is a point of the grid that has no shard, where
    whole numbers become float64. ``pattern_count`` stays a number, or follows alpha.
    Raises RunError unless all shards hold the same arrays and, at one parameter, come from the same patterns.
    """
    # Shards are placed in arrays made once: xr.concat along each axis has other orders of dimensions, knows no counts that add, and holds
    # nearly three times as much memory (of 200 shards 145 MiB beside them, where the result has 54), in ten times as long.
    first = shards[0][1]
    for axes, data in shards:
        _check_alike(axes, first, data)
    check_patterns((axes, data.attrs) for axes, data in shards)
    swept = list(shards[0][0])
    coordinates = _coordinates(shards, swept)
    sizes = {name: len(array) for name, array in coordinates.items() if array.dims == (name,)}
    names = dict.fromkeys(name for _, data in shards for name in data.data_vars)
    variables = {name: _merged(name, shards, swept, sizes, coordinates) for name in names}
    there = xr.Variable(swept, np.zeros([sizes[axis] for axis in swept], bool))
    for axes, _ in shards:
        there[{axis: _place(axis, axes, first, there, coordinates) for axis in swept}] = True
    if not there.all():
        for name, array in variables.items():
            if array.dtype != np.int8 and {*swept} <= {*array.dims}:
                variables[name] = array.where(there)
    return xr.Dataset(variables, coordinates, merged_attributes([data.attrs for _, data in shards], swept))


def merged_label(shards: Sequence[Path]) -> str:
    """What the seal of the merged file of ``shards`` says, which tells whether it is made of them. Raises Damaged."""
    seals = b"".join(seal_of(shard) for shard in shards)
    return f"merged {hashlib.sha256(seals).hexdigest()}"


def _check_alike(axes: Mapping[str, float], first: xr.Dataset, data: xr.Dataset) -> None:
    """Raise RunError unless ``data`` has the arrays and coordinates of ``first``, of the same types and dimensions."""
    here, there = ({name: (v.dims, v.dtype) for name, v in d.variables.items()} for d in (data, first))
    differing = sorted(str(n) for n in here.keys() | there.keys() if here.get(n) != there.get(n))
    # A measure of one replica has no pairs.
    differing = [name for name in differing if name != "overlap_replicas"]
    if differing:
        place = ", ".join(f"{name} = {value:g}" for name, value in axes.items())
        raise RunError(f"shards do not belong together: '{differing[0]}' is not the same kind of array at {place}")


def check_patterns(shards: Iterable[tuple[Mapping[str, float], Mapping[str, Any]]]) -> None:
    """Raise RunError where shards of one alpha and flip, which have the same patterns, have different digests of them; of each its values
    of the axes, and its attributes."""
    digests: dict[tuple, str | None] = {}
    for axes, attrs in shards:
        place = (axes.get("alpha"), axes.get("flip"))
        digest = attrs.get("patterns_digest")
        if digests.setdefault(place, digest) != digest:
            raise RunError(f"shards at one parameter come from different patterns: {digests[place]} and {digest}")


def merged_attributes(attributes: Sequence[Mapping[str, Any]], swept: Collection[str]) -> dict[str, Any]:
    """The attributes of all shards together: those of the first one, and all devices, the whole duration, and the start."""
    facts = {name: value for name, value in attributes[0].items() if name not in swept}
    facts["duration_s"] = round(sum(each["duration_s"] for each in attributes), 3)
    facts["started"] = min(each["started"] for each in attributes)
    facts["device"] = ", ".join(sorted({each["device"] for each in attributes}))
    return facts


def merged_dims(name: Hashable, dims: Iterable[Hashable], swept: Iterable[str]) -> list[str]:
    """The dimensions of an array of all shards together, of which each shard has ``dims``."""
    return dims_in_order({*dims, *(axis for axis in swept if name != "pattern_count" or axis == "alpha")})


def filling(dtype: np.dtype) -> float:
    """What stands where no shard has anything."""
    return np.nan if dtype.kind == "f" else 0


def _coordinates(shards: Sequence[tuple[dict[str, float], xr.Dataset]], swept: Sequence[str]) -> dict[Hashable, Any]:
    """The coordinates of all shards together."""
    coordinates: dict[Hashable, Any] = {}
    for name, array in shards[0][1].coords.items():
        values = [data.variables[name] for _, data in shards]
        if name in IN_PARTS:
            joined = np.unique(np.concatenate([one.values for one in values]))
            coordinates[name] = xr.Variable(name, joined, array.attrs)
        else:
            coordinates[name] = max(values, key=lambda one: one.size)
    for axis in swept:
        coordinates[axis] = xr.Variable(axis, sorted({axes[axis] for axes, _ in shards}), attributes(axis))
    return coordinates


def _merged(
    name: Hashable,
    shards: Sequence[tuple[dict[str, float], xr.Dataset]],
    swept: Sequence[str],
    sizes: Mapping[Hashable, int],
    coordinates: Mapping[Hashable, Any],
) -> xr.Variable:
    """The array ``name`` of all shards together, its dimensions in their order."""
    first = next(data.variables[name] for _, data in shards if name in data)
    dims = merged_dims(name, first.dims, swept)
    shape = [sizes[dim] if dim in sizes else first.sizes[dim] for dim in dims]
    merged = np.full(shape, filling(first.dtype), first.dtype)
    for axes, data in shards:
        if name not in data:
            continue
        array = data.variables[name]
        place = tuple(_place(dim, axes, data, array, coordinates) for dim in dims)
        values = array.transpose(*[dim for dim in dims if dim in array.dims]).values
        if name == COUNTS:
            merged[place] += values
        else:
            merged[place] = values
    return xr.Variable(dims, merged, first.attrs)


def _place(
    dim: str,
    axes: Mapping[str, float],
    data: xr.Dataset,
    array: xr.Variable,
    coordinates: Mapping[Hashable, Any],
) -> int | slice:
    """Where a shard lies along ``dim`` of all."""
    if dim in axes:
        return int(np.searchsorted(coordinates[dim].values, axes[dim]))
    if dim in IN_PARTS:
        start = int(np.searchsorted(coordinates[dim].values, data.variables[dim].values[0]))
        return slice(start, start + array.sizes[dim])
    return slice(0, array.sizes[dim])
