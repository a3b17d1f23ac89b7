"""Doing a run: the tasks that are left, one after the other, each a shard."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gpumc.errors import ConfigError, RunError
from gpumc.reading import text_of
from gpumc.results import save
from gpumc.sampling import sample
from gpumc.sweeps.alongside import Alongside
from gpumc.sweeps.config import RunConfig, listed, read_config
from gpumc.sweeps.folder import Progress, RunFolder
from gpumc.sweeps.plan import Task, plan
from gpumc.sweeps.text import MOST_BYTES, effective

#: Seconds between two notes of progress in the folder.
NOTE_EVERY = 2.0

#: Told (task, tasks in all, attempts done, attempts in all) of the running task.
Report = Callable[[int, int, int, int], None]


def prepare(config_file: Path, overrides: Sequence[str], out: Path | None) -> RunFolder:
    """Check a config and make, or find, its folder (default ``results/<name>``). Raises ConfigError or RunError."""
    text = _read(config_file)
    source = config_file.parent
    config = read_config(text, overrides, source)
    size: dict[str, int] = {}
    if config.patterns.kind == "file":
        patterns = config.make_patterns(config.machine.machine(*config.shapes[0]), None, None, source)
        size = {"pattern_count": patterns.count, "instances": patterns.instances}
    return RunFolder.create(
        out or Path("results") / config.name, effective(text, overrides), source, plan(config, **size)
    )


def execute(folder: RunFolder, device: str, report: Report) -> None:
    """Do the tasks of ``folder`` that are left, then merge. Raises RunError where another process is at it."""
    with folder.locked():
        config = folder.config
        done = set(folder.done())
        for index, task in enumerate(folder.tasks):
            if index not in done:
                run_task(config, task, folder.source, folder.shard(index), device, _noting(folder, index, report))
        if len(done) < len(folder.tasks) or not folder.merged.exists():
            save(folder.merge(), folder.merged)


def run_task(
    config: RunConfig,
    task: Task,
    source: Path,
    shard: Path,
    device: str,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Do one task and write its shard; all it needs is plain data, and it can be done anywhere."""
    clock = time.monotonic()
    machine = config.machine.machine(task.n, task.k)
    patterns = config.make_patterns(machine, task.alpha, task.flip, source)
    measure = config.make_measure(task.replicas, source)
    volumes = config.volumes
    with contextlib.ExitStack() as beside:
        alongside = None
        if volumes:
            distance = np.array(listed(volumes.distance))
            alongside = beside.enter_context(Alongside(machine, patterns, measure, distance, volumes.replicas, device))
        data = sample(
            machine,
            patterns,
            measure,
            chains=config.sampler.chains,
            burn_in=config.sampler.burn_in,
            sweeps=config.sampler.sweeps,
            every=config.sampler.every,
            seed=config.seed,
            sampler=config.sampler.kind,
            device=device,
            part=task.part,
            progress=progress,
            watch=alongside.watch if alongside else None,
            watch_every=(volumes.every if volumes else None) or config.sampler.sweeps,
        )
        if alongside:
            data = data.merge(alongside.dataset(), combine_attrs="override")
            data.attrs["duration_s"] = round(time.monotonic() - clock, 3)
    data.attrs |= {"patterns": config.patterns.kind, "patterns_digest": patterns.digest}
    return save(data, shard)


def _noting(folder: RunFolder, index: int, report: Report) -> Callable[[int, int], None]:
    """A progress callback that reports, and every so often notes in the folder."""
    started = noted = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal noted
        report(index, len(folder.tasks), done, total)
        if time.monotonic() - noted > NOTE_EVERY:
            noted = time.monotonic()
            with contextlib.suppress(RunError):  # a disk that is full now may not be when the shard is written
                folder.write_progress(Progress(index, done, total, done / (noted - started)))

    return progress


def _read(path: Path) -> str:
    try:
        return text_of(path, MOST_BYTES)
    except RunError as error:
        raise ConfigError(f"the config {error}") from None
