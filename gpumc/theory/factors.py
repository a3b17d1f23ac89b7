"""A pattern's factor where the output is Gaussian: g(u) = E exp(-beta f(u + sqrt(v) x)) over a standard normal x, f being the loss at a
stability, and what follows from it.

E. Gardner, B. Derrida, J. Phys. A 21, 271 (1988), section 2, has the error count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gpumc.losses import CrossEntropy, ErrorCount, Loss, SquaredHinge
from gpumc.theory.quadrature import log_normal, log_tail

#: Integrals over x reach so far to either side of the mode of their integrand; their steps are the smaller of these, the second in
#: units of 1/(2 gamma), over which the loss bends.
REACH, STEP, STEP_BEND = 8.0, 0.1, 0.5
#: How near to the mode the points' middle is.
NEAR = 0.01


class Moments(NamedTuple):
    """Arrays of one shape: log g, its first and second derivative by u, and the mean loss <f>."""

    log_g: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    loss: np.ndarray


class Factor:
    """The factor of one loss; ``scale`` times the Gaussian output is the stability. Its ``beta`` and ``gamma`` are (rows,)."""

    def __init__(self, loss: Loss, beta: np.ndarray, gamma: np.ndarray, scale: float = 1.0, coarse: float = 1.0):
        self.loss, self.beta, self.gamma, self.scale = loss, np.asarray(beta, float), np.asarray(gamma, float), scale
        self.coarse = coarse

    def rows(self, chosen: np.ndarray) -> Factor:
        """The same for some of the rows."""
        return Factor(self.loss, self.beta[chosen], self.gamma[chosen], self.scale, self.coarse)

    def coarser(self) -> Factor:
        """The same with half of the points, which tells the error of the integrals."""
        return Factor(self.loss, self.beta, self.gamma, self.scale, 2 * self.coarse)

    def moments(self, u: np.ndarray, v: np.ndarray) -> Moments:
        """At means ``u`` (rows, ...) and variances ``v`` (rows,)."""
        spread = np.sqrt(_beside(v, u))
        if isinstance(self.loss, ErrorCount):
            return self._errors(u, spread)
        return self._hinge(u, spread) if isinstance(self.loss, SquaredHinge) else self._smooth(u, spread)

    def _errors(self, u: np.ndarray, spread: np.ndarray) -> Moments:
        """In closed form: g = H(-u/sqrt(v)) + exp(-beta) H(u/sqrt(v))."""
        beta = _beside(self.beta, u)
        x = u / spread
        wrong = log_tail(x) - beta
        log_g = np.logaddexp(log_tail(-x), wrong)
        slope = -np.expm1(-beta) * np.exp(log_normal(x) - log_g) / spread
        return Moments(log_g, slope, -x / spread * slope - slope**2, np.exp(wrong - log_g))

    def _hinge(self, u: np.ndarray, spread: np.ndarray) -> Moments:
        """In closed form: normal variables on either side of the margin, those below with a smaller spread."""
        assert isinstance(self.loss, SquaredHinge)
        stiffness = _beside(self.beta, u) * self.scale**2
        margin = self.loss.margin / self.scale
        shrunk = 1 + stiffness * spread**2
        inner, mean = spread / np.sqrt(shrunk), (u + stiffness * spread**2 * margin) / shrunk
        above = log_tail((margin - u) / spread)
        below = log_tail((mean - margin) / inner) - np.log(shrunk) / 2 - stiffness * (margin - u) ** 2 / (2 * shrunk)
        log_g = np.logaddexp(above, below)
        share = np.exp(below - log_g)
        # Mean and mean square of the way to the margin on either side.
        ups = _beyond(u - margin, spread)
        downs = _beyond(margin - mean, inner)
        first = (1 - share) * ups[0] - share * downs[0]
        second = (1 - share) * ups[1] + share * downs[1]
        slope = (first + margin - u) / spread**2
        curvature = (second - first**2) / spread**4 - 1 / spread**2
        return Moments(log_g, slope, curvature, self.scale**2 * share * downs[1] / 2)

    def _smooth(self, u: np.ndarray, spread: np.ndarray) -> Moments:
        """By integrals, row by row, as their steps differ."""
        rows = [
            self._integrals(u[row], float(spread[row].flat[0]), self.beta[row], self.gamma[row])
            for row in range(len(u))
        ]
        return Moments(*(np.stack(part) for part in zip(*rows, strict=True))) if rows else Moments(u, u, u, u)

    def _integrals(self, u: np.ndarray, spread: float, beta: float, gamma: float) -> tuple[np.ndarray, ...]:
        bend = STEP_BEND / (2 * gamma * self.scale * spread)
        steps = int(np.ceil(REACH / (self.coarse * min(STEP, bend))))
        points = np.linspace(-REACH, REACH, 2 * steps + 1)
        x = self._mode(u, spread, beta, gamma)[..., None] + points
        loss = self.loss.values(self.scale * (u[..., None] + spread * x), gamma)
        log_weight = -beta * loss - x**2 / 2
        highest = log_weight.max(axis=-1, keepdims=True)
        weight = np.exp(log_weight - highest)
        total = weight.sum(axis=-1)
        mean = (weight * x).sum(axis=-1) / total
        variance = (weight * (x - mean[..., None]) ** 2).sum(axis=-1) / total
        log_g = highest[..., 0] + np.log(total * (points[1] - points[0]) / np.sqrt(2 * np.pi))
        return log_g, mean / spread, (variance - 1) / spread**2, (weight * loss).sum(axis=-1) / total

    def _mode(self, u: np.ndarray, spread: float, beta: float, gamma: float) -> np.ndarray:
        """Where -beta f - x^2/2 is highest, f being convex and falling: the root of x + beta sqrt(v) f', by bisection."""
        assert isinstance(self.loss, CrossEntropy)
        slopes = self.loss.slopes

        def pull(x: np.ndarray) -> np.ndarray:
            return -beta * spread * self.scale * slopes(self.scale * (u + spread * x), gamma)

        low, high = np.zeros_like(u), pull(np.zeros_like(u))
        for _ in range(int(np.ceil(np.log2(1 + high.max() / NEAR)))):
            x = (low + high) / 2
            short = x < pull(x)
            low, high = np.where(short, x, low), np.where(short, high, x)
        return (low + high) / 2

    def log_boltzmann(self, field: np.ndarray) -> np.ndarray:
        """-beta f at the Gaussian output ``field`` (rows, ...)."""
        loss = self.loss.values(self.scale * field, _beside(self.gamma, field))
        beta = _beside(self.beta, field)
        return np.where(loss > 0, -beta * np.where(loss > 0, loss, 1.0), 0.0)


