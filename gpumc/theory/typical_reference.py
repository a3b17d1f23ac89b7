"""Typical configurations of a measure of the binary perceptron, and the fields of patterns that others share with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import log_ndtr

from gpumc.channels import piecewise
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.grid import distinct_points
from gpumc.losses import Loss
from gpumc.theory.factors import Factor, beside
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.normal_averages import Z2
from gpumc.theory.saddle_points import frozen_beta, possible_points
from gpumc.theory.zero_temperature import convex

#: Means at which a factor is tabulated.
TABLE_MEANS = np.linspace(-18.0, 18.0, 2401)
#: Places of an average around its mode, from -1 to 1, how far they reach in standard deviations, and bisections to the mode.
PLACES_AROUND_MODE, DEVIATIONS_AROUND_MODE, BISECTIONS = np.linspace(-1.0, 1.0, 101), 9.0, 30
#: How much lower the log of a density is at its standard deviation.
DROP = 0.5
#: An overlap that stands for none.
NO_OVERLAP = 1e-10


@dataclass(frozen=True)
class Reference:
    """Typical configurations of a measure: its factor g~, overlaps ``q`` and field variances ``r``, (rows,); NaN where there are none."""

    factor: Factor
    q: np.ndarray
    r: np.ndarray

    @classmethod
    def of(cls, limit: Limit, loss: Loss, alpha: np.ndarray, beta: np.ndarray) -> Reference:
        """By replica symmetry, for rows of parameters, also those of ``loss``, each different one solved once; beta = inf of losses that
        do not count is that of zero entropy. There is none where the entropy is negative."""
        own = loss.parameters.values()
        different, back = distinct_points(alpha, beta, *own)
        alphas, betas, *values = different.T
        loss = loss.at(**dict(zip(loss.axes, values, strict=True)))
        for row in range(len(different)):
            if not loss.counts and not convex(loss.take(row)):
                raise ConfigError(
                    f"theory: references of the loss {loss.kind!r}: losses that are convex, or that count, are needed"
                )
            if np.isinf(betas[row]) and not loss.counts:
                frozen = frozen_beta(limit, loss.take(row), alphas[row], choose("numpy"))
                betas[row] = frozen if np.isfinite(frozen) else np.nan
        points = possible_points(limit, loss, alphas, betas, choose("numpy"))
        q, r = (np.maximum(x, NO_OVERLAP) for x in (points.q, points.r))
        return cls(Factor(loss, betas), q, r).rows(back)

    def rows(self, chosen: np.ndarray) -> Reference:
        """The same for some of the rows."""
        return Reference(self.factor.rows(chosen), self.q[chosen], self.r[chosen])

    def slope(self) -> np.ndarray:
        """That of log g~ at sqrt(q) z, (rows, Z2)."""
        return self.factor.moments(np.sqrt(self.q)[:, None] * Z2, 1 - self.q).slope

    def concave_terms(self, variance: np.ndarray) -> list[Part]:
        """Functions of means (rows, ...) whose exponentials sum to g~ at variances (rows,); each is concave."""
        if self.factor.loss.counts:
            return self._counted(variance)
        table = self.factor.moments(np.broadcast_to(TABLE_MEANS, (len(variance), len(TABLE_MEANS))), variance)
        value, slope = ([CubicSpline(TABLE_MEANS, row) for row in kind] for kind in table[:2])

        def interpolated(splines: list[CubicSpline], mean: np.ndarray) -> np.ndarray:
            return np.stack([spline(m) for spline, m in zip(splines, mean, strict=True)])

        return [Part(0 * variance, lambda mean: (interpolated(value, mean), interpolated(slope, mean)))]

    def _counted(self, variance: np.ndarray) -> list[Part]:
        """One for every interval without errors, and, at finite beta, one for everything."""
        factor, beta = self.factor, self.factor.beta
        column = np.zeros((len(variance), 1))
        energies = np.array([np.broadcast_to(energy, column.shape)[:, 0] for energy in factor.energies(column)])

        def free_of_errors(interval: int, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            only = [float(place != interval) for place in range(len(energies))]
            return piecewise(mean, np.sqrt(beside(variance, mean)), np.inf, factor.edges(mean), only, log_ndtr)[:2]

        with np.errstate(divide="ignore"):  # rows that have errors there
            constants = [np.log(np.where(own == 0, -np.expm1(-beta), 0.0)) for own in energies]
        found = [
            Part(constant, partial(free_of_errors, interval))
            for interval, constant in enumerate(constants)
            if (energies[interval] == 0).any()
        ]
        return found if np.isinf(beta).all() else [*found, Part(-beta, lambda mean: (0 * mean, 0 * mean))]


class Part(NamedTuple):
    """A log of what is constant, (rows,), and a function of the mean, with its slope."""

    log_constant: np.ndarray
    of: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

    def points(self, alone: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of averages over a standard normal z under the part at means alone (rows, Z2) + shared (rows,) z: z, log weights and slopes,
        (rows, Z2, PLACES_AROUND_MODE), around the mode and denser near to it."""
        column = (slice(None), None, None)
        z, width = self._around_mode(alone, shared[:, None])
        log_weight, slope = self.of(alone[:, :, None] + shared[column] * z)
        return z, self.log_constant[column] + log_weight + np.log(width) - z**2 / 2, slope

    def _around_mode(self, alone: np.ndarray, shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        def slope(z: np.ndarray) -> np.ndarray:
            return shared * self.of(alone + shared * z)[1]

        def height(z: np.ndarray) -> np.ndarray:
            return self.of(alone + shared * z)[0] - z**2 / 2

        mode, _ = _bisect(lambda z: z < slope(z), *np.sort([0 * alone, slope(0 * alone)], axis=0))
        low = height(mode) - DROP
        _, left = _bisect(lambda d: height(mode - d) > low, 0 * mode, 0 * mode + DEVIATIONS_AROUND_MODE)
        _, right = _bisect(lambda d: height(mode + d) > low, 0 * mode, 0 * mode + DEVIATIONS_AROUND_MODE)
        narrow = np.minimum(left, right)[:, :, None]
        stretch = np.arcsinh(DEVIATIONS_AROUND_MODE / narrow)
        return mode[:, :, None] + narrow * np.sinh(stretch * PLACES_AROUND_MODE), narrow * stretch * np.cosh(
            stretch * PLACES_AROUND_MODE
        )


def _bisect(
    short: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The last places that are ``short`` and the first that are not, between ``low`` and ``high``."""
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        still = short(middle)
        low, high = np.where(still, middle, low), np.where(still, high, middle)
    return low, high
