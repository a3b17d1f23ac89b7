"""Batches of a run, in halves where memory ends: estimates are right for this process alone, and others may take what was free."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gpumc.device import Device
from gpumc.parts import Part
from gpumc.sampling.dataset import Records
from gpumc.sampling.reports import Report, Watching
from gpumc.sampling.starts import Starts


@dataclass(frozen=True)
class Batches:
    """What the batches of ``part`` start from, fill and report to."""

    part: Part
    starts: Starts
    records: Records
    report: Report
    watching: Watching

    def run(
        self, device: Device, batches: Iterable[Part], batch: Callable[[Part, Starts, Records, Report, Watching], None]
    ) -> None:
        """Run ``batch`` for each of ``batches``, and for those that do not fit in halves, which have the same bits. One of which
        configurations were shown to somebody is not run again. Raises DeviceError where nothing smaller can be tried."""
        device.in_halves(batches, lambda part: self._one(part, batch), self._halves)

    def _one(self, part: Part, batch: Callable[[Part, Starts, Records, Report, Watching], None]) -> None:
        own = part.within(self.part)
        records = self.records.part(own)
        # All else is overwritten when a batch is run again.
        counts, done = records.stability_counts.copy(), self.report.done
        try:
            batch(part, self.starts.within(*own), records, self.report, self.watching)
        except MemoryError:
            records.stability_counts[:], self.report.done = counts, done
            raise

    def _halves(self, part: Part) -> list[Part]:
        return [] if part == self.watching.shown else part.halves()
