"""Batches of a run, in halves where memory ends: estimates are right for this process alone, and others may take what was free."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gpumc.device import Device
from gpumc.parts import Part
from gpumc.sampling.dataset import Records
from gpumc.sampling.reports import Report, Watching
from gpumc.sampling.resuming import Resuming
from gpumc.sampling.starts import Starts

#: Does one batch.
Batch = Callable[[Part, Starts, Records, Report, Watching, Resuming], None]


@dataclass(frozen=True)
class Batches:
    """What the batches of ``part`` start from, or go on from, fill and report to."""

    part: Part
    starts: Starts
    records: Records
    report: Report
    watching: Watching
    resuming: Resuming

    def run(self, device: Device, batches: Iterable[Part], batch: Batch) -> None:
        """Run ``batch`` for each of ``batches``, and for those that do not fit in halves, which have the same bits. One of which
        configurations were shown to somebody is not run again. Raises DeviceError where nothing smaller can be tried."""
        device.in_halves(self.resuming.left(batches), lambda part: self._one(part, batch), self._halves)

    def _one(self, part: Part, batch: Batch) -> None:
        own = part.within(self.part)
        self.resuming.start(part)
        try:
            batch(part, self.starts.within(*own), self.records.part(own), self.report, self.watching, self.resuming)
        except MemoryError:
            self.resuming.undo(part)
            raise
        self.resuming.finish(part)

    def _halves(self, part: Part) -> list[Part]:
        return [] if part == self.watching.shown else part.halves()
