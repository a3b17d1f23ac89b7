"""Averages within a group of y replicas: E_1 exp(y f) over a normal variable z1, which many replicas pull far out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from gpumc.theory.factors import Factor
from gpumc.theory.normal_averages import DZ2, Z2, halving_error, log_normal

#: Steps of the rule, in units of 1 and of the width within which f bends; and its most points.
LARGEST_STEP, STEP_PER_WIDTH, MOST_POINTS = 1 / 12, 1 / 3, 6001
#: Steps of tables of factors: at most, and in units of the width that smooths them.
TABLE_STEP, TABLE_STEP_PER_WIDTH = 0.015, 0.08
#: Where the variable would be without a pull.
DEVIATIONS = 8.0


class GroupRule(NamedTuple):
    """Points ``z`` of averages over z1, and the logs of their weights."""

    z: np.ndarray
    log_weight: np.ndarray

    @classmethod
    def of(cls, pull: float, width: float) -> GroupRule:
        """For functions that pull z1 as far as ``pull`` and bend within ``width``."""
        reach = DEVIATIONS + pull
        steps = min(int(np.ceil(reach / min(LARGEST_STEP, STEP_PER_WIDTH * width))), MOST_POINTS // 2)
        z = np.linspace(-reach, reach, 2 * steps + 1)
        return cls(z, log_normal(z) + np.log(z[1] - z[0]))

    def tilted(self, log_value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log E_1 exp(log_value), values (z0, z), the weights of averages under it, and what every other point gives for the first."""
        exponent = log_value + self.log_weight
        log_z = logsumexp(exponent, axis=-1)
        half = logsumexp(exponent[:, ::2], axis=-1) + np.log(2)
        return log_z, np.exp(exponent - log_z[:, None]), half


class GroupPatterns(NamedTuple):
    """The patterns of groups, (rows,): E <d log g/du>^2, E <(d log g/du)^2>, E log E_1 g^y, E <log g>, the mean loss, and the error of the
    third."""

    across: np.ndarray
    within: np.ndarray
    log_z: np.ndarray
    log_g: np.ndarray
    loss: np.ndarray
    error: np.ndarray


def group_patterns(factor: Factor, q0: np.ndarray, q1: np.ndarray, y: np.ndarray) -> GroupPatterns:
    """At output overlaps ``q0`` of groups and ``q1`` within them, (rows,)."""

    def row(group: int) -> tuple[float, ...]:
        q_between, q_within, count = q0[group], q1[group], y[group]
        shared, own = max(q_within - q_between, 0.0), 1 - q_within
        pull = 6 * np.sqrt(q_between * shared) * count / (own + count * shared)
        rule = GroupRule.of(pull, np.sqrt(own / shared) if shared > 0 else np.inf)
        u = np.sqrt(q_between) * Z2[:, None] + np.sqrt(shared) * rule.z
        log_g, slope, loss = _moments(factor.rows(np.array([group])), u, own)
        log_z, weight, half = rule.tilted(count * log_g)
        averages = ((weight * slope).sum(-1) ** 2, (weight * slope**2).sum(-1), log_z, (weight * log_g).sum(-1))
        error = abs((log_z - half) @ DZ2) + halving_error(log_z, DZ2)
        return *(values @ DZ2 for values in averages), (weight * loss).sum(-1) @ DZ2, error

    return GroupPatterns(*by_row(row, len(q0), 6))


def _moments(factor: Factor, u: np.ndarray, variance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log g, its slope and the mean loss at ``u``; of a factor that takes integrals between places of a table."""

    def at(means: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = factor.moments(means[None], np.array([variance]))
        return found.log_z[0], found.slope[0], found.energy[0]

    table = np.arange(u.min(), u.max() + TABLE_STEP, min(TABLE_STEP, TABLE_STEP_PER_WIDTH * np.sqrt(variance)))
    if factor.closed or len(table) > u.size:
        return at(u)
    log_g, slope, loss = (CubicSpline(table, values)(u) for values in at(table))
    return log_g, slope, loss


def by_row(row: Callable[[int], tuple[float, ...]], rows: int, numbers: int) -> np.ndarray:
    """``numbers`` of every row, (numbers, rows): each has a rule of its own."""
    return np.array([row(own) for own in range(rows)], float).reshape(rows, numbers).T
