"""A pattern's factor for a tree of k sign units: a sum over the number of positive units, averaged over k Gaussian fields.

Units are alike: an average over their fields is one over the fields of one or two of them, and over those of the others in their order.
What may underflow is kept as a logarithm.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import factorial
from typing import NamedTuple

import numpy as np

from gpumc.channels import log_boltzmann
from gpumc.channels.counting import distributions
from gpumc.device import Device
from gpumc.errors import ConfigError
from gpumc.losses import Loss
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.normal_averages import LOG_2PI

#: Points of the rule of each field for k = 1, 2, ..., and how many fewer the rule has that tells the error.
POINTS = (0, 201, 141, 101, 45, 29, 22, 18, 15, 13)
FEWER = 2
#: How far the rule reaches, within how many of the widths sqrt(1 - q) of a unit's step its points are dense, and the weight below which a
#: product of points is left out.
REACH, DENSE, SMALLEST = 6.5, 2.5, 1e-15


class Averages(NamedTuple):
    """Over the fields: E log Z, the sums over units of E (d_l log Z)^2 and over pairs, also of a unit and itself, of
    E (d_l d_m log Z)^2, which is k times the largest eigenvalue of that matrix; the mean loss, and the fraction of errors."""

    log_z: float
    slope: float
    curvature: float
    loss: float
    errors: float


class Fields(NamedTuple):
    """Of one unit at every point of a rule, columns: log probabilities of its being positive and negative, the log of their derivative by
    the mean preactivation, the second derivative over the first, and the point's weight."""

    up: np.ndarray
    down: np.ndarray
    density: np.ndarray
    bend: np.ndarray
    weight: np.ndarray


class Others(NamedTuple):
    """Of the other units, products of points: the log distribution of the number of positive ones (units + 1, products), and weights that
    count their orders."""

    counts: np.ndarray
    weight: np.ndarray


class Rule:
    """Products of so many ``points`` of one field for so many ``others``, in their order."""

    def __init__(self, device: Device, points: int, others: int):
        self.device, self.points = device, points
        places = np.array(list(combinations_with_replacement(range(points), others)), int)
        # The number of orders: (others)! over the factorials of how often each point occurs.
        same, run = np.ones(len(places)), np.ones(len(places))
        for j in range(1, others):
            run = np.where(places[:, j] == places[:, j - 1], run + 1, 1)
            same *= run
        self.places, self.orders = places, factorial(others) / same

    def at(self, q: float) -> tuple[Fields, Others]:
        """One unit and the others at the overlap ``q``."""
        narrow = DENSE * np.sqrt(1 - q)
        t = np.linspace(-1, 1, self.points) * np.arcsinh(REACH / narrow)
        z = narrow * np.sinh(t)
        weight = np.exp(-(z**2) / 2) * np.cosh(t)
        weight /= weight.sum()
        together = weight[self.places].prod(axis=1) * self.orders
        kept = together > SMALLEST
        xp, log_ndtr = self.device.xp, self.device.special.log_ndtr
        x = self.device.asarray(z * np.sqrt(q / (1 - q)))
        up, down = log_ndtr(x), log_ndtr(-x)
        places = self.device.asarray(self.places[kept].T)
        counts = (
            distributions(up[places], down[places], (1,) * len(places))[-1]
            if len(places)
            else xp.zeros((1, int(kept.sum())))
        )
        density = -(x**2) / 2 - (LOG_2PI + np.log(1 - q)) / 2
        columns = (up, down, density, -x / np.sqrt(1 - q), self.device.asarray(weight))
        return Fields(*(column[:, None] for column in columns)), Others(counts, self.device.asarray(together[kept]))


