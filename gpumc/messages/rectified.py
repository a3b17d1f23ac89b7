"""Factor nodes of ReLU units with spherical weights, whose losses depend on the sign of the output alone.

Each unit's Gaussian field, cut off below 0, has an atom at 0 and a density above, which are put on a lattice of step h by linear
interpolation, with a correction of its error: averages of smooth functions are right to h^4. Units being independent, their weighted sum s
has the product of their Fourier transforms, and P(s > 0) is a sum over roots of unity. The step at s = 0 is one of the sum of positive
output weights against that of the negative ones: it is corrected to the same order where both sums are above 0; where one of them is
exactly 0 the probability is written down. Correlated fields are first divided as in `gpumc.messages.correlated`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import Device
from gpumc.messages.correlated import LEAST_AVERAGE, POINTS, chosen, conditional, pair_sums
from gpumc.messages.nodes import Node, log_factors

#: Points of the period of the lattice, of independent fields and of correlated ones, which are averaged over many common parts.
INDEPENDENT, CORRELATED = 1024, 128
#: Standard deviations of the sum, and of every unit, that the lattice reaches to.
REACH = 7.5
#: How the step at 0 and linear interpolation are corrected: 1/12 of a second difference is h^2/12 of a second derivative.
TWELFTH = 1 / 12
#: The powers of z at which products of p_0 + p_1 z are taken, and the coefficients that give their constant and linear parts.
PLACES = np.array([0, 1, -1, 1j])
CONSTANT, LINEAR = np.array([1, 0, 0, 0]), np.array([0, 1, -1, -2j]) / 4
#: Added to factors, which may vanish, before dividing by them.
NOUGHT = 1e-30
#: The numbers of one block of patterns: its arrays are within `gpumc.messages.correlated.MOST_NUMBERS`.
BLOCK_NUMBERS = 2**19
ROOT_2PI = math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class RectifiedUnits:
    """Losses of the sign of sum_l c_l max(0, u_l), the fields u_l being Gaussian.

    ``output_weights`` (units,), c; ``losses`` (3, rows, patterns): the loss where the sum is above, below and at 0; ``beta`` (rows,).
    """

    device: Device
    output_weights: np.ndarray
    losses: np.ndarray
    beta: np.ndarray

    def rows(self, chosen) -> RectifiedUnits:
        """The same for some of the rows."""
        return RectifiedUnits(self.device, self.output_weights, self.losses[:, chosen], self.beta[chosen])

    def gaussian(self, mean: np.ndarray, spread: np.ndarray) -> Node:
        """The node of fields of ``mean`` (rows, units, patterns) and ``spread``: variances (rows, units, patterns or 1) of independent
        fields, or covariances (rows, units, units, patterns or 1), for which the curvature is (rows, units, units, patterns)."""
        xp = self.device.xp
        correlated = spread.ndim == 4
        log_z, slope = xp.empty_like(mean[:, 0]), xp.empty_like(mean)
        curvature = xp.empty((*mean.shape[:1], *spread.shape[1:-1], mean.shape[2]), mean.dtype)
        values, top = self._values()
        each = xp.arange(mean.shape[1])
        for at in self._blocks(mean, correlated):
            factors, first, second = self._factors(mean[..., at], chosen(spread, at))
            terms = self._coefficients(values[..., at], factors.shape[-1])[:, :, None] * factors.prod(axis=1)
            average = self._averages(terms)
            terms = terms / (terms.shape[2] * average[..., None, None])
            first, second = first / factors, second / factors
            log_z[:, at] = xp.log(average) + top[:, at]
            slope[..., at] = own = xp.real((terms[:, None] * first).sum(axis=(3, 4)))
            bent = xp.real((terms[:, None] * second).sum(axis=(3, 4)))
            if correlated:
                pairs = pair_sums(xp, terms, first)
                pairs[:, each, each] = bent
                curvature[..., at] = pairs - own[:, :, None] * own[:, None]
            else:
                curvature[..., at] = bent - own**2
        return Node(log_z, slope, curvature)

    def energy(self, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """The mean loss (rows,) of all patterns; see :meth:`gaussian`."""
        xp = self.device.xp
        values, _ = self._values()
        total = xp.zeros(len(mean), mean.dtype)
        for at in self._blocks(mean, spread.ndim == 4):
            factors, *_ = self._factors(mean[..., at], chosen(spread, at))
            product = factors.prod(axis=1)
            weight, weighted = (
                self._coefficients(v[..., at], factors.shape[-1])[:, :, None] for v in (values, values * self.losses)
            )
            upper = xp.real((weighted * product).sum(axis=(2, 3))) / product.shape[2]
            total += (upper / self._averages(weight * product)).sum(axis=1)
        return total

    def _averages(self, terms: Any) -> Any:
        """The sum over roots of ``terms`` (rows, patterns, points, roots) and mean over points, NaN where it is lost in rounding."""
        average = self.device.xp.real(terms.sum(axis=(2, 3))) / terms.shape[2]
        return self.device.xp.where(average > LEAST_AVERAGE, average, np.nan)

    def _blocks(self, mean: Any, correlated: bool) -> list[slice]:
        """Ranges of patterns whose arrays have at most `BLOCK_NUMBERS` numbers, where one pattern's do."""
        rows, units, patterns = mean.shape
        numbers = POINTS * CORRELATED if correlated else INDEPENDENT
        size = max(1, 2 * BLOCK_NUMBERS // (rows * units * numbers))
        return [slice(first, min(first + size, patterns)) for first in range(0, patterns, size)]

    def _values(self) -> tuple[Any, Any]:
        """exp(-beta L) where the sum is above, below and at 0, (3, rows, patterns), over the largest, whose log is (rows, patterns)."""
        log_values = log_factors(self.device.xp, self.beta[:, None], self.losses)
        top = log_values.max(axis=0)
        return self.device.xp.exp(log_values - top), top

    def _coefficients(self, values: Any, roots: int) -> Any:
        """Those (rows, patterns, roots) of the products of `_factors`, that sum up to the average of ``values`` (3, rows, patterns)."""
        xp = self.device.xp
        positive, at_zero, whole = (xp.asarray(c) for c in _step(roots))
        above, below, zero = (value[..., None] for value in values)
        return below * whole + (above - below) * positive + (zero - (above + below) / 2) * at_zero

    def _factors(self, mean: Any, spread: Any) -> tuple[Any, Any, Any]:
        """Each unit's factor (rows, units, patterns, points, roots), and its first and second derivative by the mean field.

        Roots of unity come first, where a factor is the Fourier transform on the lattice. Then, for either sign of output weights, come the
        `PLACES`, where units of this sign have p_0 + p_1 z and the others their atom; last the atoms of all units.
        """
        xp = self.device.xp
        size = np.abs(self.output_weights)
        if spread.ndim == 4:
            period, (x, deviation) = CORRELATED, conditional(xp, mean, spread)
            mean = x * deviation[..., None]
        else:
            period, mean, deviation = INDEPENDENT, mean[..., None], xp.sqrt(spread)
            mean, deviation = _silenced(xp, mean, deviation)
        weights = xp.asarray(size)[:, None, None]
        mean, deviation = weights * mean, weights * deviation[..., None]
        signs = np.sign(self.output_weights)
        farthest = reach(self.device, signs, mean, deviation, axis=1).max(axis=3, keepdims=True)
        step = farthest / (period // 2 - 1)
        found = []
        for order, (masses, atom) in enumerate(self._masses(mean, deviation, step, period // 2)):
            transform = xp.fft.rfft(masses, n=period, axis=-1)
            own = masses[..., :1] + masses[..., 1:2] * xp.asarray(PLACES)
            atoms = xp.broadcast_to(atom[..., None], own.shape)
            positive = xp.asarray(signs > 0)[:, None, None, None]
            parts = (
                xp.where(positive, transform, xp.conj(transform)),
                xp.where(positive, own, atoms),
                xp.where(positive, atoms, own),
                atoms[..., :1],
            )
            found.append(xp.concatenate(parts, axis=-1) * weights[..., None] ** order)
        return found[0] + NOUGHT, found[1], found[2]

    def _masses(self, mean: Any, deviation: Any, step: Any, count: int) -> list[tuple[Any, Any]]:
        """The masses at the first ``count`` places, (..., count), and the atom that is in the first of them, of max(0, u): themselves, and
        their first and second derivatives by the mean."""
        xp = self.device.xp
        x = (step[..., None] * xp.arange(count + 1) - mean[..., None]) / deviation[..., None]
        scale = deviation[..., None]
        below, density = self.device.special.ndtr(x), xp.exp(-0.5 * x * x) / ROOT_2PI
        at_zero = x[..., 0], below[..., 0], density[..., 0] / deviation
        integrals = scale * (density + x * below), -below, density / scale
        atoms = at_zero[1], -at_zero[2], -at_zero[0] * at_zero[2] / deviation
        return [(_spread(xp, i, step[..., None], a), a) for i, a in zip(integrals, atoms, strict=True)]


def reach(device: Device, weights: np.ndarray, mean: Any, deviation: Any, axis: int) -> Any:
    """How far from 0 the sum of ``weights`` (units,) times the positive parts of Gaussian fields, and every term of it, may be, so far as
    floating point says: of arrays with units along ``axis``, whose length becomes 1.

    The sum changes no faster than its fields do, so that its tails are below those of a Gaussian of their variance.
    """
    xp = device.xp
    c = xp.asarray(weights.astype(float)).reshape(-1, *[1] * (mean.ndim - 1 - axis))
    x = mean / deviation
    positive_part = mean * device.special.ndtr(x) + deviation * xp.exp(-0.5 * x * x) / ROOT_2PI
    spread = xp.sqrt(((c * deviation) ** 2).sum(axis=axis, keepdims=True))
    total = xp.abs((c * positive_part).sum(axis=axis, keepdims=True)) + REACH * spread
    return xp.maximum(total, (xp.abs(c) * (mean + REACH * deviation)).max(axis=axis, keepdims=True))


def _spread(xp: Any, integral: Any, step: Any, atom: Any) -> Any:
    """Masses (..., count) of linear interpolation, of the ``integral`` (..., count + 1) of a distribution function at the places, less a
    twelfth of their second difference, one-sided at 0; the ``atom`` at 0 stays there."""
    rises = xp.diff(integral, axis=-1) / step
    masses = xp.diff(rises, axis=-1, prepend=0 * rises[..., :1])
    masses[..., 0] -= atom
    found = masses * (1 + 2 * TWELFTH)
    found[..., 1:] -= TWELFTH * masses[..., :-1]
    found[..., :-1] -= TWELFTH * masses[..., 1:]
    found[..., :3] -= TWELFTH * masses[..., :1] * xp.asarray(np.array([3.0, -3.0, 1.0]))
    found[..., 0] += atom
    return found


def _silenced(xp: Any, mean: Any, deviation: Any) -> tuple[Any, Any]:
    """Fields without variance, of a unit whose inputs are 0, become such that are always negative, among others."""
    dead = deviation == 0
    largest = xp.broadcast_to(deviation, mean.shape[:3]).max(axis=1, keepdims=True)
    return xp.where(dead[..., None], -40 * largest[..., None], mean), xp.where(dead, largest, deviation)


@functools.cache
def _step(roots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients (roots,) of the products that give P(s > 0) + P(s = 0) / 2, P(s = 0), and 1.

    The corrected step is 1/2 at 0 and exceeds 0 and 1 by 1/24 at its neighbours. Where the sum of the negative output weights is 0 it would
    give 1 less half the mass at 0 of the others and more a 24th of that at 1, and is replaced by 1 less their atom; so with both exchanged.
    """
    half = roots - 2 * len(PLACES) - 2
    period = 2 * half
    step = np.zeros(period)
    step[0], step[1:half] = 0.5, 1.0
    step[1] += TWELFTH / 2
    step[-1] -= TWELFTH / 2
    transform = np.conj(np.fft.rfft(step)) / period
    transform[1:-1] *= 2
    local = CONSTANT / 2 - LINEAR * (TWELFTH / 2)
    positive = np.concatenate([transform, local, -local, [0]])
    at_zero, whole = np.zeros(roots), np.zeros(roots)
    at_zero[-1] = whole[0] = 1
    return positive, at_zero, whole
