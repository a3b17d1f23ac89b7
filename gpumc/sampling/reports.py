"""What every sampling of a population shares: how much of it is held at once, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpumc.device import Device
from gpumc.parts import Part

if TYPE_CHECKING:
    from gpumc.sampling.dataset import Records

#: Told attempts done and in all, and what is being done: "burn-in" or "sampling".
Progress = Callable[[int, int, str], None]
#: Told the sweeps since burn-in, the part of the run, its weights (instances, grid, chains, replicas, weights) and its centres
#: (instances, grid, chains, weights), None where there are none.
Watch = Callable[[int, Part, np.ndarray, np.ndarray | None], None]

#: Part of the free memory that a population may take.
MEMORY_SHARE = 0.4


def fitting(device: Device, each: int, fixed: int, what: str) -> int:
    """How many pieces of ``each`` bytes should be held at once beside ``fixed`` bytes: at least 1. Raises DeviceError where not even one of
    them, which is ``what``, can be."""
    device.need(fixed + each, what)
    return max(1, int(MEMORY_SHARE * device.free_memory() - fixed) // each)


class Report:
    """Adds up attempts for a progress callback."""

    def __init__(self, callback: Progress | None, total: int):
        self.callback, self.total, self.done = callback, total, 0

    def add(self, attempts: int, doing: str) -> None:
        self.done += attempts
        if self.callback:
            self.callback(self.done, self.total, doing)


@dataclass
class Watching:
    """Who is shown the configurations, and after how many sweeps each time; and of which part they were ``shown`` last."""

    callback: Watch | None
    every: int
    shown: Part | None = None

    def due(self, sweeps: int) -> bool:
        """Whether, after so many sweeps since burn-in, it is time."""
        return self.callback is not None and sweeps > 0 and sweeps % self.every == 0

    def show(self, sweeps: int, part: Part, records: Records) -> None:
        """Show copies of the configurations in ``records``."""
        self.shown = part
        centre = None if records.centre is None else records.centre.copy()
        self.callback(sweeps, part, records.weights.copy(), centre)  # type: ignore[misc]
