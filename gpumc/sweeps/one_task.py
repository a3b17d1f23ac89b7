"""One task of a run: what a process, here or on another host, does from the files of the run's folder, and leaves there."""

from __future__ import annotations

from gpumc.errors import RunError
from gpumc.results import save
from gpumc.sweeps.folder import RunFolder
from gpumc.sweeps.plan import work_of
from gpumc.sweeps.tasks.local_entropies import Unmeasured
from gpumc.sweeps.tasks.run_config import Telling


def do(folder: RunFolder, index: int, device: str, checkpoint_every: float, progress: Telling) -> tuple[str, str]:
    """Do task ``index`` from its last checkpoint on, and write its shard; ``progress`` is told how far it is.

    Returns what the folder is to note of the shard (`gpumc.results.manifest.notes_of`). Raises RunError, and Ended where the process is
    asked to end, with a checkpoint written.
    """
    # Two processes may be at one task: one whose client has died goes on until it ends. Their shards have the same arrays and are
    # written whole, so that it does not matter whose stays.
    folder.check_inputs()
    patterns = folder.record.file_patterns
    checkpoint = folder.checkpoint(index, checkpoint_every)
    latest: tuple[int | None, int] = 0, work_of(folder.config, folder.tasks[index])

    def told(done: int | None, total: int, doing: str) -> None:
        nonlocal latest
        latest = done, total
        progress(done, total, doing)

    checkpoint.announce = lambda: progress(*latest, "checkpoint")
    try:
        digest = patterns.digest if patterns else None
        data = folder.config.run(folder.tasks[index], device, told, digest, checkpoint)
    except Unmeasured as failure:
        if failure.sampled is None:
            raise
        kept = save(failure.sampled, folder.sampled(index))
        raise RunError(f"{failure}; all of the task was sampled, and is in {kept}") from failure
    save(data, folder.shard(index), folder.label(index))
    folder.sampled(index).unlink(missing_ok=True)
    checkpoint.remove()
    return folder.notes_of(index, data)
