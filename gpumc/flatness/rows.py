"""Given weights, row by row: which patterns each sees, and back to the dimensions in which they were given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.device import to_host
from gpumc.machines import Machine, check_machine
from gpumc.patterns import Patterns, check_together
from gpumc.volumes.references import references


@dataclass(frozen=True)
class Rows:
    """``weights`` float64 (rows, weights), 0 throughout where they are no configuration, and the ``instance`` of each; ``lead`` has their
    dimensions."""

    machine: Machine
    patterns: Patterns
    weights: np.ndarray
    instance: np.ndarray
    lead: xr.DataArray

    @classmethod
    def of(cls, machine: Machine, patterns: Patterns, given: xr.DataArray | ArrayLike) -> Rows:
        """Raises ConfigError for what does not fit."""
        check_machine(machine)
        check_together(machine, patterns)
        weights, where = references(machine, patterns, given)
        return cls(machine, patterns, weights.astype(float), where["instance"].values.reshape(-1), where["reference"])

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each instance, and its row numbers that are configurations."""
        right = (self.weights != 0).any(axis=1)
        for instance in np.unique(self.instance):
            rows = np.flatnonzero(right & (self.instance == instance))
            if len(rows):
                yield int(instance), rows

    def variable(self, values: np.ndarray, *dims: str) -> tuple[tuple[str, ...], np.ndarray]:
        """``values`` (rows, ...) of ``dims`` beyond the rows, over the dimensions that were given."""
        names = tuple(str(name) for name in self.lead.dims)
        return (*names, *dims), values.reshape(*self.lead.shape, *values.shape[1:])


def error_rates(machine: Machine, weights: Any, xi: Any, labels: Any) -> np.ndarray:
    """The fraction of patterns ``xi`` (M, n) that weights (rows, weights) get wrong, (rows,), on the host; all arrays on one device."""
    outputs = machine.outputs(machine.preactivations(weights, xi))
    return to_host((outputs * labels <= 0).mean(axis=-1))


def standard_error(values: np.ndarray) -> np.ndarray:
    """Of the mean over the last axis; NaN of one value."""
    count = values.shape[-1]
    return values.std(axis=-1, ddof=1) / np.sqrt(count) if count > 1 else np.full(values.shape[:-1], np.nan)
