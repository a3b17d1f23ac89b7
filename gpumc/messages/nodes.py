"""What factor nodes give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: The logarithm of what cannot be; finite, so that differences are numbers.
IMPOSSIBLE = -1e30


@dataclass(frozen=True)
class Node:
    """A factor's log Z (rows, patterns) and its first and second derivatives by each unit's mean field (rows, units, patterns)."""

    log_z: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray


@dataclass(frozen=True)
class Counted:
    """A factor's log Z (rows, patterns), the log of what it gives to each number of positive products of a unit (rows, units,
    patterns, fan_in + 1), and the mean loss (rows,) of all patterns."""

    log_z: np.ndarray
    log_factor: np.ndarray
    energy: np.ndarray


def log_factors(xp: Any, beta: Any, losses: Any) -> Any:
    """log exp(-beta L), which is 0 where L is, whatever beta: it broadcasts against ``losses``."""
    return xp.where(losses != 0, xp.maximum(-beta * xp.where(losses != 0, losses, 1), IMPOSSIBLE), 0)
