"""What is sampled of real weights: the loss of an instance, and the pull of a centre or of the other replicas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpumc.device import Device, array_module, kernel
from gpumc.inputs import preactivations, unit_inputs
from gpumc.losses import Loss
from gpumc.machines import Machine
from gpumc.sampling.spheres.geometry import log_mean_exp, norms
from gpumc.sampling.spheres.loss_gradient import slopes

TRACED = (*["const float64*"] * 2, *["float64*"] * 2, *["int64"] * 3)


@dataclass(frozen=True)
class Target:
    """The loss of one instance: ``inputs`` float64 (units or 1, M, fan_in), divided by sqrt(fan_in), and ``labels`` float64 (M,). The
    ``loss`` is one of rows, whose parameters are arrays (rows,), where it is asked for values."""

    device: Device
    machine: Machine
    loss: Loss
    inputs: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, device: Device, machine: Machine, loss: Loss, xi: np.ndarray, labels: np.ndarray) -> Target:
        """The target of patterns xi (M, n) with labels (M,), on ``device``."""
        return cls(device, machine, loss, unit_inputs(device, machine, xi), device.asarray(labels.astype(float)))

    @property
    def shape(self) -> tuple[int, int]:
        """Units and inputs of each."""
        return self.machine.k, self.machine.fan_in

    def fields(self, x: np.ndarray) -> np.ndarray:
        """Preactivations (rows, units, M) of weights (rows, units, fan_in)."""
        return preactivations(x, self.inputs)

    def stabilities(self, fields: np.ndarray) -> np.ndarray:
        """Delta: (rows, M)."""
        return self.machine.outputs(fields) * self.labels

    def under(self, loss: Loss) -> Target:
        """The same with another loss."""
        return replace(self, loss=loss)

    def rows(self, chosen) -> Target:
        """The same with the loss of some of the rows."""
        return self.under(self.loss.take(chosen))

    def energy(self, fields: np.ndarray) -> np.ndarray:
        """The loss (rows,)."""
        stability = self.stabilities(fields)
        return self.loss.beside(stability).values(stability).sum(axis=-1)

    def errors(self, fields: np.ndarray) -> np.ndarray:
        """Patterns that are wrong: (rows,)."""
        stability = self.stabilities(fields)
        return self.loss.beside(stability).wrong(stability).sum(axis=-1)

    def gradient(self, fields: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """The gradient of beta times a loss that has one by the weights, (rows, units, fan_in); it may overwrite ``fields``."""
        found = slopes(self.device, self.machine, self.loss, fields.swapaxes(0, 1), self.labels, beta)
        return array_module(found).matmul(found, self.inputs).swapaxes(0, 1)


@dataclass(frozen=True)
class Attraction:
    """That of a centre that is where it is: ``coupling`` (rows,), ``centre`` (rows, units, fan_in)."""

    coupling: np.ndarray
    centre: np.ndarray

    def log_weight(self, x: np.ndarray) -> np.ndarray:
        """What the coupling adds to the log probability: (rows,)."""
        raise NotImplementedError(f"{type(self).__name__} has no log_weight(x)")

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Its gradient by the weights."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient(x)")

    def rows(self, chosen: Any) -> Attraction:
        """The same for some of the rows."""
        return type(self)(self.coupling[chosen], self.centre[chosen])


@dataclass(frozen=True)
class Pull(Attraction):
    """coupling W.W~, on spheres."""

    def log_weight(self, x: np.ndarray) -> np.ndarray:
        """What the coupling adds to the log probability: (rows,), the constant -coupling N being left out."""
        return self.coupling * (self.centre * x).sum(axis=(-2, -1))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Its gradient by the weights."""
        return self.coupling[:, None, None] * self.centre


@dataclass(frozen=True)
class FreePull(Attraction):
    """-coupling |W - W~|^2 / 2, where norms are free."""

    def log_weight(self, x: np.ndarray) -> np.ndarray:
        """What the coupling adds to the log probability: (rows,)."""
        return -0.5 * self.coupling * ((x - self.centre) ** 2).sum(axis=(-2, -1))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Its gradient by the weights."""
        return self.coupling[:, None, None] * (self.centre - x)


@dataclass(frozen=True)
class TracedPull:
    """The centre integrated over its spheres, where ``others`` (rows, units, fan_in) is the sum of the other replicas."""

    coupling: np.ndarray
    others: np.ndarray

    def log_weight(self, x: np.ndarray) -> np.ndarray:
        """log of the mean of exp(coupling W~.sum_a W^a) over centres: (rows,)."""
        return log_mean_exp(self._kappa(norms(self.others + x)), x.shape[-1])[0].sum(axis=(-2, -1))

    def _kappa(self, lengths: np.ndarray) -> np.ndarray:
        return self.coupling[:, None, None] * np.sqrt(self.others.shape[-1]) * lengths


def traced_pull(device: Device, coupling: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of chains x (chains, replicas, units, fan_in) with the centre integrated out: the log weight (chains,), and its gradient by
    any replica's weights (chains, units, fan_in); ``coupling`` (chains,). The kernel is in ``kernels/spheres.cu``."""
    xp = device.xp
    if device.kind != "numpy":
        chains, replicas, units, fan_in = x.shape
        value, gradient = xp.empty((chains, units)), xp.empty((chains, units, fan_in))
        run = kernel(device, "spheres.cu", "traced", TRACED)
        run(chains * units, xp.ascontiguousarray(x), coupling, value, gradient, replicas, units, fan_in)
        return value.sum(axis=1), gradient
    total = x.sum(axis=1)
    length = xp.maximum(norms(total), 1e-300)
    scale = coupling[:, None, None] * np.sqrt(x.shape[-1])
    value, slope = log_mean_exp(scale * length, x.shape[-1])
    return value.sum(axis=(-2, -1)), scale * slope * total / length
