"""The grid of a measure's parameters: those that are several numbers become dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.measures import Measure
from gpumc.ramps import Ramp
from gpumc.schema import ordered


@dataclass(frozen=True)
class Grid:
    """The parameters of a measure by name, in the order of the dimensions; grid points are numbered with the last one fastest."""

    parameters: dict[str, Any]

    @classmethod
    def of(cls, measure: Measure) -> Grid:
        """beta, the loss's own parameters, and the coupling (None where there is none)."""
        given = measure.parameters | {"coupling": measure.coupling}
        return cls({name: given[name] for name in ordered(given)})

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """The parameters that are several numbers."""
        return {name: value for name, value in self.parameters.items() if isinstance(value, tuple)}

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def size(self) -> int:
        """The number of grid points."""
        return int(np.prod(self.shape, dtype=int))

    def values(self, name: str, burn_in: int, sweeps: int, length: int) -> np.ndarray:
        """A parameter in every sweep of a run: float64 (length, size); ``length`` is 1 where nothing moves."""
        value = self.parameters[name]
        if isinstance(value, Ramp):
            moving = value.values(burn_in, sweeps)[:, None]
            return np.broadcast_to(moving, (length, self.size))  # one column in memory
        if not isinstance(value, tuple):
            return np.broadcast_to(0.0 if value is None else float(value), (length, self.size))
        places = np.indices(self.shape).reshape(len(self.shape), -1)[list(self.axes).index(name)]
        return np.broadcast_to(np.array(value)[places], (length, self.size))
