"""The parameters of a theory: those that are arrays become dimensions, as in the results of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from gpumc.checks import series
from gpumc.device import Device
from gpumc.errors import ConfigError
from gpumc.grid import Grid
from gpumc.losses import Loss, between, checked_values
from gpumc.measures import check_loss
from gpumc.schema import Started, described, provenance

#: Where most of the theory is computed.
NUMPY = Device("numpy")
#: Stabilities at which a loss is tried.
TRIED_STABILITIES = np.linspace(-8.0, 8.0, 641)
#: Name: the values that are allowed, and how these are called.
PARAMETERS = {
    "alpha": (lambda x: np.isfinite(x) & (x >= 0), "non-negative finite numbers"),
    "beta": (lambda x: x >= 0, "non-negative numbers"),
    "reference_beta": (lambda x: x >= 0, "non-negative numbers"),
    "coupling": (lambda x: np.isfinite(x) & (x >= 0), "non-negative finite numbers"),
    "replicas": (lambda x: x >= 1, "numbers of at least 1"),
    "distance": (lambda x: (x > 0) & (x <= 0.5), "numbers above 0, up to 1/2"),
}


def theory_grid(loss: Loss, **parameters: Any) -> Grid:
    """The grid of ``parameters`` and of the loss's own. Raises ConfigError for values that are not allowed."""
    check_loss(loss)
    Grid(parameters | loss.parameters).check_constant("theory")
    arrays = {name: series(f"theory: {name}", value, *PARAMETERS[name], dim=name) for name, value in parameters.items()}
    for name, value in loss.parameters.items():
        arrays[name] = series(f"theory: {name}", value, np.isfinite, "finite numbers", dim=name)
    for point in loss.points():
        _try(point)
    return Grid.ordered({name: tuple(array.tolist()) if array.ndim else float(array) for name, array in arrays.items()})


def dataset(
    grid: Grid,
    variables: Mapping[str, np.ndarray],
    *asked: Mapping[str, Any],
    started: Started,
    device: Device = NUMPY,
    stability: np.ndarray | None = None,
    densities: Mapping[str, np.ndarray] | None = None,
) -> xr.Dataset:
    """Variables (points,), and ``densities`` (points, stability), over the grid, with their names and what was ``asked``."""
    columns = {name: (grid.dims, np.reshape(values, grid.shape)) for name, values in variables.items()}
    coordinates: dict[str, Any] = dict(grid.coordinates)
    if densities:
        coordinates["stability"] = stability
        lead = (*grid.dims, "stability")
        columns |= {name: (lead, values.reshape(*grid.shape, -1)) for name, values in densities.items()}
    numbers = {name: value for name, value in grid.parameters.items() if name not in grid.dims}
    data = xr.Dataset(columns, coordinates, provenance(started, *asked, numbers, device=device.name))
    return described(data, *grid.dims)


def _try(loss: Loss) -> None:
    """Raise ConfigError unless ``loss``, parameters being numbers, has values, and, where it counts, jumps only at its kinks."""
    values, kinks = checked_values(loss, TRIED_STABILITIES), np.array(loss.kinks, float)
    if not loss.counts:
        return
    constant = checked_values(loss, np.array(between(tuple(kinks)), float))[np.searchsorted(kinks, TRIED_STABILITIES)]
    jumps = TRIED_STABILITIES[(values != constant) & ~np.isin(TRIED_STABILITIES, kinks)]
    if jumps.size:
        raise ConfigError(
            f"theory: the loss {loss.kind!r} counts, and jumps near stability {jumps[0]:g}: its kinks must have every jump"
        )
