"""The file of ``gpumc flatness``, and its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpumc import flatness
from gpumc.checks import text
from gpumc.errors import ConfigError, first_line
from gpumc.machines import MACHINES, Machine
from gpumc.patterns import Patterns, load_arrays
from gpumc.schema import attributes

#: Variables that the table has, and the dimension of each beyond the weights.
COLUMNS = {
    "log_volume": "distance",
    "local_energy": "strength",
    "noisy_error_rate": "eta",
    "largest_eigenvalue": "",
    "mean_eigenvalue": "",
    "error_rate": "",
}


def read(
    path: Path, kind: str, k: int | None, weights: str | None, activation: str
) -> tuple[Machine, Patterns, np.ndarray]:
    """The machine, patterns and weights of an ``.npz`` file with the arrays ``xi``, ``labels`` and ``weights``; weights are binary where
    all are +-1, unless ``weights`` says what they are. Raises ConfigError and RunError."""
    arrays = load_arrays(path, ("xi", "labels", "weights"))
    patterns = Patterns(arrays["xi"], arrays["labels"])
    given = arrays["weights"]
    if weights is None:
        weights = "binary" if given.size and np.isin(given, (-1, 1)).all() else "spherical"
    machine_type = MACHINES[text("--machine", kind, MACHINES)]
    try:
        machine = machine_type(patterns.n, k or 1, weights, activation)
    except ConfigError as error:
        raise ConfigError(f"{path}: {first_line(error)}") from None
    return machine, patterns, given


def measured(
    machine: Machine, patterns: Patterns, weights: np.ndarray, places: dict[str, Any], **settings: Any
) -> xr.Dataset:
    """All measures of flatness, at ``places`` by name, of ``weights``, (weights,), (instances, weights) or
    (instances, references, weights); those of a single instance may be (references, weights)."""
    if weights.ndim == 2 and patterns.instances == 1 and len(weights) != 1:
        weights = weights[None]
    return flatness.summary(machine, patterns, weights, **places, **settings)


def table(data: xr.Dataset) -> xr.Dataset:
    """A column for every variable at every distance, strength and eta, over the dimensions of the weights, which are numbered."""
    columns: dict[str, xr.DataArray] = {}
    for name, dim in COLUMNS.items():
        if name not in data:
            continue
        for place in data[dim].values if dim else [None]:
            heading = name if place is None else f"{name}_at_{place:g}"
            columns[heading] = data[name] if place is None else data[name].sel({dim: place}, drop=True)
    found = xr.Dataset(columns)
    for dim in map(str, found.dims):
        found = found.assign_coords({dim: np.arange(found.sizes[dim])})
        found[dim].attrs = attributes(dim)
    return found
