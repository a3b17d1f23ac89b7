"""The GPUs that there are, and whether each can be used: tried before it is taken, so that an error comes in time."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np

from gpumc.errors import first_line

#: The least compute capability for which CUDA 13 compiles.
CAPABILITY = (7, 5)
INSTALL = "for an NVIDIA GPU: pip install 'gpumc[cuda13]', or [cuda12] with an older driver"
#: What a GPU that is there, and cannot be used, answers with; in words.
ANSWERS = {
    "cudaErrorDevicesUnavailable": "it is taken: another process has it in exclusive mode (nvidia-smi -q -d COMPUTE), or it must be reset",
    "cudaErrorMemoryAllocation": "its memory is full (nvidia-smi says by whom)",
    "OutOfMemoryError": "its memory is full (nvidia-smi says by whom)",
    "cudaErrorInvalidDevice": "it is no device of this process (CUDA_VISIBLE_DEVICES, or MIG without instances)",
    "cudaErrorNoKernelImageForDevice": "cupy has no code for it: install another version of cupy",
    "cudaErrorECCUncorrectable": "its memory has uncorrectable errors: it must be reset",
}
#: A node in /dev for each GPU that the driver has, whether or not this process sees it.
NODES = Path("/dev")

_forked = False
_usable: set[int] = set()


@functools.cache
def count() -> int:
    """The number of GPUs that this process sees. Raises whatever the driver, the loader or cupy's own import gives."""
    return int(_runtime().getDeviceCount())


def why_none() -> str:
    """Why there is no GPU, as a clause, or "" where there is one."""
    if _forked:
        return "CUDA was used before this process was forked (start it by multiprocessing's 'spawn' or 'forkserver')"
    if importlib.util.find_spec("cupy") is None:
        return f"cupy is not installed ({INSTALL})"
    try:
        return "" if count() else _unseen()
    except ImportError as error:
        return f"cupy cannot be imported ({first_line(error)}): install it again"
    except Exception as error:  # the runtime's own kind, which cannot be imported everywhere
        return _why_no_answer(error)


def why_not(index: int) -> str:
    """Why GPU ``index`` cannot be used, as a clause, or "" where it can: libraries, capability, memory and a kernel were tried."""
    if index in _usable:
        return ""
    reason = why_none()
    if reason:
        return reason
    if index >= count():
        return "cuda:0 is the only GPU here" if count() == 1 else f"the GPUs here are cuda:0 to cuda:{count() - 1}"
    reason = _why_no_library() or _why_too_old(index) or _why_no_work(index)
    if not reason:
        _usable.add(index)
    return reason


def described(index: int) -> str:
    """GPU ``index`` in words, and whether it can be used."""
    found = _runtime().getDeviceProperties(index)
    memory = found["totalGlobalMem"] / 2**30
    capability = f"compute capability {found['major']}.{found['minor']}"
    reason = why_not(index)
    return f"{found['name'].decode()}, {capability}, {memory:.1f} GiB" + (
        f"; cannot be used: {reason}" if reason else ""
    )


def multiprocessors(index: int) -> int:
    """How many GPU ``index`` has."""
    return int(_runtime().getDeviceProperties(index)["multiProcessorCount"])


def versions() -> str:
    """The versions of CUDA that the driver and cupy are for."""
    return f"driver for CUDA {_version(_runtime().driverGetVersion())}, cupy for CUDA {_version(_runtime().runtimeGetVersion())}"


def _runtime() -> ModuleType:
    """The CUDA runtime, a tenth of cupy's own import time."""
    return importlib.import_module("cupy_backends.cuda.api.runtime")


def _why_no_answer(error: Exception) -> str:
    """Why the runtime cannot count GPUs: what it says is the same for no driver and for one that is too old."""
    driver, needed = _runtime().driverGetVersion(), _runtime().runtimeGetVersion()
    if not driver:
        return "no NVIDIA driver is installed here"
    if "cudaErrorInsufficientDriver" in str(error):
        return (
            f"the NVIDIA driver is for CUDA {_version(driver)}, and cupy here for {_version(needed)}: update the driver, or "
            "pip install 'gpumc[cuda12]' in place of cuda13"
        )
    return _unseen() if "cudaErrorNoDevice" in str(error) else f"CUDA does not start ({first_line(error)})"


def _unseen() -> str:
    """Why the driver shows no GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return f"no GPU is visible (CUDA_VISIBLE_DEVICES = {visible!r})"
    if any(NODES.glob("nvidia[0-9]*")):
        return "there is a GPU that the driver offers to nobody (nvidia-smi -L: MIG is on without instances, or it has failed)"
    return "there is a driver and no GPU"


def _why_no_library() -> str:
    """Why cuBLAS or NVRTC cannot be used."""
    for name, library in (("cuBLAS", "cublas"), ("NVRTC", "nvrtc")):
        try:
            module = importlib.import_module(f"cupy_backends.cuda.libs.{library}")
            if library == "nvrtc":
                module.getVersion()  # it is loaded here
        except Exception as error:  # ImportError, or cupy's own RuntimeError
            extra = f"cuda{_runtime().runtimeGetVersion() // 1000}"
            return f"{name} cannot be loaded ({first_line(error)}): pip install 'gpumc[{extra}]' brings it"
    return ""


def _why_too_old(index: int) -> str:
    found = _runtime().getDeviceProperties(index)
    capability = found["major"], found["minor"]
    if capability >= CAPABILITY:
        return ""
    return f"its compute capability is {'.'.join(map(str, capability))}, and {'.'.join(map(str, CAPABILITY))} is needed"


def _why_no_work(index: int) -> str:
    """Why GPU ``index`` does not do a product and a kernel as it should."""
    from gpumc.device.devices import Device
    from gpumc.device.normals import normals

    place, walkers = Device("cuda", index), np.array([1], np.uint64)
    try:
        xp = importlib.import_module("cupy")
        with xp.cuda.Device(index):
            ones = xp.ones((2, 2))
            product = (ones @ ones).get()
            drawn = normals(place, 1, 0, 0, walkers, 1, 4).get()
    except OSError as error:
        folder = os.environ.get("CUPY_CACHE_DIR") or "~/.cupy/kernel_cache"
        return f"cupy cannot keep its kernels in {folder} ({error.strerror or error}): set CUPY_CACHE_DIR to a folder that can be written"
    except Exception as error:  # of cupy, the runtime, the driver, NVRTC or cuBLAS
        message = f"{type(error).__name__}: {error}"
        answer = next((words for name, words in ANSWERS.items() if name in message), "")
        return answer or f"its first kernel failed ({first_line(error)})"
    right = np.all(product == 2) and np.allclose(drawn, normals(Device("numpy"), 1, 0, 0, walkers, 1, 4), rtol=1e-12)
    return "" if right else "its first kernel gave wrong numbers: it must not be used"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _after_fork() -> None:
    global _forked
    _forked = bool(count.cache_info().currsize and count())
    _usable.clear()


# CUDA's state does not survive a fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
