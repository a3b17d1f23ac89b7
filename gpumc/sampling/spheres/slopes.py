"""From preactivations to the slopes of beta times a loss by them: over arrays, and, of the cross-entropy, the launch of
``kernels/slopes.cu``, which reads and writes each once."""

from __future__ import annotations

import numpy as np

from gpumc.device import Device, kernel
from gpumc.losses import CrossEntropy, SquaredHinge
from gpumc.machines import Machine

SIGNATURE = ("float64*", *["const float64*"] * 3, *["int64"] * 3, *["float64"] * 2)


def variant(machine: Machine) -> dict[str, int]:
    """The definitions that the kernel is compiled with."""
    return {} if machine.readout == "linear" else {machine.activation.upper(): 1}


def has_kernel(device: Device, machine: Machine, loss: CrossEntropy | SquaredHinge) -> bool:
    """Whether there is a kernel on ``device``: for the cross-entropy of sums of units whose activation is quickly computed."""
    quick = machine.readout != "product" and machine.activation != "erf"
    return device.kind != "numpy" and quick and isinstance(loss, CrossEntropy)


def slopes(
    device: Device,
    machine: Machine,
    loss: CrossEntropy | SquaredHinge,
    fields: np.ndarray,
    labels: np.ndarray,
    beta: np.ndarray,
    gamma: np.ndarray,
) -> np.ndarray:
    """The slopes of beta L by preactivations ``fields`` (units, rows, M), which they may replace; ``labels`` (M,), ``beta`` and
    ``gamma`` (rows,)."""
    if has_kernel(device, machine, loss):
        units, rows, patterns = fields.shape
        run = kernel(device, "slopes.cu", "slopes", SIGNATURE, variant(machine))
        run(rows, fields, labels, beta, gamma, units, rows, patterns, machine.k**-0.5, machine.slope)
        return fields
    output, found = machine.differentiated(fields.swapaxes(0, 1))
    outer = loss.slopes(output * labels, gamma[:, None]) * labels * beta[:, None]
    return (found * outer[:, None]).swapaxes(0, 1)
