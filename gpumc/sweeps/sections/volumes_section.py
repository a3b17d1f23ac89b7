"""The section ``[volumes]``: local entropies that are measured around what a run finds."""

from __future__ import annotations

from typing import Annotated

import xarray as xr

from gpumc.machines import Machine
from gpumc.messages import BeliefPropagation
from gpumc.patterns import Patterns
from gpumc.sweeps.sections.keys import VALUES, Section
from gpumc.sweeps.sections.values import Numbers, Whole, listed, within
from gpumc.volumes import local_entropy

#: What is kept of `gpumc.local_entropy`.
KEPT = ("entropy", "entropy_bound", "log_volume", "field", "converged", "iterations", "residual")

Tolerance = Annotated[VALUES[float], within(lambda t: 0 < t < float("inf"), "a positive finite number")]  # type: ignore[valid-type]


class AroundSection(Section):
    """``[volumes]``: belief propagation around the centres, and if asked around each replica, to a tolerance of its messages."""

    distance: Annotated[Numbers, within(lambda d: 0 < d <= 0.5, "a normalised distance above 0 and at most 1/2")]
    replicas: VALUES[bool] = False  # type: ignore[valid-type]
    tolerance: Tolerance = BeliefPropagation.tolerance

    def around(self, machine: Machine, patterns: Patterns, references: xr.DataArray, device: str) -> xr.Dataset:
        """Local entropies around ``references``: what files keep of `gpumc.local_entropy`."""
        how = BeliefPropagation(tolerance=self.tolerance)
        found = local_entropy(machine, patterns, references, distance=listed(self.distance), method=how, device=device)
        return found[list(KEPT)]


class VolumesSection(AroundSection):
    """``[volumes]`` while a run samples: every so many sweeps."""

    every: Whole | None = None
