"""Losses: a sum over patterns of a function of the stability, of binary machines kept as exact integers.

There an energy is an int64 multiple of the loss's ``unit`` (1 for error counts, 2^-20 for the cross-entropy), so that it does
not depend on the order in which patterns are summed. Of real weights it is a float64 sum of ``values``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpumc.checks import keep, real, series
from gpumc.device import array_module
from gpumc.errors import ConfigError
from gpumc.machines import Machine

#: The fixed point of energies that are not counts.
FIXED_POINT = 2.0**-20
#: The smallest and the largest gamma: below, changes of the loss drown in log(2) / (2 gamma); above, products with stabilities overflow.
GAMMAS = 1e-6, 1e50
#: The largest margin of either sign: beyond, changes of the loss drown in its square.
MOST_MARGIN = 1e6


@dataclass(frozen=True)
class ErrorCount:
    """The number of patterns with Delta < 0, or Delta = 0, which only silent ReLU units give."""

    kind: ClassVar[str] = "error-count"
    unit: ClassVar[float] = 1.0
    gamma: ClassVar[None] = None

    def tables(self, machine: Machine) -> np.ndarray:
        """The loss of a pattern at each readout -r, -r + 2, ..., r: int64 (1, r + 1), in units of ``unit``."""
        return wrong(_readouts(machine)).astype(np.int64)[None, :]

    def values(self, stability: np.ndarray, gamma: np.ndarray | float = 0.0) -> np.ndarray:
        """The loss of each real stability: 1 for an error."""
        return wrong(stability).astype(stability.dtype)


@dataclass(frozen=True)
class CrossEntropy:
    """sum over patterns of f_gamma(Delta), f_gamma(x) = log(1 + exp(-2 gamma x)) / (2 gamma).

    ``gamma`` is one positive number or several; several become the dimension ``gamma`` of the result.
    """

    gamma: float | Sequence[float] = 1.0
    kind: ClassVar[str] = "cross-entropy"
    unit: ClassVar[float] = FIXED_POINT

    def __post_init__(self) -> None:
        least, most = GAMMAS
        wanted = f"positive finite numbers, from {least:g} to {most:g},"
        values = series("cross-entropy: gamma", self.gamma, lambda g: (g >= least) & (g <= most), wanted, "gamma")
        keep(self, gamma=float(values) if values.ndim == 0 else tuple(values.tolist()))

    def tables(self, machine: Machine) -> np.ndarray:
        """The loss of a pattern at each readout -r, -r + 2, ..., r for each gamma: int64 (gammas, r + 1), in units of 2^-20."""
        stability = _readouts(machine) * machine.stability_scale
        values = [self.values(stability, g) for g in np.atleast_1d(self.gamma)]
        return _fixed_point(
            np.array(values), f"cross-entropy: gamma = {np.min(self.gamma):g}", machine, "a larger gamma"
        )

    def values(self, stability: np.ndarray, gamma: np.ndarray | float) -> np.ndarray:
        """f_gamma of each real stability."""
        with np.errstate(under="ignore"):  # losses of what is right by far
            return array_module(stability).logaddexp(0.0, -2 * gamma * stability) / (2 * gamma)

    def slopes(self, stability: np.ndarray, gamma: np.ndarray | float) -> np.ndarray:
        """The derivative of f_gamma at each real stability, -1 / (1 + exp(2 gamma Delta)), to all digits also where it is small."""
        xp = array_module(stability)
        with np.errstate(under="ignore"):
            return -xp.exp(-xp.logaddexp(0.0, 2 * gamma * stability))

    def curvatures(self, stability: np.ndarray, gamma: np.ndarray | float) -> np.ndarray:
        """The second derivative."""
        slopes = self.slopes(stability, gamma)
        with np.errstate(under="ignore"):
            return -2 * gamma * slopes * (1 + slopes)


@dataclass(frozen=True)
class SquaredHinge:
    """sum over patterns of max(0, margin - Delta)^2 / 2."""

    margin: float = 0.0
    kind: ClassVar[str] = "squared-hinge"
    unit: ClassVar[float] = FIXED_POINT
    gamma: ClassVar[None] = None

    def __post_init__(self) -> None:
        wanted = f"a finite number from {-MOST_MARGIN:g} to {MOST_MARGIN:g}"
        keep(self, margin=real("squared-hinge: margin", self.margin, lambda m: abs(m) <= MOST_MARGIN, wanted))

    def tables(self, machine: Machine) -> np.ndarray:
        """The loss of a pattern at each readout -r, -r + 2, ..., r: int64 (1, r + 1), in units of 2^-20."""
        stability = _readouts(machine) * machine.stability_scale
        if self.margin > stability[-1]:
            raise ConfigError(
                f"squared-hinge: margin = {self.margin:g} is more than any stability of this {machine.kind}: at most {stability[-1]:.4g}"
            )
        values = self.values(stability)
        return _fixed_point(values[None, :], f"squared-hinge: margin = {self.margin:g}", machine, "a smaller machine")

    def values(self, stability: np.ndarray, gamma: np.ndarray | float = 0.0) -> np.ndarray:
        """The loss of each real stability."""
        return array_module(stability).maximum(0.0, self.margin - stability) ** 2 / 2

    def slopes(self, stability: np.ndarray, gamma: np.ndarray | float = 0.0) -> np.ndarray:
        """Its derivative."""
        return -array_module(stability).maximum(0.0, self.margin - stability)

    def curvatures(self, stability: np.ndarray, gamma: np.ndarray | float = 0.0) -> np.ndarray:
        """The second derivative, 1/2 where it jumps."""
        return array_module(stability).heaviside(self.margin - stability, 0.5)


def wrong(stability: np.ndarray) -> np.ndarray:
    """Whether stabilities are errors: Delta < 0, and Delta = 0, which only silent ReLU units give."""
    return stability <= 0


Loss = ErrorCount | CrossEntropy | SquaredHinge

#: Every loss by the name that a config gives it.
LOSSES: dict[str, type[Loss]] = {loss.kind: loss for loss in (ErrorCount, CrossEntropy, SquaredHinge)}


def _readouts(machine: Machine) -> np.ndarray:
    return np.arange(-machine.largest_readout, machine.largest_readout + 1, 2)


def _fixed_point(values: np.ndarray, what: str, machine: Machine, remedy: str) -> np.ndarray:
    """Losses in units of 2^-20. Raises ConfigError where a table of int32 would not hold them."""
    table = np.rint(values / FIXED_POINT).astype(np.int64)
    if table.max() >= 2**31:
        raise ConfigError(
            f"{what} at n = {machine.n} gives a loss of {values.max():.3g} for one pattern: the fixed-point table holds less than "
            f"2048, use {remedy}"
        )
    return table
