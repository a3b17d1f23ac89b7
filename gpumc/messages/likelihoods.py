"""The likelihood of a pattern given the fields of its units: the factor nodes of belief propagation.

Patterns that a machine cannot tell apart are one factor, its loss the sum of theirs (`gpumc.messages.constraints`). A factor averages
exp(-beta L) over the fields of its units, which are independent, given all other messages. With a
central-limit closure a field is Gaussian (`gaussian`, `pushed`); else its distribution is given (`counted`). Where a loss
depends only on the signs of hidden units, their weighted sum is followed exactly, whatever gives their probabilities.
What may underflow is kept as a logarithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpumc.device import Device
from gpumc.losses import Loss
from gpumc.machines import Machine
from gpumc.messages.correlated import CorrelatedSigns
from gpumc.messages.fields import Linear, Steps
from gpumc.messages.rectified import RectifiedUnits
from gpumc.messages.votes import Signs
from gpumc.messages.whole_sums import WholeSums

Channel = Signs | Steps | Linear | WholeSums


def takes_fields(machine: Machine, loss: Loss) -> bool:
    """Whether ``loss``, of numbers or of rows, depends on the value of a field, which a positive factor of the inputs changes, and not on
    signs alone."""
    return machine.readout.linear and not loss.of_sign


def channel(device: Device, machine: Machine, loss: Loss, beta: np.ndarray, counts: np.ndarray, dtype: type) -> Any:
    """The factors of ``machine`` and ``loss``, of rows, with ``beta`` for each row, and ``counts``, (2, rows, patterns) on the device, of
    the patterns that want the outputs +1 and -1 of each input."""
    betas = device.asarray(np.asarray(beta, dtype))
    if takes_fields(machine, loss):
        return (Steps if loss.counts else Linear)(device, machine, loss, betas, counts)
    readout = machine.readout
    if readout.rectified:
        return (_rectified if machine.spherical else _whole_sums)(device, machine, loss, betas, counts)
    stability = np.broadcast_to(readout.by_votes * readout.scale, (len(betas), len(readout.by_votes)))
    of_rows = loss.beside(stability)
    right, opposite = (device.asarray(np.array(of_rows.values(sign * stability), dtype))[:, None] for sign in (1, -1))
    losses = counts[0][..., None] * right + counts[1][..., None] * opposite
    signs = Signs(device, losses, betas, tuple(readout.gains.tolist()))
    return CorrelatedSigns(signs) if machine.correlated else signs


def _rectified(device: Device, machine: Machine, loss: Loss, beta: np.ndarray, counts: np.ndarray) -> RectifiedUnits:
    """Those of ReLU units with spherical weights."""
    signs = np.broadcast_to([1.0, -1.0, 0.0], (len(beta), 3))
    right, opposite = (device.asarray(loss.beside(signs).values(sign * signs).T.copy())[..., None] for sign in (1, -1))
    return RectifiedUnits(device, machine.readout.output_weights, counts[0] * right + counts[1] * opposite, beta)


def _whole_sums(device: Device, machine: Machine, loss: Loss, beta: np.ndarray, counts: np.ndarray) -> WholeSums:
    """Those of ReLU units with binary weights."""
    stability = np.broadcast_to(machine.possible_stabilities, (len(beta), len(machine.possible_stabilities)))
    losses = np.stack([loss.beside(stability).values(sign * stability) for sign in (1, -1)])
    gains = machine.readout.output_weights.astype(np.int64)
    return WholeSums(device, gains, losses, beta, counts)
