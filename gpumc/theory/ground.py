"""The lowest loss of the spherical perceptron: beta -> infinity with x = beta (1 - q) fixed, for losses with a gradient.

A field u becomes the v that minimises f(v) + (v - u)^2 / (2 x), with alpha E (v - u)^2 = 1 (E. Gardner, B. Derrida, J. Phys. A 21, 271
(1988), section 3, for the error count; M. Griniasty, H. Gutfreund, J. Phys. A 24, 715 (1991) for losses with a gradient).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from gpumc.losses import CrossEntropy, SquaredHinge
from gpumc.theory.quadrature import NARROW, clustered, log_normal
from gpumc.theory.solve import root

#: The smallest and the largest log x that are tried.
SOFTEST, STIFFEST = -12.0, 500.0
#: Points, reach, and within what of its centre the average's rule is dense.
RULE = (800, 10.0, NARROW)


@dataclass(frozen=True)
class GroundState:
    """``stiffness`` x, the mean loss of a pattern, the fraction of errors, and the replicon 1 - alpha E (1 - dv/du)^2."""

    stiffness: float
    energy_per_pattern: float
    error_rate: float
    replicon: float


def ground_state(alpha: float, loss: CrossEntropy | SquaredHinge, gamma: float) -> GroundState | None:
    """The lowest loss at ``alpha``; None where it is 0, which many configurations have."""

    def excess(log_x: float) -> float:
        x = float(np.exp(log_x))
        u, weight = clustered(*RULE, _bend(x, loss, gamma))
        return float(alpha * (moved(u, x, loss, gamma) - u) ** 2 @ weight) - 1

    high = 0.0
    while excess(high) < 0:
        high += 4.0
        if high > STIFFEST:
            return None
    x = float(np.exp(brentq(excess, SOFTEST, high, xtol=1e-12)))
    u, weight = clustered(*RULE, _bend(x, loss, gamma))
    v = moved(u, x, loss, gamma)
    stiff = x * loss.curvatures(v, gamma)
    return GroundState(
        x,
        float(loss.values(v, gamma) @ weight),
        float(ndtr(x * loss.slopes(np.zeros(1), gamma)[0])),
        float(1 - alpha * (stiff / (1 + stiff)) ** 2 @ weight),
    )


def moved(u: np.ndarray, x: float, loss: CrossEntropy | SquaredHinge, gamma: float) -> np.ndarray:
    """The v of every field ``u``: the root of v - u + x f'(v), which rises."""
    if isinstance(loss, SquaredHinge):
        return np.where(u < loss.margin, (u + x * loss.margin) / (1 + x), u)
    # At the upper end x |f'| < 1.
    beyond = np.maximum(u, 0) + np.log1p(x) / (2 * gamma) + 1
    return root(lambda v, rows: v - u[rows] + x * loss.slopes(v, gamma), u - 1e-9, beyond)


def _bend(x: float, loss: CrossEntropy | SquaredHinge, gamma: float) -> float:
    """The field about which v bends from the loss's wall to u itself."""
    if isinstance(loss, SquaredHinge):
        return loss.margin
    return float(np.log(max(2 * gamma * x, 1.0)) / (2 * gamma))


def stability_density(stability: np.ndarray, x: float, loss: CrossEntropy | SquaredHinge, gamma: float) -> np.ndarray:
    """The distribution of v, at points ``stability``, which the field v + x f'(v) becomes."""
    u = stability + x * loss.slopes(stability, gamma)
    return np.exp(log_normal(u)) * (1 + x * loss.curvatures(stability, gamma))
