"""Arrays of a device: NumPy's behind a class that is none of NumPy's, and refuses whatever CuPy refuses."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tests.promises.cuda.costs import METER
from tests.promises.cuda.streams import Buffer, Device, launch, wait

SCALARS = (bool, int, float, complex, np.generic)
POISON = 0xA5


class Flags:
    """An array's layout; CuPy knows no ``writeable``."""

    def __init__(self, array: np.ndarray):
        self.c_contiguous, self.f_contiguous = array.flags.c_contiguous, array.flags.f_contiguous
        self.owndata, self.forc, self.fnc = array.flags.owndata, array.flags.forc, array.flags.fnc


class Pointer:
    """Where an array's memory starts."""

    def __init__(self, owner: ndarray):
        self.ptr, self.device_id = owner.host.ctypes.data, owner.buffer.device
        self.device = Device(self.device_id)


class ndarray:
    """A device's array. ``host`` holds the numbers, ``buffer`` knows where and when they were written; CuPy has neither."""

    __module__ = "cupy"
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        if memptr is not None or strides is not None:
            raise NotImplementedError("arrays over given memory")
        self.host = poisoned(np.empty(shape, dtype, order))
        self.buffer = Buffer()

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """What NumPy's ufuncs do with such an array: CuPy's of that name."""
        from tests.promises.cuda import functions

        if not functions.known(ufunc.__name__) or not all(
            isinstance(x, (*SCALARS, ndarray, np.ndarray)) for x in inputs
        ):
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        call = functions.named(ufunc.__name__)
        return (call if method == "__call__" else getattr(call, method))(*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        """What NumPy's functions do with such an array: CuPy's of that name."""
        from tests.promises.cuda import functions

        if function.__module__ != "numpy" or not functions.known(function.__name__):
            return NotImplemented
        return functions.named(function.__name__)(*args, **kwargs)

    dtype = property(lambda self: self.host.dtype)
    shape = property(lambda self: self.host.shape)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    itemsize = property(lambda self: self.host.itemsize)
    strides = property(lambda self: self.host.strides)
    flags = property(lambda self: Flags(self.host))
    device = property(lambda self: Device(self.buffer.device))
    data = property(Pointer)
    T = property(lambda self: view(self, self.host.T))

    def __len__(self) -> int:
        return len(self.host)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"emulated {self.host!r}"

    # To the host: each a copy, for which the host waits.

    def get(self, stream=None, order="C", out=None, blocking=True) -> np.ndarray:
        array = read(self)
        if not array.flags.forc:
            launch("copy of a strided array")
        METER.to_host(array.nbytes)
        wait("copy to the host")
        return np.array(array, order="C", copy=True)

    def item(self, *args):
        return self.get().item(*args)

    def tolist(self):
        return self.get().tolist()

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __bool__(self) -> bool:
        return bool(self.get())

    def __index__(self) -> int:
        return self.get().__index__()

    def __format__(self, spec: str) -> str:
        return format(self.get() if self.ndim else self.item(), spec)

    def __getitem__(self, key):
        from tests.promises.cuda import indexing

        return indexing.taken(self, key)

    def __setitem__(self, key, value):
        from tests.promises.cuda import indexing

        indexing.assign(self, key, value)

    # Shapes: views where they can be.

    def view(self, dtype=None):
        return view(self, self.host.view() if dtype is None else self.host.view(dtype))

    def reshape(self, *shape, order="C"):
        shape = shape[0] if len(shape) == 1 else shape
        array = self.host.reshape(
            tuple(map(operator.index, shape)) if isinstance(shape, (tuple, list)) else shape, order=order
        )
        if not array.size or np.shares_memory(array, self.host):
            return view(self, array)
        read(self)
        launch("copy to reshape")
        return fresh(array)

    def ravel(self, order="C"):
        return self.reshape(-1)

    def flatten(self, order="C"):
        return self.copy().reshape(-1)

    def swapaxes(self, first, second):
        return view(self, self.host.swapaxes(first, second))

    def transpose(self, *axes):
        return view(self, self.host.transpose(*axes))

    def squeeze(self, axis=None):
        return view(self, self.host.squeeze(axis))

    # Copies, and what changes an array where it lies.

    def copy(self, order="C"):
        launch("copy")
        return fresh(read(self).copy(order))

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        launch("astype")
        with np.errstate(all="ignore"):
            return fresh(read(self).astype(checked(np.dtype(dtype))))

    def fill(self, value):
        launch("fill")
        write(self).fill(operand(value, "fill"))

    def sort(self, axis=-1, kind=None):
        if kind not in (None, "stable"):
            raise ValueError("kind can only be None or 'stable'")
        if not self.host.flags.c_contiguous:
            raise NotImplementedError("Sorting non-contiguous array is not supported.")
        launch("sort", SORTS)
        write(self).sort(axis, kind="stable")

    def nonzero(self):
        launch("nonzero", 4)
        wait("nonzero")
        return tuple(map(fresh, read(self).nonzero()))


#: Launches of a sort, which thrust makes of several.
SORTS = 8


def checked(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def poisoned(array: np.ndarray) -> np.ndarray:
    """``array`` as memory that nobody has written: NaN, or a pattern."""
    if checked(array.dtype).kind in "fc":
        array.fill(np.nan)
    elif array.dtype.kind == "b":
        array.fill(True)
    else:
        array.ravel(order="K").view(np.uint8).fill(POISON)
    return array


def fresh(array: Any) -> ndarray:
    """New memory with these numbers, in C order, which is the order of whatever CuPy computes."""
    out = object.__new__(ndarray)
    out.host = np.asarray(array, order="C")
    checked(out.host.dtype)
    out.buffer = Buffer()
    return out


def view(of: ndarray, array: np.ndarray) -> ndarray:
    """Other looks at the memory of ``of``."""
    out = object.__new__(ndarray)
    out.host, out.buffer = array, of.buffer
    return out


def read(array: ndarray) -> np.ndarray:
    """The numbers of ``array``, which the thread's device and stream may read now."""
    array.buffer.check()
    return array.host


def write(array: ndarray) -> np.ndarray:
    """The memory of ``array``, which the kernel launched last writes."""
    array.buffer.check()
    array.buffer.wrote()
    return array.host


def operand(x: Any, what: str) -> Any:
    """The numbers of an array or a scalar. Raises TypeError for an array of the host."""
    if isinstance(x, ndarray):
        return read(x)
    if isinstance(x, SCALARS):
        return x
    raise TypeError(f"Unsupported type {type(x)} (in {what})")
