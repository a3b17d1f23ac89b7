"""Factor nodes of ReLU units with binary weights, whose fields are odd numbers: their weighted sum is a whole number.

The distribution of the sum is followed exactly, whatever gives those of the fields: its Fourier transform is the product of the units'.
A unit's value is 0 where its field is negative, else the field itself. A Gaussian field has at each odd number the probability of the
interval of width 2 around it, and at the last of them of all beyond.
"""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import Device
from gpumc.messages.correlated import LEAST_AVERAGE
from gpumc.messages.nodes import Counted, Node, log_factors
from gpumc.messages.rectified import REACH, ROOT_2PI, reach

#: A likelihood of a unit's value below this is lost in rounding, and is taken to be so large.
LEAST_LIKELIHOOD = 1e-18
#: The numbers of one block of patterns.
BLOCK_NUMBERS = 2**20


@dataclass(frozen=True)
class WholeSums:
    """Losses of sum_l c_l max(0, h_l), the fields h_l being odd numbers and the output weights c_l whole ones.

    ``gains`` (units,), c; ``losses`` (2, rows, sums), on the host: of a pattern that wants the output +1, and -1, at every sum from the
    lowest to the highest, which is minus the lowest; ``beta`` (rows,), which may be inf; ``counts`` (2, rows, patterns): how many patterns
    of a factor want the output +1, and -1.
    """

    device: Device
    gains: np.ndarray
    losses: np.ndarray
    beta: np.ndarray
    counts: np.ndarray

    def rows(self, chosen) -> WholeSums:
        """The same for some of the rows."""
        return WholeSums(self.device, self.gains, self.losses[:, chosen], self.beta[chosen], self.counts[:, chosen])

    def gaussian(self, mean: np.ndarray, variance: np.ndarray) -> Node:
        """The node whose units' fields are Gaussian: ``mean`` (rows, units, patterns), ``variance`` broadcasts against it."""
        xp = self.device.xp
        log_z, slope, curvature = xp.empty_like(mean[:, 0]), xp.empty_like(mean), xp.empty_like(mean)
        for row, at, laws, lattice in self._gaussian_blocks(mean, variance):
            log_z[row, at], likelihood = lattice.likelihoods(laws[0])
            average = xp.exp(log_z[row, at] - lattice.top)
            first, second = ((law * likelihood).sum(axis=2) / average for law in laws[1:])
            slope[row, :, at], curvature[row, :, at] = first, second - first**2
        return Node(log_z, slope, curvature)

    def energy(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """The mean loss (rows,) of all patterns; see :meth:`gaussian`."""
        total = self.device.xp.zeros(len(mean), mean.dtype)
        for row, _, laws, lattice in self._gaussian_blocks(mean, variance):
            total[row] += lattice.mean_loss(laws[0])
        return total

    def pushed(
        self, mean: np.ndarray, variance: np.ndarray, cavity_mean: np.ndarray, cavity_variance: np.ndarray
    ) -> np.ndarray:
        """See :meth:`gpumc.messages.votes.Signs.pushed`."""
        xp = self.device.xp
        found = xp.empty_like(cavity_mean)
        for row, at, laws, lattice in self._gaussian_blocks(mean, variance):
            _, likelihood = lattice.likelihoods(laws[0])
            deviation = xp.sqrt(cavity_variance[row, :, at])
            logs = []
            for sign in (1, -1):
                rises = [
                    self.device.special.ndtr((edge - cavity_mean[row, :, at] - sign) / deviation)
                    for edge in range(0, 2 * likelihood.shape[2] - 2, 2)
                ]
                shares = [rises[0], *map(operator.sub, rises[1:], rises[:-1]), 1 - rises[-1]]
                average = functools.reduce(operator.add, (s * likelihood[:, :, v, None] for v, s in enumerate(shares)))
                logs.append(xp.log(xp.maximum(average, LEAST_LIKELIHOOD)))
            found[row, :, at] = (logs[0] - logs[1]) / 2
        return found

    def counted(self, log_counts: np.ndarray) -> Counted:
        """See :meth:`gpumc.messages.votes.Signs.counted`."""
        xp = self.device.xp
        fan_in = log_counts.shape[-1] - 1
        silent = (fan_in + 1) // 2
        log_z, energy = xp.empty_like(log_counts[:, 0, :, 0]), xp.zeros(len(log_counts), log_counts.dtype)
        log_factor = xp.empty_like(log_counts)
        period = 2 ** math.ceil(math.log2(self.losses.shape[2]))
        for row in range(len(log_counts)):
            for at in self._blocks(period, log_counts.shape[2]):
                law = xp.exp(log_counts[row, :, at])
                law = xp.concatenate([law[..., :silent].sum(axis=-1, keepdims=True), law[..., silent:]], axis=-1)
                lattice = self._lattice(row, at, period)
                log_z[row, at], likelihood = lattice.likelihoods(law)
                log_likelihood = xp.log(likelihood) + lattice.top[:, None]
                log_factor[row, :, at, :silent] = log_likelihood[..., :1]
                log_factor[row, :, at, silent:] = log_likelihood[..., 1:]
                energy[row] += lattice.mean_loss(law)
        return Counted(log_z, log_factor, energy)

    def _gaussian_blocks(self, mean: Any, variance: Any) -> Any:
        """Row by row and block by block of patterns: the place, the laws (3, units, patterns, values) of the units' values 0, 1, 3, ...
        with their derivatives by the mean, and the lattice. Rows with NaN have laws of NaN."""
        deviation = self.device.xp.sqrt(variance + 0 * mean)
        for row in range(len(mean)):
            largest = int(np.abs(self.gains).max())
            farthest = max(
                float(reach(self.device, self.gains, mean[row], deviation[row], axis=0).max()),
                largest * float((mean[row] + REACH * deviation[row]).max()),
            )
            farthest = farthest if math.isfinite(farthest) else 1.0
            period = 2 ** math.ceil(math.log2(min(2 * farthest + 2, self.losses.shape[2])))
            values = 1 + max(1, math.ceil(min(farthest, period / 2) / 2 / largest))
            for at in self._blocks(period, mean.shape[2]):
                laws = self._laws(mean[row, :, at], deviation[row, :, at], values)
                yield row, at, laws, self._lattice(row, at, period)

    def _laws(self, mean: Any, deviation: Any, values: int) -> Any:
        """Of Gaussian fields (units, patterns): see `_gaussian_blocks`."""
        xp = self.device.xp
        x = (2 * xp.arange(values) - mean[..., None]) / deviation[..., None]
        density = xp.exp(-0.5 * x * x) / (ROOT_2PI * deviation[..., None])
        below = xp.stack([self.device.special.ndtr(x), -density, -density * x / deviation[..., None]])
        below[..., -1] = xp.asarray(np.array([1.0, 0.0, 0.0])).reshape(3, 1, 1)
        return xp.diff(below, axis=-1, prepend=0 * below[..., :1])

    def _blocks(self, period: int, patterns: int) -> list[slice]:
        """Ranges of patterns whose arrays have at most `BLOCK_NUMBERS` numbers, where one pattern's do."""
        size = max(1, BLOCK_NUMBERS // (len(self.gains) * period))
        return [slice(first, min(first + size, patterns)) for first in range(0, patterns, size)]

    def _lattice(self, row: int, at: slice, period: int) -> _Lattice:
        """The lattice of a row's patterns ``at``."""
        xp = self.device.xp
        highest = self.losses.shape[2] // 2
        sums = (np.arange(period) + period // 2) % period - period // 2
        place = np.clip(sums + highest, 0, 2 * highest)
        right, opposite = (self.device.asarray(loss[row, place]) for loss in self.losses)
        counts = self.counts[:, row, at, None]
        losses = counts[0] * right + counts[1] * opposite
        log_values = log_factors(xp, self.beta[row], losses)
        top = log_values.max(axis=-1)
        return _Lattice(self.device, self.gains, losses, xp.exp(log_values - top[:, None]), top)


@dataclass(frozen=True)
class _Lattice:
    """One period of sums, of either sign, of some patterns: ``losses`` (patterns, period), ``values`` of exp(-beta L) over the largest,
    whose log is ``top`` (patterns,)."""

    device: Device
    gains: np.ndarray
    losses: np.ndarray
    values: np.ndarray
    top: np.ndarray

    def likelihoods(self, law: Any) -> tuple[Any, Any]:
        """log Z (patterns,), and the average of ``values`` given each of a unit's values 0, 1, 3, ..., (units, patterns, values), of which
        ``law`` has the probabilities."""
        xp = self.device.xp
        period = self.values.shape[1]
        transforms = self._transforms(law)
        values = xp.fft.rfft(self.values, axis=-1)
        before = _running(transforms)
        after = _running(transforms[::-1])[::-1]
        given = xp.stack(
            [
                xp.fft.irfft(values * xp.conj(b * a), n=period, axis=-1)[:, self._places(gain, law.shape[2])]
                for b, a, gain in zip(before, after, self.gains, strict=True)
            ]
        )
        average = (law[0] * given[0]).sum(axis=-1)
        log_z = xp.log(xp.where(average > LEAST_AVERAGE, average, np.nan)) + self.top
        return log_z, xp.maximum(given, LEAST_LIKELIHOOD)

    def mean_loss(self, law: Any) -> Any:
        """That of all patterns under exp(-beta L)."""
        xp = self.device.xp
        product = functools.reduce(operator.mul, self._transforms(law))
        weight = self.values * xp.fft.irfft(product, n=self.values.shape[1], axis=-1)
        return ((weight * self.losses).sum(axis=-1) / weight.sum(axis=-1)).sum()

    def _transforms(self, law: Any) -> list[Any]:
        """Fourier transforms (patterns, roots) of what each unit adds to the sum."""
        xp = self.device.xp
        found = []
        for one, gain in zip(law, self.gains, strict=True):
            masses = xp.zeros_like(self.values)
            masses[:, self._places(gain, law.shape[2])] = one
            found.append(xp.fft.rfft(masses, axis=-1))
        return found

    def _places(self, gain: int, count: int) -> Any:
        """Where on the period a unit's values 0, 1, 3, ... add to the sum."""
        values = np.concatenate([[0], np.arange(1, 2 * count - 2, 2)])
        return self.device.asarray(gain * values % self.values.shape[1])


def _running(factors: list[Any]) -> list[Any]:
    """The products of those before each of ``factors``."""
    found = [1.0 + 0 * factors[0]]
    for factor in factors[:-1]:
        found.append(found[-1] * factor)
    return found
