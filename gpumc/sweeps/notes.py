"""How far the running tasks are: told to whoever watches, and noted in the folder for `gpumc status`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple

from gpumc.errors import RunError
from gpumc.sweeps.folder import Progress, RunFolder

#: Seconds between two notes in the folder.
NOTE_EVERY = 2.0


class Running(NamedTuple):
    """A task of a run of so many ``tasks``, units of its work done and in all, and who does it: a worker, or the device of this process.

    ``phase`` is "running", "finished" (its shard is there), or "waiting" (it stopped, and goes on from its checkpoint elsewhere).
    ``doing`` says in words what it does while it runs; ``done`` is None while that is none of its units of work.
    """

    worker: str
    task: int
    tasks: int
    done: int | None
    total: int
    phase: str = "running"
    doing: str = ""


Report = Callable[[Running], None]


class Notes:
    """Tells ``report`` of all tasks of a run, and notes those that run and those that are finished in the folder."""

    def __init__(self, folder: RunFolder, report: Report):
        self.folder, self.report = folder, report
        self.noted = time.monotonic()
        self.begun: dict[int, tuple[float, int]] = {}
        self.running: dict[int, Running] = {}
        self.retries = folder.retries()
        self.journal = folder.journal

    def told(self, running: Running) -> None:
        """A task runs, has finished or waits."""
        if running.phase == "running":
            now = time.monotonic()
            self.running[running.task] = running
            if running.done is not None:
                self.begun.setdefault(running.task, (now, running.done))
            if now - self.noted > NOTE_EVERY and (known := self._progress(now)):
                self.noted = now
                with contextlib.suppress(RunError):  # a disk that is full now may not be when the shard is written
                    self.folder.write_progress(known)
        else:
            self.running.pop(running.task, None)
            self.begun.pop(running.task, None)
        self.report(running)

    def retried(self, task: int) -> None:
        """The worker of a task was lost, and another one began it again: counted in the folder."""
        self.begun.pop(task, None)
        self.retries[task] = self.retries.get(task, 0) + 1
        self.folder.write_retries(self.retries)

    def _progress(self, now: float) -> list[Progress]:
        """Of the tasks that measure, and those of which a rate is known."""
        found = []
        for task, running in self.running.items():
            rate = None
            if running.done is not None:
                begun, before = self.begun[task]
                if running.done <= before or now <= begun:
                    continue
                rate = (running.done - before) / (now - begun)
            found.append(Progress(running.worker, task, running.done or 0, running.total, rate, running.doing))
        return found
