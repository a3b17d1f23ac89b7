"""The inputs of hidden units as real numbers, made once for an instance and a device, and the preactivations that they give."""

from __future__ import annotations

import numpy as np

from gpumc.device import Device, array_module
from gpumc.machines import Machine


def unit_inputs(device: Device, machine: Machine, xi: np.ndarray) -> np.ndarray:
    """The inputs of each unit, or one row for all where they share them, of patterns ``xi`` (M, n), divided by sqrt(fan_in): float64 (units
    or 1, M, fan_in) on ``device``."""
    units = machine.unit_inputs(xi)
    inputs = np.ascontiguousarray(units[:1] if units.strides[0] == 0 else units, dtype=np.float64)
    return device.asarray(inputs / np.sqrt(machine.fan_in))


def preactivations(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """w_l . xi_l / sqrt(fan_in), (rows, units, M), of weights (rows, units, fan_in) and :func:`unit_inputs`."""
    return array_module(weights).matmul(weights.swapaxes(0, 1), inputs.swapaxes(1, 2)).swapaxes(0, 1)
