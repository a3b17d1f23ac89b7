"""The results of a run as dask arrays over its shards, from what its folder says of them: no shard is opened before it is computed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpumc.errors import ConfigError, Damaged, RunError
from gpumc.results.files import seal_of
from gpumc.results.hdf5 import one_array
from gpumc.results.manifest import IN_PARTS, Finished, Group, Journal, Layout, Manifest
from gpumc.results.merging import COUNTS, check_patterns, filling, merged_attributes, merged_dims
from gpumc.schema import attributes

#: Arrays that only shards of some replicas have: a measure of one has no pairs.
OF_SOME = "overlap_replicas"


def open_lazily(folder: Path) -> xr.Dataset | xr.DataTree:
    """The results of the run in ``folder``, finished or not; see `gpumc.open_run`."""
    try:
        import dask.array  # noqa: F401
    except ImportError:
        raise ConfigError("lazy = True needs dask: pip install 'gpumc[distributed]'") from None
    if folder.is_file():
        raise RunError(f"{folder} is a file: lazy = True is for the folder of a run, whose shards it reads")
    folder = folder.absolute()
    stamp = str(folder), Manifest.stamp(folder), Journal(folder).size()
    run = _opened(*stamp)
    groups = {group.name: _dataset(run, number, stamp) for number, group in enumerate(run.manifest.groups)}
    if len(groups) == 1:
        return next(iter(groups.values()))
    root = xr.Dataset(attrs=run.manifest.attributes)
    return xr.DataTree.from_dict({"/": root, **groups})


class _Run:
    """What a folder said of its shards when so many bytes of its journal were written."""

    def __init__(self, folder: Path, size: int):
        self.folder, self.manifest = folder, Manifest.read(folder)
        self.shards, self.layouts = Journal(folder).read(size)
        self.tasks: list[list[int]] = [[] for _ in self.manifest.groups]
        for task, place in enumerate(self.manifest.places):
            self.tasks[place.group].append(task)
        self._at: dict[tuple, dict[tuple[int, ...], list[int]]] = {}

    def at(self, group: int, position: Mapping[str, int]) -> Sequence[int]:
        """The tasks of a group at a ``position`` along some of its axes."""
        axes = tuple(number for number, axis in enumerate(self.manifest.groups[group].axes) if axis in position)
        if (group, axes) not in self._at:
            found: dict[tuple[int, ...], list[int]] = {}
            for task in self.tasks[group]:
                found.setdefault(tuple(self.manifest.places[task].axes[axis] for axis in axes), []).append(task)
            self._at[group, axes] = found
        names = list(self.manifest.groups[group].axes)
        return self._at[group, axes].get(tuple(position[names[axis]] for axis in axes), ())

    @functools.cached_property
    def cuts(self) -> list[list[list[int]]]:
        """Of each group, where the parts of its tasks begin and end, along each dimension that it has in parts."""
        return [
            [
                sorted({edge for task in tasks for edge in self.manifest.places[task].parts[part]})
                for part in range(len(group.parts))
            ]
            for group, tasks in zip(self.manifest.groups, self.tasks, strict=True)
        ]


@functools.lru_cache(maxsize=4)
def _opened(folder: str, stamp: int, size: int) -> _Run:
    """A run as it was; a process that computes blocks reads it once, and again where the ``stamp`` of its manifest is another."""
    return _Run(Path(folder), size)


def _dataset(run: _Run, number: int, stamp: tuple[str, int, int]) -> xr.Dataset:
    """The results of one group."""
    group = run.manifest.groups[number]
    tasks = [task for task in run.tasks[number] if task in run.shards]
    if not tasks:
        raise RunError(
            f"{run.folder} has no finished task of {group.name} yet: `gpumc status {run.folder}` says how far it is"
        )
    shards = [run.shards[task] for task in tasks]
    layouts = [run.layouts[name] for name in dict.fromkeys(shard.layout for shard in shards)]
    axes = [dict(zip(group.axes, run.manifest.places[task].axes, strict=True)) for task in tasks]
    check_patterns(zip(axes, (shard.attributes for shard in shards), strict=True))
    coordinates = _coordinates(group, shards, layouts)
    sizes = {name: array.size for name, array in coordinates.items() if array.dims == (name,)}
    sizes |= {dim: size for layout in layouts for dim, size in layout.sizes.items()}
    missing = len(run.tasks[number]) - len(tasks)
    variables = {}
    for name, (dims, kind, attrs) in _variables(layouts).items():
        whole = merged_dims(name, dims, group.axes)
        dtype = np.dtype(kind)
        if missing and dtype.kind != "f" and dtype != np.int8:
            dtype = np.dtype(float)
        shape = tuple(sizes[dim] for dim in whole)
        if dims:
            array = _blocks(run, number, name, whole, shape, dtype, stamp)
        else:
            array = np.full(shape, filling(dtype), dtype)
            for at, shard in zip(axes, shards, strict=True):
                array[tuple(at[dim] for dim in whole)] = shard.numbers[name]
        variables[name] = xr.Variable(whole, array, attrs)
    facts = merged_attributes([_read_back(shard.attributes) for shard in shards], group.axes) | run.manifest.attributes
    return xr.Dataset(variables, coordinates, facts | ({"tasks_missing": missing} if missing else {}))


def _coordinates(group: Group, shards: Sequence[Finished], layouts: Sequence[Layout]) -> dict[str, xr.Variable]:
    """Those of the plan; and the longest of those that only the shards know."""
    coordinates = {}
    for name in layouts[0].coordinates:
        dims, kind, attrs = layouts[0].variables[name]
        if name in IN_PARTS:
            values: Any = np.arange(group.parts[name])
        elif name in group.coordinates:
            values = group.coordinates[name]
        elif name in layouts[0].values:
            values = max((layout.values[name] for layout in layouts), key=len)
        else:
            start, step, size = max((shard.ranges[name] for shard in shards), key=lambda span: span[2])
            values = start + step * np.arange(size)
        coordinates[name] = xr.Variable(dims, np.asarray(values, None if kind == "text" else kind), attrs)
    for axis, values in group.axes.items():
        coordinates[axis] = xr.Variable(axis, values, attributes(axis))
    return coordinates


def _variables(layouts: Sequence[Layout]) -> dict[str, tuple[list[str], str, dict[str, Any]]]:
    """The arrays of all layouts. Raises RunError unless they have the same ones."""
    found: dict[str, tuple[list[str], str, dict[str, Any]]] = {}
    for layout in layouts:
        own = {name: kind for name, kind in layout.variables.items() if name not in layout.coordinates}
        for name, kind in own.items():
            if found.setdefault(name, kind)[:2] != kind[:2]:
                raise RunError(f"shards do not belong together: '{name}' is not the same kind of array in all")
        if differing := {*found} - {*own} - {OF_SOME}:
            raise RunError(f"shards do not belong together: not all have '{min(differing)}'")
    return found


def _blocks(
    run: _Run,
    number: int,
    name: str,
    dims: Sequence[str],
    shape: tuple[int, ...],
    dtype: np.dtype,
    stamp: tuple[str, int, int],
) -> Any:
    """The array ``name`` of all shards together: one block for each value of an axis, and each part."""
    import dask.array as da

    group = run.manifest.groups[number]
    chunks = []
    for dim, size in zip(dims, shape, strict=True):
        if dim in group.parts:
            edges = run.cuts[number][list(group.parts).index(dim)]
            chunks.append(tuple(end - start for start, end in itertools.pairwise(edges)))
        else:
            chunks.append((1,) * size if dim in group.axes else (size,))
    read = functools.partial(_block, stamp=stamp, group=number, name=name, dims=tuple(dims), shape=shape, dtype=dtype)
    return da.map_blocks(read, chunks=tuple(chunks), dtype=dtype, meta=np.empty((0,) * len(dims), dtype), name=None)


def _block(
    stamp: tuple[str, int, int],
    group: int,
    name: str,
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    dtype: np.dtype,
    block_id: tuple[int, ...],
) -> np.ndarray:
    """One block, of the shards that have it; all arguments are plain, so that any process can read it."""
    run = _opened(*stamp)
    plan = run.manifest.groups[group]
    at = dict(zip(dims, block_id, strict=True))
    spans = {
        part: (edges[at[part]], edges[at[part] + 1])
        for part, edges in zip(plan.parts, run.cuts[group], strict=True)
        if part in dims
    }
    sizes = {
        dim: spans[dim][1] - spans[dim][0] if dim in spans else size for dim, size in zip(dims, shape, strict=True)
    }
    block = np.full([1 if dim in plan.axes else sizes[dim] for dim in dims], filling(dtype), dtype)
    tasks = [task for task in run.at(group, at) if _has(run, task, spans)]
    if name == COUNTS:  # of all chains, or of none
        if not all(task in run.shards for task in tasks):
            return block
        block[...] = 0
    for task in tasks:
        if task in run.shards and name in run.layouts[run.shards[task].layout].variables:
            values = _values(run, task, name, dims, spans)
            place = tuple(slice(0, size) for size in values.shape)
            if name == COUNTS:  # of parts of the chains, which add
                block[place] += values.astype(dtype)
            else:
                block[place] = values
    return block


def _has(run: _Run, task: int, spans: Mapping[str, tuple[int, int]]) -> bool:
    """Whether a block's ``spans`` lie within the parts of a task: else they are outside, as blocks are cut where parts are."""
    ranges = _ranges(run, task)
    return all(ranges[dim][0] <= start < ranges[dim][1] for dim, (start, _) in spans.items())


