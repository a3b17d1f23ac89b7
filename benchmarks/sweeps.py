"""What a sweep of many tasks costs beside its tasks, and how much faster two workers are than one.

``python -m benchmarks.sweeps`` plans, runs, opens and continues a sweep of 10,000 tiny tasks by workers, in some ten minutes;
``--tasks 1000`` in one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from gpumc.results import open_run
from gpumc.sweeps.distributed import on_this_machine
from gpumc.sweeps.execution import execute, here, prepare
from gpumc.sweeps.notes import Notes, Running

TINY = """
name = "tiny"
machine = {{kind = "perceptron", n = 11}}
patterns = {{kind = "teacher", alpha = {{start = 0.5, stop = 2.0, num = {alphas}}}, flip = {{start = 0.0, stop = 0.4, num = 100}}}}
loss = {{kind = "error-count"}}
measure = {{beta = 1.0}}
sampler = {{chains = 2, burn_in = 1, sweeps = 2}}
"""
#: Sixteen tasks of one length, seconds each.
EQUAL = """
name = "equal"
machine = {{kind = "perceptron", n = 1001}}
patterns = {{kind = "teacher", alpha = 0.4, flip = {{start = 0.0, stop = 0.3, num = 16}}}}
loss = {{kind = "cross-entropy"}}
measure = {{beta = 5.0}}
sampler = {{chains = 32, burn_in = 0, sweeps = {sweeps}, every = {sweeps}}}
"""
#: Tasks that are timed one after the other in this process.
FEW = 200


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block took."""
    begun = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - begun:.2f} s", flush=True)


def written(folder: Path, text: str, **sizes: int) -> Path:
    """A config in a file."""
    path = folder / "config.toml"
    path.write_text(text.format(**sizes), encoding="utf-8")
    return path


def command(*words: object) -> None:
    """The command line, in a process of its own."""
    subprocess.run([sys.executable, "-m", "gpumc.cli", *map(str, words)], check=True, capture_output=True)


def watching(tasks: int) -> tuple[list[tuple[int, int]], Callable[[Running], None]]:
    """Memory of this process by the number of finished tasks, and a report that grows it."""
    grown: list[tuple[int, int]] = []
    finished = 0

    def report(note: Running) -> None:
        nonlocal finished
        finished += note.phase == "finished"
        if note.phase == "finished" and finished % max(1, tasks // 10) == 0:
            grown.append((finished, psutil.Process().memory_info().rss))

    return grown, report


def many(home: Path, tasks: int, workers: int) -> None:
    """A sweep of so many tiny tasks."""
    config = written(home, TINY, alphas=max(1, tasks // 100))
    with timed("planning"):
        folder = prepare(config, [], home / "out")
    count = len(folder.tasks)
    print(f"tasks: {count}")
    few = list(range(min(FEW, count)))
    folder.config.run(folder.tasks[0], "cpu", None, None)  # loads kernels
    begun = time.perf_counter()
    for index in few:
        folder.config.run(folder.tasks[index], "cpu", None, None)
    alone = (time.perf_counter() - begun) / len(few)
    grown, report = watching(count)
    with folder.locked():
        begun = time.perf_counter()
        here(folder, few, "cpu", 120.0, Notes(folder, lambda note: None))
        overhead = (time.perf_counter() - begun) / len(few) - alone
        print(f"a task: {alone * 1e3:.1f} ms; beside it, in this process: {overhead * 1e3:.1f} ms", flush=True)
        left = list(range(len(few), count))
        begun = time.perf_counter()
        on_this_machine(workers)(folder, left, "cpu", 120.0, Notes(folder, report))
        wall = (time.perf_counter() - begun) / len(left)
        print(f"a task by {workers} workers: {wall * 1e3:.1f} ms; beside {alone * 1e3:.1f} / {workers}: ", end="")
        print(f"{(wall - alone / workers) * 1e3:.1f} ms", flush=True)
    print("memory of the client after so many tasks: " + ", ".join(f"{n}: {size / 2**20:.0f} MiB" for n, size in grown))
    with timed("status"):
        command("status", home / "out")
    with timed("lazy opening"):
        open_run(home / "out", lazy=True)
    with timed("resuming, until the first task"):
        prepare(config, [], home / "out").set_aside_damaged()
    with timed("merging"):
        execute(folder, "cpu", lambda note: None)


def room() -> float:
    """How much more two processes get done here than one, while whatever else this machine has to do goes on."""
    busy = [sys.executable, "-c", "for _ in range(10**8): pass"]
    begun = time.perf_counter()
    subprocess.run(busy, check=True)
    alone = time.perf_counter() - begun
    both = [subprocess.Popen(busy) for _ in range(2)]
    for process in both:
        process.wait()
    return 2 * alone / (time.perf_counter() - begun - alone)


def equal(home: Path, sweeps: int) -> None:
    """Sixteen equal tasks by one worker and by two, of one thread each."""
    print(f"two processes get {room():.2f} times as much done as one", flush=True)
    config = written(home, EQUAL, sweeps=sweeps)
    seconds = []
    for workers in (1, 2):
        os.environ["GPUMC_THREADS"] = str(workers)  # which the workers share
        folder = prepare(config, [], home / f"out{workers}")
        begun = time.perf_counter()
        execute(folder, "cpu", lambda note: None, drive=on_this_machine(workers))
        seconds.append(time.perf_counter() - begun)
        print(f"16 equal tasks, {workers} worker{'s' * (workers > 1)}: {seconds[-1]:.1f} s", flush=True)
    print(f"ratio: {seconds[0] / seconds[1]:.2f}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="a multiple of 100")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sweeps", type=int, default=2000, help="of each of the sixteen equal tasks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        many(Path(folder), options.tasks, options.workers)
    with tempfile.TemporaryDirectory() as folder:
        equal(Path(folder), options.sweeps)


if __name__ == "__main__":
    main()
