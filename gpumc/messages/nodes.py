"""The results of factor nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.channels import log_boltzmann
from gpumc.channels.counting import IMPOSSIBLE


@dataclass(frozen=True)
class Node:
    """A factor's log Z (rows, patterns) and its first and second derivatives by each unit's mean field (rows, units, patterns)."""

    log_z: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray


@dataclass(frozen=True)
class Counted:
    """A factor's log Z (rows, patterns), its log likelihood of each number of positive products of a unit (rows, units,
    patterns, fan_in + 1), and the mean loss (rows,) of all patterns."""

    log_z: np.ndarray
    log_factor: np.ndarray
    energy: np.ndarray


def log_factors(xp: Any, beta: Any, losses: Any) -> Any:
    """log exp(-beta L), finite at any beta, which broadcasts against ``losses``."""
    return xp.maximum(log_boltzmann(xp, beta, losses), IMPOSSIBLE)
