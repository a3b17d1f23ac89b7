"""What a pattern asks of the fields of its units: the factor nodes of belief propagation.

Patterns that a machine cannot tell apart are one factor, its loss the sum of theirs (`gpumc.messages.constraints`). A factor averages
exp(-beta L) over the fields of its units, which are independent, given all other messages. With a
central-limit closure a field is Gaussian (`gaussian`, `pushed`); else its distribution is given (`counted`). Where a loss
depends only on the signs of hidden units, how many of them are positive is followed exactly, whatever gives their
probabilities. What may underflow is kept as a logarithm.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import Device, to_host
from gpumc.losses import Loss
from gpumc.machines import Machine

#: The logarithm of what cannot be; finite, so that differences are numbers.
IMPOSSIBLE = -1e30
#: The quadrature of linear readouts: how many standard deviations it spans on either side of the mode, and how many nodes it has
#: for each standard deviation, and for each distance 1/gamma, over which the loss bends: the error is below 1e-9.
REACH, NODES_PER_DEVIATION, NODES_PER_BEND = 7.0, 1.2, 2.5


@dataclass(frozen=True)
class Node:
    """A factor's log Z (rows, patterns) and its first and second derivatives by each unit's mean field (rows, units, patterns)."""

    log_z: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray


@dataclass(frozen=True)
class Counted:
    """A factor's log Z (rows, patterns), the log of what it gives to each number of positive products of a unit (rows, units,
    patterns, fan_in + 1), and the mean loss (rows,) of all patterns."""

    log_z: np.ndarray
    log_factor: np.ndarray
    energy: np.ndarray


@dataclass(frozen=True)
class Signs:
    """Losses that depend on how many units are positive: every machine's but the perceptron's cross-entropy.

    ``losses`` (rows, patterns, units + 1): the loss where so many units are positive; ``beta`` (rows,), which may be inf.
    """

    device: Device
    losses: np.ndarray
    beta: np.ndarray

    def rows(self, chosen) -> Signs:
        """The same for some of the rows."""
        return Signs(self.device, self.losses[chosen], self.beta[chosen])

    def units(self, log_p: np.ndarray, log_q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log Z (rows, patterns), and log Z given that a unit is positive, or negative: (rows, units, patterns).

        ``log_p``, ``log_q`` (rows, units, patterns): log probabilities that a unit is positive and that it is not.
        """
        log_p, log_q = (np.swapaxes(a, 0, 1) for a in (log_p, log_q))
        before, after = self._before(log_p, log_q), self._after(log_p, log_q)
        xp = self.device.xp
        up = [self._log_sum(b + a[1:]) for b, a in zip(before[:-1], after[1:], strict=True)]
        down = [self._log_sum(b + a[:-1]) for b, a in zip(before[:-1], after[1:], strict=True)]
        return after[0][0], xp.stack(up, axis=1), xp.stack(down, axis=1)

    def gaussian(self, mean: np.ndarray, variance: np.ndarray) -> Node:
        """The node whose units' fields are Gaussian: ``mean`` (rows, units, patterns), ``variance`` broadcasts against it."""
        xp = self.device.xp
        deviation = xp.sqrt(variance)
        x = mean / deviation
        log_p, log_q = self.probabilities(x)
        log_z, up, down = self.units(log_p, log_q)
        gain = up - down
        total = xp.logaddexp(log_p + xp.minimum(gain, 0), log_q - xp.maximum(gain, 0))
        with np.errstate(divide="ignore"):  # a gain of 0
            size = xp.log(-xp.expm1(-xp.abs(gain))) - 0.5 * (x * x + math.log(2 * math.pi)) - total
        slope = xp.sign(gain) * xp.exp(size) / deviation
        return Node(log_z, slope, -slope * (mean / variance + slope))

    def pushed(
        self, mean: np.ndarray, variance: np.ndarray, rest_mean: np.ndarray, rest_variance: np.ndarray
    ) -> np.ndarray:
        """Half of log Z's gain where one input's product with its weight goes from -1 to +1: (rows, units, patterns, fan_in).

        ``mean`` and ``variance`` (rows, units, patterns) are of the whole field; of what is left of it without an input,
        ``rest_mean`` and ``rest_variance`` (rows, units, patterns, fan_in).
        """
        xp = self.device.xp
        _, up, down = self.units(*self.probabilities(mean / xp.sqrt(variance)))
        deviation = xp.sqrt(rest_variance)
        gains = []
        for sign in (1, -1):
            log_p, log_q = self.probabilities((rest_mean + sign) / deviation)
            gains.append(xp.logaddexp(log_p + up[..., None], log_q + down[..., None]))
        return (gains[0] - gains[1]) / 2

    def counted(self, log_counts: np.ndarray) -> Counted:
        """The node where log P of each unit's number of positive products is ``log_counts`` (rows, units, patterns, fan_in + 1)."""
        xp = self.device.xp
        fan_in = log_counts.shape[-1] - 1
        log_q, log_p = (
            self._log_sum(xp.moveaxis(part, -1, 0)) for part in xp.split(log_counts, [(fan_in + 1) // 2], axis=-1)
        )
        log_z, up, down = self.units(log_p, log_q)
        positive = xp.arange(fan_in + 1) > fan_in / 2
        return Counted(log_z, xp.where(positive, up[..., None], down[..., None]), self._mean_loss(log_p, log_q))

    def probabilities(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log Phi(x) and log Phi(-x)."""
        log_ndtr = self.device.special.log_ndtr
        return log_ndtr(x), log_ndtr(-x)

    def energy(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """The mean loss (rows,) of all patterns; see :meth:`gaussian`."""
        return self._mean_loss(*self.probabilities(mean / self.device.xp.sqrt(variance)))

    def _mean_loss(self, log_p: np.ndarray, log_q: np.ndarray) -> np.ndarray:
        xp = self.device.xp
        log_p, log_q = (np.swapaxes(a, 0, 1) for a in (log_p, log_q))
        log_weight = self._before(log_p, log_q)[-1] + self._log_factors()
        weight = xp.exp(log_weight - self._log_sum(log_weight))
        return xp.sum(weight * xp.moveaxis(self.losses, -1, 0), axis=(0, 2))

    def _log_factors(self) -> np.ndarray:
        """log exp(-beta L): (units + 1, rows, patterns)."""
        xp = self.device.xp
        losses = xp.moveaxis(self.losses, -1, 0)
        beta = self.beta[:, None]
        return xp.where(losses > 0, xp.maximum(-beta * xp.where(losses > 0, losses, 1), IMPOSSIBLE), 0)

    def _log_sum(self, terms: np.ndarray) -> np.ndarray:
        return functools.reduce(self.device.xp.logaddexp, terms)

    def _before(self, log_p: np.ndarray, log_q: np.ndarray) -> list[np.ndarray]:
        """For each unit, log P(so many units before it are positive): (count, rows, patterns)."""
        xp = self.device.xp
        all_counts = [xp.zeros_like(log_p[:1])]
        for p, q in zip(log_p, log_q, strict=True):
            counts = all_counts[-1]
            never = xp.full_like(counts[:1], IMPOSSIBLE)
            all_counts.append(xp.logaddexp(xp.concatenate([counts + q, never]), xp.concatenate([never, counts + p])))
        return all_counts

    def _after(self, log_p: np.ndarray, log_q: np.ndarray) -> list[np.ndarray]:
        """For each unit, log of what it and those after it give, where so many before it are positive: (count, rows, patterns)."""
        xp = self.device.xp
        found = [xp.broadcast_to(self._log_factors(), (len(log_p) + 1, *log_p.shape[1:]))]
        for p, q in zip(log_p[::-1], log_q[::-1], strict=True):
            found.append(xp.logaddexp(found[-1][:-1] + q, found[-1][1:] + p))
        return found[::-1]


@dataclass(frozen=True)
class Linear:
    """The perceptron's cross-entropy, f_gamma of field x ``scale``, by quadrature. ``beta`` and ``gamma`` (rows,); ``counts`` (2, rows,
    patterns): how many times a factor has f_gamma(x), and f_gamma(-x) = f_gamma(x) + x."""

    device: Device
    scale: float
    beta: np.ndarray
    gamma: np.ndarray
    counts: np.ndarray

    def rows(self, chosen) -> Linear:
        """The same for some of the rows."""
        return Linear(self.device, self.scale, self.beta[chosen], self.gamma[chosen], self.counts[:, chosen])

    def gaussian(self, mean: np.ndarray, variance: np.ndarray) -> Node:
        """The node whose one unit's field is Gaussian: ``mean`` (rows, 1, patterns), ``variance`` broadcasts against it."""
        variance = variance + 0 * mean
        log_z, shift, spread, _ = self._moments(mean, variance)
        return Node(log_z[:, 0], shift / variance, (spread / variance - 1) / variance)

    def energy(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """The mean loss (rows,) of all patterns."""
        return self._moments(mean, variance + 0 * mean)[3].sum(axis=(1, 2))

    def pushed(
        self, mean: np.ndarray, variance: np.ndarray, rest_mean: np.ndarray, rest_variance: np.ndarray
    ) -> np.ndarray:
        """See :meth:`Signs.pushed`."""
        up, down = (self._moments(rest_mean + sign, rest_variance)[0] for sign in (1, -1))
        return (up - down) / 2

    def counted(self, log_counts: np.ndarray) -> Counted:
        """See :meth:`Signs.counted`."""
        xp = self.device.xp
        fan_in = log_counts.shape[-1] - 1
        field = (2 * xp.arange(fan_in + 1) - fan_in) * self.scale
        right, opposite = self.counts[:, :, None, :, None]
        loss = (right + opposite) * self._loss(field, self.gamma[:, None])[:, None, None] + opposite * field
        log_factor = xp.broadcast_to(-self.beta[:, None, None, None] * loss, log_counts.shape)
        log_weight = xp.moveaxis(log_counts + log_factor, -1, 0)
        log_z = functools.reduce(xp.logaddexp, log_weight)
        energy = (xp.exp(log_weight - log_z) * xp.moveaxis(loss, -1, 0)).sum(axis=(0, 2, 3))
        return Counted(log_z[:, 0], log_factor, energy)

    def _moments(self, mean: np.ndarray, variance: np.ndarray) -> list[np.ndarray]:
        """log Z, and of the weighted field: its mean less ``mean``, its variance, and its mean loss. ``mean`` and ``variance``
        (rows, 1, patterns, ...).

        Factors of one formula go together, so that the nodes of a row do not depend on which others there are."""
        xp = self.device.xp
        found = [xp.empty_like(mean) for _ in range(4)]
        for tilt, at in self._formulae:
            for whole, part in zip(found, self._tilted(mean[at], variance[at], *tilt), strict=True):
                whole[at] = part
        return found

    @functools.cached_property
    def _formulae(self) -> list[tuple[Any, tuple[np.ndarray, ...]]]:
        """Each beta, gamma and pair of counts that there is, and its places in (rows, 1, patterns)."""
        beta, gamma, counts = (to_host(a) for a in (self.beta, self.gamma, self.counts))
        keys = np.broadcast_arrays(beta[:, None], gamma[:, None], *counts)
        found: list[tuple[Any, tuple[np.ndarray, ...]]] = []
        for tilt in np.unique(np.reshape(keys, (4, -1)), axis=1).T.tolist():
            rows, nodes = np.nonzero(np.all([key == value for key, value in zip(keys, tilt, strict=True)], axis=0))
            found.append((tilt, (rows, np.zeros_like(rows), nodes)))
        return found

    def _tilted(
        self, mean: np.ndarray, variance: np.ndarray, beta: float, gamma: float, right: float, opposite: float
    ) -> tuple[np.ndarray, ...]:
        xp = self.device.xp
        mean, variance = mean * self.scale, variance * self.scale**2
        count = right + opposite
        bends = max(NODES_PER_DEVIATION * math.sqrt(1 + beta * count * gamma / 2), NODES_PER_BEND * gamma)
        nodes = math.ceil(REACH * bends)
        step = REACH * xp.sqrt(variance) / nodes
        # exp(-beta opposite x) moves the Gaussian.
        mode = self._mode(mean - beta * opposite * variance, variance, beta * count, gamma)
        log_top = -0.5 * (mode - mean) ** 2 / variance - beta * self._summed(mode, gamma, count, opposite)
        sums = [xp.zeros_like(mean) for _ in range(4)]
        for node in range(-nodes, nodes + 1):
            field = mode + node * step
            loss = self._summed(field, gamma, count, opposite)
            shift = field - mean
            weight = xp.exp(-0.5 * shift**2 / variance - beta * loss - log_top)
            for place, value in enumerate((1.0, shift, shift**2, loss)):
                sums[place] += weight * value
        total, first, second, mean_loss = sums
        log_z = log_top + xp.log(total * step / xp.sqrt(2 * math.pi * variance))
        first, second = first / total, second / total
        return log_z, first / self.scale, (second - first**2) / self.scale**2, mean_loss / total

    def _summed(self, field: np.ndarray, gamma: float, count: float, opposite: float) -> np.ndarray:
        return count * self._loss(field, gamma) + opposite * field

    def _loss(self, field: np.ndarray, gamma: np.ndarray | float) -> np.ndarray:
        return self.device.xp.logaddexp(0.0, -2 * gamma * field) / (2 * gamma)

    def _mode(self, mean: np.ndarray, variance: np.ndarray, beta: float, gamma: float) -> np.ndarray:
        """Near the top of a Gaussian times exp(-beta f_gamma), which lies between its mean and beta x variance beyond."""
        low, high = mean, mean + beta * variance
        for _ in range(math.ceil(math.log2(4 * max(1.0, beta)))):
            middle = (low + high) / 2
            beyond = middle - mean > beta * variance * self.device.special.expit(-2 * gamma * middle)
            low, high = self.device.xp.where(beyond, low, middle), self.device.xp.where(beyond, middle, high)
        return (low + high) / 2


Channel = Signs | Linear


def takes_fields(machine: Machine, loss: Loss) -> bool:
    """Whether the loss depends on the value of a field, which a positive factor of the inputs changes, and not on signs alone."""
    return loss.kind == "cross-entropy" and machine.readout == "linear"


def channel(
    device: Device,
    machine: Machine,
    loss: Loss,
    beta: np.ndarray,
    gamma: np.ndarray,
    counts: np.ndarray,
    dtype: type,
) -> Channel:
    """The factors of ``machine`` and ``loss``, with ``beta`` and ``gamma`` for each row (gamma: of the cross-entropy), and ``counts``,
    (2, rows, patterns) on the device, of the patterns that want the outputs +1 and -1 of each input."""
    beta, gamma = np.asarray(beta, dtype), np.asarray(gamma, dtype)
    if takes_fields(machine, loss):
        return Linear(device, machine.stability_scale, device.asarray(beta), device.asarray(gamma), counts)
    positive = np.arange(machine.k + 1) > np.arange(machine.k)[:, None]
    stability = machine.readout_of(np.where(positive, 1, -1)) * machine.stability_scale
    right, opposite = (_losses(loss, sign * stability, gamma) for sign in (1, -1))
    right, opposite = (device.asarray(np.array(part, dtype))[:, None] for part in (right, opposite))
    return Signs(device, counts[0][..., None] * right + counts[1][..., None] * opposite, device.asarray(beta))


def _losses(loss: Loss, stability: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Of one pattern at each stability: (rows, stabilities)."""
    if loss.kind == "error-count":
        return np.broadcast_to(stability < 0, (len(gamma), len(stability)))
    return np.logaddexp(0, -2 * gamma[:, None] * stability) / (2 * gamma[:, None])
