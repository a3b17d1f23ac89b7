"""What every sampling of a population shares: parts of a run, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpumc.checks import keep, shown, whole
from gpumc.device import Device
from gpumc.errors import ConfigError

#: Told attempts done and attempts in all.
Progress = Callable[[int, int], None]
#: Told the sweeps since burn-in, the part of the run, its weights (instances, grid, chains, replicas, weights) and its centres
#: (instances, grid, chains, weights), None where there are none.
Watch = Callable[[int, "Part", np.ndarray, np.ndarray | None], None]

#: Part of the free memory that a population may take.
MEMORY_SHARE = 0.4


def fitting(device: Device, each: int, fixed: int, what: str) -> int:
    """How many pieces of ``each`` bytes should be held at once beside ``fixed`` bytes: at least 1. Raises DeviceError where not even one of
    them, which is ``what``, can be."""
    device.need(fixed + each, what)
    return max(1, int(MEMORY_SHARE * device.free_memory() - fixed) // each)


@dataclass(frozen=True)
class Part:
    """Some instances and chains of a run, as half-open ranges: they get the same bits as in the whole."""

    instances: tuple[int, int]
    chains: tuple[int, int]

    def __post_init__(self) -> None:
        keep(self, instances=_range("part: instances", self.instances), chains=_range("part: chains", self.chains))

    @property
    def size(self) -> tuple[int, int]:
        return self.instances[1] - self.instances[0], self.chains[1] - self.chains[0]

    def halves(self) -> list[Part]:
        """Two parts that together are this one, of fewer chains or, where it has one, of fewer instances; none where it has one of each."""
        (i0, i1), (c0, c1) = self.instances, self.chains
        i, c = (i0 + i1) // 2, (c0 + c1) // 2
        if c > c0:
            return [Part(self.instances, (c0, c)), Part(self.instances, (c, c1))]
        return [Part((i0, i), self.chains), Part((i, i1), self.chains)] if i > i0 else []

    def within(self, run: Part) -> tuple[slice, slice]:
        """Its instances and chains, counted in that of a ``run``."""
        i, c = run.instances[0], run.chains[0]
        return slice(self.instances[0] - i, self.instances[1] - i), slice(self.chains[0] - c, self.chains[1] - c)

    def check(self, instances: int, chains: int) -> None:
        """Raise ConfigError where a run has fewer ``instances`` or ``chains``."""
        for name, (_, last), most in (("instances", self.instances, instances), ("chains", self.chains, chains)):
            if last > most:
                raise ConfigError(f"part: {name} go to {last}, and the run has {most}")


def _range(name: str, ends: object) -> tuple[int, int]:
    if not isinstance(ends, (tuple, list)) or len(ends) != 2:
        raise ConfigError(f"{name} = {shown(ends)}: the first, and one past the last, are needed, such as (0, 4)")
    first = whole(name, ends[0], 0)
    return first, whole(name, ends[1], first + 1)


class Report:
    """Adds up attempts for a progress callback."""

    def __init__(self, callback: Progress | None, total: int):
        self.callback, self.total, self.done = callback, total, 0

    def add(self, attempts: int) -> None:
        self.done += attempts
        if self.callback:
            self.callback(self.done, self.total)


@dataclass
class Watching:
    """Who is shown the configurations, and after how many sweeps each time; and of which part they were ``shown`` last."""

    callback: Watch | None
    every: int
    shown: Part | None = None

    def due(self, sweeps: int) -> bool:
        """Whether, after so many sweeps since burn-in, it is time."""
        return self.callback is not None and sweeps > 0 and sweeps % self.every == 0

    def show(self, sweeps: int, part: Part, weights: np.ndarray, centre: np.ndarray | None) -> None:
        """Show the configurations, which are on the host."""
        self.shown = part
        self.callback(sweeps, part, weights, centre)  # type: ignore[misc]
