"""Factor nodes of a perceptron whose loss depends on the value of its field, not on its sign alone."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpumc.channels import COARSE, Average, Formula, half_trapezoid, piecewise, tilted_average
from gpumc.device import Device, kernel, to_host
from gpumc.grid import distinct_points
from gpumc.losses import Loss
from gpumc.machines import Machine
from gpumc.messages.marginals import light, reals
from gpumc.messages.nodes import Counted, Node, log_factors

#: A standard deviation of a stability above this is of a row that does not converge, and has no more nodes.
WIDEST_SPREAD = 1e3


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
        average = self._averages(mean, variance)
        return Node(average.log_z[:, 0], average.slope, average.curvature)

    def energy(self, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """The mean loss (rows,) of all patterns."""
        return self._averages(mean, variance).energy.sum(axis=(1, 2))

    def pushed(
        self, mean: np.ndarray, variance: np.ndarray, cavity_mean: np.ndarray, cavity_variance: np.ndarray
    ) -> np.ndarray:
        """See :meth:`gpumc.messages.votes.Signs.pushed`."""
        up, down = (self._averages(cavity_mean + sign, cavity_variance).log_z for sign in (1, -1))
        return (up - down) / 2

    def counted(self, log_counts: np.ndarray) -> Counted:
        """See :meth:`gpumc.messages.votes.Signs.counted`."""
        xp = self.device.xp
        fan_in = log_counts.shape[-1] - 1
        fields = (2 * np.arange(fan_in + 1) - fan_in) * self.machine.readout.scale
        x = np.broadcast_to(fields, (len(self.beta), fan_in + 1))
        for_positive, for_negative = (
            self.device.asarray(np.array(self.loss.beside(x).values(sign * x), self.beta.dtype))[:, None, None]
            for sign in (1, -1)
        )
        right, opposite = self.counts[:, :, None, :, None]
        losses = right * for_positive + opposite * for_negative
        log_factor = xp.broadcast_to(log_factors(xp, self.beta[:, None, None, None], losses), log_counts.shape)
        log_weight = xp.moveaxis(log_counts + log_factor, -1, 0)
        log_z = functools.reduce(xp.logaddexp, log_weight)
        energy = (xp.exp(log_weight - log_z) * xp.moveaxis(losses, -1, 0)).sum(axis=(0, 2, 3))
        return Counted(log_z[:, 0], log_factor, energy)

    def _averages(self, mean: np.ndarray, variance: np.ndarray) -> Average:
        """Of fields of ``mean`` (rows, 1, patterns, ...), ``variance`` shaped as it or for all patterns (rows, 1, 1); derivatives by the
        mean field.

        Factors of one formula go together, so that the nodes of a row do not depend on which others there are."""
        scale, variance = self.machine.readout.scale, variance + 0 * mean
        averages = Average(*(self.device.xp.empty_like(mean) for _ in range(4)))
        for formula, beta, at in self._formulae:
            average = self._average(formula, beta, mean[at] * scale, self.device.xp.sqrt(variance[at]) * scale)
            average = average._replace(slope=average.slope * scale, curvature=average.curvature * scale**2)
            for of_all, of_formula in zip(averages, average, strict=True):
                of_all[at] = of_formula
        return averages

    @functools.cached_property
    def _formulae(self) -> list[tuple[Formula, float, tuple[np.ndarray, ...]]]:
        """Each formula and beta that there is, and its places in (rows, 1, patterns)."""
        of_rows = (to_host(self.beta), *self.loss.parameters.values())
        keys = np.broadcast_arrays(*(values[:, None] for values in of_rows), *to_host(self.counts))
        formulae: list[tuple[Formula, float, tuple[np.ndarray, ...]]] = []
        for values in distinct_points(*(key.reshape(-1) for key in keys))[0].tolist():
            rows, nodes = np.nonzero(np.all([key == value for key, value in zip(keys, values, strict=True)], axis=0))
            beta, *numbers, right, opposite = values
            loss = self.loss.at(**dict(zip(self.loss.axes, numbers, strict=True)))
            formulae.append((Formula(loss, right, opposite), beta, (rows, np.zeros_like(rows), nodes)))
        return formulae

    @abstractmethod
    def _average(self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray) -> Average:
        """Over stabilities of ``mean`` and standard deviation ``spread``, of one shape."""


class Steps(_Fields):
    """Losses that count, in closed form."""

    def _average(self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray) -> Average:
        edges, energies = (values.tolist() for values in formula.steps(self.machine))
        return piecewise(mean, spread, beta, edges, energies, self.device.special.log_ndtr)


class Linear(_Fields):
    """Any loss, by quadrature; where the loss has a kernel, and trapezoids will do, by that."""

    def _averages(self, mean: np.ndarray, variance: np.ndarray) -> Average:
        xp, scale = self.device.xp, self.machine.readout.scale
        # A rule is one of all factors of a formula, whose widest spread is looked up where it is not known.
        alike = not self.machine.spherical or len(self._formulae) == 1
        has_kernel = self.device.kind != "numpy" and self.loss.tilted and alike
        widest = self._widest(variance, scale) if has_kernel else 0.0
        if not has_kernel or not self._trapezoids(widest):
            return super()._averages(mean, variance)
        real, defines = reals(mean)
        found = Average(*(xp.empty_like(mean) for _ in range(4)))
        signature = (
            *[f"const {real}*"] * 3,
            *("const float64*", f"const {real}*"),
            *[f"{real}*"] * 4,
            *["float64"] * 3,
            *["int64"] * 4,
        )
        run = kernel(self.device, self.loss.tilted, "tilted", signature, defines)
        rows, patterns = len(mean), mean.shape[2]
        width = mean[0].size // patterns
        of_factors = self.beta, self._parameter, xp.ascontiguousarray(self.counts)
        sizes = rows, patterns, width, variance.shape == mean.shape
        run(
            -(-mean.size // 32),
            mean,
            variance,
            *of_factors,
            *found,
            scale,
            widest,
            COARSE.trapezoid,
            *sizes,
            light=light(60 * mean.size),
        )
        return found

    @functools.cached_property
    def _trapezoids(self) -> Callable[[float], bool]:
        """Whether trapezoids are for all factors, given their widest spread."""
        return functools.cache(
            lambda widest: all(half_trapezoid(formula, beta, widest, COARSE) for formula, beta, _ in self._formulae)
        )

    @functools.cached_property
    def _parameter(self) -> np.ndarray:
        """That of the loss, float64 (rows,), on the device."""
        (values,) = self.loss.parameters.values()
        return self.device.asarray(np.array(values, float))

    def _average(self, formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray) -> Average:
        return tilted_average(formula, beta, mean, spread, COARSE, self._widest(spread**2, 1.0))

    def _widest(self, variance: np.ndarray, scale: float) -> float:
        """A spread that none exceeds: 1 of binary inputs and weights, else a power of two, so that few rows change the others' rule."""
        if not self.machine.spherical:
            return 1.0
        spread = scale * self.device.xp.sqrt(variance)
        known = self.device.xp.where(spread < WIDEST_SPREAD, spread, 1.0)  # also where NaN
        return 2.0 ** max(0, math.ceil(math.log2(float(known.max()))))
