"""Parameters: numbers, several of them, which become a dimension of the result, or ramps that move with the sweeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.checks import keep, real, series, text
from gpumc.errors import ConfigError

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
        keep(self, scale=text("ramp: scale", self.scale, SCALES), over=text("ramp: over", self.over, SPANS))
        zero = self.scale == "linear"
        wanted = f"a finite {'non-negative' if zero else 'positive'} number"
        for name in ("start", "stop"):
            value = real(f"ramp: {name}", getattr(self, name), lambda v: 0 < v < np.inf or (zero and v == 0), wanted)
            keep(self, **{name: value})

    def __str__(self) -> str:
        return f"{self.start:g} to {self.stop:g}, {self.scale}"

    def values(self, burn_in: int, sweeps: int) -> np.ndarray:
        """The parameter at each of the burn_in + sweeps sweeps, float64."""
        length = burn_in if self.over == "burn_in" else burn_in + sweeps
        space = np.linspace if self.scale == "linear" else np.geomspace
        moving = space(self.start, self.stop, length) if length > 1 else np.full(length, self.stop)
        return np.concatenate([moving, np.full(burn_in + sweeps - length, self.stop)])


Parameter = float | Sequence[float] | Ramp


def parameter(
    name: str, value: Parameter, right: Callable[[np.ndarray], Any], wanted: str, dim: str | None = None
) -> Parameter:
    """A ramp as it is, numbers as Python's own. Raises ConfigError unless all are ``right``, which in words is ``wanted``."""
    ends = [value.start, value.stop] if isinstance(value, Ramp) else value
    try:
        values = series(name, ends, right, wanted, dim)
    except ConfigError as error:
        if isinstance(value, Ramp):
            raise ConfigError(f"a ramp's end: {error}") from None
        raise
    if isinstance(value, Ramp):
        return value
    return float(values) if values.ndim == 0 else tuple(values.tolist())


def values_of(value: Parameter | None) -> np.ndarray:
    """The values that a parameter takes, the ends of a ramp; 0 where there is none."""
    if isinstance(value, Ramp):
        return np.array([value.start, value.stop])
    return np.atleast_1d(0.0 if value is None else value)


def ramps(parameters: Mapping[str, Parameter]) -> list[Ramp]:
    """Those of ``parameters`` that change during a run."""
    return [value for value in parameters.values() if isinstance(value, Ramp)]
