"""A pattern's factor for a tree of k sign units: a sum over the number of positive units, averaged over k Gaussian fields."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import factorial
from typing import NamedTuple

import numpy as np

from gpumc.device import Device
from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount, Loss, wrong
from gpumc.theory.limits import Limit

#: Gauss-Hermite points of each field for k = 1, 2, ..., and how many fewer the rule has that tells the error.
POINTS = (0, 201, 81, 61, 36, 25, 20, 17, 14, 13)
FEWER = 2


class Averages(NamedTuple):
    """Over the fields: E log Z, the sums over units of E (d_l log Z)^2 and over pairs, also of a unit and itself, of
    E (d_l d_m log Z)^2, which is k times the largest eigenvalue of that matrix; the mean loss, and the fraction of errors."""

    log_z: float
    slope: float
    curvature: float
    loss: float
    errors: float


class Units:
    """The units of ``limit``; on ``device``."""

    def __init__(self, limit: Limit, loss: Loss, device: Device):
        self.limit, self.loss, self.device = limit, loss, device
        self.k = int(limit.k)
        if self.k >= len(POINTS):
            raise ConfigError(
                f"theory: k = {self.k}: averages over the fields of at most {len(POINTS) - 1} units are affordable; use k = inf"
            )
        #: The stability with 0, 1, ..., k positive units.
        positive = np.arange(self.k + 1)
        if limit.kind == "tree-parity":
            self.stability = (-1.0) ** (self.k - positive)
        else:
            self.stability = (2 * positive - self.k) / np.sqrt(self.k)
        self._rules = [self._rule(POINTS[self.k]), self._rule(POINTS[self.k] - FEWER)]

    def _rule(self, points: int) -> tuple[np.ndarray, np.ndarray]:
        """Fields (k, points) up to their order, and weights that count the orders: all products of a Gauss-Hermite rule."""
        z, weight = np.polynomial.hermite_e.hermegauss(points)
        weight = weight / weight.sum()
        places = np.array(list(combinations_with_replacement(range(points), self.k)))
        # The number of orders: k! over the factorials of how often each point occurs.
        same = np.ones(len(places))
        run = np.ones(len(places))
        for j in range(1, self.k):
            run = np.where(places[:, j] == places[:, j - 1], run + 1, 1)
            same *= run
        orders = factorial(self.k) / same
        fields = np.ascontiguousarray(z[places].T)
        return self.device.asarray(fields), self.device.asarray(weight[places].prod(axis=1) * orders)

    def log_z(self, q: float, beta: float, gamma: float, coarse: bool = False) -> float:
        """E log Z, by the finer rule or by the coarser."""
        fields, weight = self._rules[coarse]
        total = self._total(self._counts(self._up(fields, q)[0]), beta, gamma)
        return float(weight @ self.device.xp.log(total))

    def slope(self, q: float, beta: float, gamma: float) -> float:
        """The sum over units of E (d_l log Z)^2."""
        fields, weight = self._rules[0]
        up, density = self._up(fields, q)
        total = self._total(self._counts(up), beta, gamma)
        # Fields are in their order: only what is the same for all units may be averaged.
        return sum(
            float(weight @ (density[unit] * self._difference(up, (unit,), beta, gamma) / total) ** 2)
            for unit in range(self.k)
        )

    def averages(self, q: float, beta: float, gamma: float) -> Averages:
        """What follows at the overlap ``q``."""
        xp = self.device.xp
        fields, weight = self._rules[0]
        up, density = self._up(fields, q)
        counts = self._counts(up)
        total = self._total(counts, beta, gamma)
        slope = [density[unit] * self._difference(up, (unit,), beta, gamma) / total for unit in range(self.k)]
        curvature = 0.0
        for unit in range(self.k):
            own = -fields[unit] * np.sqrt(q) / (1 - q) * slope[unit] - slope[unit] ** 2
            curvature += float(weight @ own**2)
            for other in range(unit):
                both = density[unit] * density[other] * self._difference(up, (unit, other), beta, gamma) / total
                curvature += 2 * float(weight @ (both - slope[unit] * slope[other]) ** 2)
        losses = self._losses(gamma)
        boltzmann = self._boltzmann(beta, gamma)
        loss = sum(float(f * b) * counts[m] for m, (f, b) in enumerate(zip(losses, boltzmann, strict=True)) if b > 0)
        errors = sum(
            float(b) * counts[m] for m, (s, b) in enumerate(zip(self.stability, boltzmann, strict=True)) if wrong(s)
        )
        return Averages(
            float(weight @ xp.log(total)),
            sum(float(weight @ own**2) for own in slope),
            curvature,
            float(weight @ (loss / total)),
            float(weight @ (errors / total)),
        )

    def _losses(self, gamma: float) -> np.ndarray:
        if isinstance(self.loss, ErrorCount):
            return wrong(self.stability).astype(float)
        return self.loss.values(self.stability, gamma)

    def _boltzmann(self, beta: float, gamma: float) -> np.ndarray:
        losses = self._losses(gamma)
        return np.where(losses > 0, np.exp(-beta * np.where(losses > 0, losses, 1)), 1.0)

    def _up(self, fields: np.ndarray, q: float) -> tuple[np.ndarray, np.ndarray]:
        """The probability of each unit's being positive, and its derivative by the mean of the unit's preactivation."""
        xp = self.device.xp
        x = fields * np.sqrt(q / (1 - q))
        return self.device.special.ndtr(x), xp.exp(-(x**2) / 2) / np.sqrt(2 * np.pi * (1 - q))

    def _counts(self, up: np.ndarray) -> np.ndarray:
        """The distribution of the number of positive units among ``up`` (units, points): (units + 1, points)."""
        xp = self.device.xp
        counts = xp.ones((1, up.shape[1]))
        none = xp.zeros((1, up.shape[1]))
        for p in up:
            counts = xp.concatenate([counts * (1 - p), none]) + xp.concatenate([none, counts * p])
        return counts

    def _total(self, counts: np.ndarray, beta: float, gamma: float, shift: int = 0) -> np.ndarray:
        """Z of counts of some units, ``shift`` of the others being positive."""
        boltzmann = self._boltzmann(beta, gamma)[shift : shift + len(counts)]
        return self.device.asarray(boltzmann) @ counts

    def _difference(self, up: np.ndarray, units: tuple[int, ...], beta: float, gamma: float) -> np.ndarray:
        """Z with ``units`` positive less Z with them negative (for two units: the mixed difference)."""
        others = [unit for unit in range(self.k) if unit not in units]
        counts = self._counts(up[others])
        total = [self._total(counts, beta, gamma, shift) for shift in range(len(units) + 1)]
        return total[1] - total[0] if len(units) == 1 else total[2] - 2 * total[1] + total[0]
