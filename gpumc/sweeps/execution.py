"""Doing a run: the tasks that are left, one after the other, each a shard."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gpumc.checks import a_path
from gpumc.errors import ConfigError, RunError
from gpumc.patterns import load_patterns
from gpumc.reading import text_of
from gpumc.results import save
from gpumc.sweeps.checkpoints import EVERY
from gpumc.sweeps.config import read_config
from gpumc.sweeps.config_text import MOST_BYTES, effective
from gpumc.sweeps.folder import RECORD, Progress, RunFolder, kept_input
from gpumc.sweeps.record import FilePatterns, Record
from gpumc.sweeps.sizes import check_memory
from gpumc.sweeps.tasks.local_entropies import Unmeasured

#: Seconds between two notes of progress in the folder.
NOTE_EVERY = 2.0

#: Told (task, tasks in all, units of work done, and in all) of the running task.
Report = Callable[[int, int, int, int], None]


def prepare(config_file: str | os.PathLike, overrides: Sequence[str], out: str | os.PathLike | None) -> RunFolder:
    """Check a config and make, or find, its folder (default ``results/<name>``). Raises ConfigError or RunError.

    A file that the config names is looked for beside the config, and if it has gone, in the folder of the run.
    """
    config_file = a_path(config_file)
    text = effective(_read(config_file), overrides)
    config = read_config(text)
    folder = a_path(out) if out else Path("results") / config.name
    inputs = {}
    for name, file in config.files.items():
        beside, kept = config_file.parent / a_path(file), kept_input(folder, name, file)
        inputs[name] = beside if beside.exists() or not kept.exists() else kept
    if not (folder / RECORD).exists():  # a run that was begun may need less by now
        check_memory(config)
    config.with_files(inputs).check_files(Path())
    file_patterns = None
    if "patterns" in inputs:
        patterns = load_patterns(inputs["patterns"])
        file_patterns = FilePatterns(patterns.count, patterns.instances, patterns.digest)
    digests = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in inputs.items()}
    return RunFolder.create(folder, Record.planned(text, config, digests, file_patterns), inputs)


def execute(folder: RunFolder, device: str, report: Report, checkpoint_every: float = EVERY) -> None:
    """Do the tasks of ``folder`` that are left, each from its last checkpoint, then merge; a checkpoint is written every so many seconds.
    Raises RunError where another process is at it."""
    with folder.locked():
        config, patterns = folder.config, folder.record.file_patterns
        done = set(folder.done())
        for index, task in enumerate(folder.tasks):
            if index not in done:
                folder.check_inputs()
                checkpoint = folder.checkpoint(index, checkpoint_every)
                try:
                    digest = patterns.digest if patterns else None
                    data = config.run(task, device, _noting(folder, index, report), digest, checkpoint)
                except Unmeasured as failure:
                    if failure.sampled is None:
                        raise
                    kept = save(failure.sampled, folder.sampled(index))
                    raise RunError(f"{failure}; all of the task was sampled, and is in {kept}") from failure
                save(data, folder.shard(index), folder.label(index))
                folder.sampled(index).unlink(missing_ok=True)
                checkpoint.remove()
        if len(done) < len(folder.tasks) or not folder.merged.exists():
            save(folder.merge(), folder.merged, folder.merged_label())


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
