"""``cupy.RawModule``: a kernel's text compiled for the host with its CUDA branches, and run by warps of 32 lanes (warp.cpp)."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from gpumc.device.cache import cache_folder
from gpumc.device.compiler import compiler, compiler_version
from tests.promises.cuda.arrays import ndarray, read, write
from tests.promises.cuda.streams import CUDARuntimeError, launch

HERE = Path(__file__).parent
#: Light optimisation without copies of paths keeps one call of a collective one place in the machine code.
FLAGS = (
    "-x",
    "c++",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-O1",
    "-fno-thread-jumps",
    "-g1",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fno-math-errno",
    "-w",
)
SIZES = {"int64": 8, "uint64": 8, "double": 8, "int32": 4, "uint32": 4, "int": 4, "int16": 2, "int8": 1}
KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+(?:\w+\s+)?void\s+(\w+)\s*\(([^)]*)\)')
PLACE = re.compile(r"at (\S+)\+(0x[0-9a-f]+)")
ORDERS = ("ascending", "descending", "random")
DEFAULT_CACHE = cache_folder() / "emulated-cuda"
ERROR_BYTES = 2048


@dataclass
class Running:
    """How kernels run: the order of lanes between two meetings, and whether ThreadSanitizer watches."""

    order: str = "ascending"
    sanitized: bool = False


RUNNING = Running()


class CompileException(Exception):
    """What NVRTC says of a source that it does not compile."""

    __module__ = "cupy.cuda.compiler"

    def __init__(self, msg, source, name, options, backend="nvrtc"):
        super().__init__(msg)


def cache_folder() -> Path:
    """Where compiled kernels are kept: CUPY_CACHE_DIR as with CuPy, else beside those of device "cpu"."""
    return Path(os.environ.get("CUPY_CACHE_DIR") or DEFAULT_CACHE)


def built(title: str, text: str, options: tuple[str, ...] = ()) -> Path:
    """The library of a C++ source, compiled unless the cache has it. Raises CompileException."""
    command = [*shlex.split(compiler()), *FLAGS, *options]
    if RUNNING.sanitized:
        command.append("-fsanitize=thread")
    key = hashlib.sha256("\0".join([compiler_version(command[0]), *command, text]).encode()).hexdigest()[:24]
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{title}-{key}.so"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            _compile(command, text, options, path)
    return path


def _compile(command: list[str], text: str, options: tuple[str, ...], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source, library = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
        source.write_text(text)
        done = subprocess.run([*command, "-o", library, source, "-ldl"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompileException(done.stderr, text, path.name, options)
        library.replace(path)


@functools.cache
def _warp(sanitized: bool) -> ctypes.PyDLL:
    """The warp, whose names kernels find when they are loaded. PyDLL keeps Python's lock: one kernel runs at a time."""
    text = "\n".join((HERE / name).read_text() for name in ("cuda.hpp", "fibers.hpp", "warp.cpp"))
    text = re.sub(r'#include ".*|#pragma once', "", text)
    return ctypes.PyDLL(str(built("warp", text)), mode=ctypes.RTLD_GLOBAL)


def signatures(text: str) -> dict[str, list[str]]:
    """The types of the parameters of each kernel in a text."""
    text = re.sub(r"//[^\n]*", "", text)
    return {
        name: [re.sub(r"\s*\w+$", "", " ".join(parameter.split())) for parameter in inside.split(",")]
        for name, inside in KERNEL.findall(text)
    }


def _entry(name: str, types: list[str]) -> str:
    """A function that calls a kernel with the values that an array of pointers leads to."""
    values = ", ".join(
        f"*({kind.replace('const ', '') if '*' not in kind else kind}*)values[{i}]" for i, kind in enumerate(types)
    )
    return f'extern "C" void emulated_{name}(void** values) {{ {name}({values}); }}'


class RawModule:
    """Kernels of one source, with the parameters of CuPy's class."""

    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
                 enable_cooperative_groups=False, name_expressions=None, jitify=None):  # fmt: skip
        if path is not None or backend != "nvrtc" or not isinstance(options, tuple):
            raise NotImplementedError("the emulator compiles sources, with a tuple of options for NVRTC")
        for option in options:
            if not option.startswith(("-D", "-std=", "--fmad=")):
                raise ValueError(f"an option that NVRTC may not know: {option}")
        self._code, self._options = code, options
        self._signatures = signatures(code)
        self._library: ctypes.PyDLL | None = None

    def compile(self, log_stream=None):
        if self._library is None:
            entries = [_entry(name, types) for name, types in self._signatures.items()]
            text = "\n".join([(HERE / "cuda.hpp").read_text(), self._code, *entries])
            defines = tuple(option for option in self._options if option.startswith("-D"))
            path = built("-".join(self._signatures) or "empty", text, defines)
            _warp(RUNNING.sanitized)
            self._library = ctypes.PyDLL(str(path))

    def get_function(self, name):
        self.compile()
        return RawKernel(name, self._signatures[name], getattr(self._library, f"emulated_{name}"))


@dataclass(frozen=True)
class RawKernel:
    """One kernel; called with a grid, a block and its arguments."""

    name: str
    types: list[str]
    entry: object

    def __call__(self, grid, block, args, *, shared_mem=0):
        if len(args) != len(self.types):
            raise RuntimeError(f"kernel {self.name}: {len(args)} arguments for {len(self.types)} parameters")
        if not 0 < grid[0] < 2**31 or block[0] % 32:
            raise CUDARuntimeError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        cells = [self._cell(place, *pair) for place, pair in enumerate(zip(self.types, args, strict=True))]
        values = (ctypes.c_void_p * len(cells))(*(ctypes.addressof(cell) for cell in cells))
        error = ctypes.create_string_buffer(ERROR_BYTES)
        order = ORDERS.index(RUNNING.order)
        failed = _warp(RUNNING.sanitized).emulated_run(self.entry, values, grid[0], block[0], order, error)
        if failed:
            raise RuntimeError(f"kernel {self.name}: {with_lines(error.value.decode())}")
        launch(self.name)
        for kind, value in zip(self.types, args, strict=True):
            if isinstance(value, ndarray) and not kind.startswith("const "):
                write(value)

    def _cell(self, place: int, kind: str, value: object) -> ctypes.Array:
        """The bytes that a kernel gets for one argument."""
        pointer = kind.endswith("*")
        if isinstance(value, ndarray) and pointer:
            content = np.uintp(read(value).ctypes.data)
        elif isinstance(value, np.generic) and value.nbytes == (8 if pointer else SIZES[kind]):
            content = value
        else:
            raise TypeError(f"kernel {self.name}, parameter {place}: {type(value)} for {kind}")
        return ctypes.create_string_buffer(content.tobytes(), content.nbytes)


def with_lines(message: str) -> str:
    """An error of the warp with its places in machine code as functions and lines of sources, innermost first."""

    def lines(match: re.Match) -> str:
        tool = shutil.which("addr2line")
        if not tool:
            return match[0]
        before = hex(int(match[2], 16) - 1)  # a return address is one past the call
        done = subprocess.run([tool, "-Cispfe", match[1], before], capture_output=True, text=True, check=False)
        found = re.findall(r"([^\s/:]+\.cuh?:\d+)", done.stdout)
        return f"at {' in '.join(dict.fromkeys(found))}" if found else match[0]

    return PLACE.sub(lines, message)
