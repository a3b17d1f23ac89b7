"""Factor nodes of units whose fields are Gaussian and correlated, as they are where the units share inputs.

The correlations C have the least eigenvalue c. A field is a common part, of correlations C - c, and an own part of the variance c that is
independent of the other units'. Over the common part an average is taken at fixed points, symmetric and whitened, so that polynomials
up to the third degree in it are exact; given it, units are independent, and the average of a function F of their votes is
sum_j F_j prod_l (q_l + p_l zeta_j^v_l), the Fourier coefficients F_j being those of F, zeta_j the roots of unity, and v_l the votes of a
unit, which is positive with the probability p_l = 1 - q_l. Every derivative by mean fields is one more factor of that product.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from gpumc.device import Device
from gpumc.messages.nodes import Node
from gpumc.messages.votes import Signs

#: Points of the average over the common part, a power of two.
POINTS = 64
#: A factor node whose average is below this is no number: the sum over roots of unity has lost it.
LEAST_AVERAGE = 1e-12
#: The numbers of one block of patterns, and the most that all its arrays take.
BLOCK_NUMBERS, MOST_NUMBERS = 2**20, 12 * 2**20


@functools.cache
def common_points(dimensions: int) -> np.ndarray:
    """Points of a standard normal vector, float64 (POINTS, dimensions), in pairs of both signs, with the covariance 1."""
    half = max(POINTS // 2, dimensions)
    shift = 0.5 / half
    uniform = (qmc.Sobol(dimensions, scramble=False).random(half) + shift) % 1
    points = ndtri(uniform)
    points = np.concatenate([points, -points])
    root = np.linalg.cholesky(points.T @ points / len(points))
    return np.linalg.solve(root, points.T).T


@dataclass(frozen=True)
class CorrelatedSigns:
    """Losses of the weighted sum of hidden signs: the same as `Signs`, which has the tables, for correlated fields."""

    signs: Signs

    @property
    def device(self) -> Device:
        return self.signs.device

    def rows(self, chosen) -> CorrelatedSigns:
        """The same for some of the rows."""
        return CorrelatedSigns(self.signs.rows(chosen))

    def gaussian(self, mean: np.ndarray, covariance: np.ndarray) -> Node:
        """The node whose units' fields are Gaussian: ``mean`` (rows, units, patterns), ``covariance`` (rows, units, units, patterns or
        1). Its curvature is (rows, units, units, patterns)."""
        xp = self.device.xp
        rows, units, patterns = mean.shape
        log_z = xp.empty((rows, patterns), mean.dtype)
        slope, curvature = xp.empty_like(mean), xp.empty((rows, units, units, patterns), mean.dtype)
        coefficients, top = self._coefficients(self.signs.log_factors())
        for at in self._blocks(units, rows, patterns):
            x, deviation = conditional(xp, mean[..., at], chosen(covariance, at))
            product, ratios = self._products(x, deviation)
            terms = coefficients[:, at, None] * product
            average = xp.real(terms.sum(axis=(2, 3))) / x.shape[-1]
            average = xp.where(average > LEAST_AVERAGE, average, xp.nan)
            terms = terms / (x.shape[-1] * average[..., None, None])
            own = xp.real((terms[:, None] * ratios).sum(axis=4))
            pairs = pair_sums(xp, terms, ratios)
            bent = -(own * x / deviation[..., None]).sum(axis=3)
            each = xp.arange(units)
            pairs[:, each, each] = bent
            log_z[:, at] = xp.log(average) + top[:, at]
            slope[..., at] = own.sum(axis=3)
            curvature[..., at] = pairs - slope[:, :, None, at] * slope[:, None, :, at]
        return Node(log_z, slope, curvature)

    def energy(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """The mean loss (rows,) of all patterns; see :meth:`gaussian`."""
        xp = self.device.xp
        losses = xp.moveaxis(self.signs.losses, -1, 0)
        total = xp.zeros(len(mean), mean.dtype)
        log_factor = self.signs.log_factors()
        (weight, _), (weighted, _) = self._coefficients(log_factor), self._coefficients(log_factor, losses)
        for at in self._blocks(mean.shape[1], len(mean), mean.shape[2]):
            product, _ = self._products(*conditional(xp, mean[..., at], chosen(covariance, at)))
            upper, lower = (xp.real((c[:, at, None] * product).sum(axis=(2, 3))) for c in (weighted, weight))
            total += (upper / lower).sum(axis=1)
        return total

    def _blocks(self, units: int, rows: int, patterns: int) -> list[slice]:
        """Ranges of patterns whose arrays have at most `BLOCK_NUMBERS` numbers, where one pattern's do."""
        size = max(1, BLOCK_NUMBERS // (rows * units * len(common_points(units)) * len(self._roots)))
        return [slice(first, min(first + size, patterns)) for first in range(0, patterns, size)]

    @functools.cached_property
    def _roots(self) -> np.ndarray:
        """Roots of unity with an angle from 0 to pi, of an odd number of them all, so that -1, where a product may vanish, is none."""
        count = self.signs.losses.shape[-1]
        count += 1 - count % 2
        return np.exp(2j * math.pi * np.arange(count // 2 + 1) / count)

    def _coefficients(self, log_factor: Any, times: Any = 1.0) -> tuple[Any, Any]:
        """Fourier coefficients (rows, patterns, roots) of ``times`` exp(``log_factor``), both (votes + 1, rows, patterns), over the
        largest of the factors, whose log is (rows, patterns); roots of both signs are one."""
        xp, roots = self.device.xp, self._roots
        top = log_factor.max(axis=0)
        values = times * xp.exp(log_factor - top)
        count = 2 * len(roots) - 1
        powers = np.conj(roots)[:, None] ** np.arange(len(values)) * np.where(roots == 1, 1, 2)[:, None] / count
        return xp.einsum("jv,vrm->rmj", xp.asarray(powers), values), top

    def _products(self, x: Any, deviation: Any) -> tuple[Any, Any]:
        """prod_l (q_l + p_l zeta^v_l), (rows, patterns, points, roots), and for each unit the derivative of its factor by its mean field
        over that factor, (rows, units, patterns, points, roots)."""
        xp = self.device.xp
        ndtr = self.device.special.ndtr
        gains = np.array(self.signs.gains)
        powers = self._roots ** np.abs(gains)[:, None]
        up, down = (xp.asarray(np.where((gains * sign > 0)[:, None], powers, 1))[:, None, None] for sign in (1, -1))
        factors = ndtr(x)[..., None] * up + ndtr(-x)[..., None] * down
        density = xp.exp(-0.5 * x * x) / (math.sqrt(2 * math.pi) * deviation[..., None])
        return factors.prod(axis=1), density[..., None] * (up - down) / factors


def conditional(xp: Any, mean: Any, covariance: Any) -> tuple[Any, Any]:
    """Means of Gaussian fields given the common part at every point, over the deviation of the own part, (rows, units, patterns, points),
    and that deviation (rows, units, patterns or 1), of ``mean`` (rows, units, patterns) and ``covariance`` (rows, units, units, patterns or
    1)."""
    deviation = xp.sqrt(xp.einsum("rllm->rlm", covariance))
    correlation = xp.moveaxis(covariance / (deviation[:, :, None] * deviation[:, None]), 3, 1)
    bad = ~xp.isfinite(correlation).all(axis=(2, 3), keepdims=True)
    correlation = xp.where(bad, xp.eye(correlation.shape[-1], dtype=mean.dtype), correlation)
    values, vectors = xp.linalg.eigh(correlation)
    least = values[..., :1]
    root = xp.matmul(vectors * xp.sqrt(values - least)[..., None, :], xp.swapaxes(vectors, 2, 3))
    points = xp.asarray(common_points(mean.shape[1]).astype(mean.dtype))
    common = xp.moveaxis(xp.matmul(root, points.T), 1, 2)
    own = xp.sqrt(xp.maximum(xp.moveaxis(least, 1, 2), np.finfo(mean.dtype).eps))
    x = ((mean / deviation)[..., None] + common) / own[..., None]
    return xp.where(xp.moveaxis(bad, 1, 2), xp.nan, x), deviation * own


def pair_sums(xp: Any, terms: Any, ratios: Any) -> Any:
    """sum over points and roots of ``terms`` (rows, patterns, points, roots) times the ``ratios`` (rows, units, patterns, points, roots) of
    two units: (rows, units, units, patterns)."""
    rows, units, patterns = ratios.shape[:3]
    flat = xp.moveaxis(ratios, 1, 2).reshape(rows, patterns, units, -1)
    weighted = flat * terms.reshape(rows, patterns, 1, -1)
    return xp.moveaxis(xp.real(xp.matmul(weighted, xp.swapaxes(flat, 2, 3))), 1, 3)


def chosen(spread: Any, at: slice) -> Any:
    """The patterns ``at`` of variances or covariances (..., patterns or 1)."""
    return spread if spread.shape[-1] == 1 else spread[..., at]
