"""Datasets and trees as the content of a netCDF4-compatible HDF5 file, in memory.

What netCDF4 asks of HDF5 is written here by h5py: each dimension is a scale that is attached to the arrays along it. h5netcdf writes the
same in five times as long, which is most of the time of a short task.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.coding.strings import CharacterArrayCoder, EncodedStringCoder
from xarray.conventions import cf_encoder, encode_dataset_coordinates

#: How every array of numbers is stored: compressed, and with a checksum that a damaged chunk does not pass.
STORAGE = {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True}
#: The version of HDF5's format: the first that has checksums of all metadata and compact indices of chunks. netCDF-C reads it.
FORMAT = ("v110", "v110")
#: What the scale of a dimension without coordinate is named, with its size.
NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
#: Bytes, and numbers, of an array that are one chunk; larger ones are cut by h5py.
ONE_CHUNK = 2**20


def packed(data: xr.Dataset | xr.DataTree) -> bytes:
    """The content of a file that holds ``data``."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=FORMAT, track_order=True) as file:
        file.attrs["_NCProperties"] = np.bytes_(f"version=2,hdf5={h5py.version.hdf5_version},h5py={h5py.__version__}")
        if isinstance(data, xr.Dataset):
            _write(file, data)
        else:
            for node in data.subtree:
                group = file if node is data else file.create_group(node.path, track_order=True)
                _write(group, node.to_dataset(inherit=node is data))
    return buffer.getvalue()


def _write(group: h5py.Group, data: xr.Dataset) -> None:
    """A dataset into a group of a file."""
    variables, attributes = cf_encoder(*encode_dataset_coordinates(data))
    for coder in (EncodedStringCoder(allows_unicode=True), CharacterArrayCoder()):
        variables = {name: coder.encode(variable, name=name) for name, variable in variables.items()}
    _write_attributes(group, attributes)
    sizes = {str(dim): size for v in variables.values() for dim, size in v.sizes.items()}
    scales = {}
    for number, (dim, size) in enumerate(sizes.items()):
        if dim in variables and variables[dim].dims == (dim,):
            scales[dim] = _array(group, dim, variables[dim])
            scales[dim].make_scale(dim)
        else:
            scales[dim] = group.create_dataset(dim, shape=(size,), dtype=">f4", track_order=True)
            scales[dim].make_scale(f"{NO_VARIABLE}{size:10}")
        scales[dim].attrs["_Netcdf4Dimid"] = np.int32(number)
    for label, variable in variables.items():
        name = str(label)
        array = scales[name] if name in scales else _array(group, name, variable)
        if name not in scales:
            for axis, dim in enumerate(variable.dims):
                h5py.h5ds.attach_scale(array.id, scales[str(dim)].id, axis)
        _write_attributes(array, variable.attrs)


def _array(group: h5py.Group, name: str, variable: xr.Variable) -> h5py.Dataset:
    """An array, stored as its kind is: texts and single numbers can be neither compressed nor have a checksum."""
    values = np.asarray(variable.values)
    if values.dtype.kind in "OU":
        return group.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype(), track_order=True)
    stored: dict[str, Any] = {"track_order": True}
    if values.size and values.ndim and values.dtype.kind in "iuf":
        stored |= STORAGE | {"chunks": values.shape if values.nbytes <= ONE_CHUNK else True}
    return group.create_dataset(name, data=values, **stored)


def _write_attributes(item: h5py.Group | h5py.Dataset, attributes: Mapping[Any, Any]) -> None:
    for name, value in attributes.items():
        item.attrs[name] = value if isinstance(value, str) else np.atleast_1d(value)
