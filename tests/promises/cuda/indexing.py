"""Taking and assigning parts of an array: which keys are views, which copy indices from the host, which make the host wait."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.promises.cuda.arrays import SCALARS, fresh, ndarray, read, view, write
from tests.promises.cuda.costs import METER
from tests.promises.cuda.streams import launch, wait


class Key:
    """A key as NumPy's: ``advanced`` where it has arrays of indices, ``masked`` where one of them is a mask."""

    def __init__(self, key: Any):
        parts = [self._part(part) for part in (key if isinstance(key, tuple) else (key,))]
        arrays = [part for part in parts if isinstance(part, np.ndarray)]
        self.parts = tuple(parts)
        self.advanced = bool(arrays)
        self.masked = any(array.dtype.kind == "b" for array in arrays)

    @staticmethod
    def _part(part: Any) -> Any:
        if isinstance(part, slice):
            return slice(*(end if end is None else end.__index__() for end in (part.start, part.stop, part.step)))
        if part is None or part is Ellipsis:
            return part
        if isinstance(part, (int, np.integer)) and not isinstance(part, (bool, np.bool_)):
            return part
        if isinstance(part, ndarray):
            array = read(part)
        else:  # a list, an array of the host or a bool, which CuPy copies to the device
            array = np.asarray(part) if np.size(part) else np.zeros(np.shape(part), int)
            METER.to_device("indices", array.nbytes)
        if array.dtype.kind not in "biu":
            raise IndexError(f"arrays used as indices must be of integer or boolean type (actual: {array.dtype})")
        return array

    def count_mask(self) -> None:
        """A mask's places are counted on the device, and the host waits for their number."""
        if self.masked:
            launch("scan of a mask", 3)
            wait("mask")


def taken(array: ndarray, key: Any) -> ndarray:
    """``array[key]``: a view without arrays of indices, a copy with them."""
    where = Key(key)
    if not where.advanced:
        parts = where.parts if Ellipsis in where.parts else (*where.parts, Ellipsis)  # never a scalar
        return view(array, array.host[parts])
    where.count_mask()
    launch("gather")
    return fresh(read(array)[where.parts])


def assign(array: ndarray, key: Any, value: Any) -> None:
    """``array[key] = value``; arrays of the host are refused where the key has no arrays of indices."""
    where = Key(key)
    if isinstance(value, ndarray):
        new = read(value)
        if not where.advanced and same(array.host[where.parts], new):
            return  # what an augmented assignment to a part ends with
    elif isinstance(value, SCALARS) or np.ndim(value) == 0:
        new = value
    elif where.advanced:
        new = np.asarray(value)
        METER.to_device("assigned values", new.nbytes)
    else:
        raise TypeError(f"non-scalar {type(value).__name__} cannot be used for fill")
    where.count_mask()
    launch("scatter" if where.advanced else "assign")
    write(array)[where.parts] = new


def same(part: Any, new: np.ndarray) -> bool:
    """Whether two arrays are the same memory, seen alike."""
    if not isinstance(part, np.ndarray):
        return False
    return (part.ctypes.data, part.strides, part.shape) == (new.ctypes.data, new.strides, new.shape)
