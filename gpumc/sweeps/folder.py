"""A run's folder: the config as it ran, its plan, and one shard a task. Nothing in it is ever half true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from filelock import FileLock, Timeout

from gpumc.errors import RunError
from gpumc.results import load, merge_shards
from gpumc.results.files import replacing
from gpumc.sweeps.config import RunConfig, read_config
from gpumc.sweeps.plan import Task
from gpumc.sweeps.text import parsed

RECORD = "run.json"
CONFIG = "config.toml"
PROGRESS = "progress.json"
LOCK = ".lock"
FORMAT = 1


@dataclass(frozen=True)
class Progress:
    """How far the running task is: its number, flip attempts done and in all, and attempts a second."""

    task: int
    done: int
    total: int
    rate: float


@dataclass(frozen=True)
class RunFolder:
    """An existing folder of a run.

    ``text`` is its whole config as it runs, ``source`` the folder of the config file, ``files`` a hash of each file that the
    config names.
    """

    path: Path
    text: str
    source: Path
    files: dict[str, str]
    tasks: tuple[Task, ...]

    @classmethod
    def create(cls, path: Path, text: str, source: Path, tasks: Sequence[Task]) -> RunFolder:
        """Make the folder, or open the one that holds this very run. Raises RunError for a folder that holds something else."""
        source = source.resolve()
        folder = cls(path, text, source, _hashes(read_config(text), source), tuple(tasks))
        if (path / RECORD).exists():
            found = cls.open(path)
            difference = _difference(found, folder)
            if difference:
                raise RunError(
                    f"{path} holds a run with another config (with its --set): {difference}; choose another --out, or delete it"
                )
        else:
            # A process that was killed right here has left nothing but files that were not whole.
            if path.exists() and (not path.is_dir() or any(p.suffix != ".tmp" for p in path.iterdir())):
                raise RunError(f"{path} exists and holds no run of gpumc: choose another --out")
            record = {"format": FORMAT, "config": text, "source": str(source), "files": folder.files}
            _write(path / RECORD, json.dumps(record | {"tasks": [task.record() for task in tasks]}, indent=1))
            found = folder
        if not (path / CONFIG).exists():
            _write(path / CONFIG, found.text)
        return found

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in ``path``. Raises RunError where there is none."""
        try:
            record = json.loads((path / RECORD).read_text(encoding="utf-8"))
            tasks = [
                Task(**{**t, "instances": tuple(t["instances"]), "chains": tuple(t["chains"])}) for t in record["tasks"]
            ]
            return cls(path, record["config"], Path(record["source"]), record["files"], tuple(tasks))
        except FileNotFoundError:
            raise RunError(f"{path} holds no run of gpumc: `gpumc run CONFIG --out {path}` makes one") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path / RECORD} cannot be read ({error}): delete the folder and run again") from None

    @property
    def config(self) -> RunConfig:
        """The config, checked."""
        return read_config(self.text)

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
        """Rename files that cannot be read to ``*.broken``, so that they are made again, and delete what a killed process left.

        Returns the new names. Raises RunError where another process is at it.
        """
        broken = []
        with self.locked():
            for left in (*self.path.glob(".*.tmp"), *self.path.glob("shards/.*.tmp")):
                left.unlink()
            for path in (*map(self.shard, self.done()), self.merged):
                try:
                    if path.exists():
                        load(path)
                except RunError:
                    broken.append(path.with_suffix(".broken"))
                    path.replace(broken[-1])
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
        for data in merged.values():
            data.attrs |= {"name": config.name, "config": self.text}
        if len(merged) == 1:
            return next(iter(merged.values()))
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"name": config.name, "config": self.text}), **merged})

    @contextmanager
    def locked(self, patience: float = 1.0) -> Iterator[None]:
        """Hold the folder for this process; the system lets go of it when the process dies.

        Raises RunError where another process has it for all the seconds of ``patience``.
        """
        lock = FileLock(self.path / LOCK)
        try:
            # Longer than `gpumc status` holds it to see whether anybody does.
            lock.acquire(timeout=patience)
        except Timeout:
            raise RunError(f"{self.path} is being run by another process: wait for it, or stop it") from None
        try:
            yield
        finally:
            lock.release()

    def running(self) -> bool:
        """Whether a process holds the folder."""
        try:
            with self.locked(patience=0):
                return False
        except RunError:
            return True

    def write_progress(self, progress: Progress) -> None:
        """Say how far the running task is."""
        _write(self.path / PROGRESS, json.dumps(vars(progress)))

    def read_progress(self) -> Progress | None:
        """What the running process has last said; None where none runs or has said anything."""
        try:
            return (
                Progress(**json.loads((self.path / PROGRESS).read_text(encoding="utf-8"))) if self.running() else None
            )
        except (OSError, ValueError, TypeError):
            return None


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _hashes(config: RunConfig, source: Path) -> dict[str, str]:
    """A hash of the content of each file that a config names."""
    names = [name for name in (config.patterns.path, config.measure.centre_file) if name]
    return {name: hashlib.sha256((source / name).read_bytes()).hexdigest() for name in names}


def _difference(found: RunFolder, wanted: RunFolder) -> str:
    """The first thing in which two runs differ, "" where they are one; comments and spaces do not matter."""
    old, new = _flat(parsed(found.text)), _flat(parsed(wanted.text))
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            was, now = (f"'{key[1]} = {side[key]}'" if key in side else "absent" for side in (old, new))
            return f"[{key[0]}] was {was} and is now {now}" if key[0] else f"{was} is now {now}"
    changed = [name for name, value in wanted.files.items() if found.files.get(name) != value]
    return f"the content of {changed[0]} is not what it was" if changed else ""


def _flat(table: dict) -> dict[tuple[str, str], Any]:
    """Values by (section, key); the section of a value outside of them is ""."""
    flat = {("", key): value for key, value in table.items() if not isinstance(value, dict)}
    return flat | {(s, key): value for s, t in table.items() if isinstance(t, dict) for key, value in t.items()}
