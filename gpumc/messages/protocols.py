"""Focusing protocols: the number of replicas y and the coupling of every step.

The names are those of C. Baldassi et al., PNAS 113, E7655 (2016), and its program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpumc.checks import numbers, real
from gpumc.errors import ConfigError


def _rising(name: str, values: Sequence[float], below: float = np.inf) -> tuple[float, ...]:
    array = np.atleast_1d(numbers(name, values))
    if array.ndim > 1:
        raise ConfigError(f"{name} has shape {array.shape}: a list of numbers is needed")
    checked = tuple(float(v) for v in array)
    if not checked:
        raise ConfigError(f"{name} is empty, so that the protocol never starts: at least one step is needed")
    if not all(0 <= v < below for v in checked):
        limit = "non-negative numbers" if below == np.inf else f"numbers from 0 to below {below:g}"
        raise ConfigError(f"{name} = {list(checked)}: {limit} are needed")
    return checked


@dataclass(frozen=True)
class StandardReinforcement:
    """coupling = inf and y = 1/(1 - rho): the former incoming field of a weight is added to its incoming field."""

    rho: Sequence[float] = tuple(np.arange(0, 1, 0.01).tolist())

    def steps(self) -> list[tuple[float, float]]:
        """(y, coupling) of every step."""
        return [(1 / (1 - r), np.inf) for r in _rising("rho", self.rho, 1)]


@dataclass(frozen=True)
class Scoping:
    """Fixed ``replicas`` and a growing ``coupling``."""

    coupling: Sequence[float] = tuple(np.arange(0, 5, 0.05).tolist())
    replicas: float = 7

    def steps(self) -> list[tuple[float, float]]:
        """(y, coupling) of every step."""
        replicas = real("scoping: replicas", self.replicas, lambda y: 1 <= y < np.inf, "a finite number of at least 1")
        return [(replicas, c) for c in _rising("coupling", self.coupling)]


@dataclass(frozen=True)
class PseudoReinforcement:
    """coupling = atanh(rho^x) and y = 1 + rho^(1 - 2x) / (1 - rho)."""

    rho: Sequence[float] = tuple(np.arange(0, 1, 0.01).tolist())
    x: float = 0.5

    def steps(self) -> list[tuple[float, float]]:
        """(y, coupling) of every step."""
        x = real("pseudo-reinforcement: x", self.x, lambda x: 0 <= x <= 0.5, "a number from 0 to 1/2")
        rho = np.array(_rising("rho", self.rho, 1))
        with np.errstate(divide="ignore"):
            return list(zip((1 + rho ** (1 - 2 * x) / (1 - rho)).tolist(), np.arctanh(rho**x).tolist(), strict=True))


@dataclass(frozen=True)
class FreeScoping:
    """Any list of (replicas, coupling)."""

    path: Sequence[tuple[float, float]]

    def steps(self) -> list[tuple[float, float]]:
        """(y, coupling) of every step."""
        path = numbers("free scoping: path", self.path)
        if path.size == 0:
            raise ConfigError(
                "free scoping: path is empty, so that the protocol never starts: at least one step is needed"
            )
        if path.shape != (len(path), 2):
            raise ConfigError(
                f"free scoping: path has shape {path.shape}: a list of pairs (replicas, coupling) is needed"
            )
        steps = [(float(y), float(c)) for y, c in path]
        for y, c in steps:
            if not (1 <= y < np.inf and c >= 0):
                raise ConfigError(
                    f"free scoping: ({y:g}, {c:g}): replicas of at least 1 and a non-negative coupling are needed"
                )
        return steps


Protocol = StandardReinforcement | Scoping | PseudoReinforcement | FreeScoping
