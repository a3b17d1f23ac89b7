"""How far a run is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpumc.sweeps.folder import RunFolder
    from gpumc.sweeps.notes import Running

#: Seconds between lines of progress where there is no terminal.
LINE_EVERY = 10.0


@contextmanager
def progress(folder: RunFolder):
    """A progress bar on a terminal, lines elsewhere: a callback that takes a `gpumc.sweeps.notes.Running`."""
    from gpumc.sweeps.plan import work_of

    config, before = folder.config, set(folder.done())
    total = sum(work_of(config, task) for index, task in enumerate(folder.tasks) if index not in before)
    made, started = _Made(), time.monotonic()
    if sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f}% {task.fields[rate]}"),
        )
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            row = bar.add_task(config.name, total=total, rate="")

            def draw(note: Running) -> None:
                made.add(note)
                rate = made.all / max(time.monotonic() - started, 1e-9)
                description = f"{config.name} task {note.task + 1}/{note.tasks}" if note.tasks > 1 else config.name
                bar.update(row, completed=made.all, rate=f"{rate:.3g} {config.unit}/s", description=description)

            yield draw
        return
    printed = started

    def say(note: Running) -> None:
        nonlocal printed
        made.add(note)
        if time.monotonic() - printed < LINE_EVERY and made.all < total:
            return
        printed = time.monotonic()
        rate = made.all / max(printed - started, 1e-9)
        left = duration((total - made.all) / rate)
        print(
            f"gpumc: task {note.task + 1}/{note.tasks}, {made.all / total:.0%}, {rate:.3g} {config.unit}/s, {left} left",
            file=sys.stderr,
        )

    yield say


class _Made:
    """The units of work that are made, of all tasks."""

    def __init__(self) -> None:
        self.all = 0
        self.of_task: dict[int, int] = {}

    def add(self, note: Running) -> None:
        """Take what a task says in the place of what it said before."""
        self.all += note.done - self.of_task.get(note.task, 0)
        self.of_task[note.task] = note.done


def duration(seconds: float) -> str:
    """3725 as "1 h 2 min"."""
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {remainder} s" if minutes else f"{remainder} s"
