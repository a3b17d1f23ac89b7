"""Devices as values: named once at the edge, and from then on the device follows the data."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from gpumc.checks import nearest, shown
from gpumc.device import gpus, host
from gpumc.device.cache import cache_folder
from gpumc.device.compiler import compiler, compiler_version
from gpumc.device.memory import free_host_memory
from gpumc.errors import ConfigError, DeviceError, GpumcError, first_line

T = TypeVar("T")
R = TypeVar("R")

NAMES = ("auto", "numpy", "cpu", "cuda")


@dataclass(frozen=True)
class Device:
    """Where arrays live and what runs their kernels.

    ``kind`` is "numpy" (the NumPy twins), "cpu" (NumPy arrays, kernels compiled for the host) or "cuda";
    ``index`` counts CUDA devices.
    """

    kind: str
    index: int = 0

    @property
    def name(self) -> str:
        """What :func:`choose` takes for this very device: "numpy", "cpu", "cuda:0"..."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind

    @property
    def xp(self) -> ModuleType:
        """The array module: numpy or cupy."""
        return _cupy() if self.kind == "cuda" else np

    @property
    def special(self) -> ModuleType:
        """The module of special functions: scipy.special or its twin for cupy."""
        return importlib.import_module("cupyx.scipy.special" if self.kind == "cuda" else "scipy.special")

    def asarray(self, array: Any) -> Any:
        """``array`` on this device, copied only where it has to be."""
        if self.kind != "cuda":
            return to_host(array)
        cupy = _cupy()
        with cupy.cuda.Device(self.index):
            return cupy.asarray(array)

    def synchronise(self) -> None:
        """Wait for what has been launched."""
        if self.kind == "cuda":
            _cupy().cuda.Device(self.index).synchronize()

    def stream(self) -> AbstractContextManager:
        """What is launched inside runs beside what is launched outside."""
        return _cupy().cuda.Stream(non_blocking=True) if self.kind == "cuda" else nullcontext()

    def free_memory(self) -> int:
        """Bytes that new arrays may take."""
        if self.kind != "cuda":
            return free_host_memory()
        cupy = _cupy()
        with cupy.cuda.Device(self.index):
            return int(cupy.cuda.runtime.memGetInfo()[0]) + int(cupy.get_default_memory_pool().free_bytes())

    def release(self) -> None:
        """Give back what is kept for new arrays."""
        if self.kind == "cuda":
            cupy = _cupy()
            with cupy.cuda.Device(self.index):
                cupy.get_default_memory_pool().free_all_blocks()

    def in_halves(self, pieces: Iterable[T], work: Callable[[T], R], halves: Callable[[T], Sequence[T]]) -> list[R]:
        """What ``work`` gives of each of ``pieces``; where memory ends, of the ``halves`` of a piece, as often as there are any.

        Estimates of memory are right for this process alone. Raises DeviceError for a piece that has no halves.
        """
        left, found = list(pieces)[::-1], []
        while left:
            piece = left.pop()
            try:
                found.append(work(piece))
                continue
            except MemoryError as error:  # CuPy's own is one
                smaller = halves(piece)
                if not smaller:
                    reason = first_line(error, "no more could be had")
                    raise DeviceError(
                        f"out of memory on device {self.name} ({reason}): nothing smaller can be tried"
                    ) from None
            self.release()  # after the exception is gone, which held the arrays
            left += smaller[::-1]
        return found

    def need(self, size: int, what: str) -> None:
        """Raise DeviceError where ``what``, whose arrays take ``size`` bytes, cannot be held."""
        free = self.free_memory()
        if size > free:
            raise DeviceError(
                f"{what} needs {_gib(size)} of memory, and {_gib(free)} are free for device {self.name}: make it smaller, or give the "
                "job more memory"
            )


def choose(name: str | Device = "auto") -> Device:
    """The device called ``name``: "auto" (cuda if there is one, else cpu), "numpy", "cpu", "cuda" or "cuda:<index>"; or a `Device`.

    A CUDA device becomes the calling thread's current one. "auto", and "cpu" where there is no C++ compiler (it is then
    "numpy"), say on stderr, once, what was taken and why. Raises ConfigError for an unknown name and DeviceError for a
    device that is not there.
    """
    name = checked_name(name)
    if name == "auto":
        return _automatic()
    if name == "numpy":
        return Device("numpy")
    if name == "cpu":
        return _cpu()
    index = int(name.partition(":")[2] or 0)
    reason = gpus.why_not(index)
    if reason:
        raise DeviceError(f"device = {name!r}: {reason}; use 'cpu', or 'auto' to take a GPU where there is one")
    return _cuda(index)


