"""Shards of a run put together: along chains and instances, which one run has in parts, and along the axes that have one task a value."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from gpumc.errors import RunError
from gpumc.results.files import load

#: The axes of a sweep along which tasks are split, in the order of the dimensions.
TASK_AXES = ("alpha", "flip", "replicas")
#: The order of all dimensions of a result.
ORDER = (
    "instance",
    "alpha",
    "flip",
    "beta",
    "gamma",
    "coupling",
    "replicas",
    "chain",
    "replica",
    "draw",
    "volume_draw",
    "reference",
    "distance",
    "stability",
    "weight",
)
AXIS_NAMES = {
    "alpha": "patterns per weight alpha",
    "flip": "fraction of labels turned",
    "replicas": "number of replicas y",
}


def merge_shards(shards: Sequence[tuple[dict[str, float], xr.Dataset]]) -> xr.Dataset:
    """One dataset of shards, each with its values of the task axes (those of ``TASK_AXES`` that are swept, the same for all).

    The shorter ``replica`` axis is padded with NaN, or 0 for int8. ``pattern_count`` stays a number, or follows alpha.
    """
    longest = max(data.sizes["replica"] for _, data in shards)
    pieces = [_placed(axes, _padded(data, longest)) for axes, data in shards]
    pieces = _joined(pieces, "chain")
    for dim in ("instance", *[axis for axis in TASK_AXES if axis in shards[0][0]]):
        pieces = _joined(pieces, dim)
    (merged,) = pieces
    merged.attrs["duration_s"] = round(sum(data.attrs["duration_s"] for _, data in shards), 3)
    merged.attrs["started"] = min(data.attrs["started"] for _, data in shards)
    merged.attrs["device"] = ", ".join(sorted({data.attrs["device"] for _, data in shards}))
    for axis in shards[0][0]:
        merged.attrs.pop(axis, None)
    return merged.transpose(*[dim for dim in ORDER if dim in merged.dims])


def open_run(path: str | Path) -> xr.Dataset | xr.DataTree:
    """The results in ``path``: a file, or a finished run's folder, whose merged file is read.

    A run with lists of n or k is a DataTree with a group for each. Raises RunError for what is not there, damaged or not finished.
    """
    path = Path(path)
    if not path.is_dir():
        return load(path)
    merged = sorted(path.glob("*.h5"))
    if not merged:
        raise RunError(f"{path} holds no merged file (*.h5): if its run is not finished, `gpumc run` goes on with it")
    if len(merged) > 1:
        raise RunError(f"{path} holds {len(merged)} files (*.h5): open one of them, such as {merged[0]}")
    return load(merged[0])


def _padded(data: xr.Dataset, replicas: int) -> xr.Dataset:
    missing = replicas - data.sizes["replica"]
    if not missing:
        return data
    longer = {"replica": replicas}
    if data.sizes.get("reference", 1) > 1:  # the centre, then each replica
        longer["reference"] = replicas + 1
    fill = {name: np.nan if array.dtype.kind == "f" else 0 for name, array in data.data_vars.items()}
    padded = data.pad(dict.fromkeys(longer, (0, missing)), constant_values=fill, keep_attrs=True)
    for name, array in data.data_vars.items():
        padded[name] = padded[name].astype(array.dtype, keep_attrs=True)
    return padded.assign_coords({dim: (dim, np.arange(size), data[dim].attrs) for dim, size in longer.items()})


def _placed(axes: dict[str, float], data: xr.Dataset) -> xr.Dataset:
    """``data`` with a dimension of one for each of its task axes; the number of patterns depends on alpha alone."""
    count = data["pattern_count"]
    data = data.drop_vars("pattern_count")
    for axis, value in axes.items():
        data = data.assign({name: array.expand_dims({axis: [value]}) for name, array in data.data_vars.items()})
        if axis == "alpha":
            count = count.expand_dims({axis: [value]})
    data = data.assign(pattern_count=count)
    names = {axis: (axis, [value], {"long_name": AXIS_NAMES[axis], "units": "1"}) for axis, value in axes.items()}
    return data.assign_coords(names)


def _joined(pieces: list[xr.Dataset], dim: str) -> list[xr.Dataset]:
    """``pieces`` joined along ``dim``: those that agree in everything else that pieces are told apart by."""
    told_apart = [d for d in ("chain", "instance", *TASK_AXES) if d != dim and d in pieces[0].dims]
    alike: dict[tuple, list[xr.Dataset]] = {}
    for piece in pieces:
        alike.setdefault(tuple(tuple(piece[d].values) for d in told_apart if d != "chain"), []).append(piece)
    return [_concatenated(sorted(group, key=lambda piece: piece[dim].values[0]), dim) for group in alike.values()]


def _concatenated(group: list[xr.Dataset], dim: str) -> xr.Dataset:
    if len(group) == 1:
        return group[0]
    along = [name for name, array in group[0].data_vars.items() if dim in array.dims]
    joined = xr.concat(
        group, dim, data_vars=along, coords="minimal", compat="override", join="override", combine_attrs="override"
    )
    if dim == "chain":  # the one array that is a mean over chains
        sizes = np.array([piece.sizes["chain"] for piece in group])
        mean = sum(piece["stability_density"] * size for piece, size in zip(group, sizes, strict=True)) / sizes.sum()
        joined["stability_density"] = mean.assign_attrs(group[0]["stability_density"].attrs)
    return joined
