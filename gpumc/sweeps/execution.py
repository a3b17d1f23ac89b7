"""Doing a run: its folder is prepared, and the tasks that are left are done, each a shard."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gpumc.checks import a_path
from gpumc.errors import ConfigError, RunError
from gpumc.patterns import load_patterns
from gpumc.reading import text_of
from gpumc.results import save
from gpumc.sweeps import one_task
from gpumc.sweeps.checkpoints import EVERY
from gpumc.sweeps.config import read_config
from gpumc.sweeps.config_text import MOST_BYTES, effective
from gpumc.sweeps.folder import RECORD, RunFolder, kept_input
from gpumc.sweeps.notes import Notes, Report, Running
from gpumc.sweeps.plan import work_of
from gpumc.sweeps.record import FilePatterns, Record
from gpumc.sweeps.sizes import check_memory

#: Has the tasks that are left done: told the folder, their numbers, the device, the seconds between checkpoints, and whom to tell.
Drive = Callable[[RunFolder, Sequence[int], str, float, Notes], None]


def prepare(config_file: str | os.PathLike, overrides: Sequence[str], out: str | os.PathLike | None) -> RunFolder:
    """Check a config and make, or find, its folder (default ``results/<name>``). Raises ConfigError or RunError.

    A file that the config names is looked for beside the config, and if it has gone, in the folder of the run.
    """
    config_file = a_path(config_file)
    text = effective(config_text(config_file), overrides)
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


def execute(
    folder: RunFolder, device: str, report: Report, checkpoint_every: float = EVERY, drive: Drive | None = None
) -> None:
    """Do the tasks of ``folder`` that are left, each from its last checkpoint, then merge; a checkpoint is written every so many seconds.

    ``drive`` has the tasks done by workers (`gpumc.sweeps.distributed`); without one, this process does them one after the other. Raises
    RunError where another process is at it.
    """
    with folder.locked():
        done = set(folder.done())
        left = [index for index in range(len(folder.tasks)) if index not in done]
        if left:
            (drive or here)(folder, left, device, checkpoint_every, Notes(folder, report))
            folder.remove_checkpoints()
        if left or not folder.merged.exists():
            save(folder.merge(), folder.merged, folder.merged_label())


def here(folder: RunFolder, left: Sequence[int], device: str, checkpoint_every: float, notes: Notes) -> None:
    """Do the tasks that are ``left`` in this process, one after the other."""
    for index in left:
        running = Running(device, index, len(folder.tasks), 0, work_of(folder.config, folder.tasks[index]))

        def progress(done: int | None, total: int, doing: str, running: Running = running) -> None:
            notes.told(running._replace(done=done, total=total, doing=doing))

        notes.journal.note(*one_task.do(folder, index, device, checkpoint_every, progress))
        notes.told(running._replace(done=running.total, phase="finished"))


def config_text(path: Path) -> str:
    """The text of a config. Raises ConfigError where it cannot be read."""
    try:
        return text_of(path, MOST_BYTES)
    except RunError as error:
        raise ConfigError(f"the config {error}") from None
