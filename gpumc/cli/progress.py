"""How far a run is: bars on a terminal or in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpumc.sweeps.folder import RunFolder
    from gpumc.sweeps.notes import Running

#: Seconds between lines of progress where there is no terminal.
LINE_EVERY = 10.0


class Made:
    """What is made of a run of tasks of these ``sizes``, the units of work of each, and how long the rest takes.

    ``now`` gives the seconds of a clock.
    """

    def __init__(self, sizes: list[int], now: Callable[[], float] = time.monotonic):
        self.sizes, self.now, self.started = sizes, now, now()
        #: Units in all, units that are done, and these by task.
        self.total, self.done = sum(sizes), 0
        self.of_task: dict[int, int] = {}
        #: What is measured beside the work, by task.
        self.measured: dict[int, str] = {}

    def add(self, note: Running) -> None:
        """Take what a task says in the place of what it said before."""
        self.measured.pop(note.task, None)
        if note.done is None:
            self.measured[note.task] = note.doing
            return
        # A run that learns may end before all of its units are done.
        done = self.sizes[note.task] if note.phase == "finished" else note.done
        self.done += done - self.of_task.get(note.task, 0)
        self.of_task[note.task] = done

    @property
    def rate(self) -> float:
        """Units a second, measurements included."""
        return self.done / max(self.now() - self.started, 1e-9)

    @property
    def left(self) -> str:
        """How long the rest takes, in words: the work at the rate so far; what is being measured has none."""
        measuring = sum(self.sizes[task] - self.of_task.get(task, 0) for task in self.measured)
        work = self.total - self.done - measuring
        if work and not self.done:
            return "time left unknown"
        return left_in_words(work / self.rate if work else 0.0, bool(self.measured))


@contextmanager
def progress(folder: RunFolder) -> Iterator[Callable[[Running], None]]:
    """Bars on a terminal or in a notebook, one for each worker, lines elsewhere: a callback that takes a `gpumc.sweeps.notes.Running`."""
    from rich.console import Console

    from gpumc.sweeps.plan import work_of

    config, before = folder.config, set(folder.done())
    sizes = [0 if index in before else work_of(config, task) for index, task in enumerate(folder.tasks)]
    made = Made(sizes)
    console = Console(stderr=True)
    if sys.stderr is not None and (console.is_terminal or console.is_jupyter):
        with _bars(console, config.name, config.unit, made) as report:
            yield report
    else:
        yield _lines(config.unit, made)


@contextmanager
def _bars(console, name: str, unit: str, made: Made) -> Iterator[Callable[[Running], None]]:
    """A bar of the run and, where there are several, one of the running task of each worker."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:.0f}% {task.fields[told]}", markup=False),
    )
    with Progress(*columns, console=console) as bars:
        whole = bars.add_task(name, total=made.total, told="")
        rows: dict[str, TaskID] = {}

        def report(note: Running) -> None:
            made.add(note)
            description = f"{name} task {note.task + 1}/{note.tasks}" if note.tasks > 1 else name
            doing = "" if note.phase != "running" or len(rows) > 1 else note.doing
            told = " ".join(part for part in (doing, f"{made.rate:.3g} {unit}/s, {made.left}") if part)
            bars.update(whole, completed=made.done, told=told, description=name if len(rows) > 1 else description)
            if not note.worker:
                return
            if note.worker not in rows:
                rows[note.worker] = bars.add_task(note.worker, total=note.total, told="", visible=False)
            for row in rows.values():
                bars.update(row, visible=len(rows) > 1)
            own = f"task {note.task + 1} {note.doing or note.phase}"
            bars.update(rows[note.worker], completed=made.of_task.get(note.task, 0), total=note.total, told=own)

        yield report


def _lines(unit: str, made: Made) -> Callable[[Running], None]:
    """A line every so often, and where what a task does is new."""
    printed, finished = made.started, False

    def report(note: Running) -> None:
        nonlocal printed, finished
        made.add(note)
        ended = made.done >= made.total
        if time.monotonic() - printed < LINE_EVERY and (finished or not ended):
            return
        printed, finished = time.monotonic(), ended
        doing = f", {note.doing}" if note.doing else ""
        print(
            f"gpumc: task {note.task + 1}/{note.tasks}{doing}: {made.done / made.total:.0%}, {made.rate:.3g} {unit}/s, "
            f"{made.left}",
            file=sys.stderr,
        )

    return report


def left_in_words(seconds: float, measuring: bool) -> str:
    """The time that work takes; that of measurements is not known."""
    if measuring:
        return f"{duration(seconds)} left and what is measured" if seconds else "what is measured is left"
    return f"{duration(seconds)} left"


def duration(seconds: float) -> str:
    """3725 as "1 h 2 min"."""
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {remainder} s" if minutes else f"{remainder} s"
