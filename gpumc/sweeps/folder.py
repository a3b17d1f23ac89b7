"""A run's folder: the config as it ran, its inputs, its plan, and one shard a task. Nothing in it is ever half true."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from gpumc._version import __version__
from gpumc.checks import a_path
from gpumc.device.source import digest as kernels_digest
from gpumc.errors import ConfigError, Damaged, RunError
from gpumc.results import load, merge_shards, merged_label
from gpumc.results.files import SEAL, check_seal, replacing, seal_of
from gpumc.results.hdf5 import Layout
from gpumc.results.manifest import MANIFEST, SHARDS, Journal, Manifest, notes_of, shard_label, shard_name
from gpumc.sweeps.checkpoints import Checkpoint
from gpumc.sweeps.folder_files import content_of, digest_of, exists, set_aside, text_in, write_text
from gpumc.sweeps.locks import held, locked
from gpumc.sweeps.manifests import manifest_of
from gpumc.sweeps.plan import Task
from gpumc.sweeps.record import Record
from gpumc.sweeps.shards import check_shard
from gpumc.sweeps.tasks import RunConfig

RECORD = "run.json"
CONFIG = "config.toml"
INPUTS = "inputs"
CHECKPOINTS = "checkpoints"
PROGRESS = "progress.json"
RETRIES = "retries.json"


@dataclass(frozen=True)
class Progress:
    """How far a running task is: who does it, its number, units of work done and in all, units a second, or None while it does something
    else, and what it does."""

    worker: str
    task: int
    done: int
    total: int
    rate: float | None
    doing: str = ""

    def __post_init__(self) -> None:
        counts = (self.task, self.done, self.total)
        sound = all(type(count) is int for count in counts) and self.task >= 0 and 0 <= self.done <= self.total
        if (
            not sound
            or not isinstance(self.worker, str)
            or not isinstance(self.doing, str)
            or not (self.rate is None or (isinstance(self.rate, float) and 0 < self.rate < math.inf))
        ):
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
            set_aside(path / RECORD)
        except NoRun:
            found = None
            if exists(path / CONFIG) and exists(path / SHARDS):
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
            write_text(path / RECORD, record.written())
        folder._keep_config()
        folder._keep_manifest()
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
        return self.path / SHARDS / shard_name(index)

    def sampled(self, index: int) -> Path:
        """Where task ``index`` is kept without the local entropies that could not be measured."""
        return self.path / SHARDS / f"sampled-{index:05}.h5"

    def checkpoint(self, index: int, every: float) -> Checkpoint:
        """What task ``index`` goes on from, written ``every`` so many seconds."""
        path = self.path / CHECKPOINTS / f"task-{index:05}.npz"
        return Checkpoint(path, f"{self.label(index)} by kernels {kernels_digest()}", every)

    def label(self, index: int) -> str:
        """What the seal of the shard of task ``index`` says."""
        return shard_label(index, self.record.key)

    @property
    def merged(self) -> Path:
        """The merged results."""
        return self.path / f"{self.record.config.name}.h5"

    def merged_label(self) -> str:
        """What the seal of the merged results says. Raises Damaged where a shard has no seal."""
        return merged_label([self.shard(index) for index in range(len(self.tasks))])

    def done(self) -> list[int]:
        """The tasks whose shards are there. Raises RunError where the folder cannot be read."""
        try:
            names = set(os.listdir(self.path / SHARDS))  # once, not a question for each of many thousand files
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"{self.path / SHARDS} cannot be read ({error.strerror}): nothing was changed") from None
        return [index for index in range(len(self.tasks)) if self.shard(index).name in names]

    def notes_of(self, index: int, data: xr.Dataset) -> tuple[str, str]:
        """What is to be noted of the shard of task ``index``, which has ``data``."""
        seal = SEAL.search(seal_of(self.shard(index)))
        assert seal is not None
        return notes_of(data, index, seal[2].decode())

    @property
    def journal(self) -> Journal:
        """What is noted of finished shards."""
        return Journal(self.path)

    def is_done(self, index: int) -> bool:
        """Whether the shard of task ``index`` is there, and whole."""
        try:
            return exists(self.shard(index)) and bool(check_seal(self.shard(index), self.label(index)))
        except Damaged:
            return False

    def remove_checkpoints(self) -> None:
        """Delete those of tasks whose shards are there, which a process that was given up may have left."""
        done = {self.shard(index).stem for index in self.done()}
        for left in (self.path / CHECKPOINTS).glob("task-*.npz"):
            if left.name.partition(".")[0] in done:
                left.unlink(missing_ok=True)

    def check_inputs(self) -> None:
        """Raise RunError unless the copies of the inputs are what they were at the start."""
        for name, digest in self.record.inputs.items():
            if digest_of(self.kept(name)) != digest:
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
            done, journal = self.done(), self.journal
            noted = {task: shard.sha256 for task, shard in journal.read()[0].items()}
            planned = {self.shard(index) for index in range(len(self.tasks))}
            broken += [set_aside(extra) for extra in self.path.glob(f"{SHARDS}/task-*.h5") if extra not in planned]
            for index in done:
                try:
                    if check_seal(self.shard(index), self.label(index)) != noted.get(index):
                        journal.note(*self.notes_of(index, self.loaded(index)))
                except Damaged:
                    broken.append(set_aside(self.shard(index)))
            for index in noted.keys() - set(self.done()):
                journal.withdraw(index)
            if len(self.done()) == len(self.tasks) and exists(self.merged):
                try:
                    check_seal(self.merged, self.merged_label())
                except Damaged:
                    broken.append(set_aside(self.merged))
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
            groups.setdefault(f"n{task.n}_k{task.k}", []).append((task.axes(config), self.loaded(index, layout)))
        merged = {name: merge_shards(shards) for name, shards in groups.items()}
        for data in merged.values():
            data.attrs |= {"name": config.name, "config": self.record.text}
        if len(merged) == 1:
            return next(iter(merged.values()))
        return xr.DataTree.from_dict(
            {"/": xr.Dataset(attrs={"name": config.name, "config": self.record.text}), **merged}
        )

    def loaded(self, index: int, layout: Layout | None = None) -> xr.Dataset:
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
        if exists(kept) and digest_of(kept) == self.record.inputs[name]:
            return
        content = content_of(source)
        if hashlib.sha256(content).hexdigest() != self.record.inputs[name]:
            raise RunError(f"the content of {source} is not what it was at the start of the run")
        with replacing(kept) as temporary:
            temporary.write_bytes(content)

    def _keep_manifest(self) -> None:
        """Write the manifest where it is not there, or damaged."""
        try:
            if Manifest.read(self.path).key == self.record.key:
                return
        except Damaged:
            set_aside(self.path / MANIFEST)
        except RunError:
            pass
        manifest_of(self.record).write(self.path)

    def _keep_config(self) -> None:
        """Write the config where it is not there; one that is damaged, or another, is set aside."""
        try:
            if Record(text_in(self.path / CONFIG), self.record.inputs, None, ()).difference(self.record) == "":
                return
            set_aside(self.path / CONFIG)
        except FileNotFoundError:
            pass
        except (UnicodeDecodeError, ConfigError):
            set_aside(self.path / CONFIG)
        write_text(self.path / CONFIG, self.record.text)

    def _check_remains(self, reason: str) -> None:
        """Raise RunError, for ``reason``, unless the folder's config and inputs are those of this run."""
        try:
            difference = Record(text_in(self.path / CONFIG), self.record.inputs, None, ()).difference(self.record)
        except (FileNotFoundError, UnicodeDecodeError, ConfigError):
            raise RunError(f"{reason}, and {self.path / CONFIG} cannot be read either: choose another --out") from None
        for name in self.record.inputs:
            if exists(self.kept(name)) and digest_of(self.kept(name)) != self.record.inputs[name]:
                difference = difference or f"the content of {self.kept(name)} is not that of the config"
        if difference:
            raise RunError(f"{reason}, and {self.path / CONFIG} is of another run: {difference}; choose another --out")

    def locked(self) -> AbstractContextManager[None]:
        """Hold the folder for this process (`locks.locked`)."""
        return locked(self.path)

    def running(self) -> bool:
        """Whether a process holds the folder, which need not be writable."""
        return held(self.path)

    def write_progress(self, running: Sequence[Progress]) -> None:
        """Say how far the running tasks are."""
        write_text(self.path / PROGRESS, json.dumps([vars(progress) for progress in running]))

    def read_progress(self) -> list[Progress]:
        """What the running process has last said; nothing where none runs or has said anything."""
        try:
            stored = json.loads((self.path / PROGRESS).read_text(encoding="utf-8")) if self.running() else []
            running = [Progress(**one) for one in stored]
        except (OSError, ValueError, TypeError):
            return []
        return [one for one in running if one.task < len(self.tasks)]

    def write_retries(self, retries: Mapping[int, int]) -> None:
        """Say how often tasks were begun again because their workers were lost."""
        write_text(self.path / RETRIES, json.dumps(retries))

    def retries(self) -> dict[int, int]:
        """How often each task was begun again because its worker was lost."""
        try:
            stored = json.loads((self.path / RETRIES).read_text(encoding="utf-8"))
            return {int(task): int(count) for task, count in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


class NoRun(RunError):
    """A folder holds no run."""


def kept_input(folder: Path, name: str, file: str) -> Path:
    """Where ``folder`` keeps the input ``name``, which the config calls ``file``."""
    return folder / INPUTS / (name + Path(file).suffix)


def _may_be_left(path: Path) -> bool:
    return path.suffix == ".tmp" or path.name == INPUTS
