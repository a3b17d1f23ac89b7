"""Random words and normals where they are needed: by the kernel of a device, or by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpumc.device.devices import Device
from gpumc.device.kernels import kernel
from gpumc.device.philox import box_muller, philox


def normals(device: Device, seed: int, stream: int, sweep: int, walkers: np.ndarray, sets: int, count: int) -> Any:
    """``sets`` times ``count`` standard normals of each of ``walkers`` (uint64, on the host): float64 (sets, walkers, count) on
    ``device``."""
    blocks = sets * ((count + 3) // 4)
    if device.kind == "numpy":
        words = np.moveaxis(philox(seed, stream, sweep, np.arange(blocks), walkers[:, None]), 0, -1)
    else:
        signature = ("uint32*", "const uint64*", "uint64", "uint32", "uint32", "uint32", "int32")
        words = device.xp.empty((len(walkers), blocks, 4), np.uint32)
        draw = kernel(device, "philox.cu", "philox_words", signature)
        draw(len(walkers), words, device.asarray(np.ascontiguousarray(walkers)), seed, stream, sweep, 0, blocks)
    return box_muller(words).reshape(len(walkers), sets, -1)[..., :count].swapaxes(0, 1)
