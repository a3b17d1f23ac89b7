"""What the content of a netCDF4-compatible HDF5 file holds, as datasets and trees; nothing outside of the content is read."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.conventions import decode_cf_variables

from gpumc.errors import Damaged, first_line

#: Dimensions and attributes of arrays by group, name, shape and type; no dimensions for what is only the scale of a dimension.
Layout = dict[tuple, tuple[tuple[str, ...] | None, dict[str, Any]]]

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


def unpacked(content: bytes, layout: Layout | None = None) -> xr.Dataset | xr.DataTree:
    """The dataset, or the tree where there are groups, in the ``content`` of a file.

    Of one among many files of a kind: ``layout`` is what is known of its arrays from the others, and grows; it is read without indexes.
    Raises Damaged for what is no such content: also for links and storage outside of it, for arrays that are larger than
    it could hold, and for kinds of data that are neither numbers nor text.
    """
    try:
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            groups = _groups(file, UNPACKED * len(content), {}, {} if layout is None else layout)
            nodes = {path: _dataset(stored, attributes, layout is None) for path, stored, attributes in groups}
        return nodes["/"] if len(nodes) == 1 else xr.DataTree.from_dict(nodes)
    except Damaged:
        raise
    except MemoryError:
        raise
    except Exception as error:  # whatever HDF5, h5py and xarray make of damaged content
        raise Damaged(first_line(error)) from None


def one_array(path: Path, name: str, place: tuple[slice, ...]) -> np.ndarray:
    """A part of one array of a file; HDF5 checks what it reads by its own checksums. Raises Damaged, and FileNotFoundError."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            link = name.encode()
            if file.id.links.get_info(link).type != h5py.h5l.TYPE_HARD:
                raise Damaged(f"'{name}' is a link to something else, which is not followed")
            item = h5py.h5o.open(file.id, link)
            if not isinstance(item, h5py.h5d.DatasetID):
                raise Damaged(f"'{name}' is no array")
            _check_storage(name, item, item.shape, item.dtype, UNPACKED * path.stat().st_size)
            return h5py.Dataset(item)[place]
    except (Damaged, MemoryError, FileNotFoundError):
        raise
    except Exception as error:  # whatever HDF5 and h5py make of damaged content
        raise Damaged(first_line(error)) from None


def end_of(content: bytes) -> int:
    """Where HDF5's part of the ``content`` of a file ends, as its superblock says: of version 3, which is written here."""
    known = content.startswith(b"\x89HDF\r\n\x1a\n\x03")
    return int.from_bytes(content[28:36], "little") if known else len(content)


def _dataset(stored: dict[str, xr.Variable], attributes: dict[str, Any], indexed: bool) -> xr.Dataset:
    """A dataset of what is ``stored``, after the conventions of netCDF."""
    variables, decoded, named = decode_cf_variables(stored, attributes)
    coordinates = {name: v for name, v in variables.items() if name in named or v.dims == (name,)}
    data = {name: variable for name, variable in variables.items() if name not in coordinates}
    return xr.Dataset(data, coordinates if indexed else xr.Coordinates(coordinates, indexes={}), decoded)


def _groups(
    group: h5py.Group, limit: int, seen: dict, layout: Layout
) -> Iterator[tuple[str, dict[str, xr.Variable], dict[str, Any]]]:
    """Path, arrays and attributes of each group below ``group`` and of itself; ``seen`` are the objects that had their turn."""
    variables = {}
    for link in group.id:
        name = link.decode(errors="replace")
        if group.id.links.get_info(link).type != h5py.h5l.TYPE_HARD:
            raise Damaged(f"'{name}' is a link to something else, which is not followed")
        item = h5py.h5o.open(group.id, link)
        address = h5py.h5o.get_info(item).addr
        if address in seen:
            raise Damaged(f"'{name}' and '{seen[address]}' are one object")
        seen[address] = name
        if isinstance(item, h5py.h5g.GroupID):
            yield from _groups(h5py.Group(item), limit, seen, layout)
        elif isinstance(item, h5py.h5d.DatasetID):
            shape, dtype = item.shape, item.dtype
            _check_storage(name, item, shape, dtype, limit)
            kind = group.name, name, shape, dtype
            if kind not in layout:
                layout[kind] = _layout(name, h5py.Dataset(item))
            dimensions, attributes = layout[kind]
            if dimensions is not None:
                variables[name] = xr.Variable(dimensions, _values(item, shape, dtype), dict(attributes))
        else:
            raise Damaged(f"'{name}' is neither a group nor an array")
    yield group.name, variables, _attributes(group)


def _check_storage(
    name: str, array: h5py.h5d.DatasetID, shape: tuple[int, ...] | None, dtype: np.dtype, limit: int
) -> None:
    """Raise Damaged unless ``array`` lies in its file, has a type of data that files here have, and no absurd size."""
    created = array.get_create_plist()
    if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count():
        raise Damaged(f"'{name}' is stored outside of the file, which is not followed")
    if dtype.kind not in "biufS" and h5py.check_string_dtype(dtype) is None:
        raise Damaged(f"'{name}' is of type {dtype}, where numbers or text are needed")
    chunks = created.get_chunk() if created.get_layout() == h5py.h5d.CHUNKED else ()
    for size in (prod(shape or ()), prod(chunks)):
        if size * dtype.itemsize > limit:
            raise Damaged(f"'{name}' claims to be larger than the file could hold")


def _layout(name: str, array: h5py.Dataset) -> tuple[tuple[str, ...] | None, dict[str, Any]]:
    if array.is_scale and _text(array.attrs.get("NAME", "")).startswith(NO_VARIABLE):
        return None, {}
    return _dimensions(name, array), _attributes(array)


def _values(array: h5py.h5d.DatasetID, shape: tuple[int, ...] | None, dtype: np.dtype) -> Any:
    if dtype.kind not in "biuf" or not shape:
        dataset = h5py.Dataset(array)
        string = h5py.check_string_dtype(dtype)
        return dataset.asstr()[()] if string is not None and string.length is None else dataset[()]
    values = np.empty(shape, dtype)
    array.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


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
