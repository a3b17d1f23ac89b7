"""Random words and normals where they are needed: by the kernel of a device, or by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpumc.device.devices import Device
from gpumc.device.kernels import kernel
from gpumc.device.philox import box_muller, philox


def words(device: Device, seed: int, stream: int, sweep: int, walkers: np.ndarray, blocks: int) -> Any:
    """Four random words of each counter (stream, sweep, block, walker) of ``walkers`` (uint64, on the host): uint32 (walkers, blocks, 4) on
    ``device``."""
    if device.kind == "numpy":
        return np.moveaxis(philox(seed, stream, sweep, np.arange(blocks), walkers[:, None]), 0, -1)
    signature = ("uint32*", "const uint64*", "uint64", "uint32", "uint32", "uint32", "int32")
    found = device.xp.empty((len(walkers), blocks, 4), np.uint32)
    draw = kernel(device, "philox.cu", "philox_words", signature)
    draw(len(walkers), found, device.asarray(np.ascontiguousarray(walkers)), seed, stream, sweep, 0, blocks)
    return found


def normals(device: Device, seed: int, stream: int, sweep: int, walkers: np.ndarray, sets: int, count: int) -> Any:
    """``sets`` times ``count`` standard normals of each of ``walkers`` (uint64, on the host): float64 (sets, walkers, count) on
    ``device``."""
    found = words(device, seed, stream, sweep, walkers, sets * ((count + 3) // 4))
    return box_muller(found).reshape(len(walkers), sets, -1)[..., :count].swapaxes(0, 1)
