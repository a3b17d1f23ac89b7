"""The section ``[volumes]``: local entropies that are measured around what a run finds."""

from __future__ import annotations

from typing import Annotated

from gpumc.sweeps.sections.keys import VALUES, Section
from gpumc.sweeps.sections.values import Numbers, Whole, within


class AroundSection(Section):
    """``[volumes]``: belief propagation around the centres, and if asked around each replica."""

    distance: Annotated[Numbers, within(lambda d: 0 < d <= 0.5, "a normalised distance above 0 and at most 1/2")]
    replicas: VALUES[bool] = False  # type: ignore[valid-type]


class VolumesSection(AroundSection):
    """``[volumes]`` while a run samples: every so many sweeps."""

    every: Whole | None = None
