"""The parameters of a theory: those that are arrays become dimensions, as in the results of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc import schema
from gpumc.checks import series
from gpumc.errors import ConfigError
from gpumc.losses import Loss, checked_values
from gpumc.measures import check_loss
from gpumc.ramps import Ramp
from gpumc.theory.factors import between
from gpumc.theory.limits import Limit

#: Stabilities at which a loss is tried.
TRIED = np.linspace(-8.0, 8.0, 641)
#: Name: long name, the values that are allowed, and how these are called.
PARAMETERS = {
    "alpha": ("alpha, patterns per weight", lambda x: np.isfinite(x) & (x >= 0), "non-negative finite numbers"),
    "beta": ("inverse temperature beta", lambda x: x >= 0, "non-negative numbers"),
    "reference_beta": ("inverse temperature of the reference", lambda x: x >= 0, "non-negative numbers"),
    "coupling": ("coupling to the centre", lambda x: np.isfinite(x) & (x >= 0), "non-negative finite numbers"),
    "replicas": ("replicas y", lambda x: x >= 1, "numbers of at least 1"),
    "distance": ("distance D", lambda x: (x > 0) & (x <= 0.5), "numbers above 0, up to 1/2"),
}
LONG_NAMES = {
    "free_entropy": "free entropy per weight",
    "entropy": "entropy per weight",
    "entropy_bound": "entropy per weight at this distance without patterns",
    "log_volume": "entropy per weight less its bound",
    "energy_per_pattern": "mean loss of a pattern",
    "error_rate": "fraction of patterns in error",
    "overlap": "overlap q of two configurations",
    "overlap_replicas": "overlap of two replicas",
    "overlap_centre": "overlap of a replica and its centre",
    "overlap_others": "overlap of two replicas around different centres",
    "overlap_references": "overlap of a configuration and another reference",
    "local_entropy": "entropy of one replica given its centre, per weight",
    "external_entropy": "entropy of centres, per weight",
    "distance_centre": "distance of a replica and its centre",
    "field": "field toward the reference",
    "replicon": "replicon eigenvalue, negative where replica symmetry is broken",
    "beta_frozen": "beta of zero entropy, which stands for beta = inf",
    "stable": "whether replica symmetry is stable",
    "quadrature_error": "error of the free entropy by quadrature",
    "converged": "whether there is an answer",
    "residual": "largest change of an order parameter in a last iteration",
    "iterations": "iterations made",
}


@dataclass(frozen=True)
class Grid:
    """Arrays by name, one dimension each where they are arrays."""

    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, loss: Loss, **parameters: ArrayLike) -> Grid:
        """The grid of ``parameters`` and of the loss's own, which come last but for distances. Raises ConfigError."""
        check_loss(loss)
        values = {
            name: series(f"theory: {name}", value, *PARAMETERS[name][1:], dim=name)
            for name, value in parameters.items()
        }
        distance = values.pop("distance", None)
        for name, value in loss.parameters.items():
            if name in PARAMETERS:
                raise ConfigError(
                    f"theory: the loss {loss.kind!r} has a parameter {name!r}, as the theory has: rename it"
                )
            if isinstance(value, Ramp):
                raise ConfigError(f"theory: {name} is a ramp, and nothing moves here: a number, or several, are needed")
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

    def variable(self, values: np.ndarray, dim: str | None = None, long_name: str = "") -> xr.Variable:
        """Values (points, ...) over the grid's dimensions, and ``dim`` behind."""
        dims = (*self.dims, *([dim] if dim else ()))
        return xr.Variable(
            dims, np.reshape(values, (*self.shape, *np.shape(values)[1:])), {"long_name": long_name, "units": "1"}
        )

    def dataset(self, variables: Mapping[str, np.ndarray], limit: Limit, loss: Loss) -> xr.Dataset:
        """Variables (points,) over the grid, with coordinates, names and what they are of."""
        data = xr.Dataset({name: self.variable(values, None, LONG_NAMES[name]) for name, values in variables.items()})
        for name in self.dims:
            data = data.assign_coords({name: (name, self.values[name], {"long_name": _long_name(name), "units": "1"})})
        data.attrs = {
            "machine": limit.kind,
            "weights": limit.weights,
            "k": limit.k,
            "loss": loss.kind,
            **({"activation": limit.activation} if limit.kind != "perceptron" else {}),
            **{name: float(array) for name, array in self.values.items() if not array.ndim},
        }
        return data


def _long_name(name: str) -> str:
    return PARAMETERS[name][0] if name in PARAMETERS else schema.PARAMETERS.get(name, name)


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
