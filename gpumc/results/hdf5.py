"""Datasets and trees as the content of a netCDF4-compatible HDF5 file, in memory; nothing outside of the content is read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from math import prod
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr

from gpumc.errors import Damaged

#: How every array is stored: compressed, and with a checksum that a damaged chunk does not pass.
STORAGE = {"zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True}
#: The version of HDF5's format: the first that has checksums of all metadata and compact indices of chunks. netCDF-C reads it.
FORMAT = ("v110", "v110")
#: A file unpacks to at most this many times its size: the limit of deflate is 1032.
UNPACKED = 1100
#: Attributes that belong to the format.
INTERNAL = {
    "CLASS",
    "NAME",
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "DIMENSION_LABELS",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_NCProperties",
    "_nc3_strict",
}
#: What an array of the scale of a dimension without coordinate is named.
NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def packed(data: xr.Dataset | xr.DataTree) -> bytes:
    """The content of a file that holds ``data``."""
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w", libver=FORMAT) as file:
        store = xr.backends.H5NetCDFStore(file)
        if isinstance(data, xr.Dataset):
            data.dump_to_store(store, encoding=_encoding(data))
        else:
            for node in data.subtree:
                dataset = node.to_dataset(inherit=node is data)
                below = store if node is data else store.get_child_store(node.path)
                dataset.dump_to_store(below, encoding=_encoding(dataset))
    return buffer.getvalue()


def unpacked(content: bytes) -> xr.Dataset | xr.DataTree:
    """The dataset, or the tree where there are groups, in the ``content`` of a file.

    Raises Damaged for what is no such content: also for links and storage outside of it, for arrays that are larger than
    it could hold, and for kinds of data that are neither numbers nor text.
    """
    try:
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            groups = dict(_groups(file, UNPACKED * len(content), {}))
        nodes = {path: xr.decode_cf(dataset) for path, dataset in groups.items()}
        return nodes["/"] if len(nodes) == 1 else xr.DataTree.from_dict(nodes)
    except Damaged:
        raise
    except MemoryError:
        raise
    except Exception as error:  # whatever HDF5, h5py and xarray make of damaged content
        raise Damaged(first_line(error)) from None


def end_of(content: bytes) -> int:
    """Where HDF5's part of the ``content`` of a file ends, as its superblock says: of version 3, which is written here."""
    known = content.startswith(b"\x89HDF\r\n\x1a\n\x03")
    return int.from_bytes(content[28:36], "little") if known else len(content)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _encoding(data: xr.Dataset) -> dict:
    """Compression for what has a size; scalars and texts cannot have it."""
    return {
        name: STORAGE if array.ndim and np.issubdtype(array.dtype, np.number) else {}
        for name, array in data.variables.items()
    }


def _groups(group: h5py.Group, limit: int, seen: dict) -> Iterator[tuple[str, xr.Dataset]]:
    """Each group below ``group`` and itself, by path, as it is stored; ``seen`` are the objects that had their turn."""
    variables = {}
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise Damaged(f"'{name}' is a link to something else, which is not followed")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise Damaged(f"'{name}' and '{seen[address]}' are one object")
        seen[address] = name
        if isinstance(item, h5py.Group):
            yield from _groups(item, limit, seen)
        elif isinstance(item, h5py.Dataset):
            _check_storage(name, item, limit)
            if not (item.is_scale and _text(item.attrs.get("NAME", "")).startswith(NO_VARIABLE)):
                variables[name] = _variable(name, item)
        else:
            raise Damaged(f"'{name}' is neither a group nor an array")
    yield group.name, xr.Dataset(variables, attrs=_attributes(group))


def _check_storage(name: str, array: h5py.Dataset, limit: int) -> None:
    """Raise Damaged unless ``array`` lies in its file, has a type of data that files here have, and no absurd size."""
    created = array.id.get_create_plist()
    if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count():
        raise Damaged(f"'{name}' is stored outside of the file, which is not followed")
    if array.dtype.kind not in "biufS" and h5py.check_string_dtype(array.dtype) is None:
        raise Damaged(f"'{name}' is of type {array.dtype}, where numbers or text are needed")
    for size in (prod(array.shape or ()), prod(array.chunks or ())):
        if size * array.dtype.itemsize > limit:
            raise Damaged(f"'{name}' claims to be larger than the file could hold")


def _variable(name: str, array: h5py.Dataset) -> xr.Variable:
    text = h5py.check_string_dtype(array.dtype)
    values = array.asstr()[()] if text is not None and text.length is None else array[()]
    return xr.Variable(_dimensions(name, array), values, _attributes(array))


def _dimensions(name: str, array: h5py.Dataset) -> tuple[str, ...]:
    """The names of an array's dimensions, which are those of the scales attached to it."""
    if array.is_scale and array.ndim == 1:
        return (name,)
    scales = [list(dim.values()) for dim in array.dims]
    if any(len(scale) != 1 for scale in scales):
        raise Damaged(f"'{name}' has dimensions without names: it is no netCDF4 file")
    return tuple(scale[0].name.rpartition("/")[2] for scale in scales)


def _attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    return {name: _attribute(item.attrs[name]) for name in item.attrs if name not in INTERNAL}


def _attribute(value: Any) -> Any:
    """An attribute as xarray has it: one number or text, or several."""
    if isinstance(value, h5py.Empty):
        return ""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O":
            value = value.tolist()
        return value[0] if len(value) == 1 else value
    return value


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
