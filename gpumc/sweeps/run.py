"""Doing a run: the tasks that are left, one after the other, each a shard."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from gpumc.checks import a_path
from gpumc.errors import ConfigError, RunError
from gpumc.patterns import load_patterns
from gpumc.reading import text_of
from gpumc.results import save
from gpumc.sampling import sample
from gpumc.sweeps.alongside import Alongside, Unmeasured
from gpumc.sweeps.config import RunConfig, check_files, listed, read_config
from gpumc.sweeps.folder import RECORD, Progress, RunFolder, kept_input
from gpumc.sweeps.plan import Task
from gpumc.sweeps.record import FilePatterns, Record, files_of, with_files
from gpumc.sweeps.sizes import check_memory
from gpumc.sweeps.text import MOST_BYTES, effective

#: Seconds between two notes of progress in the folder.
NOTE_EVERY = 2.0

#: Told (task, tasks in all, attempts done, attempts in all) of the running task.
Report = Callable[[int, int, int, int], None]


def prepare(config_file: str | os.PathLike, overrides: Sequence[str], out: str | os.PathLike | None) -> RunFolder:
    """Check a config and make, or find, its folder (default ``results/<name>``). Raises ConfigError or RunError.

    A file that the config names is looked for beside the config, and if it has gone, in the folder of the run.
    """
    config_file = a_path(config_file)
    text = _read(config_file)
    config = read_config(text, overrides)
    folder = a_path(out) if out else Path("results") / config.name
    inputs = {}
    for name, file in files_of(config).items():
        beside, kept = config_file.parent / a_path(file), kept_input(folder, name, file)
        inputs[name] = beside if beside.exists() or not kept.exists() else kept
    config = with_files(config, inputs)
    if not (folder / RECORD).exists():  # a run that was begun may need less by now
        check_memory(config)
    check_files(config, Path())
    file_patterns = None
    if "patterns" in inputs:
        patterns = load_patterns(inputs["patterns"])
        file_patterns = FilePatterns(patterns.count, patterns.instances, patterns.digest)
    digests = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in inputs.items()}
    return RunFolder.create(folder, Record.planned(effective(text, overrides), digests, file_patterns), inputs)


def execute(folder: RunFolder, device: str, report: Report) -> None:
    """Do the tasks of ``folder`` that are left, then merge. Raises RunError where another process is at it."""
    with folder.locked():
        config, patterns = folder.config, folder.record.file_patterns
        done = set(folder.done())
        for index, task in enumerate(folder.tasks):
            if index not in done:
                folder.check_inputs()
                try:
                    data = run_task(
                        config, task, device, _noting(folder, index, report), patterns.digest if patterns else None
                    )
                except Unmeasured as failure:
                    if failure.sampled is None:
                        raise
                    kept = save(failure.sampled, folder.sampled(index))
                    raise RunError(f"{failure}; all of the task was sampled, and is in {kept}") from failure
                save(data, folder.shard(index), folder.label(index))
                folder.sampled(index).unlink(missing_ok=True)
        if len(done) < len(folder.tasks) or not folder.merged.exists():
            save(folder.merge(), folder.merged, folder.merged_label())


def run_task(
    config: RunConfig,
    task: Task,
    device: str,
    progress: Callable[[int, int], None] | None = None,
    patterns_digest: str | None = None,
) -> xr.Dataset:
    """Do one task; all it needs is plain data, and it can be done anywhere.

    Raises RunError where the patterns do not have ``patterns_digest``, and Unmeasured where local entropies fail.
    """
    clock = time.monotonic()
    machine = config.machine.machine(task.n, task.k)
    patterns = config.make_patterns(machine, task.alpha, task.flip, Path())
    if patterns_digest is not None and patterns.digest != patterns_digest:
        raise RunError(f"{config.patterns.path} holds other patterns than at the start of the run")
    measure = config.make_measure(task.replicas, Path())
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
            sampler=config.sampler.sampler,
            device=device,
            part=task.part,
            progress=_both(progress, alongside),
            watch=alongside.watch if alongside else None,
            watch_every=(volumes.every if volumes else None) or config.sampler.sweeps,
        )
        if alongside:
            try:
                measured = alongside.dataset()
            except Unmeasured as failure:
                failure.sampled = data
                raise
            data = data.merge(measured, combine_attrs="override")
            data.attrs["duration_s"] = round(time.monotonic() - clock, 3)
    data.attrs["patterns"] = config.patterns.kind
    return data


def _both(progress: Callable[[int, int], None] | None, alongside: Alongside | None) -> Callable[[int, int], None]:
    """Tells ``progress``, and raises at once what measuring alongside has raised."""

    def told(done: int, total: int) -> None:
        if alongside:
            alongside.check()
        if progress:
            progress(done, total)

    return told


def _noting(folder: RunFolder, index: int, report: Report) -> Callable[[int, int], None]:
    """A progress callback that reports, and every so often notes in the folder."""
    started = noted = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal noted
        report(index, len(folder.tasks), done, total)
        if done and time.monotonic() - noted > NOTE_EVERY:
            noted = time.monotonic()
            with contextlib.suppress(RunError):  # a disk that is full now may not be when the shard is written
                folder.write_progress(Progress(index, done, total, done / (noted - started)))

    return progress


def _read(path: Path) -> str:
    try:
        return text_of(path, MOST_BYTES)
    except RunError as error:
        raise ConfigError(f"the config {error}") from None
