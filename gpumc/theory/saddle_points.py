"""Replica-symmetric saddle points at any beta.

phi = extr_q G_S(q) + alpha G_E(q), per weight; G_S is in `entropic.py`. Where the output is Gaussian, G_E = E log g(sqrt(Q) z, 1 - Q)
with Q the output's overlap (q for the perceptron: H. Gutfreund, Y. Stein, J. Phys. A 23, 2613 (1990)); a tree of k units has k fields
(E. Barkai, D. Hansel, I. Kanter, Phys. Rev. Lett. 65, 2312 (1990) for parities, E. Barkai, D. Hansel, H. Sompolinsky, Phys. Rev. A 45,
4146 (1992) for committees). The replicon is 1 - alpha (curvature of a pattern's factor) (response of a weight); symmetry is
broken where it is negative (J. R. L. de Almeida, D. J. Thouless, J. Phys. A 11, 983 (1978)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from gpumc.channels import Average
from gpumc.device import Device
from gpumc.losses import Loss
from gpumc.theory.entropic import WEIGHTS
from gpumc.theory.factors import Factor, wrong_intervals
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.normal_averages import ALLOWED_ERROR, Z, average, average_error, log_normal, trapezoid
from gpumc.theory.solve import fixed_point
from gpumc.theory.units import Units

#: The overlaps that iterations start from.
STARTS = (0.3, 0.7, 0.02)
#: An overlap below this is none.
NONE = 1e-9
#: At an overlap above 1 less this, nothing is left of the measure.
FULL = 1e-6
#: How far an entropy may be below 0 by rounding.
FROZEN = 1e-6
#: The largest beta at which zero entropy is looked for.
FARTHEST = 1e12
#: Of the rule for the distribution of stabilities: its largest step, and its most points.
COARSEST, FINEST = 1 / 30, 40_001
#: How far the Gaussian output is integrated, and stabilities of the distribution.
FARTHEST_OUTPUT = 8.0
STABILITY = np.linspace(-6.0, 8.0, 281)


class Energetic(NamedTuple):
    """Of the patterns, arrays (rows,): G_E, its error by quadrature, r / alpha, the replicon's part, the mean loss, the errors."""

    free_entropy: np.ndarray
    error: np.ndarray
    field: np.ndarray
    replicon: np.ndarray
    loss: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class SaddlePoints:
    """Overlaps ``q`` and conjugate variances ``r`` (rows,), NaN where not ``converged``, and what follows from them."""

    q: np.ndarray
    r: np.ndarray
    converged: np.ndarray
    residual: np.ndarray
    iterations: np.ndarray
    free_entropy: np.ndarray
    replicon: np.ndarray
    energetic: Energetic

    def entropy(self, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """The entropy per weight: of configurations of the mean loss, which at beta = inf is 0."""
        with np.errstate(invalid="ignore"):
            return self.free_entropy + alpha * np.where(np.isinf(beta), 0.0, beta * self.energetic.loss)

    def where(self, kept: np.ndarray) -> SaddlePoints:
        """The same in the rows that are ``kept``, and no answer in the others."""
        lost = np.where(kept, 1.0, np.nan)
        return SaddlePoints(
            self.q * lost,
            self.r * lost,
            self.converged & kept,
            self.residual,
            self.iterations,
            self.free_entropy * lost,
            self.replicon * lost,
            Energetic(*(part * lost for part in self.energetic)),
        )


class GaussianOutput:
    """The patterns of a perceptron, or of infinitely many units."""

    allowed_error = ALLOWED_ERROR

    def __init__(self, limit: Limit, factor: Factor):
        self.kernel, self.factor = limit.kernel, factor

    def field(self, q: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """r / alpha at overlaps ``q`` of ``rows``."""
        overlap = self.kernel.overlap(q)
        return self.kernel.slope(q) * average(self._moments(overlap, self.factor.rows(rows)).slope ** 2)

    def energetic(self, q: np.ndarray) -> Energetic:
        """Everything at overlaps ``q``."""
        overlap, slope = self.kernel.overlap(q), self.kernel.slope(q)
        moments = self._moments(overlap, self.factor)
        squared = average(moments.slope**2)
        loss = average(moments.energy)
        free = average(moments.log_z)
        coarser = average(self._moments(overlap, self.factor.coarser()).log_z)
        return Energetic(
            free,
            average_error(moments.log_z) + np.abs(free - coarser),
            slope * squared,
            slope**2 * average(moments.curvature**2) + self.kernel.curvature(q) * squared,
            loss,
            np.array([self._errors(row, *own) for row, own in enumerate(zip(overlap, loss, strict=True))]),
        )

    def _moments(self, overlap: np.ndarray, factor: Factor) -> Average:
        return factor.moments(np.sqrt(overlap)[:, None] * Z, 1 - overlap)

    def density(self, row: int, overlap: float, output: np.ndarray) -> np.ndarray:
        """The distribution of the Gaussian output at points (points,) in a row. NaN where it needs too fine a rule."""
        spread = np.sqrt(1 - overlap)
        z, weight = trapezoid(2 * int(10 / min(COARSEST, spread / 3)) + 1, 10.0)
        if len(z) > FINEST:
            return np.full(len(output), np.nan)
        own = self.factor.rows(np.array([row]))
        log_g = own.moments(np.sqrt(overlap) * z[None], np.array([1 - overlap])).log_z
        log_normals = log_normal((output[:, None] - np.sqrt(overlap) * z) / spread)
        return np.exp(log_normals - log_g + own.log_boltzmann(output[None]).T) @ weight / spread

    def _errors(self, row: int, overlap: float, mean_loss: float) -> float:
        """The fraction of errors, which is the mean loss where that counts them."""
        loss, scale = self.factor.loss.take(row), self.kernel.scale
        if loss.counts_errors:
            return mean_loss
        points, weights = np.polynomial.legendre.leggauss(80)
        found = 0.0
        for ends in wrong_intervals(loss):
            low, high = np.clip(np.array(ends) / scale, -FARTHEST_OUTPUT, FARTHEST_OUTPUT)
            output = (low + high) / 2 + (high - low) / 2 * points
            found += float(self.density(row, overlap, output) @ weights * (high - low) / 2)
        return found

    def stability_density(self, q: np.ndarray) -> np.ndarray:
        """The distribution of stabilities at STABILITY: (rows, points)."""
        scale = self.kernel.scale
        rows = [self.density(row, own, STABILITY / scale) / scale for row, own in enumerate(self.kernel.overlap(q))]
        return np.array(rows).reshape(len(q), -1)


class TreeOutput:
    """The patterns of a tree of k sign units."""

    #: Near capacities entropies are large.
    allowed_error = 5e-3

    def __init__(self, limit: Limit, factor: Factor, device: Device):
        self.units, self.factor = Units(limit, device), factor

    def field(self, q: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """r / alpha at overlaps ``q`` of ``rows``."""
        return np.array([self.units.slope(*row) for row in self._rows(q, self.factor.rows(rows))])

    def energetic(self, q: np.ndarray) -> Energetic:
        """Everything at overlaps ``q``."""
        rows = self._rows(q, self.factor)
        found = [self.units.averages(*row) for row in rows]
        columns = {name: np.array([getattr(one, name) for one in found]) for name in found[0]._fields}
        error = np.array([self.units.error(one.log_z, *row) for one, row in zip(found, rows, strict=True)])
        return Energetic(
            columns["log_z"],
            error,
            columns["slope"],
            columns["curvature"],
            columns["loss"],
            columns["errors"],
        )

    def _rows(self, q: np.ndarray, factor: Factor) -> list[tuple[float, float, Loss]]:
        """The overlap, beta and the loss of every row."""
        return [(own, beta, factor.loss.take(row)) for row, (own, beta) in enumerate(zip(q, factor.beta, strict=True))]


def saddle_points(limit: Limit, loss: Loss, alpha: np.ndarray, beta: np.ndarray, device: Device) -> SaddlePoints:
    """The saddle points of rows of parameters, (rows,) each, also those of ``loss``; there is none where beta is NaN."""
    asked, beta = ~np.isnan(beta), np.where(np.isnan(beta), 1.0, beta)
    weights, factor = WEIGHTS[limit.weights], Factor(loss, beta, limit.kernel.scale)
    patterns = GaussianOutput(limit, factor) if limit.gaussian else TreeOutput(limit, factor, device)

    def step(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        q = np.clip(x[:, 0], 0.0, 1 - 1e-9)
        return weights.overlap(alpha[rows] * patterns.field(q, rows))[:, None]

    with np.errstate(all="ignore"):  # where q -> 1 factors underflow, and the row does not converge
        found = fixed_point(step, [np.full((len(alpha), 1), start) for start in STARTS], -1e-9, 1 - 1e-9)
    converged = asked & found.converged & (found.x[:, 0] < 1 - FULL)
    q = np.where(found.x[:, 0] < NONE, 0.0, found.x[:, 0])
    known = np.where(converged, q, 0.0)
    with np.errstate(invalid="ignore"):  # of trees, where no stability is allowed
        energetic = patterns.energetic(known)
    r = alpha * energetic.field
    r = np.where(known > 0, r, 0.0) if not limit.gaussian else r
    converged &= alpha * energetic.error < patterns.allowed_error
    free = weights.free_entropy(known, r) + alpha * energetic.free_entropy
    replicon = 1 - alpha * energetic.replicon * weights.response(known, r)
    points = SaddlePoints(q, r, converged, found.residual, found.iterations, free, replicon, energetic)
    return points.where(converged)


def possible_points(limit: Limit, loss: Loss, alpha: np.ndarray, beta: np.ndarray, device: Device) -> SaddlePoints:
    """The saddle points that may be: those of binary weights whose entropy is not negative, as no number of configurations is below 1."""
    points = saddle_points(limit, loss, alpha, beta, device)
    if limit.weights != "binary":
        return points
    return points.where(points.converged & (points.entropy(alpha, beta) >= -FROZEN))


def frozen_beta(limit: Limit, loss: Loss, alpha: float, device: Device) -> float:
    """The beta at which the entropy vanishes at one point, the loss's parameters being numbers; inf where it stays positive."""

    def entropy(log_beta: float) -> float:
        row = np.array([alpha]), np.exp([log_beta])
        return float(saddle_points(limit, loss.rows(1), *row, device).entropy(*row)[0])

    # Entropies are positive at small beta: from beta = 1 down, or up, to where their sign changes.
    step = np.log(4.0)
    cold = 0.0
    while entropy(cold - step) <= 0:
        cold -= step
    while (found := entropy(cold)) > 0:
        cold += step
        if cold > np.log(FARTHEST):
            return np.inf
    return float(np.exp(brentq(entropy, cold - step, cold, xtol=1e-11))) if np.isfinite(found) else np.nan
