"""The section ``[flatness]``: errors under noise and Hessians of what a run learns (`gpumc.flatness.summary`)."""

from __future__ import annotations

from typing import Annotated, Any

from gpumc.flatness.perturbations import MOST_FLIPPED
from gpumc.losses.smooth import GAMMAS
from gpumc.machines import SLOPES, STEEPNESS, Machine
from gpumc.sweeps.sections.keys import VALUES, Section
from gpumc.sweeps.sections.values import Numbers, listed, within

Strengths = Annotated[Numbers, within(lambda s: 0 <= s < float("inf"), "a finite number of at least 0")]
Gamma = Annotated[VALUES[float], within(lambda g: GAMMAS[0] <= g <= GAMMAS[1], "a positive finite number")]  # type: ignore[valid-type]
Slope = Annotated[VALUES[float], within(lambda s: SLOPES[0] <= s <= SLOPES[1], STEEPNESS)]  # type: ignore[valid-type]


class FlatnessSection(Section):
    """Strengths of the noise of weights and of inputs, and of the Hessian gamma of the loss, the slope of hidden units, and whether all
    its eigenvalues are computed."""

    strength: Strengths = (0.1, 0.2, 0.3)
    eta: Strengths = (0.5, 1.0, 2.0)
    gamma: Gamma = 1.0
    slope: Slope = 1.0
    full: VALUES[bool] = False  # type: ignore[valid-type]

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of `gpumc.flatness.summary`."""
        method = "full" if self.full else "lanczos"
        given = {"strength": listed(self.strength), "eta": listed(self.eta), "gamma": self.gamma, "slope": self.slope}
        return given | {"method": method}

    def misfits(self, machine: Machine) -> list[str]:
        """What is wrong between the section and ``machine``."""
        largest = max(listed(self.strength))
        if machine.continuous or largest <= MOST_FLIPPED:
            return []
        return [
            f"[flatness] strength = {largest:g}: of binary weights it is the fraction that is flipped, at most {MOST_FLIPPED:g}"
        ]
