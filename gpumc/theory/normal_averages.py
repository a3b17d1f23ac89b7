"""Averages over normal variables: trapezoids, which converge exponentially for smooth integrands, and their errors."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

#: The error of an entropy by quadrature beyond which there is no answer.
ALLOWED_ERROR = 1e-4
#: Within what integrands may bend.
NARROW = 0.02
LOG_2PI = float(np.log(2 * np.pi))


def trapezoid(points: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Points -reach .. reach, and weights that sum to 1, of averages over a standard normal variable; ``points`` is odd."""
    z = np.linspace(-reach, reach, points)
    weights = np.exp(-(z**2) / 2)
    return z, weights / weights.sum()


def clustered(
    points: int, reach: float, narrow: float | np.ndarray, centre: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The same, the trapezoid being over t of z = centre + narrow sinh(t): for integrands that bend at ``centre`` within less than
    ``narrow``, or jump there, which is between two points where their number is even. ``narrow`` (rows, 1) gives (rows, points)."""
    t = np.linspace(-1, 1, points) * np.arcsinh((reach + abs(centre)) / narrow)
    z = centre + narrow * np.sinh(t)
    weights = np.exp(-(z**2) / 2) * np.cosh(t)
    return z, weights / weights.sum(axis=-1, keepdims=True)


def fields(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal variables of variance ``r`` (rows,): points (rows, points), dense where they are below 1, and their weights."""
    z, weights = clustered(len(Z), 10.0, np.minimum(NARROW, 1 / np.sqrt(1 + np.asarray(r)))[:, None])
    return np.sqrt(r)[:, None] * z, weights


#: The rule of an average over one variable, whose integrand bends at 0 if anywhere.
Z, DZ = clustered(401, 10.0, NARROW)
#: Of averages over two variables, each.
Z2, DZ2 = trapezoid(101, 8.0)
#: Of those over a field that all replicas of a weight feel, which may be large, and over another variable.
Z_FIELD, DZ_FIELD = clustered(121, 8.0, NARROW)


def average(values: np.ndarray) -> np.ndarray:
    """E f(z) of values f(Z): (..., Z) to (...)."""
    return values @ DZ


def average_error(values: np.ndarray) -> np.ndarray:
    """What leaving out every other point changes of :func:`average`, which bounds its error where it converges."""
    return halving_error(values, DZ)


def halving_error(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What leaving out every other point changes of ``values @ weights``."""
    half = weights[::2] / weights[::2].sum()
    return np.abs(values @ weights - values[..., ::2] @ half)


def log_normal(x: np.ndarray) -> np.ndarray:
    """log of the standard normal density."""
    return -(x**2 + LOG_2PI) / 2


def log_tail(x: np.ndarray) -> np.ndarray:
    """log H(x), the probability that a standard normal variable exceeds x."""
    return log_ndtr(-x)


def log_2cosh(x: np.ndarray) -> np.ndarray:
    """log(2 cosh x)."""
    return np.logaddexp(x, -x)
