"""Checkpoints of a running task: all that the rest of it depends on, every so often, from which the same command goes on."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from gpumc.errors import Damaged, Ended, RunError
from gpumc.reading import arrays_in
from gpumc.results.files import load, replacing, save
from gpumc.sweeps.folder_files import set_aside

#: Seconds between two checkpoints of a task.
EVERY = 120.0
#: Set where this process is asked to end: the running task writes a checkpoint and raises Ended.
ENDING = threading.Event()
LABEL = "label"


class Checkpoint:
    """Two files of one task, the last one and the one before; see `gpumc.keeping.Keeper`.

    ``label`` says of which task they are, and by which kernels; files of another are left out. ``beside`` gives arrays of others that are
    kept with the task's own.
    """

    def __init__(self, path: Path, label: str, every: float = EVERY):
        self.path, self.label, self.every = path, label, every
        self.beside: Callable[[], Mapping[str, np.ndarray]] = dict
        #: Told before a checkpoint is written.
        self.announce: Callable[[], None] = lambda: None
        self.last = time.monotonic()

    @property
    def previous(self) -> Path:
        """The one before."""
        return self.path.with_suffix(".before.npz")

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return ENDING.is_set() or time.monotonic() - self.last >= self.every

    def keep(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a checkpoint; a disk that is full is warned of, as the task itself can go on. Raises Ended where the process is asked to
        end."""
        self._keep(arrays)

    def keep_again(self) -> None:
        """Write the last checkpoint once more, with what there is beside it now. Raises Ended as `keep` does."""
        self._keep(self.kept())

    def _keep(self, arrays: Mapping[str, np.ndarray]) -> None:
        try:
            self._write({**arrays, **self.beside(), LABEL: np.array(self.label)})
        except RunError as error:
            warnings.warn(f"no checkpoint was kept: {error}", stacklevel=2)
        self.last = time.monotonic()
        if ENDING.is_set():
            raise Ended

    def kept(self) -> dict[str, np.ndarray]:
        """The last checkpoint that is whole; nothing where there is none. One that is damaged is set aside, and warned of. Raises
        RunError for one that cannot be read."""
        for path in (self.path, self.previous):
            try:
                arrays = arrays_in(path)
            except Damaged as error:
                warnings.warn(f"{error}: it is now {set_aside(path).name}", stacklevel=2)
                continue
            except RunError:
                if path.exists():
                    raise
                continue
            if str(arrays.pop(LABEL, "")) == self.label:
                return arrays
        return {}

    def finished(self, part: str, make: Callable[[], xr.Dataset]) -> xr.Dataset:
        """A ``part`` of the task that takes long and is made as a whole: what was kept of it, else what ``make`` gives, which is kept.
        Raises Ended where the process is asked to end."""
        path = self.path.with_suffix(f".{part}.h5")
        with contextlib.suppress(RunError):  # what is not there, damaged or of another task is made
            kept = load(path, self.label)
            assert isinstance(kept, xr.Dataset)
            return kept
        data = make()
        try:
            save(data, path, self.label)
        except RunError as error:
            warnings.warn(f"{part} was not kept: {error}", stacklevel=2)
        if ENDING.is_set():
            raise Ended
        return data

    def remove(self) -> None:
        """Delete all: the task has its shard."""
        for path in (self.path, self.previous, *self.path.parent.glob(f"{self.path.stem}.*.h5")):
            path.unlink(missing_ok=True)

    def _write(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.announce()
        fresh = self.path.with_suffix(".new.npz")
        with replacing(fresh) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.path, self.previous)
        # A process that was given up may be at this task, too, and have renamed it.
        with contextlib.suppress(FileNotFoundError):
            os.replace(fresh, self.path)
