"""The measures that are sampled: Gibbs, and local entropy (replicas around a centre); and ramps of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from gpumc.checks import nearest, numbers, real, reals, whole
from gpumc.errors import ConfigError
from gpumc.losses import Loss

SCALES = ("linear", "geometric")
SPANS = ("burn_in", "run")


@dataclass(frozen=True)
class Ramp:
    """A parameter that moves with the sweeps: from ``start`` at the first sweep to ``stop`` at the last of its span.

    ``over="burn_in"`` reaches ``stop`` at the end of burn-in and stays there; ``over="run"`` at the run's last sweep.
    """

    start: float
    stop: float
    scale: str = "linear"
    over: str = "burn_in"

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ConfigError(f"ramp: scale = {self.scale!r}: {nearest(self.scale, SCALES)}")
        if self.over not in SPANS:
            raise ConfigError(f"ramp: over = {self.over!r}: {nearest(self.over, SPANS)}")
        lowest = 0 if self.scale == "linear" else np.nextafter(0, 1)
        wanted = f"a finite {'positive' if lowest else 'non-negative'} number"
        for name in ("start", "stop"):
            real(f"ramp: {name}", getattr(self, name), lambda v: lowest <= v < np.inf, wanted)

    def values(self, burn_in: int, sweeps: int) -> np.ndarray:
        """The parameter at each of the burn_in + sweeps sweeps, float64."""
        length = burn_in if self.over == "burn_in" else burn_in + sweeps
        space = np.linspace if self.scale == "linear" else np.geomspace
        moving = space(self.start, self.stop, length) if length > 1 else np.full(length, self.stop)
        return np.concatenate([moving, np.full(burn_in + sweeps - length, self.stop)])


Parameter = float | Sequence[float] | Ramp


def _checked(name: str, value: Parameter, allow_infinite: bool = False) -> Parameter:
    if isinstance(value, Ramp):
        return value
    values = numbers(name, value).astype(float)
    if values.ndim > 1 or values.size == 0 or np.any(np.isnan(values)) or np.any(values < 0):
        raise ConfigError(f"{name} = {value}: non-negative numbers are needed")
    if not allow_infinite and np.any(np.isinf(values)):
        raise ConfigError(f"{name} = {value}: finite numbers are needed")
    return float(values) if values.ndim == 0 else tuple(values.tolist())


@dataclass(frozen=True)
class Gibbs:
    """P(W) ~ exp(-beta L(W)): one replica, no centre. ``beta``: a number, several (a dimension), or a Ramp."""

    loss: Loss
    beta: Parameter
    replicas: ClassVar[int] = 1
    coupling: ClassVar[None] = None
    centre: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_loss(self.loss)
        object.__setattr__(self, "beta", _checked("beta", self.beta, allow_infinite=True))


@dataclass(frozen=True)
class LocalEntropy:
    """P(W~, W^1..W^y) ~ exp(sum_a [-beta L(W^a) - coupling d(W^a, W~)]) (Baldassi et al., PNAS 113, E7655 (2016)).

    ``centre="explicit"`` samples W~; ``"traced"`` sums it out, the replicas then attract one another through
    sum_i log 2cosh(coupling sum_a W_i^a); an array, (weights,), (instances, weights) or any shape that
    broadcasts to (instances, grid, chains, weights), of +-1 where weights are binary, is a centre that stays where it is.
    """

    loss: Loss
    beta: Parameter
    coupling: Parameter
    replicas: int
    centre: str | ArrayLike = "explicit"

    def __post_init__(self) -> None:
        check_loss(self.loss)
        object.__setattr__(self, "beta", _checked("beta", self.beta, allow_infinite=True))
        object.__setattr__(self, "coupling", _checked("coupling", self.coupling))
        whole("replicas", self.replicas, 1)
        if isinstance(self.centre, str):
            if self.centre not in ("explicit", "traced"):
                raise ConfigError(
                    f"centre = {self.centre!r}: {nearest(self.centre, ('explicit', 'traced'))}, or an array"
                )
        else:
            object.__setattr__(self, "centre", reals("centre", self.centre))


Measure = Gibbs | LocalEntropy


def check_loss(loss: object) -> None:
    """Raise ConfigError for what is no loss."""
    if not isinstance(loss, Loss):
        raise ConfigError(
            f"loss = {loss!r}: an ErrorCount(), a CrossEntropy(gamma) or a SquaredHinge(margin) is needed"
        )