@dataclass(frozen=True)
class Kernel:
    """How the overlap of the hidden fields becomes that of a committee's output as k -> infinity, the output's variance being
    ``scale`` squared: ``overlap(q)`` in [0, 1], its derivative and its second derivative."""

    scale: float
    overlap: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    curvature: Callable[[np.ndarray], np.ndarray]


#: The perceptron, which has none.
IDENTITY = Kernel(1.0, lambda q: q, np.ones_like, np.zeros_like)
#: Hidden signs: (2/pi) arcsin q (E. Barkai, D. Hansel, H. Sompolinsky, Phys. Rev. A 45, 4146 (1992)).
SIGN = Kernel(
    1.0,
    lambda q: 2 / np.pi * np.arcsin(q),
    lambda q: 2 / np.pi / np.sqrt(1 - q**2),
    lambda q: 2 / np.pi * q / (1 - q**2) ** 1.5,
)
#: E max(0, x)^2 - (E max(0, x))^2, the variance of a ReLU unit with output weights of mean zero.
RELU_VARIANCE = 0.5 - 0.5 / np.pi
#: ReLU units (C. Baldassi, E. M. Malatesta, R. Zecchina, Phys. Rev. Lett. 123, 170602 (2019), eq. 8 with balanced output weights).
RELU = Kernel(
    float(np.sqrt(RELU_VARIANCE)),
    lambda q: ((np.sqrt(1 - q**2) + q * (np.pi - np.arccos(q)) - 1) / (2 * np.pi)) / RELU_VARIANCE,
    lambda q: (np.pi - np.arccos(q)) / (2 * np.pi) / RELU_VARIANCE,
    lambda q: 1 / (2 * np.pi * np.sqrt(1 - q**2)) / RELU_VARIANCE,
)


def _beyond(mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean square of a normal variable given that it is above 0."""
    ratio = np.exp(log_normal(mean / spread) - log_tail(-mean / spread))
    first = mean + spread * ratio
    return first, spread**2 + mean * first


def _beside(rows: np.ndarray, array: np.ndarray) -> np.ndarray:
    """(rows,) with dimensions of size 1 behind, as many as ``array`` has."""
    return np.asarray(rows).reshape(-1, *[1] * (np.ndim(array) - 1))
