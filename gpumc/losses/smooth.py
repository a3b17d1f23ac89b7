"""Losses with a slope: the cross-entropy, the squared hinge and the logarithmic barrier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import log_ndtr

from gpumc.checks import keep
from gpumc.errors import ConfigError
from gpumc.losses.base import Loss, xp_of
from gpumc.machines import Machine
from gpumc.ramps import parameter

#: The smallest and the largest gamma: below, changes of the loss drown in log(2) / (2 gamma); above, products with stabilities overflow.
GAMMAS = 1e-6, 1e50
#: The largest margin of either sign: beyond, changes of the loss drown in its square.
MOST_MARGIN = 1e6
#: The smallest and the largest cut.
CUTS = 1e-6, 1e6


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """sum over patterns of f_gamma(Delta), f_gamma(x) = log(1 + exp(-2 gamma x)) / (2 gamma).

    Parameters
    ----------
    gamma : float or sequence of float
        Positive; several become the dimension ``gamma`` of the result.
    """

    gamma: Any = 1.0
    kind: ClassVar[str] = "cross-entropy"
    axes: ClassVar[tuple[str, ...]] = ("gamma",)
    fused: ClassVar[str] = "slopes.cu"
    tilted: ClassVar[str] = "tilted.cu"

    def __post_init__(self) -> None:
        least, most = GAMMAS
        wanted = f"positive finite numbers, from {least:g} to {most:g},"
        keep(
            self,
            gamma=parameter("cross-entropy: gamma", self.gamma, lambda g: (g >= least) & (g <= most), wanted, "gamma"),
        )

    def values(self, stability: np.ndarray) -> np.ndarray:
        """f_gamma of each stability."""
        with np.errstate(under="ignore"):  # losses of what is right by far
            return xp_of(stability).logaddexp(0.0, -2 * self.gamma * stability) / (2 * self.gamma)

    def slopes(self, stability: np.ndarray) -> np.ndarray:
        """-1 / (1 + exp(2 gamma Delta)), to all digits also where it is small."""
        xp = xp_of(stability)
        with np.errstate(under="ignore"):
            return -xp.exp(-xp.logaddexp(0.0, 2 * self.gamma * stability))

    def curvatures(self, stability: np.ndarray) -> np.ndarray:
        """The second derivative."""
        slopes = self.slopes(stability)
        with np.errstate(under="ignore"):
            return -2 * self.gamma * slopes * (1 + slopes)

    @property
    def bend(self) -> Any:
        """1 / (2 gamma)."""
        return 1 / (2 * self.gamma)


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """sum over patterns of max(0, margin - Delta)^2 / 2.

    Parameters
    ----------
    margin : float or sequence of float
        Several become the dimension ``margin`` of the result.
    """

    margin: Any = 0.0
    kind: ClassVar[str] = "squared-hinge"
    axes: ClassVar[tuple[str, ...]] = ("margin",)

    def __post_init__(self) -> None:
        wanted = f"a finite number from {-MOST_MARGIN:g} to {MOST_MARGIN:g}"
        keep(
            self,
            margin=parameter("squared-hinge: margin", self.margin, lambda m: abs(m) <= MOST_MARGIN, wanted, "margin"),
        )

    def table(self, machine: Machine) -> np.ndarray:
        """As of any loss; a margin beyond every stability is refused."""
        largest = machine.possible_stabilities[-1]
        if self.margin > largest:
            raise ConfigError(
                f"squared-hinge: margin = {self.margin:g} is more than any stability of this {machine.kind}: at most {largest:.4g}"
            )
        return super().table(machine)

    def values(self, stability: np.ndarray) -> np.ndarray:
        """The loss of each stability."""
        return xp_of(stability).maximum(0.0, self.margin - stability) ** 2 / 2

    def slopes(self, stability: np.ndarray) -> np.ndarray:
        """Its derivative."""
        return -xp_of(stability).maximum(0.0, self.margin - stability)

    def curvatures(self, stability: np.ndarray) -> np.ndarray:
        """The second derivative, 1/2 where it jumps."""
        return xp_of(stability).heaviside(self.margin - stability, 0.5)

    def gaussian(self, mean: np.ndarray, spread: np.ndarray, beta: np.ndarray, scale: float) -> tuple | None:
        """Of normal variables on either side of the margin, those below with a smaller spread; over NumPy arrays."""
        stiffness, margin = beta * scale**2, self.margin / scale
        shrunk = 1 + stiffness * spread**2
        tilted_spread, tilted_mean = spread / np.sqrt(shrunk), (mean + stiffness * spread**2 * margin) / shrunk
        above = log_ndtr((mean - margin) / spread)
        below = log_ndtr((margin - tilted_mean) / tilted_spread)
        below = below - np.log(shrunk) / 2 - stiffness * (margin - mean) ** 2 / (2 * shrunk)
        log_z = np.logaddexp(above, below)
        share = np.exp(below - log_z)
        # Mean and mean square of the way to the margin on either side.
        ups, downs = _beyond(mean - margin, spread), _beyond(margin - tilted_mean, tilted_spread)
        first = (1 - share) * ups[0] - share * downs[0]
        second = (1 - share) * ups[1] + share * downs[1]
        slope = (first + margin - mean) / spread**2
        curvature = (second - first**2) / spread**4 - 1 / spread**2
        return log_z, slope, curvature, scale**2 * share * downs[1] / 2

    def proximal(self, field: np.ndarray, stiffness: float) -> np.ndarray:
        """On the way to the margin."""
        return np.where(field < self.margin, (field + stiffness * self.margin) / (1 + stiffness), field)

    @property
    def kinks(self) -> tuple:
        return (self.margin,)


@dataclass(frozen=True)
class LogBarrier(Loss):
    """sum over patterns of -log Delta for Delta >= cut, and below the line that touches it there, 1 - log cut - Delta / cut.

    Values may be negative, and beta is the only prefactor. An error is Delta <= 0. The barrier is annealed by a geometric `Ramp` of the
    cut from 1 to 1/sqrt(n), at which the worst stability of a binary machine costs about n.

    Parameters
    ----------
    cut : float or sequence of float
        Positive.
    """

    cut: Any = 0.1
    kind: ClassVar[str] = "log-barrier"
    axes: ClassVar[tuple[str, ...]] = ("cut",)
    #: Of a table of int32, which then holds the worst stability of n = 10001 inputs at cut = 1/sqrt(n), 1e4, and more.
    unit: ClassVar[float] = 2.0**-16

    def __post_init__(self) -> None:
        least, most = CUTS
        wanted = f"positive numbers, from {least:g} to {most:g},"
        keep(self, cut=parameter("log-barrier: cut", self.cut, lambda c: (c >= least) & (c <= most), wanted, "cut"))

    def values(self, stability: np.ndarray) -> np.ndarray:
        """The loss of each stability."""
        xp = xp_of(stability)
        line = 1 - xp.log(xp.asarray(self.cut)) - stability / self.cut
        return xp.where(stability >= self.cut, -xp.log(xp.maximum(stability, self.cut)), line)

    def slopes(self, stability: np.ndarray) -> np.ndarray:
        """-1 / max(Delta, cut)."""
        return -1 / xp_of(stability).maximum(stability, self.cut)

    def curvatures(self, stability: np.ndarray) -> np.ndarray:
        """1 / Delta^2 above the cut, 0 below."""
        xp = xp_of(stability)
        return xp.where(stability >= self.cut, 1 / xp.maximum(stability, self.cut) ** 2, 0.0)

    @property
    def kinks(self) -> tuple:
        return (self.cut,)


def _beyond(mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean square of a normal variable given that it is above 0."""
    x = mean / spread
    ratio = np.exp(-(x**2 + np.log(2 * np.pi)) / 2 - log_ndtr(x))
    first = mean + spread * ratio
    return first, spread**2 + mean * first
