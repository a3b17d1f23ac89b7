"""From preactivations to the slopes of beta times a loss by them: over arrays, and, of the cross-entropy, the launch of
``kernels/slopes.cu``, which reads and writes each once."""

from __future__ import annotations

import numpy as np

from gpumc.device import Device, kernel
from gpumc.losses import Loss
from gpumc.machines import Machine

SIGNATURE = ("float64*", *["const float64*"] * 3, *["int64"] * 3, *["float64"] * 2)


def variant(machine: Machine) -> dict[str, int]:
    """The definitions that the kernel is compiled with."""
    return {} if machine.readout.linear else {machine.activation.upper(): 1}


def has_kernel(device: Device, machine: Machine, loss: Loss) -> bool:
    """Whether there is a kernel on ``device``: for the cross-entropy of plain sums of units whose activation is quickly computed."""
    readout = machine.readout
    quick = not readout.by_unit and readout.plain and machine.activation != "erf"
    return device.kind != "numpy" and quick and loss.fused == "slopes.cu"


def slopes(
    device: Device,
    machine: Machine,
    loss: Loss,
    fields: np.ndarray,
    labels: np.ndarray,
    beta: np.ndarray,
) -> np.ndarray:
    """The slopes of beta L by preactivations ``fields`` (units, rows, M), which they may replace; ``labels`` (M,), ``beta`` (rows,), and a
    loss of rows."""
    if has_kernel(device, machine, loss):
        units, rows, patterns = fields.shape
        run = kernel(device, "slopes.cu", "slopes", SIGNATURE, variant(machine))
        run(
            rows, fields, labels, beta, *loss.parameters.values(), units, rows, patterns, machine.k**-0.5, machine.slope
        )
        return fields
    output, found = machine.differentiated(fields.swapaxes(0, 1))
    stability = output * labels
    outer = loss.beside(stability).slopes(stability) * labels * beta[:, None]
    return (found * outer[:, None]).swapaxes(0, 1)
