"""Averages over a Gaussian variable of functions that are constant between edges, to all digits also far out; over NumPy or CuPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gpumc.device import array_module

LOG_2PI = float(np.log(2 * np.pi))


class Average(NamedTuple):
    """Arrays of one shape: log E exp(-beta f(x)), its first and second derivative by the mean of x, and the mean of f."""

    log_z: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    energy: np.ndarray


def piecewise(
    mean: np.ndarray,
    spread: np.ndarray,
    beta: Any,
    edges: Sequence[np.ndarray],
    energies: Sequence[Any],
    log_ndtr: Callable[[np.ndarray], np.ndarray],
) -> Average:
    """The average of exp(-beta f(mean + spread z)) over a standard normal z; f has ``energies[0]`` below ``edges[0]``, and so on.

    ``spread`` is positive. At ``beta`` = inf only what has energy 0 is allowed, and no energy may be negative; where nothing is allowed,
    log_z is -inf and all else 0. The other arguments broadcast against ``mean``.
    """
    xp = array_module(mean)
    energies = [xp.asarray(energy) for energy in energies]
    with np.errstate(divide="ignore", over="ignore", under="ignore"):  # log(0), and what vanishes
        places = [(edge - mean) / spread for edge in edges]
        below, above = ([log_ndtr(sign * x) for x in places] for sign in (1, -1))
        chances = [xp.zeros_like(mean * spread)]
        if places:
            between = zip(pairwise(places), pairwise(below), pairwise(above), strict=True)
            chances = [below[0], *(_between(xp, *ends) for ends in between), above[-1]]
        allowed = [log_boltzmann(xp, beta, energy) for energy in energies]
        shares = [chance + log_weight for chance, log_weight in zip(chances, allowed, strict=True)]
        log_z = shares[0]
        for share in shares[1:]:
            log_z = _log_sum(xp, log_z, share)
        known = xp.where(log_z == -np.inf, 0.0, log_z)
        slope, bend, energy = (xp.zeros_like(log_z) for _ in range(3))
        for x, (left, right) in zip(places, pairwise(energies), strict=True):
            # The weight rises by exp(-beta lower) (1 - exp(-beta gap)) toward the lower energy.
            lower, gap = xp.minimum(left, right), xp.abs(left - right)
            log_density = log_boltzmann(xp, beta, lower) - (x**2 + LOG_2PI) / 2 - known
            jump = -xp.expm1(log_boltzmann(xp, beta, gap)) * xp.exp(log_density) * xp.sign(left - right)
            slope = slope + jump / spread
            bend = bend + jump * (x / spread**2)
        for share, value in zip(shares, energies, strict=True):
            energy = energy + xp.exp(share - known) * value
        # A variance is not negative, whatever cancels far out.
        return Average(log_z, slope, xp.maximum(bend - slope**2, -1 / spread**2), energy)


def log_boltzmann(xp: Any, beta: Any, energy: Any) -> Any:
    """-beta energy, 0 where the energy is."""
    return xp.where(energy == 0, 0.0, -beta * xp.where(energy == 0, 1.0, energy))


def _log_sum(xp: Any, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """log(exp one + exp other), to all digits also where it is near to 0; -inf of two that are."""
    top, low = xp.maximum(one, other), xp.minimum(one, other)
    return top + xp.log1p(xp.exp(low - xp.where(top == -np.inf, 0.0, top)))


def _between(
    xp: Any,
    places: tuple[np.ndarray, np.ndarray],
    below: tuple[np.ndarray, np.ndarray],
    above: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """log of the probability between two ``places``, of their logs of the probabilities ``below`` and ``above``: by the smaller side's."""
    right = places[0] + places[1] > 0
    more, less = xp.where(right, above[0], below[1]), xp.where(right, above[1], below[0])
    gap = less - xp.where(more == -np.inf, 0.0, more)
    near = gap > -np.log(2)
    return more + xp.where(near, xp.log(-xp.expm1(xp.where(near, gap, -1.0))), xp.log1p(-xp.exp(gap)))
