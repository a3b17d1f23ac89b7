"""Factor nodes of a perceptron whose loss depends on the value of its field, not on its sign alone."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gpumc.channels import Average, piecewise
from gpumc.device import Device, to_host
from gpumc.losses import Loss
from gpumc.machines import Machine
from gpumc.messages.formulae import Formula
from gpumc.messages.nodes import Counted, Node, log_factors

#: A Gaussian field is followed so many standard deviations to either side, or until the integrand is so many nats below its top.
REACH, FALL = 7.0, 25.0
#: Trapezoids of a loss that says over which width it bends: nodes for each standard deviation, and for each such width. The error is
#: below 1e-7.
NODES_PER_DEVIATION, NODES_PER_WIDTH = 1.2, 1.25
#: A loss that bends within less is taken to have a kink that it does not know, and a field wider than this has no more nodes.
SHARP, WIDEST = 1e-4, 1e3
#: Trapezoids of any other loss, which may have kinks that it does not know: an error of about 1e-5 beta for a slope that jumps by 1.
TRAPEZOID = 800
#: Gauss-Legendre nodes of each piece between the kinks of a loss: an error below 1e-9 where it is smooth between them.
NODES = 48
#: The search for what matters of an integrand: how often the distance from the Gaussian's mean is doubled, and times that an interval is
#: cut to those of so many cells that do.
DOUBLINGS, CUTS, CELLS = 12, 6, 16

#: The exponent of an integrand at z; ends in z; nodes in [-1, 1] and their weights.
Exponent = Callable[[Any], np.ndarray]
Interval = tuple[np.ndarray, np.ndarray]
Rule = tuple[list[float], list[float]]


@dataclass(frozen=True)
class _Fields(ABC):
    """Factors of field x ``machine.readout.scale``. ``loss`` is of rows, on the host; ``beta`` (rows,); ``counts`` (2, rows, patterns):
    how many patterns of a factor want the output +1, and -1."""

    device: Device
    machine: Machine
    loss: Loss
    beta: np.ndarray
    counts: np.ndarray

    def rows(self, chosen):
        """The same for some of the rows."""
        return type(self)(self.device, self.machine, self.loss.take(chosen), self.beta[chosen], self.counts[:, chosen])

    def gaussian(self, mean: np.ndarray, variance: np.ndarray) -> Node:
        """The node whose one unit's field is Gaussian: ``mean`` (rows, 1, patterns), ``variance`` broadcasts against it."""
        found = self._averages(mean, variance + 0 * mean)
        scale = self.machine.readout.scale
        return Node(found.log_z[:, 0], found.slope * scale, found.curvature * scale**2)

    def energy(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """The mean loss (rows,) of all patterns."""
        return self._averages(mean, variance + 0 * mean).energy.sum(axis=(1, 2))

    def pushed(
        self, mean: np.ndarray, variance: np.ndarray, rest_mean: np.ndarray, rest_variance: np.ndarray
    ) -> np.ndarray:
        """See :meth:`gpumc.messages.factors.Signs.pushed`."""
        up, down = (self._averages(rest_mean + sign, rest_variance).log_z for sign in (1, -1))
        return (up - down) / 2

    def counted(self, log_counts: np.ndarray) -> Counted:
        """See :meth:`gpumc.messages.factors.Signs.counted`."""
        xp = self.device.xp
        fan_in = log_counts.shape[-1] - 1
        fields = (2 * np.arange(fan_in + 1) - fan_in) * self.machine.readout.scale
        x = np.broadcast_to(fields, (len(self.beta), fan_in + 1))
        one, other = (
            self.device.asarray(np.array(self.loss.beside(x).values(sign * x), self.beta.dtype))[:, None, None]
            for sign in (1, -1)
        )
        right, opposite = self.counts[:, :, None, :, None]
        losses = right * one + opposite * other
        log_factor = xp.broadcast_to(log_factors(xp, self.beta[:, None, None, None], losses), log_counts.shape)
        log_weight = xp.moveaxis(log_counts + log_factor, -1, 0)
        log_z = functools.reduce(xp.logaddexp, log_weight)
        energy = (xp.exp(log_weight - log_z) * xp.moveaxis(losses, -1, 0)).sum(axis=(0, 2, 3))
        return Counted(log_z[:, 0], log_factor, energy)

    def _averages(self, mean: np.ndarray, variance: np.ndarray) -> Average:
        """Of fields of ``mean`` and ``variance`` (rows, 1, patterns, ...); derivatives by the mean stability.

        Factors of one formula go together, so that the nodes of a row do not depend on which others there are."""
        scale = self.machine.readout.scale
        found = Average(*(self.device.xp.empty_like(mean) for _ in range(4)))
        for formula, beta, at in self._formulae:
            parts = self._average(formula, beta, mean[at] * scale, self.device.xp.sqrt(variance[at]) * scale)
            for whole, part in zip(found, parts, strict=True):
                whole[at] = part
        return found

    @functools.cached_property
    def _formulae(self) -> list[tuple[Formula, float, tuple[np.ndarray, ...]]]:
        """Each formula and beta that there is, and its places in (rows, 1, patterns)."""
        of_rows = (to_host(self.beta), *self.loss.parameters.values())
        keys = np.broadcast_arrays(*(values[:, None] for values in of_rows), *to_host(self.counts))
        found: list[tuple[Formula, float, tuple[np.ndarray, ...]]] = []
        for values in np.unique(np.reshape(keys, (len(keys), -1)), axis=1).T.tolist():
            rows, nodes = np.nonzero(np.all([key == value for key, value in zip(keys, values, strict=True)], axis=0))
            beta, *numbers, right, opposite = values
            loss = self.loss.at(**dict(zip(self.loss.axes, numbers, strict=True)))
            found.append((Formula(loss, right, opposite), beta, (rows, np.zeros_like(rows), nodes)))
        return found

    @abstractmethod
    def _average(self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray) -> Average:
        """Over stabilities of ``mean`` and standard deviation ``spread``, of one shape."""


class Steps(_Fields):
    """Losses that count, in closed form."""

    def _average(self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray) -> Average:
        edges, energies = (values.tolist() for values in formula.steps(self.machine))
        return piecewise(mean, spread, beta, edges, energies, self.device.special.log_ndtr)


class Linear(_Fields):
    """Any loss, by quadrature over z = (x - mean) / spread."""

    def _average(self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray) -> Average:
        xp = self.device.xp

        def exponent(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            losses = formula.values(mean + spread * z)
            return -0.5 * z**2 - beta * losses, losses

        bend = formula.loss.bend
        pieces = self._pieces if bend is None or bend < SHARP else self._around_mode
        intervals, log_top, rule = pieces(formula, beta, mean, spread, lambda z: exponent(z)[0])
        sums = [xp.zeros_like(mean) for _ in range(4)]
        for low, high in intervals:
            middle, half = (low + high) / 2, (high - low) / 2
            for point, share in zip(*rule, strict=True):
                z = middle + half * point
                log_weight, losses = exponent(z)
                weight = xp.exp(log_weight - log_top) * (half * share)
                for place, value in enumerate((weight, weight * z, weight * z**2, weight * losses)):
                    sums[place] += value
        total, first, second, energy = sums[0], *(part / sums[0] for part in sums[1:])
        log_z = log_top + xp.log(total / math.sqrt(2 * math.pi))
        return Average(log_z, first / spread, (second - first**2 - 1) / spread**2, energy)

    def _around_mode(
        self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray, exponent: Exponent
    ) -> tuple[list[Interval], np.ndarray, Rule]:
        """The ends in z of what matters, the top of the exponent, and the rule between them: of a loss that is smooth and convex."""
        mode = self._mode(formula, beta, mean, spread)
        # Of +-1 inputs and weights a stability has at most this spread; of others in powers of two, that rows do not depend on others.
        widest = 1.0
        if self.machine.spherical:
            known = self.device.xp.where(spread < WIDEST, spread, 1.0)  # also of what is no number
            widest = 2.0 ** max(0, math.ceil(math.log2(float(known.max()))))
        widths = widest / formula.loss.bend
        per_deviation = NODES_PER_DEVIATION * math.sqrt(1 + beta * formula.sweep * widest * widths / 4)
        count = math.ceil(REACH * max(per_deviation, NODES_PER_WIDTH * widths))
        return [(mode - REACH, mode + REACH)], exponent(mode), _trapezoid(count)

    def _mode(self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Near the top in z, which lies between 0 and where the slope there would pull."""
        xp = self.device.xp
        pull = -beta * spread
        start = pull * formula.slopes(mean)
        low, high = xp.minimum(start, 0), xp.maximum(start, 0)
        for _ in range(math.ceil(math.log2(4 * max(1.0, beta * formula.sweep)))):
            middle = (low + high) / 2
            beyond = middle > pull * formula.slopes(mean + spread * middle)
            low, high = xp.where(beyond, low, middle), xp.where(beyond, middle, high)
        return (low + high) / 2

    def _pieces(
        self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray, exponent: Exponent
    ) -> tuple[list[Interval], np.ndarray, Rule]:
        """The same of any loss: between any two kinks."""
        xp = self.device.xp
        reach = self._reach(formula, beta, mean, spread)
        kinks = [xp.clip((kink - mean) / spread, -reach, reach) for kink in formula.kinks]
        cut = [self._cut(exponent, low, high) for low, high in pairwise([-reach, *kinks, reach])]
        log_top = functools.reduce(xp.maximum, (top for *_, top in cut))
        return [(low, high) for low, high, _ in cut], log_top, _legendre() if kinks else _trapezoid(TRAPEZOID // 2)

    def _reach(self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """How far from 0 a z may matter: z^2 / 2 is at most what the loss, if convex, gains there, and ``FALL``."""
        xp = self.device.xp
        places = (sign * REACH * 2.0**number for number in range(DOUBLINGS) for sign in (1, -1))
        least = functools.reduce(xp.fmin, (formula.values(mean + spread * place) for place in places))
        between = np.array([(low + high) / 2 for low, high in pairwise(formula.kinks)])
        least = functools.reduce(xp.fmin, formula.values(between).tolist(), least)
        # Of a convex loss places at a factor 2 find half of the gain.
        return xp.sqrt(2 * (FALL + 2 * beta * xp.maximum(formula.values(mean) - least, 0)))

    def _cut(self, exponent: Exponent, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The ends of where between ``low`` and ``high`` the exponent is less than ``FALL`` below its top there, and this."""
        xp = self.device.xp
        for _ in range(CUTS):
            places = [low + number * ((high - low) / CELLS) for number in range(CELLS + 1)]
            top = functools.reduce(xp.maximum, map(exponent, places))
            first, last = high, low
            for before, place, behind in zip([low, *places], places, [*places[1:], high], strict=False):
                matters = exponent(place) > top - FALL
                first, last = xp.where(matters, xp.minimum(first, before), first), xp.where(matters, behind, last)
            low, high = first, last
        return low, high, top


def _trapezoid(count: int) -> Rule:
    """2 ``count`` + 1 nodes, for what vanishes at both ends."""
    return np.linspace(-1, 1, 2 * count + 1).tolist(), [1 / count] * (2 * count + 1)


def _legendre() -> Rule:
    points, weights = np.polynomial.legendre.leggauss(NODES)
    return points.tolist(), weights.tolist()
