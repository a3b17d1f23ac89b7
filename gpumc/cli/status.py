"""What is done of a run, who does what, and how long the rest takes."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gpumc.cli.progress import left_in_words
from gpumc.sweeps.folder import Progress, RunFolder
from gpumc.sweeps.plan import work_of

#: Seconds between two looks at a folder that is watched.
LOOK_EVERY = 2.0
#: Tasks that are listed.
MOST = 8


def lines(folder: RunFolder) -> list[str]:
    """The state of a run, in sentences."""
    done, running, tasks = set(folder.done()), folder.running(), folder.tasks
    found = [
        f"{folder.config.name}: {len(done)} of {len(tasks)} tasks done, {len(tasks) - len(done)} left; "
        f"{'running' if running else 'not running'}"
    ]
    noted = [one for one in folder.read_progress() if one.task not in done]
    for one in noted:
        worker = f"{one.worker}, " if len(noted) > 1 else ""
        doing = [one.doing] if one.doing else []
        rate = [f"{one.done / one.total:.0%} at {one.rate:.3g} {folder.config.unit}/s"] if one.rate else []
        found.append(f"{worker}task {one.task + 1}: {', '.join(doing + rate)}")
    if any(one.rate for one in noted):
        found.append(f"about {_left(folder, done, noted)}")
    elif not noted and len(done) < len(tasks) and not running:
        found.append("the same `gpumc run` goes on with it")
    if retries := folder.retries():
        found.append(f"{sum(retries.values())} times a worker was lost, and its task begun again: {_listed(retries)}")
    return found


def _left(folder: RunFolder, done: set[int], noted: list[Progress]) -> str:
    """The work that is left at the rate of the tasks that run, in words."""
    measured = {one.task for one in noted if not one.rate}
    shown = {one.task: one.done for one in noted}
    sizes = {index: work_of(folder.config, task) for index, task in enumerate(folder.tasks)}
    left = sum(
        size - shown.get(index, 0) for index, size in sizes.items() if index not in done and index not in measured
    )
    rate = sum(one.rate for one in noted if one.rate)
    return left_in_words(left / rate, bool(measured))


def _listed(retries: dict[int, int]) -> str:
    """The first tasks of which workers were lost, and how often where that is more than once."""
    told = [f"task {task + 1}" + (f" ({count} times)" if count > 1 else "") for task, count in sorted(retries.items())]
    return ", ".join(told[:MOST] + ["..."] * (len(told) > MOST))


def watch(directory: Path) -> None:
    """Say the state of a run whenever it is new, in its place on a terminal, until nobody is at it any more."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    if not sys.stdout.isatty():
        before: list[str] = []
        while True:
            folder = RunFolder.open(directory)
            said = lines(folder)
            if said != before:
                print("\n".join(said), flush=True)
            if not folder.running():
                return
            before = said
            time.sleep(LOOK_EVERY)
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            folder = RunFolder.open(directory)
            live.update(Text("\n".join(lines(folder))), refresh=True)
            if not folder.running():
                return
            time.sleep(LOOK_EVERY)
