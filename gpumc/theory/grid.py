"""The parameters of a theory: those that are arrays become dimensions, as in the results of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gpumc.checks import series
from gpumc.device import Device
from gpumc.errors import ConfigError
from gpumc.losses import Loss, between, checked_values
from gpumc.measures import check_loss
from gpumc.ramps import Ramp
from gpumc.schema import Started, described, provenance

#: Where most of the theory is computed.
NUMPY = Device("numpy")
#: Stabilities at which a loss is tried.
TRIED = np.linspace(-8.0, 8.0, 641)
#: Name: the values that are allowed, and how these are called.
PARAMETERS = {
    "alpha": (lambda x: np.isfinite(x) & (x >= 0), "non-negative finite numbers"),
    "beta": (lambda x: x >= 0, "non-negative numbers"),
    "reference_beta": (lambda x: x >= 0, "non-negative numbers"),
    "coupling": (lambda x: np.isfinite(x) & (x >= 0), "non-negative finite numbers"),
    "replicas": (lambda x: x >= 1, "numbers of at least 1"),
    "distance": (lambda x: (x > 0) & (x <= 0.5), "numbers above 0, up to 1/2"),
}


@dataclass(frozen=True)
class Grid:
    """Arrays by name, one dimension each where they are arrays."""

    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, loss: Loss, **parameters: Any) -> Grid:
        """The grid of ``parameters`` and of the loss's own, which come last but for distances. Raises ConfigError."""
        check_loss(loss)
        for name, value in (parameters | loss.parameters).items():
            if isinstance(value, Ramp):
                raise ConfigError(f"theory: {name} is a ramp, and nothing moves here: a number, or several, are needed")
        values = {
            name: series(f"theory: {name}", value, *PARAMETERS[name], dim=name) for name, value in parameters.items()
        }
        distance = values.pop("distance", None)
        for name, value in loss.parameters.items():
            values[name] = series(f"theory: {name}", value, np.isfinite, "finite numbers", dim=name)
        if distance is not None:
            values["distance"] = distance
        for point in loss.points():
            _try(point)
        return cls(values)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the arrays."""
        return tuple(name for name, array in self.values.items() if array.ndim)

    @property
    def shape(self) -> tuple[int, ...]:
        """Their lengths."""
        return tuple(self.values[name].size for name in self.dims)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Every parameter at every point of the grid, (points,), the last one running fastest."""
        meshed = np.meshgrid(*(array.reshape(-1) for array in self.values.values()), indexing="ij")
        return {name: array.ravel() for name, array in zip(self.values, meshed, strict=True)}

    def losses(self, loss: Loss) -> Loss:
        """``loss`` at every point of the grid: its parameters are arrays (points,)."""
        return loss.at(**{name: self.columns[name] for name in loss.axes})

    def dataset(
        self,
        variables: Mapping[str, np.ndarray],
        *asked: Mapping[str, Any],
        started: Started,
        device: Device = NUMPY,
        stability: np.ndarray | None = None,
        densities: Mapping[str, np.ndarray] | None = None,
    ) -> xr.Dataset:
        """Variables (points,), and ``densities`` (points, stability), over the grid, with their names and what was ``asked``."""
        columns = {name: (self.dims, np.reshape(values, self.shape)) for name, values in variables.items()}
        coordinates: dict[str, Any] = {name: self.values[name] for name in self.dims}
        if densities:
            coordinates["stability"] = stability
            lead = (*self.dims, "stability")
            columns |= {name: (lead, values.reshape(*self.shape, -1)) for name, values in densities.items()}
        numbers = {name: float(array) for name, array in self.values.items() if not array.ndim}
        data = xr.Dataset(columns, coordinates, provenance(started, *asked, numbers, device=device.name))
        return described(data, *self.dims)


def _try(loss: Loss) -> None:
    """Raise ConfigError unless ``loss``, parameters being numbers, has values, and, where it counts, jumps only at its kinks."""
    values, kinks = checked_values(loss, TRIED), np.array(loss.kinks, float)
    if not loss.counts:
        return
    constant = checked_values(loss, np.array(between(tuple(kinks)), float))[np.searchsorted(kinks, TRIED)]
    jumps = TRIED[(values != constant) & ~np.isin(TRIED, kinks)]
    if jumps.size:
        raise ConfigError(
            f"theory: the loss {loss.kind!r} counts, and jumps near stability {jumps[0]:g}: its kinks must have every jump"
        )
