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
from gpumc.theory.quadrature import DZ_EVEN, Z_EVEN, log_normal
from gpumc.theory.solve import root

#: The largest log x that is tried.
STIFFEST = 60.0


@dataclass(frozen=True)
class GroundState:
    """``stiffness`` x, the mean loss of a pattern, the fraction of errors, and the replicon 1 - alpha E (1 - dv/du)^2."""

    stiffness: float
    energy_per_pattern: float
    error_rate: float
    replicon: float


def ground_state(alpha: float, loss: CrossEntropy | SquaredHinge, gamma: float) -> GroundState | None:
    """The lowest loss at ``alpha`` > 0; None where it is 0, which many configurations have."""

    def moved(x: float) -> np.ndarray:
        """v at every u = Z_EVEN: the root of v - u + x f'(v), which rises."""
        return root(
            lambda v, rows: v - Z_EVEN[rows] + x * loss.slopes(v, gamma),
            Z_EVEN - 1e-9,
            Z_EVEN - x * loss.slopes(Z_EVEN, gamma) + 1e-9,
        )

    def excess(log_x: float) -> float:
        return float(alpha * (moved(np.exp(log_x)) - Z_EVEN) ** 2 @ DZ_EVEN) - 1

    high = 0.0
    while excess(high) < 0:
        high += 2.0
        if high > STIFFEST:
            return None
    x = float(np.exp(brentq(excess, -12.0, high, xtol=1e-13)))
    v = moved(x)
    bend = 1 / (1 + x * np.gradient(loss.slopes(v, gamma), v))
    return GroundState(
        x,
        float(loss.values(v, gamma) @ DZ_EVEN),
        float(ndtr(x * loss.slopes(np.zeros(1), gamma)[0])),
        float(1 - alpha * (1 - bend) ** 2 @ DZ_EVEN),
    )


def stability_density(stability: np.ndarray, x: float, loss: CrossEntropy | SquaredHinge, gamma: float) -> np.ndarray:
    """The distribution of v, at points ``stability``, which the field v + x f'(v) becomes."""
    u = stability + x * loss.slopes(stability, gamma)
    return np.exp(log_normal(u)) * np.gradient(u, stability)
