"""A pattern's factor where the output is Gaussian: g(u) = E exp(-beta f(u + sqrt(v) x)) over a standard normal x, f being the loss at a
stability, and what follows from it.

E. Gardner, B. Derrida, J. Phys. A 21, 271 (1988), section 2, has the error count.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import log_ndtr

from gpumc.channels import FINE, Average, Formula, Rule, log_boltzmann, piecewise, tilted_average
from gpumc.losses import Loss, between


class Factor:
    """The factor of a loss of rows, whose parameters are (rows,) as ``beta`` is; ``scale`` times the Gaussian output is the stability."""

    def __init__(self, loss: Loss, beta: np.ndarray, scale: float = 1.0, rule: Rule = FINE):
        self.loss, self.beta, self.scale, self.rule = loss, np.asarray(beta, float), scale, rule

    def rows(self, chosen: np.ndarray) -> Factor:
        """The same for some of the rows."""
        return Factor(self.loss.take(chosen), self.beta[chosen], self.scale, self.rule)

    def coarser(self) -> Factor:
        """The same with half of the points, which tells the error of the integrals."""
        return Factor(self.loss, self.beta, self.scale, self.rule.coarser())

    @property
    def closed(self) -> bool:
        """Whether there is a closed form, rather than integrals."""
        none = np.empty((0, 1))
        return self.loss.counts or self.loss.take(slice(0, 0)).beside(none).gaussian(none, none, none, 1.0) is not None

    def moments(self, u: np.ndarray, v: np.ndarray) -> Average:
        """At means ``u`` (rows, ...) and variances ``v`` (rows,)."""
        spread, beta = np.sqrt(beside(v, u)), beside(self.beta, u)
        if self.loss.counts:
            return piecewise(u, spread, beta, self.edges(u), self.energies(u), log_ndtr)
        found = self.loss.beside(u).gaussian(u, spread, beta, self.scale)
        return self._integrals(u, spread) if found is None else Average(*found)

    def edges(self, u: np.ndarray) -> list[np.ndarray]:
        """Gaussian outputs at which a loss jumps or bends, rising; each broadcasts against ``u`` (rows, ...)."""
        return [np.asarray(kink) / self.scale for kink in self.loss.beside(u).kinks]

    def energies(self, u: np.ndarray) -> list[np.ndarray]:
        """The loss between :meth:`edges`, for losses that are constant there."""
        loss, ones = self.loss.beside(u), np.ones((len(u), *[1] * (u.ndim - 1)))
        return [loss.values(place * ones) for place in between(loss.kinks)]

    def _integrals(self, u: np.ndarray, spread: np.ndarray) -> Average:
        """Row by row, as their rules differ."""
        rows = [
            self._row(u[row], float(spread[row].flat[0]), self.beta[row], self.loss.take(row)) for row in range(len(u))
        ]
        return Average(*(np.stack(part) for part in zip(*rows, strict=True))) if rows else Average(u, u, u, u)

    def _row(self, u: np.ndarray, spread: float, beta: float, loss: Loss) -> Average:
        """One row, with derivatives by the Gaussian output rather than by the stability."""
        scale = self.scale
        spreads = np.full(u.shape, scale * spread)
        found = tilted_average(Formula(loss), beta, scale * u, spreads, self.rule, scale * spread)
        return Average(found.log_z, scale * found.slope, scale**2 * found.curvature, found.energy)

    def log_boltzmann(self, field: np.ndarray) -> np.ndarray:
        """-beta f at the Gaussian output ``field`` (rows, ...)."""
        return log_boltzmann(np, beside(self.beta, field), self.loss.beside(field).values(self.scale * field))


def wrong_intervals(loss: Loss) -> list[tuple[float, float]]:
    """From where to where stabilities are errors of ``loss``, whose parameters are numbers: between its kinks, and 0."""
    cuts = np.unique([0.0, *loss.kinks])
    wrong = loss.wrong(np.array(between(tuple(cuts))))
    ends = [-np.inf, *cuts.tolist(), np.inf]
    return [pair for pair, error in zip(pairwise(ends), wrong, strict=True) if error]


def beside(rows: np.ndarray, array: np.ndarray) -> np.ndarray:
    """(rows,) with dimensions of size 1 behind, as many as ``array`` has."""
    return np.asarray(rows).reshape(-1, *[1] * (np.ndim(array) - 1))
