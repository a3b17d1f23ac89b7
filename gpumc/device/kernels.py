"""The one way to run a kernel: sources compiled once for a device, and launches whose every argument is checked.

    words = kernel(device, "philox.cu", "philox_words", ("uint32*", "const uint64*", "uint64", "int32"), {"SITES": 4})
    words(items, out, walkers, seed, 7)

A kernel is ``extern "C" __global__ void name(int64 begin, int64 end, ...)``; kernels/lanes.cuh says how it is written.
"""

from __future__ import annotations

import ctypes
import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpumc.device import cuda, host, source
from gpumc.device.devices import Device, array_module

Program = host.HostProgram | cuda.CudaProgram

#: Bytes at whose multiples the rows of a workspace begin: a cache line.
LINE = 64

_CTYPES = {
    "int8": ctypes.c_int8,
    "uint8": ctypes.c_uint8,
    "int16": ctypes.c_int16,
    "uint16": ctypes.c_uint16,
    "int32": ctypes.c_int32,
    "uint32": ctypes.c_uint32,
    "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64,
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}


@dataclass(frozen=True)
class Argument:
    """A kernel's parameter: "int64", "uint32*" (an array that is written), "const uint32*" (one that is read), or "workspace uint32*":
    a row (of :func:`workspace`) for each thread of the host, or for each item on CUDA."""

    dtype: str
    pointer: bool
    const: bool
    workspace: bool

    @classmethod
    def parse(cls, spelling: str) -> Argument:
        dtype = spelling.removeprefix("const ").removeprefix("workspace ").removesuffix("*")
        if dtype not in _CTYPES:
            raise TypeError(
                f"{spelling!r} is no type of a parameter; allowed: {', '.join(_CTYPES)}, and pointers to them"
            )
        return cls(dtype, spelling.endswith("*"), spelling.startswith("const "), spelling.startswith("workspace "))

    def scalar(self, value: Any) -> Any:
        """``value`` as a NumPy scalar of this type. Raises TypeError or OverflowError where it does not fit."""
        kind = np.dtype(self.dtype)
        return kind.type(operator.index(value) if kind.kind in "iu" else float(value))

    def check_array(self, array: Any, device: Device) -> None:
        """Raise TypeError unless ``array`` is on ``device``, C-contiguous, of this dtype and, if written, writable."""
        if array_module(array) is not device.xp or not isinstance(array, device.xp.ndarray):
            raise TypeError(f"an array on {device.name} is needed, not {type(array).__module__}.{type(array).__name__}")
        if device.kind == "cuda" and array.device.id != device.index:
            raise TypeError(f"the array is on cuda:{array.device.id}, the kernel on {device.name}")
        if array.dtype != self.dtype:
            raise TypeError(f"dtype {self.dtype} is needed, not {array.dtype}")
        if not array.flags.c_contiguous:
            raise TypeError(f"a C-contiguous array is needed, not strides {array.strides} for shape {array.shape}")
        if not self.const and device.kind != "cuda" and not array.flags.writeable:
            raise TypeError("the kernel writes to this array, which is read-only")


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel; call it with the number of items and its arguments."""

    device: Device
    name: str
    arguments: tuple[Argument, ...]
    program: Program

    def __call__(self, items: int, *values: Any, light: bool = False) -> None:
        """Handle items 0 to ``items`` - 1. Arrays are changed in place; on CUDA this returns before the work is done.

        ``light`` is work that takes less time than to wake other threads. An array may be None where the kernel expects
        that. Raises TypeError or OverflowError for what does not fit the signature.
        """
        if len(values) != len(self.arguments):
            raise TypeError(f"kernel {self.name} takes {len(self.arguments)} arguments, not {len(values)}")
        if items <= 0:
            return
        passed = [self._passed(place, *pair) for place, pair in enumerate(zip(self.arguments, values, strict=True))]
        types = [ctypes.c_void_p if a.pointer else _CTYPES[a.dtype] for a in self.arguments]
        self.program.launch(self.name, items, types, passed, light)

    def _passed(self, place: int, argument: Argument, value: Any) -> Any:
        try:
            if not argument.pointer:
                scalar = argument.scalar(value)
                return scalar if self.device.kind == "cuda" else scalar.item()
            if value is None:
                return np.uint64(0) if self.device.kind == "cuda" else None
            argument.check_array(value, self.device)
        except (TypeError, OverflowError) as error:
            raise type(error)(f"kernel {self.name}, argument {place}: {error}") from None
        return host.OfThreads(value) if argument.workspace and self.device.kind == "cpu" else value


def workspace(device: Device, items: int, size: int) -> np.ndarray:
    """Rows of ``size`` bytes, uint8, a multiple of LINE, each of which begins at one: for every thread that handles some of ``items`` on
    the host, for every item on CUDA."""
    rows = min(items, host.thread_count()) if device.kind == "cpu" else items
    space = device.xp.empty(rows * size + LINE, np.uint8)
    address = space.ctypes.data if device.kind == "cpu" else space.data.ptr
    return space[-address % LINE :][: rows * size].reshape(rows, size)


def kernel(
    device: Device, path: str | Path, name: str, signature: tuple[str, ...], defines: Mapping[str, object] | None = None
) -> Kernel:
    """Kernel ``name`` of the source ``path`` (in the package's kernels, or absolute), compiled for ``device``.

    ``signature`` spells the parameters that follow ``begin, end``; see :class:`Argument`. ``defines`` become macros.
    ``device`` is a "cpu" or "cuda" one. Compiled once a process and, through the caches on disk, once a machine.
    Raises DeviceError where it does not compile.
    """
    return Kernel(device, name, _arguments(signature), _program(device, path, tuple(sorted((defines or {}).items()))))


# Both are asked at every launch, of which a sweep of a small population has many.
@functools.cache
def _arguments(signature: tuple[str, ...]) -> tuple[Argument, ...]:
    return tuple(Argument.parse(spelling) for spelling in signature)


@functools.cache
def _program(device: Device, path: str | Path, defines: tuple[tuple[str, object], ...]) -> Program:
    path = source.folder() / path
    text = source.text(path)
    if device.kind == "cuda":
        return cuda.load(path.name, text, dict(defines), device.index)
    return host.load(path.name, text, dict(defines))
