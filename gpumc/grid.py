"""The grid of parameters: those that are several numbers become dimensions, in the order of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.errors import ConfigError
from gpumc.losses import Loss
from gpumc.measures import Measure
from gpumc.ramps import Ramp
from gpumc.schema import dims_in_order


@dataclass(frozen=True)
class Grid:
    """Parameters by name, in the order of the dimensions: numbers, tuples of numbers, ramps, or None where there is none. Grid points are
    numbered with the last dimension fastest."""

    parameters: dict[str, Any]

    @classmethod
    def of(cls, measure: Measure) -> Grid:
        """beta, the loss's own parameters, and the coupling (None where there is none)."""
        return cls.ordered(measure.parameters | {"coupling": measure.coupling})

    @classmethod
    def ordered(cls, parameters: Mapping[str, Any]) -> Grid:
        """The grid of ``parameters`` in any order."""
        return cls({name: parameters[name] for name in dims_in_order(parameters)})

    @property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """The parameters that are several numbers."""
        return {name: value for name, value in self.parameters.items() if isinstance(value, tuple)}

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(self.axes)

    @property
    def coordinates(self) -> dict[str, np.ndarray]:
        """The values along each axis."""
        return {name: np.array(values) for name, values in self.axes.items()}

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def size(self) -> int:
        """The number of grid points."""
        return int(np.prod(self.shape, dtype=int))

    def column(self, name: str) -> np.ndarray:
        """A parameter at every grid point: float64 (size,)."""
        value = self.parameters[name]
        if not isinstance(value, tuple):
            return np.full(self.size, 0.0 if value is None else float(value))
        return np.array(value)[np.indices(self.shape).reshape(len(self.shape), -1)[self.dims.index(name)]]

    def losses(self, loss: Loss) -> Loss:
        """``loss`` at every grid point: its parameters are arrays (size,)."""
        return loss.at(**{name: self.column(name) for name in loss.axes})

    def check_constant(self, where: str) -> None:
        """Raise ConfigError where a parameter moves, which ``where`` has no sweeps for."""
        for name, value in self.parameters.items():
            if isinstance(value, Ramp):
                raise ConfigError(
                    f"{where}: {name} is a ramp, and nothing moves here: a number, or several, are needed"
                )

    def values(self, name: str, burn_in: int, sweeps: int, length: int) -> np.ndarray:
        """A parameter in every sweep of a run: float64 (length, size); ``length`` is 1 where nothing moves."""
        value = self.parameters[name]
        column = value.values(burn_in, sweeps)[:, None] if isinstance(value, Ramp) else self.column(name)
        return np.broadcast_to(column, (length, self.size))  # one row or column in memory


def distinct_points(*coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different points in arrays of coordinates (points,), sorted, (different, coordinates), and the number of each point in them.

    ``np.unique`` along an axis compares structured arrays, and there NumPy turns an interrupt into a TypeError.
    """
    points = np.stack(coordinates, axis=1)
    order = np.lexsort(points.T[::-1])
    sorted_points = points[order]
    first = np.ones(len(points), bool)
    first[1:] = (sorted_points[1:] != sorted_points[:-1]).any(axis=1)
    number = np.empty(len(points), int)
    number[order] = np.cumsum(first) - 1
    return sorted_points[first], number
