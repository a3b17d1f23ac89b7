"""Losses that count errors: by a margin, and by a band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gpumc.checks import keep
from gpumc.losses.base import Loss
from gpumc.ramps import parameter

#: The largest margin of either sign, and the largest width.
MOST_MARGIN = 1e6


@dataclass(frozen=True)
class ErrorCount(Loss):
    """The number of patterns with Delta < margin; at margin 0, the default, also with Delta = 0, which only silent ReLU units give.

    Parameters
    ----------
    margin : float or sequence of float
        kappa of E. Gardner, J. Phys. A 21, 257 (1988); it may be negative. It is of the output: hidden units keep their threshold 0.
    """

    margin: Any = 0.0
    kind: ClassVar[str] = "error-count"
    axes: ClassVar[tuple[str, ...]] = ("margin",)
    counts: ClassVar[bool] = True
    unit: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        wanted = f"finite numbers from {-MOST_MARGIN:g} to {MOST_MARGIN:g}"
        keep(
            self,
            margin=parameter("error-count: margin", self.margin, lambda m: abs(m) <= MOST_MARGIN, wanted, "margin"),
        )

    def values(self, stability: np.ndarray) -> np.ndarray:
        """1 for an error."""
        return self.wrong(stability) * 1.0

    def wrong(self, stability: np.ndarray) -> np.ndarray:
        """Delta < margin, and Delta = 0 where the margin is 0."""
        if isinstance(self.margin, float):
            return stability <= 0 if self.margin == 0 else stability < self.margin
        return (stability < self.margin) | ((stability == 0) & (self.margin == 0))

    @property
    def kinks(self) -> tuple:
        return (self.margin,)


@dataclass(frozen=True)
class BandCount(Loss):
    """The number of patterns with \\|Delta\\| > width: the symmetric perceptron (B. Aubin, W. Perkins, L. Zdeborova, J. Phys. A 52, 294003
    (2019)).

    Parameters
    ----------
    width : float or sequence of float
        Positive.
    """

    width: Any = 1.0
    kind: ClassVar[str] = "band-count"
    axes: ClassVar[tuple[str, ...]] = ("width",)
    counts: ClassVar[bool] = True
    unit: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        wanted = f"positive numbers up to {MOST_MARGIN:g}"
        keep(
            self,
            width=parameter("band-count: width", self.width, lambda w: (w > 0) & (w <= MOST_MARGIN), wanted, "width"),
        )

    def values(self, stability: np.ndarray) -> np.ndarray:
        """1 outside of the band."""
        return self.wrong(stability) * 1.0

    def wrong(self, stability: np.ndarray) -> np.ndarray:
        """Outside of the band."""
        return abs(stability) > self.width

    @property
    def kinks(self) -> tuple:
        return (-self.width, self.width)
