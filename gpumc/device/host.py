"""Kernels on the host: their sources compiled as C++ at first use, cached, and run by threads over ranges of items."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpumc.device.source import macros
from gpumc.errors import ConfigError, DeviceError

COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-x", "c++", "-std=c++17", "-shared", "-fPIC", "-march=native", "-ffp-contract=off", "-fno-math-errno")
OPTIMISED = ("-O3",)
SANITIZED = ("-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
#: Ranges of items per thread: enough that a slow one does not leave the others idle.
RANGES_PER_THREAD = 16
ERROR_LINES = 6


class HostProgram:
    """A compiled source; ``launch`` runs one of its kernels."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library

    def launch(self, name: str, items: int, types: Sequence[type], values: Sequence[object]) -> None:
        """Run kernel ``name`` over items 0 to ``items`` - 1 with ``values`` of the ctypes ``types``; wait for it."""
        function = getattr(self._library, name)
        function.argtypes = [ctypes.c_longlong, ctypes.c_longlong, *types]
        function.restype = None
        threads = min(thread_count(), items)
        if threads <= 1:
            function(0, items, *values)
            return
        ranges = min(items, threads * RANGES_PER_THREAD)
        edges = [items * r // ranges for r in range(ranges + 1)]
        # ctypes releases the interpreter's lock during a call.
        for done in [_pool(threads).submit(function, a, b, *values) for a, b in itertools.pairwise(edges)]:
            done.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "gpumc")


def thread_count() -> int:
    """Threads that run a kernel: ``GPUMC_THREADS``, else the processors that this process may use."""
    wanted = os.environ.get("GPUMC_THREADS")
    if wanted is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not wanted.isdigit() or int(wanted) < 1:
        raise ConfigError(f"GPUMC_THREADS = {wanted!r}: a whole number of at least 1 is needed")
    return int(wanted)


def compiler() -> str | None:
    """The C++ compiler: ``CXX`` where it is set, else the first of c++, g++, clang++ that is found."""
    wanted = os.environ.get("CXX")
    names = [wanted] if wanted else COMPILERS
    return next((name for name in names if shutil.which(shlex.split(name)[0])), None)


@functools.cache
def compiler_version(command: str) -> str:
    """The first line that ``command --version`` prints."""
    return (_run([*shlex.split(command), "--version"]).stdout.splitlines() or ["version unknown"])[0]


def cache_folder() -> Path:
    """Where compiled kernels are kept: ``GPUMC_CACHE_DIR``, else the platform's folder for caches."""
    given = os.environ.get("GPUMC_CACHE_DIR")
    if given:
        return Path(given)
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "gpumc"


def load(title: str, text: str, defines: Mapping[str, object]) -> HostProgram:
    """Compile ``text`` with ``defines`` unless the cache has it, and load it. ``title`` names it in errors.

    ``GPUMC_SANITIZE=1`` builds with AddressSanitizer and UndefinedBehaviorSanitizer, for the tests.
    """
    command = compiler()
    if command is None:
        raise DeviceError("no C++ compiler was found for the host kernels: install one, set CXX, or use device 'numpy'")
    sanitize = os.environ.get("GPUMC_SANITIZE") == "1"
    flags = [*FLAGS, *(SANITIZED if sanitize else OPTIMISED), *macros(defines)]
    key = hashlib.sha256("\0".join([_target(command), *flags, text]).encode()).hexdigest()[:24]
    path = cache_folder() / f"{Path(title).stem}-{key}.so"
    if not path.exists():
        _build(command, flags, title, text, path)
    try:
        return HostProgram(ctypes.CDLL(str(path)))
    except OSError as error:
        raise DeviceError(f"the compiled kernel {path} cannot be loaded ({error}): delete it and try again") from None


@functools.cache
def _target(command: str) -> str:
    """What the compiler is and which instructions this processor has, as the macros it predefines."""
    return _run([*shlex.split(command), "-march=native", "-dM", "-E", "-x", "c++", os.devnull]).stdout


def _build(command: str, flags: Sequence[str], title: str, text: str, path: Path) -> None:
    """Compile into a temporary folder beside ``path``, then rename: another process sees the whole library or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="building-") as folder:
            source, built = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
            source.write_text(text)
            done = _run([*shlex.split(command), *flags, "-o", str(built), str(source)])
            if done.returncode:
                raise DeviceError(compile_error(title, f"{command} (device 'numpy' needs none)", done.stderr))
            os.replace(built, path)
    except OSError as error:
        raise DeviceError(
            f"kernels cannot be cached in {path.parent} ({error.strerror}): set GPUMC_CACHE_DIR to a folder that can be"
        ) from None


def compile_error(title: str, compiler_name: str, log: str) -> str:
    """One message from a compiler's log: its first lines that speak of errors."""
    lines = log.strip().splitlines()
    first = next((i for i, line in enumerate(lines) if "error" in line), 0)
    return "\n".join([f"kernel {title} was not compiled by {compiler_name}:", *lines[first : first + ERROR_LINES]])


def _run(command: Sequence[str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, check=False)
