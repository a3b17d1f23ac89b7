"""The section ``[volumes]``: local entropies that are measured while the sampling runs."""

from __future__ import annotations

from typing import Annotated

from gpumc.sweeps.sections.keys import VALUES, Section
from gpumc.sweeps.sections.values import Numbers, Whole, within


class VolumesSection(Section):
    """``[volumes]``: belief propagation around the centres, and if asked around each replica, every so many sweeps."""

    distance: Annotated[Numbers, within(lambda d: 0 < d <= 0.5, "a normalised distance above 0 and at most 1/2")]
    every: Whole | None = None
    replicas: VALUES[bool] = False  # type: ignore[valid-type]
