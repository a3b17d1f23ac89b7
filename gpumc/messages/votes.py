"""Factor nodes of losses that depend on the votes of hidden signs, which are followed exactly, whatever gives their probabilities: over
arrays, or by the kernels of ``kernels/signs.cu``."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from gpumc.channels.counting import distributions, expectations
from gpumc.device import Device, kernel, workspace
from gpumc.device.kernels import LINE
from gpumc.messages.marginals import light, reals
from gpumc.messages.nodes import Counted, Node, log_factors


@dataclass(frozen=True)
class Signs:
    """Losses that depend on the weighted sum of the units' signs: of hidden signs all of them, of a perceptron those that its sign decides.

    ``losses`` (rows, patterns, votes + 1): the loss where so many votes are for +1, a unit having as many as its output weight, ``gains``
    (units,), in absolute value, and voting against its sign where that is negative; ``beta`` (rows,), which may be inf.
    """

    device: Device
    losses: np.ndarray
    beta: np.ndarray
    gains: tuple[int, ...]

    def rows(self, chosen) -> Signs:
        """The same for some of the rows."""
        return Signs(self.device, self.losses[chosen], self.beta[chosen], self.gains)

    def units(self, log_p: np.ndarray, log_q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log Z (rows, patterns), and log Z given that a unit is positive, or negative: (rows, units, patterns).

        ``log_p``, ``log_q`` (rows, units, patterns): log probabilities that a unit is positive and that it is not.
        """
        log_p, log_q = self._for_votes(log_p, log_q)
        before = distributions(log_p, log_q, self.votes)
        after = expectations(log_p, log_q, self.votes, self.log_factors())
        xp = self.device.xp
        placed = list(zip(before[:-1], after[1:], self.votes, strict=True))
        votes_for = [self._log_sum(b + a[votes:]) for b, a, votes in placed]
        votes_against = [self._log_sum(b + a[:-votes]) for b, a, votes in placed]
        up, down = self._for_votes(xp.stack(votes_for, axis=1), xp.stack(votes_against, axis=1))
        return after[0][0], xp.swapaxes(up, 0, 1), xp.swapaxes(down, 0, 1)

    @property
    def votes(self) -> tuple[int, ...]:
        """Those of each unit."""
        return tuple(abs(gain) for gain in self.gains)

    def _for_votes(self, of_positive: np.ndarray, of_negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values of a unit's signs, (rows, units, ...), as values of its votes for and against, or the reverse: (units, rows, ...)."""
        positive, negative = (np.swapaxes(a, 0, 1) for a in (of_positive, of_negative))
        if min(self.gains) > 0:
            return positive, negative
        xp = self.device.xp
        turned = xp.asarray(np.array(self.gains) < 0).reshape(-1, *[1] * (positive.ndim - 1))
        return xp.where(turned, negative, positive), xp.where(turned, positive, negative)

    def gaussian(self, mean: np.ndarray, variance: np.ndarray) -> Node:
        """The node whose units' fields are Gaussian: ``mean`` (rows, units, patterns), ``variance`` shaped as it, or for all patterns of a
        unit (rows, units, 1)."""
        xp = self.device.xp
        if self.device.kind != "numpy":
            found = Node(xp.empty_like(mean[:, 0]), xp.empty_like(mean), xp.empty_like(mean))
            each = variance.shape == mean.shape
            self._launch("gaussian", mean, (mean, variance), (found.log_z, found.slope, found.curvature), each)
            return found
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

    def _launch(
        self,
        name: str,
        fields: np.ndarray,
        read: tuple[np.ndarray, ...],
        written: tuple[np.ndarray, ...],
        last: int,
    ) -> None:
        """Launch a kernel over 32 patterns at a time; ``fields`` (rows, units, patterns, ...), ``last`` is its last argument."""
        real, defines = reals(fields)
        rows, units, patterns = fields.shape[:3]
        votes = sum(self.votes)
        items = rows * -(-patterns // 32)
        size = -(-32 * 8 * (4 * units + (units + 2) * (votes + 1)) // LINE) * LINE
        signature = (
            *[f"const {real}*"] * (len(read) + 2),
            *("const int64*", "workspace uint8*"),
            *[f"{real}*"] * len(written),
            *["int64"] * 5,
        )
        run = kernel(self.device, "signs.cu", name, signature, defines)
        space = workspace(self.device, items, size)
        few = light(10 * rows * patterns * units * (votes + 1))
        of_rows = self.losses, self.beta, self._gains
        run(items, *read, *of_rows, space, *written, size, units, votes, patterns, last, light=few)

    @functools.cached_property
    def _gains(self) -> np.ndarray:
        """``gains`` on the device."""
        return self.device.asarray(np.array(self.gains, np.int64))

    def pushed(
        self, mean: np.ndarray, variance: np.ndarray, cavity_mean: np.ndarray, cavity_variance: np.ndarray
    ) -> np.ndarray:
        """Half of log Z's gain where one input's product with its weight goes from -1 to +1: (rows, units, patterns, fan_in).

        ``mean`` and ``variance`` (rows, units, patterns) are of the whole field; of the cavity field, without an input,
        ``cavity_mean`` and ``cavity_variance`` (rows, units, patterns, fan_in).
        """
        xp = self.device.xp
        if self.device.kind != "numpy":
            of_signs = xp.empty_like(mean), xp.empty_like(mean)
            self._launch("likelihoods", mean, (mean, variance), of_signs, variance.shape == mean.shape)
            found = xp.empty_like(cavity_mean)
            real, defines = reals(found)
            signature = (*[f"const {real}*"] * 4, f"{real}*", *["int64"] * 2)
            run = kernel(self.device, "signs.cu", "push", signature, defines)
            size = found.size
            run(
                -(-size // 32),
                cavity_mean,
                cavity_variance,
                *of_signs,
                found,
                found.shape[3],
                size,
                light=light(4 * size),
            )
            return found
        _, up, down = self.units(*self.probabilities(mean / xp.sqrt(variance)))
        deviation = xp.sqrt(cavity_variance)
        gains = []
        for sign in (1, -1):
            log_p, log_q = self.probabilities((cavity_mean + sign) / deviation)
            gains.append(xp.logaddexp(log_p + up[..., None], log_q + down[..., None]))
        return (gains[0] - gains[1]) / 2

    def counted(self, log_counts: np.ndarray) -> Counted:
        """The node where log P of each unit's number of positive products is ``log_counts`` (rows, units, patterns, fan_in + 1)."""
        xp = self.device.xp
        fan_in = log_counts.shape[-1] - 1
        if self.device.kind != "numpy":
            log_z, loss = (xp.empty(self.losses.shape[:2], log_counts.dtype) for _ in range(2))
            log_factor = xp.empty_like(log_counts)
            self._launch("counted", log_counts, (log_counts,), (log_z, log_factor, loss), fan_in)
            return Counted(log_z, log_factor, loss.sum(axis=1))
        log_q, log_p = (
            self._log_sum(xp.moveaxis(half, -1, 0)) for half in xp.split(log_counts, [(fan_in + 1) // 2], axis=-1)
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
        log_weight = distributions(*self._for_votes(log_p, log_q), self.votes)[-1] + self.log_factors()
        weight = xp.exp(log_weight - self._log_sum(log_weight))
        return xp.sum(weight * xp.moveaxis(self.losses, -1, 0), axis=(0, 2))

    def log_factors(self) -> np.ndarray:
        """log exp(-beta L): (votes + 1, rows, patterns)."""
        xp = self.device.xp
        return log_factors(xp, self.beta[:, None], xp.moveaxis(self.losses, -1, 0))

    def _log_sum(self, terms: np.ndarray) -> np.ndarray:
        return functools.reduce(self.device.xp.logaddexp, terms)
