"""The only place that knows devices: arrays and transfers, kernels, and random numbers."""

from gpumc.device.devices import Device, array_module, choose, chunk, describe, to_host
from gpumc.device.kernels import Kernel, kernel

__all__ = ["Device", "Kernel", "array_module", "choose", "chunk", "describe", "kernel", "to_host"]
