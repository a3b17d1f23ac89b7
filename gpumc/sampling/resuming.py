"""A run that was stopped goes on: which batches are finished, where the running one is, and what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

import numpy as np

from gpumc.keeping import Keeper, marked, unmarked
from gpumc.parts import Part
from gpumc.sampling.dataset import Records
from gpumc.sampling.reports import Report
from gpumc.sampling.walks import Walk
from gpumc.state import State

#: Before the names of a state's arrays, and of the records.
STATE, RECORD = "state_", "record_"


class Resuming:
    """What a run of ``part`` gives to its keeper, and takes from it at its start: the records and what was reported are filled in."""

    def __init__(self, keeper: Keeper | None, part: Part, records: Records, report: Report):
        self.keeper, self.part, self.records, self.report = keeper, part, records, report
        self.finished = np.zeros(part.size, bool)
        #: The batch whose state was kept, and the arrays of it.
        self.current: Part | None = None
        self.state: dict[str, np.ndarray] = {}
        #: Of the running batch, what there was before it: its stability counts, and the attempts reported.
        self.before: tuple[np.ndarray, int] = records.stability_counts.copy(), 0
        if keeper and "finished" in (kept := keeper.kept()):
            self._take(kept)

    def _take(self, kept: dict[str, np.ndarray]) -> None:
        for name, array in self._recorded().items():
            array[:] = kept[RECORD + name]
        self.finished[:] = kept["finished"]
        first, last, begin, end = kept["current"].tolist()
        self.current = Part((first, last), (begin, end))
        self.state = unmarked(STATE, kept)
        self.before = kept["counts_before"], int(kept["done_before"])
        self.report.done = int(kept["done"])

    def _recorded(self) -> dict[str, np.ndarray]:
        """The arrays of the records."""
        arrays = {field.name: getattr(self.records, field.name) for field in fields(self.records)}
        return {name: array for name, array in arrays.items() if array is not None}

    def left(self, batches: Iterable[Part]) -> Iterator[Part]:
        """Of ``batches`` those that are not finished, in halves until the one that was kept is among them."""
        for batch in batches:
            if self.finished[batch.within(self.part)].all():
                continue
            kept = self.finished[batch.within(self.part)].any() or (self.current and batch.overlaps(self.current))
            halves = batch.halves() if kept and batch != self.current else []
            if halves:
                yield from self.left(halves)
            else:
                yield batch

    def start(self, part: Part) -> None:
        """A batch begins, or goes on where it was kept."""
        if part != self.current:
            own = part.within(self.part)
            self.current, self.state = part, {}
            self.before = self.records.part(own).stability_counts.copy(), self.report.done

    def undo(self, part: Part) -> None:
        """A batch that did not fit begins again, in halves: what it had added to is as it was before; all else is written again."""
        self.records.part(part.within(self.part)).stability_counts[:] = self.before[0]
        self.report.done, self.current, self.state = self.before[1], None, {}

    def finish(self, part: Part) -> None:
        """A batch is done."""
        self.finished[part.within(self.part)] = True
        self.current, self.state = None, {}

    def restored(self, walk: Walk) -> State | None:
        """The state of the running batch as it was kept, None where it begins."""
        return walk.restored(self.state) if self.state else None

    def offer(self, state: State) -> None:
        """Keep ``state`` of the running batch if it is time. Raises Ended where the run is to end here."""
        if not self.keeper or not self.keeper.due():
            return
        assert self.current is not None
        self.keeper.keep(
            marked(RECORD, self._recorded())
            | marked(STATE, state.arrays())
            | {
                "finished": self.finished,
                "current": np.array([*self.current.instances, *self.current.chains]),
                "counts_before": self.before[0],
                "done_before": np.array(self.before[1]),
                "done": np.array(self.report.done),
            }
        )