def checked_name(name: str | Device) -> str:
    """``name``, or ConfigError unless it can be a device's; whether that is there is not tried."""
    name = name.name if isinstance(name, Device) else name
    asked = name if isinstance(name, str) else shown(name)
    if asked not in NAMES and not re.fullmatch(r"cuda:\d{1,9}", asked):
        meant = nearest(asked.replace("gpu", "cuda"), NAMES)
        raise ConfigError(f"device = {shown(name)}: {meant} (or cuda:1 for the second GPU)")
    return asked


def shared(name: str) -> str:
    """What several processes of this machine take for ``name``: "auto" is decided, and no GPU is touched. Raises as `choose` does."""
    name = checked_name(name)
    if name == "auto" and not gpus.why_none():
        return "cuda"
    return name if name.startswith("cuda") else choose(name).name


def share_of(name: str, number: int) -> Device:
    """The device of process ``number`` of several that are told to take ``name``: of "cuda" each takes the next GPU, in turn.

    Raises as `choose` does.
    """
    if name in ("auto", "cuda") and not gpus.why_none():
        return choose(f"cuda:{number % gpus.count()}")
    return choose(name)


def array_module(array: Any) -> ModuleType:
    """The module, numpy or cupy, that ``array`` belongs to."""
    return _cupy() if _is_cupy(array) else np


def chunk(array: Any) -> int:
    """The size of temporary arrays beside ``array`` that is best for speed: they stay in a core's cache, or fill a GPU."""
    return 2**22 if _is_cupy(array) else 2**13


def to_host(array: Any) -> np.ndarray:
    """``array`` as a NumPy array, copied only from another device."""
    return array.get() if _is_cupy(array) else np.asarray(array)


def describe() -> dict[str, str]:
    """What there is to compute on, for ``gpumc info``: devices, versions, the compiler, where kernels are cached."""
    facts = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cpu": _or_why(lambda: f"{platform.machine()}, {host.thread_count()} threads, {_gib(free_host_memory())} free"),
        "compiler": _or_why(_compiler_description),
        "host kernels": _or_why(lambda: str(cache_folder())),
    }
    missing = gpus.why_none()
    if missing:
        return {**facts, "cuda": missing}
    for index in range(gpus.count()):
        facts[f"cuda:{index}"] = gpus.described(index)
    facts["cuda"] = gpus.versions()
    facts["cuda kernels"] = os.environ.get("CUPY_CACHE_DIR") or os.path.expanduser("~/.cupy/kernel_cache")
    return facts


def _automatic() -> Device:
    missing = gpus.why_not(0)
    if not missing:
        device = _cuda(0)
        _say_once(f"device {device.name}: {gpus.described(0)}")
        return device
    return _cpu(f"device cpu: {missing}; kernels are compiled by ", f"device numpy: {missing}, and ")


def _cpu(taken: str = "", instead: str = "device numpy instead of cpu: ") -> Device:
    """The host with its kernels, or NumPy where there is no compiler; which it is is said after ``taken`` or ``instead``."""
    try:
        command = compiler()
    except DeviceError as error:
        _say_once(f"{instead}{error}")
        return Device("numpy")
    if taken:
        _say_once(f"{taken}{command}")
    return Device("cpu")


def _compiler_description() -> str:
    command = compiler()
    return f"{command} ({compiler_version(command)})"


def _or_why(fact: Callable[[], str]) -> str:
    """A fact, or why it cannot be had."""
    try:
        return fact()
    except GpumcError as error:
        return str(error)


def _cuda(index: int) -> Device:
    _cupy().cuda.Device(index).use()
    return Device("cuda", index)


def _is_cupy(array: Any) -> bool:
    return type(array).__module__.partition(".")[0] == "cupy"


def _cupy() -> ModuleType:
    import cupy

    return cupy


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


@functools.cache
def _say_once(message: str) -> None:
    print(f"gpumc: {message}", file=sys.stderr)
