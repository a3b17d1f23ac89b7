"""A pattern's factor for a tree of k sign units: a sum over the number of positive units, averaged over k Gaussian fields.

Units are alike: an average over their fields is one over the fields of one or two of them, and over those of the others in their order.
"""

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


class Rule(NamedTuple):
    """Gauss-Hermite points ``z`` (points,) of one field with their weights, and products of them for ``others`` (units, products), in their
    order, with weights that count the orders."""

    z: np.ndarray
    weight: np.ndarray
    others: np.ndarray
    weight_others: np.ndarray

    @classmethod
    def of(cls, device: Device, points: int, units: int) -> Rule:
        """With so many other units."""
        z, weight = np.polynomial.hermite_e.hermegauss(points)
        weight = weight / weight.sum()
        places = np.array(list(combinations_with_replacement(range(points), units)), int)
        # The number of orders: (units)! over the factorials of how often each point occurs.
        same, run = np.ones(len(places)), np.ones(len(places))
        for j in range(1, units):
            run = np.where(places[:, j] == places[:, j - 1], run + 1, 1)
            same *= run
        orders = factorial(units) / same
        others = np.ascontiguousarray(z[places].T)
        return cls(*map(device.asarray, (z, weight, others, weight[places].prod(axis=1) * orders)))


class Field(NamedTuple):
    """Of one unit at every point, a column: the probability of its being positive, its derivative by the mean preactivation, and the
    second derivative over the first."""

    up: np.ndarray
    density: np.ndarray
    bend: np.ndarray


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
        points = POINTS[self.k]
        self._rules = [Rule.of(device, count, self.k - 1) for count in (points, points - FEWER)]
        self._pairs = Rule.of(device, points, self.k - 2) if self.k > 1 else None

    def log_z(self, q: float, beta: float, gamma: float, coarse: bool = False) -> float:
        """E log Z, by the finer rule or by the coarser."""
        rule = self._rules[coarse]
        one = self._field(rule, q)
        down, up = self._given(self._counts(rule.others, q), self._boltzmann(beta, gamma))
        return self._average(rule, self.device.xp.log(_mixed(one.up, down, up)))

    def slope(self, q: float, beta: float, gamma: float) -> float:
        """The sum over units of E (d_l log Z)^2."""
        rule = self._rules[0]
        one = self._field(rule, q)
        down, up = self._given(self._counts(rule.others, q), self._boltzmann(beta, gamma))
        return self.k * self._average(rule, (one.density * (up - down) / _mixed(one.up, down, up)) ** 2)

    def averages(self, q: float, beta: float, gamma: float) -> Averages:
        """What follows at the overlap ``q``."""
        rule, xp = self._rules[0], self.device.xp
        one, counts = self._field(rule, q), self._counts(rule.others, q)
        losses, boltzmann = self._losses(gamma), self._boltzmann(beta, gamma)
        down, up = self._given(counts, boltzmann)
        total = _mixed(one.up, down, up)
        slope = one.density * (up - down) / total
        lost = np.where(boltzmann > 0, losses, 0.0) * boltzmann
        in_error = wrong(self.stability) * boltzmann
        return Averages(
            self._average(rule, xp.log(total)),
            self.k * self._average(rule, slope**2),
            self.k * (self._average(rule, (one.bend * slope - slope**2) ** 2) + self._mixed_curvature(q, boltzmann)),
            *(self._average(rule, _mixed(one.up, *self._given(counts, value)) / total) for value in (lost, in_error)),
        )

    def _mixed_curvature(self, q: float, boltzmann: np.ndarray) -> float:
        """The sum over the others m of a unit l of E (d_l d_m log Z)^2."""
        rule = self._pairs
        if rule is None:
            return 0.0
        counts = self._counts(rule.others, q)
        none, one, two = (self.device.asarray(boltzmann[shift : shift + len(counts)]) @ counts for shift in range(3))
        field, found = self._field(rule, q), 0.0
        for up, density, weight in zip(field.up, field.density, rule.weight, strict=True):
            down, above = _mixed(up, none, one), _mixed(up, one, two)
            total = _mixed(field.up, down, above)
            both = field.density * density * (two - 2 * one + none) / total
            product = (
                field.density * (above - down) * density * (_mixed(field.up, one, two) - _mixed(field.up, none, one))
            )
            found += float(weight) * self._average(rule, (both - product / total**2) ** 2)
        return (self.k - 1) * found

    def _losses(self, gamma: float) -> np.ndarray:
        if isinstance(self.loss, ErrorCount):
            return wrong(self.stability).astype(float)
        return self.loss.values(self.stability, gamma)

    def _boltzmann(self, beta: float, gamma: float) -> np.ndarray:
        losses = self._losses(gamma)
        return np.where(losses > 0, np.exp(-beta * np.where(losses > 0, losses, 1)), 1.0)

    def _field(self, rule: Rule, q: float) -> Field:
        x = rule.z[:, None] * np.sqrt(q / (1 - q))
        density = self.device.xp.exp(-(x**2) / 2) / np.sqrt(2 * np.pi * (1 - q))
        return Field(self.device.special.ndtr(x), density, -x / np.sqrt(1 - q))

    def _counts(self, fields: np.ndarray, q: float) -> np.ndarray:
        """The distribution of the number of positive units among those of ``fields`` (units, products): (units + 1, products)."""
        xp = self.device.xp
        counts = xp.ones((1, fields.shape[1]))
        none = xp.zeros((1, fields.shape[1]))
        for p in self.device.special.ndtr(fields * np.sqrt(q / (1 - q))):
            counts = xp.concatenate([counts * (1 - p), none]) + xp.concatenate([none, counts * p])
        return counts

    def _given(self, counts: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means of ``values``, of 0, 1, ..., k positive units, given that the one beside those of ``counts`` is negative, and positive."""
        values = self.device.asarray(values)
        return values[:-1] @ counts, values[1:] @ counts

    def _average(self, rule: Rule, values: np.ndarray) -> float:
        """Of (points, products)."""
        return float(rule.weight @ values @ rule.weight_others)


def _mixed(up: np.ndarray, down_value: np.ndarray, up_value: np.ndarray) -> np.ndarray:
    """The mean of two values, the second with probability ``up``."""
    return (1 - up) * down_value + up * up_value
