"""How far a run is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpumc.sweeps.folder import RunFolder

#: Seconds between lines of progress where there is no terminal.
LINE_EVERY = 10.0


@contextmanager
def progress(folder: RunFolder):
    """A progress bar on a terminal, lines elsewhere: a callback (task, tasks, units of work done, and in all)."""
    from gpumc.sweeps.plan import work_of

    config, before = folder.config, set(folder.done())
    sizes = [0 if index in before else work_of(config, task) for index, task in enumerate(folder.tasks)]
    total, started = sum(sizes), time.monotonic()
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

            def draw(index: int, tasks: int, done: int, _: int) -> None:
                made = sum(sizes[:index]) + done
                rate = made / max(time.monotonic() - started, 1e-9)
                description = f"{config.name} task {index + 1}/{tasks}" if tasks > 1 else config.name
                bar.update(row, completed=made, rate=f"{rate:.3g} {config.unit}/s", description=description)

            yield draw
        return
    printed = started

    def say(index: int, tasks: int, done: int, _: int) -> None:
        nonlocal printed
        made = sum(sizes[:index]) + done
        if time.monotonic() - printed < LINE_EVERY and made < total:
            return
        printed = time.monotonic()
        rate = made / max(printed - started, 1e-9)
        left = duration((total - made) / rate)
        print(
            f"gpumc: task {index + 1}/{tasks}, {made / total:.0%}, {rate:.3g} {config.unit}/s, {left} left",
            file=sys.stderr,
        )

    yield say


def duration(seconds: float) -> str:
    """3725 as "1 h 2 min"."""
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {remainder} s" if minutes else f"{remainder} s"
