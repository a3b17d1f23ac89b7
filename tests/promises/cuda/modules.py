"""Puts the stand-in where ``import cupy`` looks: cupy, cupyx and cupy_backends as modules of this process."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

from tests.promises.cuda import functions, raw, streams

CUDA_VERSION = 13000
CONSTANTS = ("inf", "nan", "pi", "e", "newaxis")


def module(name: str, **names: Any) -> ModuleType:
    """A module of this name, in ``sys.modules`` and in its parent."""
    made = ModuleType(name, "A stand-in: tests/promises/cuda.")
    made.__spec__ = ModuleSpec(name, None, is_package=True)
    made.__path__ = []
    vars(made).update(names)
    sys.modules[name] = made
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, made)
    return made


class MemoryPool:
    """CuPy's pool, which keeps nothing here."""

    def free_bytes(self) -> int:
        return 0

    def used_bytes(self) -> int:
        return 0

    def free_all_blocks(self, stream=None) -> None:
        pass


class OutOfMemoryError(MemoryError):
    """What CuPy raises where a device's memory ends."""

    __module__ = "cupy.cuda.memory"


def properties(index: int) -> dict[str, Any]:
    return {
        "name": b"Emulated device",
        "totalGlobalMem": streams.MEMORY,
        "major": 9,
        "minor": 0,
        "multiProcessorCount": 132,
    }


def attribute(of: str) -> Any:
    """The ``__getattr__`` of a module of functions."""

    def get(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return functions.named(name, of)

    return get


def install() -> None:
    """Make the stand-in the cupy of this process, which must not have imported another."""
    if "cupy" in sys.modules or "cupy_backends" in sys.modules:
        raise RuntimeError("cupy was imported before the emulated device could take its place")
    version = f"{functions.API['version']}+emulated"
    constants = {name: getattr(np, name) for name in CONSTANTS}
    own = {"ndarray": functions.ndarray, "RawModule": raw.RawModule, "get_default_memory_pool": MemoryPool}
    module("cupy", __version__=version, __getattr__=attribute("cupy"), **constants, **own)
    module("cupy.linalg", __getattr__=attribute("cupy.linalg"))
    module("cupy.fft", __getattr__=attribute("cupy.fft"))
    module("cupyx")
    module("cupyx.scipy")
    module("cupyx.scipy.special", __getattr__=attribute("cupyx.scipy.special"))
    module("cupy_backends")
    module("cupy_backends.cuda")
    module("cupy_backends.cuda.api")
    runtime = module(
        "cupy_backends.cuda.api.runtime",
        CUDARuntimeError=streams.CUDARuntimeError,
        getDeviceCount=lambda: streams.DEVICES,
        getDeviceProperties=properties,
        memGetInfo=lambda: (streams.FREE, streams.MEMORY),
        driverGetVersion=lambda: CUDA_VERSION,
        runtimeGetVersion=lambda: CUDA_VERSION,
    )
    module("cupy_backends.cuda.libs")
    module("cupy_backends.cuda.libs.cublas", getVersion=lambda handle: CUDA_VERSION)
    module("cupy_backends.cuda.libs.nvrtc", getVersion=lambda: (CUDA_VERSION // 1000, 0))
    module(
        "cupy.cuda",
        Device=streams.Device,
        Stream=streams.Stream,
        get_current_stream=streams.current_stream,
        runtime=runtime,
    )
    module("cupy.cuda.compiler", CompileException=raw.CompileException)
    module("cupy.cuda.memory", OutOfMemoryError=OutOfMemoryError)
