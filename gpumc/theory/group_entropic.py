"""The weights' part of the action of groups of replicas, of few replicas and of infinitely many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpumc.theory.groups import GroupRule, by_row
from gpumc.theory.normal_averages import DZ_FIELD, Z_FIELD, Z, average, average_error, halving_error, log_2cosh
from gpumc.theory.solve import root

#: The largest y times the excess of the variance of fields within a group.
LARGEST_PULL = 50.0
#: Newton steps to a highest value.
NEWTON_STEPS = 20


class Side(NamedTuple):
    """The weights' answer to the variance r0, (rows,): q0 (or y (q1 - q0) as y -> infinity), G_S, d(y G_S)/dy, and the error of G_S."""

    overlap: np.ndarray
    free_entropy: np.ndarray
    local: np.ndarray
    error: np.ndarray | float = 0.0


class FewBinary:
    """Binary weights of y replicas: ``q1`` and ``y`` (rows,)."""

    def __init__(self, q1: np.ndarray, y: np.ndarray):
        self.q1, self.y = q1, y

    def answer(self, r0: np.ndarray) -> Side:
        """At r0; the variance r1 gives q1."""

        def excess(between: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return FewBinary(self.q1[rows], self.y[rows])._inner(r0[rows], between)[1] - self.q1[rows]

        # Replicas of a group are tied by r1 - r0: y (r1 - r0) of them overlap but for terms of order exp(-2 y (r1 - r0)).
        between = root(excess, 0 * r0, LARGEST_PULL / self.y)
        q0, _, log_z, local, error = self._inner(r0, between)
        y, q1, r1 = self.y, self.q1, r0 + between
        free = -r1 / 2 - ((y - 1) * r1 * q1 - y * r0 * q0) / 2 + log_z / y
        return Side(q0, free, -r1 / 2 - ((2 * y - 1) * r1 * q1 - 2 * y * r0 * q0) / 2 + local, error / y)

    def _inner(self, r0: np.ndarray, between: np.ndarray) -> np.ndarray:
        """E <tanh>^2, E <tanh^2>, E log E_1 (2 cosh h)^y, E <log 2 cosh h>, and the error of the third, at variances r0 and r1 = r0 +
        ``between``: (5, rows)."""

        def row(own: int) -> tuple[float, ...]:
            spread, y = np.sqrt(between[own]), self.y[own]
            rule = GroupRule.of(y * spread, 1 / spread if spread > 0 else np.inf)
            h = np.sqrt(r0[own]) * Z_FIELD[:, None] + spread * rule.z
            log_cosh, tanh = log_2cosh(h), np.tanh(h)
            log_z, weight, half = rule.tilted(y * log_cosh)
            averages = (
                (weight * tanh).sum(axis=-1) ** 2,
                (weight * tanh**2).sum(axis=-1),
                log_z,
                (weight * log_cosh).sum(axis=-1),
            )
            error = abs((log_z - half) @ DZ_FIELD) + halving_error(log_z, DZ_FIELD)
            return *(values @ DZ_FIELD for values in averages), error

        return by_row(row, len(r0), 5)


class FewSpherical:
    """Spherical weights of y replicas."""

    def __init__(self, q1: np.ndarray, y: np.ndarray):
        self.q1, self.y = q1, y

    def answer(self, r0: np.ndarray) -> Side:
        """At r0 = q0 / w^2, w = 1 - q1 + y (q1 - q0)."""
        y, q1 = self.y, self.q1
        eigenvalue = 1 - q1 + y * q1
        q0 = 2 * r0 * eigenvalue**2 / (2 * r0 * eigenvalue * y + 1 + np.sqrt(4 * r0 * eigenvalue * y + 1))
        w = eigenvalue - y * q0
        free = 0.5 * np.log1p(-q1) + np.log(w / (1 - q1)) / (2 * y) + q0 / (2 * w)
        local = 0.5 * np.log1p(-q1) + (q1 - q0) / (2 * w) + q0 / (2 * w) - y * q0 * (q1 - q0) / (2 * w**2)
        return Side(q0, free, local)


class ManyBinary:
    """Binary weights as y -> infinity."""

    def __init__(self, q1: np.ndarray):
        self.q1 = q1

    def answer(self, r: np.ndarray) -> Side:
        """At r, the variance of all replicas' fields; rho = y (r1 - r0) gives q1."""

        # As rho -> infinity every weight is magnetised.
        def excess(rho: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return average(np.tanh(self._field(r[rows], rho)) ** 2) - self.q1[rows]

        rho = root(excess, 0 * r, 0 * r + LARGEST_PULL)
        h = self._field(r, rho)
        tanh = np.tanh(h)
        spread = np.maximum(np.sqrt(r), 1e-9)
        delta = average(np.abs(Z) * tanh) / spread - (1 - self.q1)
        highest = log_2cosh(h) - rho[:, None] * tanh**2 / 2
        free = -r * (1 - self.q1) / 2 - (r * delta + rho * self.q1) / 2 + average(highest)
        return Side(delta, free, free, average_error(highest))

    def _field(self, r: np.ndarray, rho: np.ndarray) -> np.ndarray:
        """h = sqrt(r) |z| + rho tanh(h), the highest of its roots, (rows, Z): Newton's method from above, where the function is convex."""
        outer, rho = np.sqrt(r)[:, None] * np.abs(Z), rho[:, None]
        h = outer + rho
        for _ in range(NEWTON_STEPS):
            tanh = np.tanh(h)
            h = h - (h - outer - rho * tanh) / np.maximum(1 - rho * (1 - tanh**2), 1e-3)
        return h


class ManySpherical:
    """Spherical weights as y -> infinity."""

    def __init__(self, q1: np.ndarray):
        self.q1 = q1

    def answer(self, r: np.ndarray) -> Side:
        """At r = q1 / (1 - q1 + delta)^2."""
        width = np.sqrt(self.q1 / np.maximum(r, 1e-12))
        free = 0.5 * np.log1p(-self.q1) + self.q1 / (2 * width)
        return Side(width - (1 - self.q1), free, free)
