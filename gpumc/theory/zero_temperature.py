"""The lowest loss of the spherical perceptron: beta -> infinity with x = beta (1 - q) fixed, for losses with a gradient.

A field u becomes the v that minimises f(v) + (v - u)^2 / (2 x), with alpha E (v - u)^2 = 1 (E. Gardner, B. Derrida, J. Phys. A 21, 271
(1988), section 3, for the error count; M. Griniasty, H. Gutfreund, J. Phys. A 24, 715 (1991) for losses with a gradient).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from gpumc.errors import ConfigError
from gpumc.losses import Loss
from gpumc.theory.factors import wrong_intervals
from gpumc.theory.grid import TRIED
from gpumc.theory.normal_averages import NARROW, clustered, log_normal
from gpumc.theory.solve import root

#: The smallest and the largest log x that are tried.
SOFTEST, STIFFEST = -12.0, 500.0
#: Points, reach, and within what of its centre the average's rule is dense.
RULE = (800, 10.0, NARROW)
#: How near to a kink slopes are compared, the part by which they then differ where they jump, and what convexity may miss by rounding.
TINY, JUMP, ROUNDING = 1e-9, 0.01, 1e-9


@dataclass(frozen=True)
class GroundState:
    """``stiffness`` x, the mean loss of a pattern, the fraction of errors, and the replicon 1 - alpha E (1 - dv/du)^2."""

    stiffness: float
    energy_per_pattern: float
    error_rate: float
    replicon: float


def check_ground(loss: Loss) -> None:
    """Raise ConfigError unless ``loss``, parameters being numbers, is convex and has a slope that does not jump."""
    if not (loss.has_slope and convex(loss) and all(_smooth(loss, kink) for kink in loss.kinks)):
        raise ConfigError(
            f"theory: beta = inf of the loss {loss.kind!r} on spheres: one that counts, or is convex with a continuous slope, is needed"
        )


def _smooth(loss: Loss, kink: float) -> bool:
    way = TINY * (1 + abs(kink))
    below, above = loss.slopes(np.array([kink - way, kink + way]))
    return bool(abs(above - below) <= JUMP * max(abs(above), abs(below)) + way)


def convex(loss: Loss) -> bool:
    """Whether ``loss``, parameters being numbers, is convex where it is tried."""
    values = loss.values(TRIED)
    return bool((np.diff(values, 2) >= -ROUNDING * (1 + np.abs(values[1:-1]))).all())


def ground_state(alpha: float, loss: Loss) -> GroundState | None:
    """The lowest loss at ``alpha``; None where it is 0, which many configurations have."""

    def excess(log_x: float) -> float:
        x = float(np.exp(log_x))
        u, weight = clustered(*RULE, _bend(x, loss))
        return float(alpha * (moved(u, x, loss) - u) ** 2 @ weight) - 1

    high = 0.0
    while excess(high) < 0:
        high += 4.0
        if high > STIFFEST:
            return None
    x = float(np.exp(brentq(excess, SOFTEST, high, xtol=1e-12)))
    u, weight = clustered(*RULE, _bend(x, loss))
    v = moved(u, x, loss)
    stiff = x * loss.curvatures(v)
    return GroundState(
        x,
        float(loss.values(v) @ weight),
        sum(float(np.diff(ndtr(_field(np.array(ends), x, loss)))[0]) for ends in wrong_intervals(loss)),
        float(1 - alpha * (stiff / (1 + stiff)) ** 2 @ weight),
    )


def _field(v: np.ndarray, x: float, loss: Loss) -> np.ndarray:
    """The field that becomes ``v``."""
    return np.where(np.isinf(v), v, v + x * loss.slopes(np.where(np.isinf(v), 0.0, v)))


def moved(u: np.ndarray, x: float, loss: Loss) -> np.ndarray:
    """The v of every field ``u``: the root of v - u + x f'(v), which rises."""
    closed = loss.proximal(u, x)
    if closed is not None:
        return closed

    def excess(v: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return v - u[rows] + x * loss.slopes(v)

    # Ends beyond the root, the farther the longer they are not.
    rows, ends = np.arange(len(u)), []
    for sign in (-1.0, 1.0):
        way = np.full(len(u), TINY)
        while (short := sign * excess(u + sign * way, rows) < 0).any():
            way = np.where(short, 4 * way, way)
        ends.append(u + sign * way)
    return root(excess, *ends)


def _bend(x: float, loss: Loss) -> float:
    """The field about which v bends from the loss's wall to u itself."""
    if loss.bend is not None:
        return float(loss.bend * np.log(max(x / loss.bend, 1.0)))
    fields = _field(np.array(loss.kinks, float), x, loss)
    return float(next((field for field in fields if abs(field) < RULE[1]), 0.0))


def stability_density(stability: np.ndarray, x: float, loss: Loss) -> np.ndarray:
    """The distribution of v, at points ``stability``, which the field v + x f'(v) becomes."""
    return np.exp(log_normal(_field(stability, x, loss))) * (1 + x * loss.curvatures(stability))
