"""A run's folder: the config as it ran, its inputs, its plan, and one shard a task. Nothing in it is ever half true."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from gpumc._version import __version__
from gpumc.checks import a_path
from gpumc.device.source import digest as kernels_digest
from gpumc.errors import ConfigError, Damaged, RunError
from gpumc.results import load, merge_shards, merged_label
from gpumc.results.files import check_seal, replacing
from gpumc.results.hdf5 import Layout
from gpumc.sweeps.checkpoints import Checkpoint
from gpumc.sweeps.locks import held, locked
from gpumc.sweeps.plan import Task
from gpumc.sweeps.record import Record
from gpumc.sweeps.shards import check_shard
from gpumc.sweeps.tasks import RunConfig

RECORD = "run.json"
CONFIG = "config.toml"
INPUTS = "inputs"
SHARDS = "shards"
CHECKPOINTS = "checkpoints"
PROGRESS = "progress.json"
BROKEN = ".broken"


@dataclass(frozen=True)
class Progress:
    """How far the running task is: its number, units of work done and in all, and units a second."""

    task: int
    done: int
    total: int
    rate: float

    def __post_init__(self) -> None:
        counts = (self.task, self.done, self.total)
        sound = all(type(count) is int for count in counts) and self.task >= 0 and 0 <= self.done <= self.total
        if not sound or not isinstance(self.rate, float) or not 0 < self.rate < math.inf:
            raise ValueError("no progress of a run")


@dataclass(frozen=True)
class RunFolder:
    """An existing folder of a run."""

    path: Path
    record: Record

    @classmethod
    def create(cls, path: Path, record: Record, inputs: Mapping[str, Path]) -> RunFolder:
        """Make the folder, with copies of the files ``inputs``, or open the one that holds this very run.

        A record that is damaged is made again where the folder's config and inputs are those wanted. Raises RunError for a
        folder that holds something else.
        """
        folder = cls(path, record)
        try:
            found: RunFolder | None = cls.open(path, record)
        except Damaged:
            found = None
            folder._check_remains(f"{path / RECORD} is damaged")
            _set_aside(path / RECORD)
        except NoRun:
            found = None
            if _exists(path / CONFIG) and _exists(path / SHARDS):
                folder._check_remains(f"{path / RECORD} is not there")
            # A process that was killed right here has left nothing but inputs and files that were not whole.
            elif path.exists() and (not path.is_dir() or any(not _may_be_left(p) for p in path.iterdir())):
                raise RunError(f"{path} exists and holds no run of gpumc: choose another --out") from None
        if found is not None:
            difference = found.record.difference(record)
            if difference:
                raise RunError(
                    f"{path} holds a run with another config (with its --set): {difference}; choose another --out, or delete it"
                )
            if found.record.version != __version__:
                warnings.warn(
                    f"{path} was begun by gpumc {found.record.version} and goes on with {__version__}",
                    stacklevel=2,
                )
            folder = found
        for name, source in inputs.items():
            folder._keep_input(name, source)
        if found is None:
            _write(path / RECORD, record.written())
        folder._keep_config()
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike, wanted: Record | None = None) -> RunFolder:
        """The run in ``path``, perhaps that of the record that is ``wanted``.

        Raises RunError where there is none or it cannot be read, and Damaged for a damaged record.
        """
        path = a_path(path)
        if path.is_file():
            results = f": `gpumc show {path}` prints the results in it" if path.suffix == ".h5" else ""
            raise RunError(f"{path} is a file, not a run's folder{results}")
        try:
            return cls(path, Record.read((path / RECORD).read_text(encoding="utf-8"), wanted))
        except (FileNotFoundError, NotADirectoryError):
            raise NoRun(f"{path} holds no run of gpumc: `gpumc run CONFIG --out {path}` makes one") from None
        except OSError as error:
            raise RunError(f"{path / RECORD} cannot be read ({error.strerror}): nothing was changed") from None
        except (Damaged, UnicodeDecodeError) as error:
            raise Damaged(
                f"{path / RECORD} is damaged ({error}): `gpumc run CONFIG --out {path}` makes it again from the config"
            ) from None
        except RunError as error:
            raise RunError(f"{path} {error}") from None

    @property
    def config(self) -> RunConfig:
        """The config, checked; the files that it names are those that the folder keeps."""
        config = self.record.config
        return config.with_files({name: self.kept(name).absolute() for name in config.files})

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The plan."""
        return self.record.tasks

    def kept(self, name: str) -> Path:
        """The folder's copy of an input."""
        return kept_input(self.path, name, self.record.config.files[name])

    def shard(self, index: int) -> Path:
        """The file of task ``index``."""
        return self.path / SHARDS / f"task-{index:05}.h5"

    def sampled(self, index: int) -> Path:
        """Where task ``index`` is kept without the local entropies that could not be measured."""
        return self.path / SHARDS / f"sampled-{index:05}.h5"

    def checkpoint(self, index: int, every: float) -> Checkpoint:
        """What task ``index`` goes on from, written ``every`` so many seconds."""
        path = self.path / CHECKPOINTS / f"task-{index:05}.npz"
        return Checkpoint(path, f"{self.label(index)} by kernels {kernels_digest()}", every)

    def label(self, index: int) -> str:
        """What the seal of the shard of task ``index`` says."""
        return f"task {index} of run {self.record.key}"

    @property
    def merged(self) -> Path:
        """The merged results."""
        return self.path / f"{self.record.config.name}.h5"

    def merged_label(self) -> str:
        """What the seal of the merged results says. Raises Damaged where a shard has no seal."""
        return merged_label([self.shard(index) for index in range(len(self.tasks))])

    def done(self) -> list[int]:
        """The tasks whose shards are there."""
        return [index for index in range(len(self.tasks)) if _exists(self.shard(index))]

    def check_inputs(self) -> None:
        """Raise RunError unless the copies of the inputs are what they were at the start."""
        for name, digest in self.record.inputs.items():
            if _digest(self.kept(name)) != digest:
                raise RunError(
                    f"{self.kept(name)} is not what it was at the start of the run: bring it back, or choose another --out"
                )

    def set_aside_damaged(self) -> list[Path]:
        """Rename files that are not what was written to ``*.broken``, so that they are made again, and delete what a killed process left.

        Returns the new names. Raises RunError where another process is at it, and for what cannot be read, which is not touched.
        """
        broken = []
        with self.locked():
            for left in (*self.path.glob(".*.tmp"), *self.path.glob("*/.*.tmp")):
                left.unlink()
            done = self.done()
            planned = {self.shard(index) for index in range(len(self.tasks))}
            broken += [_set_aside(extra) for extra in self.path.glob(f"{SHARDS}/task-*.h5") if extra not in planned]
            for index in done:
                try:
                    check_seal(self.shard(index), self.label(index))
                except Damaged:
                    broken.append(_set_aside(self.shard(index)))
            if len(self.done()) == len(self.tasks) and _exists(self.merged):
                try:
                    check_seal(self.merged, self.merged_label())
                except Damaged:
                    broken.append(_set_aside(self.merged))
        return broken

    def merge(self) -> xr.Dataset | xr.DataTree:
        """All shards in one: a dataset, or a tree with a group ``n<n>_k<k>`` for each machine. Raises RunError where some are missing."""
        missing = len(self.tasks) - len(self.done())
        if missing:
            raise RunError(
                f"{self.path} is not finished, {missing} of {len(self.tasks)} tasks are left: `gpumc run` goes on with it"
            )
        return self._merged(range(len(self.tasks)))

    def so_far(self) -> xr.Dataset | xr.DataTree:
        """What `merge` would give, of the points of the task axes of which all tasks are done, all else NaN (weights 0). Raises RunError
        where there is none."""
        done = set(self.done())
        parts: dict[tuple, list[int]] = {}
        for index, task in enumerate(self.tasks):
            parts.setdefault((task.n, task.k, *task.point.values()), []).append(index)
        whole = [index for part in parts.values() if done.issuperset(part) for index in part]
        if not whole:
            raise RunError(f"{self.path} has no result yet, {self.how_far()}: `gpumc run` goes on with it")
        return self._merged(whole)

    def how_far(self) -> str:
        """How much is done, in a few words."""
        return f"{len(self.done())} of {len(self.tasks)} tasks are done"

    def _merged(self, indices: Iterable[int]) -> xr.Dataset | xr.DataTree:
        """The shards of some tasks in one."""
        config = self.record.config
        groups: dict[str, list] = {}
        layout: Layout = {}
        for index in indices:
            task = self.tasks[index]
            groups.setdefault(f"n{task.n}_k{task.k}", []).append((task.axes(config), self._loaded(index, layout)))
        merged = {name: merge_shards(shards) for name, shards in groups.items()}
        for data in merged.values():
            data.attrs |= {"name": config.name, "config": self.record.text}
        if len(merged) == 1:
            return next(iter(merged.values()))
        return xr.DataTree.from_dict(
            {"/": xr.Dataset(attrs={"name": config.name, "config": self.record.text}), **merged}
        )

    def _loaded(self, index: int, layout: Layout) -> xr.Dataset:
        """The shard of task ``index``. Raises Damaged where it is not that."""
        patterns = self.record.file_patterns
        data = load(self.shard(index), self.label(index), layout)
        try:
            check_shard(data, self.record.config, self.tasks[index], patterns.digest if patterns else None)
        except Damaged as error:
            raise Damaged(f"{self.shard(index)} is not the shard of its task ({error})") from None
        assert isinstance(data, xr.Dataset)
        return data

    def _keep_input(self, name: str, source: Path) -> None:
        """Copy the input ``name`` into the folder unless it is there. Raises RunError where it has changed."""
        kept = self.kept(name)
        if _exists(kept) and _digest(kept) == self.record.inputs[name]:
            return
        content = _content(source)
        if hashlib.sha256(content).hexdigest() != self.record.inputs[name]:
            raise RunError(f"the content of {source} is not what it was at the start of the run")
        with replacing(kept) as temporary:
            temporary.write_bytes(content)

    def _keep_config(self) -> None:
        """Write the config where it is not there; one that is damaged, or another, is set aside."""
        try:
            if Record(_text(self.path / CONFIG), self.record.inputs, None, ()).difference(self.record) == "":
                return
            _set_aside(self.path / CONFIG)
        except FileNotFoundError:
            pass
        except (UnicodeDecodeError, ConfigError):
            _set_aside(self.path / CONFIG)
        _write(self.path / CONFIG, self.record.text)

    def _check_remains(self, reason: str) -> None:
        """Raise RunError, for ``reason``, unless the folder's config and inputs are those of this run."""
        try:
            difference = Record(_text(self.path / CONFIG), self.record.inputs, None, ()).difference(self.record)
        except (FileNotFoundError, UnicodeDecodeError, ConfigError):
            raise RunError(f"{reason}, and {self.path / CONFIG} cannot be read either: choose another --out") from None
        for name in self.record.inputs:
            if _exists(self.kept(name)) and _digest(self.kept(name)) != self.record.inputs[name]:
                difference = difference or f"the content of {self.kept(name)} is not that of the config"
        if difference:
            raise RunError(f"{reason}, and {self.path / CONFIG} is of another run: {difference}; choose another --out")

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder for this process (`locks.locked`)."""
        return locked(self.path)

    def running(self) -> bool:
        """Whether a process holds the folder, which need not be writable."""
        return held(self.path)

    def write_progress(self, progress: Progress) -> None:
        """Say how far the running task is."""
        _write(self.path / PROGRESS, json.dumps(vars(progress)))

    def read_progress(self) -> Progress | None:
        """What the running process has last said; None where none runs or has said anything."""
        try:
            text = (self.path / PROGRESS).read_text(encoding="utf-8")
            progress = Progress(**json.loads(text)) if self.running() else None
        except (OSError, ValueError, TypeError):
            return None
        return progress if progress and progress.task < len(self.tasks) else None


class NoRun(RunError):
    """A folder holds no run."""


def kept_input(folder: Path, name: str, file: str) -> Path:
    """Where ``folder`` keeps the input ``name``, which the config calls ``file``."""
    return folder / INPUTS / (name + Path(file).suffix)


def _may_be_left(path: Path) -> bool:
    return path.suffix == ".tmp" or path.name == INPUTS


def _exists(path: Path) -> bool:
    """Whether a file is there. Raises RunError where that cannot be seen."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): nothing was changed") from None
    return True


def _set_aside(path: Path) -> Path:
    """Rename a file to ``*.broken``; a file that is not there stays so."""
    aside = path.with_suffix(BROKEN)
    try:
        path.replace(aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RunError(f"{path} is damaged and cannot be renamed ({error.strerror})") from None
    return aside


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): nothing was changed") from None


def _digest(path: Path) -> str:
    return hashlib.sha256(_content(path)).hexdigest()


def _text(path: Path) -> str:
    """The text of a file. Raises RunError where it cannot be read, but not FileNotFoundError."""
    if not _exists(path):
        raise FileNotFoundError(path)
    return _content(path).decode("utf-8")


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
