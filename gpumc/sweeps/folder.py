"""A run's folder: the config as it ran, its plan, and one shard a task. Nothing in it is ever half true."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from filelock import FileLock, Timeout

from gpumc.errors import RunError
from gpumc.results import load, merge_shards
from gpumc.results.files import replacing
from gpumc.sweeps.config import RunConfig, read_config
from gpumc.sweeps.plan import Task

RECORD = "run.json"
CONFIG = "config.toml"
PROGRESS = "progress.json"
LOCK = ".lock"
FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """How far the running task is: its number, flip attempts done and in all, attempts a second, and when that was (Unix time)."""

    task: int
    done: int
    total: int
    rate: float
    written: float


@dataclass(frozen=True)
class RunFolder:
    """An existing folder of a run: ``text`` and ``overrides`` are its config as given, ``source`` the folder of the config file."""

    path: Path
    text: str
    overrides: tuple[str, ...]
    source: Path
    tasks: tuple[Task, ...]

    @classmethod
    def create(cls, path: Path, text: str, overrides: Sequence[str], source: Path, tasks: Sequence[Task]) -> RunFolder:
        """Make the folder, or open the one that holds this very run. Raises RunError for a folder that holds something else."""
        folder = cls(path, text, tuple(overrides), source.resolve(), tuple(tasks))
        if (path / RECORD).exists():
            found = cls.open(path)
            if (found.text, found.overrides) != (folder.text, folder.overrides):
                raise RunError(
                    f"{path} holds a run with another config: {_difference(found, folder)}; choose another --out, or delete it"
                )
            return found
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path} exists and holds no run of gpumc: choose another --out")
        path.mkdir(parents=True, exist_ok=True)
        notes = "".join(f"# as run with --set {override}\n" for override in overrides)
        _write(path / CONFIG, text + ("\n" + notes if notes else ""))
        record = {"format": FORMAT, "config": text, "overrides": list(overrides), "source": str(folder.source)}
        _write(path / RECORD, json.dumps(record | {"tasks": [task.record() for task in tasks]}, indent=1))
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in ``path``. Raises RunError where there is none."""
        try:
            record = json.loads((path / RECORD).read_text())
            tasks = [
                Task(**{**t, "instances": tuple(t["instances"]), "chains": tuple(t["chains"])}) for t in record["tasks"]
            ]
            return cls(path, record["config"], tuple(record["overrides"]), Path(record["source"]), tuple(tasks))
        except FileNotFoundError:
            raise RunError(f"{path} holds no run of gpumc: `gpumc run CONFIG --out {path}` makes one") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path / RECORD} cannot be read ({error}): delete the folder and run again") from None

    @property
    def config(self) -> RunConfig:
        """The config, checked."""
        return read_config(self.text, self.overrides)

    def shard(self, index: int) -> Path:
        """The file of task ``index``."""
        return self.path / "shards" / f"task-{index:05}.h5"

    @property
    def merged(self) -> Path:
        """The merged results."""
        return self.path / f"{self.config.name}.h5"

    def done(self) -> list[int]:
        """The tasks whose shards are there."""
        return [index for index in range(len(self.tasks)) if self.shard(index).exists()]

    def set_aside_damaged(self) -> list[Path]:
        """Rename shards that cannot be read to ``*.broken``, so that their tasks are done again; their new names."""
        broken = []
        for index in self.done():
            try:
                load(self.shard(index))
            except RunError:
                broken.append(self.shard(index).with_suffix(".broken"))
                self.shard(index).replace(broken[-1])
        return broken

    def merge(self) -> xr.Dataset | xr.DataTree:
        """All shards in one: a dataset, or a tree with a group ``n<n>_k<k>`` for each machine. Raises RunError where some are missing."""
        missing = len(self.tasks) - len(self.done())
        if missing:
            raise RunError(
                f"{self.path} is not finished, {missing} of {len(self.tasks)} tasks are left: `gpumc run` goes on with it"
            )
        config = self.config
        groups: dict[str, list] = {}
        for index, task in enumerate(self.tasks):
            groups.setdefault(f"n{task.n}_k{task.k}", []).append((task.axes(config), load(self.shard(index))))
        merged = {name: merge_shards(shards) for name, shards in groups.items()}
        text = (self.path / CONFIG).read_text()
        for data in merged.values():
            data.attrs |= {"name": config.name, "config": text}
        if len(merged) == 1:
            return next(iter(merged.values()))
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"name": config.name, "config": text}), **merged})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the system lets go of it when the process dies. Raises RunError where another has it."""
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.path} is being run by another process: wait for it, or stop it") from None
        try:
            yield
        finally:
            lock.release()

    def running(self) -> bool:
        """Whether a process holds the folder."""
        try:
            with self.locked():
                return False
        except RunError:
            return True

    def write_progress(self, progress: Progress) -> None:
        """Say how far the running task is."""
        _write(self.path / PROGRESS, json.dumps(vars(progress)))

    def read_progress(self) -> Progress | None:
        """What the running process has last said; None where none runs or has said anything."""
        try:
            return Progress(**json.loads((self.path / PROGRESS).read_text())) if self.running() else None
        except (OSError, ValueError, TypeError):
            return None


def attempts_of(config: RunConfig, task: Task) -> int:
    """Flip attempts that a task makes."""
    from gpumc.sampling.acceptance import grid

    machine = config.machine.machine(task.n, task.k)
    points = len(grid(config.measure.measure(config.loss.loss(), task.replicas, None))[1][0])
    walkers = points * task.replicas * (task.instances[1] - task.instances[0]) * (task.chains[1] - task.chains[0])
    return walkers * machine.weight_count * (config.sampler.burn_in + config.sampler.sweeps)


def now() -> float:
    """Unix time."""
    return time.time()


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


def _difference(found: RunFolder, wanted: RunFolder) -> str:
    """The first line in which two configs differ, or the overrides."""
    pairs = zip(found.text.splitlines(), wanted.text.splitlines(), strict=False)
    for number, (old, new) in enumerate(pairs, 1):
        if old != new:
            return f"line {number} was '{old.strip()}' and is now '{new.strip()}'"
    if found.overrides != wanted.overrides:
        return f"--set was {list(found.overrides) or 'absent'} and is now {list(wanted.overrides) or 'absent'}"
    return "lines were added or taken away at its end"