def _ranges(run: _Run, task: int) -> dict[str, tuple[int, int]]:
    """A task's range of each dimension that its group has in parts."""
    place = run.manifest.places[task]
    return dict(zip(run.manifest.groups[place.group].parts, place.parts, strict=True))


def _values(run: _Run, task: int, name: str, dims: Sequence[str], spans: Mapping[str, tuple[int, int]]) -> np.ndarray:
    """What the shard of a task has of a block, with a length of 1 along the axes. Raises RunError where it is not there, and Damaged where
    it is not the one that was finished."""
    shard, path = run.shards[task], run.manifest.shard(run.folder, task)
    own, ranges = run.layouts[shard.layout].variables[name][0], _ranges(run, task)
    place = tuple(
        slice(*(edge - ranges[dim][0] for edge in spans[dim])) if dim in spans else slice(None) for dim in own
    )
    try:
        # The seal says that it is that shard; what is read of it HDF5 checks, so that the rest, which may be large, need not be read.
        if not seal_of(path).endswith(f"gpumc {run.manifest.label(task)} sha256 {shard.sha256}\n".encode()):
            raise Damaged("it is not the shard that was finished")
        values = one_array(path, name, place)
    except FileNotFoundError:
        raise RunError(f"{path} is not there any more: `gpumc run` makes it again") from None
    except Damaged as error:
        raise Damaged(f"{path} is damaged ({error}): `gpumc run` makes it again") from None
    values = values.transpose([own.index(dim) for dim in dims if dim in own])
    return values.reshape([values.shape[[d for d in dims if d in own].index(dim)] if dim in own else 1 for dim in dims])


def _read_back(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as a file gives them: several numbers are an array."""
    found = {}
    for name, value in facts.items():
        single = isinstance(value, list) and len(value) == 1
        several = isinstance(value, list) and not any(isinstance(one, str) for one in value)
        found[name] = value[0] if single else np.array(value) if several else value
    return found
