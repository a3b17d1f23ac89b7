"""Kernels on the host: their sources compiled as C++ at first use, cached, and run by threads over ranges of items."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpumc.device import cache
from gpumc.device.compiler import compiled, compiler, target
from gpumc.device.source import macros
from gpumc.device.threads import Launch, Pool
from gpumc.errors import ConfigError, DeviceError

FLAGS = ("-x", "c++", "-std=c++17", "-shared", "-fPIC", "-march=native", "-ffp-contract=off", "-fno-math-errno")
OPTIMISED = ("-O3",)
SANITIZED = ("-O0", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: Ranges of items per thread: enough that a slow one does not leave the others idle, and that a launch can be stopped between them.
RANGES_PER_THREAD = 16


class HostProgram:
    """A compiled source; ``launch`` runs one of its kernels."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        self._functions: dict[str, Any] = {}

    def launch(self, name: str, items: int, types: Sequence[type], values: Sequence[object], light: bool) -> None:
        """Run kernel ``name`` over items 0 to ``items`` - 1 and wait for it; ``values`` are NumPy arrays and scalars, ``types`` their
        ctypes; the calling thread does alone what is ``light``. Whatever is raised meanwhile, nothing of it runs any more when this is
        left."""
        function = self._functions.get(name) or self._declared(name, types)
        if light:
            function(0, items, *[_passed(value, 0) for value in values])
            return
        threads = thread_count()
        ranges = min(items, threads * RANGES_PER_THREAD)
        edges = [items * r // ranges for r in range(ranges + 1)]
        arguments = [[_passed(value, thread) for value in values] for thread in range(min(threads, ranges))]
        # ctypes releases the interpreter's lock during a call.
        Launch(function, arguments, values, edges).run(_pool(threads))

    def _declared(self, name: str, types: Sequence[type]) -> Any:
        """A kernel of the library, which always takes arguments of the same types."""
        function = getattr(self._library, name)
        function.argtypes = [ctypes.c_longlong, ctypes.c_longlong, *types]
        function.restype = None
        self._functions[name] = function
        return function


@dataclass(frozen=True)
class OfThreads:
    """An array of which each thread has its own row."""

    rows: np.ndarray


def _passed(value: object, thread: int) -> object:
    if isinstance(value, OfThreads):
        value = value.rows[thread]
    return value.__array_interface__["data"][0] if isinstance(value, np.ndarray) else value


@functools.cache
def _pool(threads: int) -> Pool:
    """The pool of launches on so many threads."""
    return Pool()


if hasattr(os, "register_at_fork"):
    # A forked child has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)


def thread_count() -> int:
    """Threads that run a kernel: ``GPUMC_THREADS``, else the processors that this process may use."""
    wanted = os.environ.get("GPUMC_THREADS")
    if wanted is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not wanted.isdigit() or int(wanted) < 1:
        raise ConfigError(f"GPUMC_THREADS = {wanted!r}: a whole number of at least 1 is needed")
    return int(wanted)


def load(title: str, text: str, defines: Mapping[str, object]) -> HostProgram:
    """Compile ``text`` with ``defines`` unless the cache has it, and load it. ``title`` names it in errors.

    ``GPUMC_SANITIZE=1`` builds with AddressSanitizer and UndefinedBehaviorSanitizer, for the tests.
    """
    command = compiler()
    sanitize = os.environ.get("GPUMC_SANITIZE") == "1"
    flags = [*FLAGS, *(SANITIZED if sanitize else OPTIMISED), *macros(defines)]
    key = hashlib.sha256("\0".join([target(command), *flags, text]).encode()).hexdigest()[:24]
    stem = Path(title).stem
    for path in cache.find(stem, key):
        try:
            return HostProgram(ctypes.CDLL(str(path)))
        except OSError:  # made for another system's libraries, say
            continue

    def build(folder: Path, library: Path) -> None:
        source = folder / "kernel.cpp"
        source.write_text(text, encoding="utf-8")
        compiled(command, flags, title, source, library)

    path = cache.keep(stem, key, build)
    try:
        return HostProgram(ctypes.CDLL(str(path)))
    except OSError as error:
        raise DeviceError(
            f"the compiled kernel {path} cannot be loaded ({error}): set GPUMC_CACHE_DIR to a folder from which programs may "
            "run, set CXX to another C++ compiler, or use device 'numpy'"
        ) from None
