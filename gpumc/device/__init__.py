"""The only place that knows devices: arrays and transfers, kernels, and random numbers."""

from gpumc.device.devices import (
    Device,
    array_module,
    checked_name,
    choose,
    chunk,
    describe,
    share_of,
    shared,
    to_host,
)
from gpumc.device.kernels import Kernel, kernel, workspace

__all__ = [
    "Device",
    "Kernel",
    "array_module",
    "checked_name",
    "choose",
    "chunk",
    "describe",
    "kernel",
    "share_of",
    "shared",
    "to_host",
    "workspace",
]