class Units:
    """The units of ``limit``; on ``device``. Losses are of numbers, not of rows."""

    def __init__(self, limit: Limit, device: Device):
        self.limit, self.device = limit, device
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
        self._rules = [Rule(device, count, self.k - 1) for count in (points, points - FEWER)]
        self._pairs = Rule(device, points, self.k - 2) if self.k > 1 else None

    def error(self, log_z: float, q: float, beta: float, loss: Loss) -> float:
        """Of ``log_z``, if errors fall as the inverse square of the number of points, as where the factor bends; elsewhere they fall
        faster."""
        rule = self._rules[1]
        one, others = rule.at(q)
        coarser = _average(one, self._mixed(one, *self._given(others, self._log_boltzmann(beta, loss))), others)
        return abs(log_z - coarser) * rule.points / (2 * FEWER)

    def slope(self, q: float, beta: float, loss: Loss) -> float:
        """The sum over units of E (d_l log Z)^2."""
        one, others = self._rules[0].at(q)
        down, up = self._given(others, self._log_boltzmann(beta, loss))
        difference, _ = self._difference(down, up)
        log_slope = one.density + difference - self._mixed(one, down, up)
        return self.k * _average(one, self.device.xp.exp(2 * log_slope), others)

    def averages(self, q: float, beta: float, loss: Loss) -> Averages:
        """What follows at the overlap ``q``."""
        xp = self.device.xp
        one, others = self._rules[0].at(q)
        losses, boltzmann = loss.values(self.stability), self._log_boltzmann(beta, loss)
        least = min(float(losses.min()), 0.0)
        down, up = self._given(others, boltzmann)
        total = self._mixed(one, down, up)
        difference, sign = self._difference(down, up)
        slope = sign * xp.exp(one.density + difference - total)
        with np.errstate(divide="ignore"):  # losses of 0
            lost, in_error = np.log(losses - least) + boltzmann, np.log(loss.wrong(self.stability)) + boltzmann
        lost, in_error = (
            _average(one, xp.exp(self._mixed(one, *self._given(others, value)) - total), others)
            for value in (lost, in_error)
        )
        return Averages(
            _average(one, total, others),
            self.k * _average(one, slope**2, others),
            self.k * (_average(one, (one.bend * slope - slope**2) ** 2, others) + self._mixed_curvature(q, boltzmann)),
            least + lost,
            in_error,
        )

    def _mixed_curvature(self, q: float, boltzmann: np.ndarray) -> float:
        """The sum over the others m of a unit l of E (d_l d_m log Z)^2."""
        if self._pairs is None:
            return 0.0
        xp = self.device.xp
        fields, others = self._pairs.at(q)
        none, one, two = (self._sum(others, boltzmann[shift:]) for shift in range(3))
        (first, first_sign), (second, second_sign) = self._difference(none, one), self._difference(one, two)
        found = 0.0
        for point in range(len(fields.weight)):
            unit = Fields(*(column[point] for column in fields))
            down, up = self._mixed(unit, none, one), self._mixed(unit, one, two)
            total = self._mixed(fields, down, up)
            (own, own_sign), (other, other_sign) = (
                self._difference(down, up),
                self._difference(self._mixed(fields, none, one), self._mixed(fields, one, two)),
            )
            both = second_sign * xp.exp(unit.density + fields.density + second - total)
            both -= first_sign * xp.exp(unit.density + fields.density + first - total)
            product = own_sign * other_sign * xp.exp(unit.density + fields.density + own + other - 2 * total)
            found += float(unit.weight[0]) * _average(fields, (both - product) ** 2, others)
        return (self.k - 1) * found

    def _log_boltzmann(self, beta: float, loss: Loss) -> np.ndarray:
        return log_boltzmann(np, beta, loss.values(self.stability))

    def _sum(self, others: Others, values: np.ndarray) -> np.ndarray:
        """log of the mean of exp ``values``, of 0, 1, ... positive units among the ``others``: (products,)."""
        finite = [count + value for count, value in zip(others.counts, values, strict=False) if value > -np.inf]
        if not finite:
            return self.device.xp.full(others.counts.shape[1], -np.inf)
        return self.device.xp.logaddexp.reduce(self.device.xp.stack(finite), axis=0)

    def _given(self, others: Others, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same given that the unit beside the others is negative, and positive, for logs of 0, 1, ..., k positive units."""
        return self._sum(others, values[:-1]), self._sum(others, values[1:])

    def _mixed(self, unit: Fields, down: np.ndarray, up: np.ndarray) -> np.ndarray:
        """The log of the mean of two values, by the unit's sign."""
        return self.device.xp.logaddexp(unit.down + down, unit.up + up)

    def _difference(self, down: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log |exp up - exp down|, and the sign."""
        xp = self.device.xp
        with np.errstate(divide="ignore", invalid="ignore"):  # equal ones, and none at all
            gap = xp.where(up == down, 0.0, up - down)
            return xp.maximum(up, down) + xp.log(-xp.expm1(-xp.abs(gap))), xp.sign(gap)


def _average(one: Fields, values: np.ndarray, others: Others) -> float:
    """Of (points, products)."""
    return float(one.weight[:, 0] @ values @ others.weight)
