"""All problems of a call as one grid: references and parameters broadcast against each other by the names of their dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from gpumc.checks import series
from gpumc.errors import ConfigError
from gpumc.grid import Grid, distinct_points
from gpumc.losses import Loss
from gpumc.measures import Gibbs
from gpumc.ramps import Parameter, values_of

#: What is told of a problem beside its reference: these run fastest.
LAST = ("distance", "field")


@dataclass(frozen=True)
class ProblemGrid:
    """Arrays by name, all of the same dimensions, the first of which is ``instance``: of every problem, its ``instance`` (a
    place in the patterns), ``beta``, the parameters of the loss, and, around references, ``reference`` (a row) and ``distance`` or
    ``field``."""

    arrays: dict[str, xr.DataArray]

    @classmethod
    def of(cls, measure: Gibbs, **places: xr.DataArray) -> ProblemGrid:
        """The problems at ``places`` ("instance" first; then what runs slowest), every parameter of ``measure``. Raises ConfigError."""
        parameters = Grid.ordered(measure.parameters)
        parameters.check_constant("entropies")
        if not measure.loss.counts and np.any(np.isinf(values_of(measure.beta))):
            raise ConfigError(
                f"beta = inf is for losses that count errors: the loss {measure.loss.kind!r} needs a finite beta, such as beta = 5.0"
            )
        arrays = {name: array for name, array in places.items() if name not in LAST}
        arrays |= {name: _parameter(name, value) for name, value in parameters.parameters.items()}
        arrays |= {name: array for name, array in places.items() if name in LAST}
        try:
            placed = xr.align(*arrays.values(), join="exact", copy=False)
        except ValueError:
            raise ConfigError(
                "the reference has a dimension of the name of a parameter, and other values along it: give both the same ones"
            ) from None
        return cls(dict(zip(arrays, xr.broadcast(*placed), strict=True)))

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions."""
        return tuple(str(dim) for dim in self.arrays["instance"].dims)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""
        return self.arrays["instance"].shape

    @property
    def size(self) -> int:
        """The number of problems."""
        return self.arrays["instance"].size

    @property
    def coords(self) -> dict:
        """Coordinates that every array has."""
        return dict(self.arrays["instance"].coords)

    def flat(self, name: str) -> np.ndarray:
        """An array in the order of all problems, instance by instance."""
        return np.ascontiguousarray(self.arrays[name].values).reshape(-1)

    def losses(self, loss: Loss) -> Loss:
        """``loss`` at every problem: its parameters are arrays (problems,)."""
        return loss.at(**{name: self.flat(name) for name in loss.axes})

    def curves(self) -> np.ndarray:
        """The number of the curve of every problem: those of a curve share their reference, or instance, their beta and loss."""
        start = "reference" if "reference" in self.arrays else "instance"
        names = [start, *(name for name in self.arrays if name not in ("instance", "reference", *LAST))]
        return distinct_points(*(self.flat(name) for name in names))[1]


def _parameter(name: str, values: Parameter) -> xr.DataArray:
    """A number, or the dimension that a list of numbers makes. Raises ConfigError for what is no number, but inf for beta."""
    array = series(name, values, lambda v: np.isfinite(v) | (name == "beta"), "finite numbers")
    return xr.DataArray(array, {name: array} if array.ndim else {}, [name] if array.ndim else [])
