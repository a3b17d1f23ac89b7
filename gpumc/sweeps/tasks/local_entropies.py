"""Local entropies around the centres and replicas of a run, by belief propagation in a thread beside the sampling."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Hashable, Mapping
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, cast

import numpy as np
import xarray as xr

from gpumc.device import choose
from gpumc.errors import RunError
from gpumc.grid import Grid
from gpumc.keeping import marked, unmarked
from gpumc.machines import Machine
from gpumc.measures import Measure
from gpumc.parts import Part
from gpumc.patterns import Patterns
from gpumc.schema import attributes
from gpumc.sweeps.checkpoints import Checkpoint
from gpumc.sweeps.sections.values import listed
from gpumc.sweeps.sections.volumes_section import KEPT, AroundSection
from gpumc.sweeps.tasks.run_config import Telling

#: Seconds between two looks at what is still measured.
LOOK_EVERY = 0.5


class _Stopped(BaseException):
    """The run that is being watched has ended in an exception."""


class Unmeasured(RunError):
    """Local entropies could not be measured; ``sampled`` is all the rest of a task, where all of it was sampled."""

    def __init__(self, reason: BaseException):
        super().__init__(f"local entropies could not be measured ({type(reason).__name__}: {reason})")
        self.sampled: xr.Dataset | None = None


class LocalEntropies:
    """Watches a run (``sample(watch=entropies.watch)``) and measures; ``dataset`` waits for what is left and puts all together. Used in
    ``with``: an exception inside ends the measuring. One of the measuring is raised as Unmeasured by ``check``, called as sampling goes on.

    References are the centre (0) where there is one, and the replicas (1, 2, ..) where ``volumes.replicas`` is true or there is no centre.
    """

    def __init__(self, machine: Machine, patterns: Patterns, measure: Measure, volumes: AroundSection, device: str):
        self.machine, self.patterns, self.measure = machine, patterns, measure
        self.volumes, self.device = volumes, device
        self.found: list[tuple[int, Part, xr.DataArray, Future]] = []
        self.worker = ThreadPoolExecutor(1)
        #: The thread that is measuring, while it is.
        self.measuring: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is left or, after an exception, stop it, and join the thread."""
        if kind is not None:
            self.worker.shutdown(wait=False, cancel_futures=True)
            if self.measuring is not None:
                # Raised between two instructions of that thread. A measurement has no other place where it could be stopped.
                stop = ctypes.pythonapi.PyThreadState_SetAsyncExc
                stop(ctypes.c_ulong(self.measuring), ctypes.py_object(_Stopped))
        self.worker.shutdown()

    def check(self) -> None:
        """Raise Unmeasured where a measurement has failed."""
        for *_, future in self.found:
            if future.done() and (error := future.exception()):
                raise Unmeasured(error) from error

    def watch(self, sweeps: int, part: Part, weights: np.ndarray, centre: np.ndarray | None) -> None:
        """Measure around these configurations, later, unless that was gone on with."""
        if any(at == sweeps and of == part for at, of, *_ in self.found):
            return
        first = 1
        if centre is not None:
            centre = centre[:, :, :, None]
            weights = np.concatenate([centre, weights], axis=3) if self.volumes.replicas else centre
            first = 0
        references = self._references(part, weights, first)
        self.found.append((sweeps, part, references, self.worker.submit(self._measure, references)))

    def _references(self, part: Part, weights: np.ndarray, first: int) -> xr.DataArray:
        """Weights (instances, grid, chains, references, weights) with their coordinates; ``first`` is the number of the first."""
        grid = Grid.of(self.measure)
        axes, lengths = grid.axes, grid.shape
        return xr.DataArray(
            weights.reshape(len(weights), *lengths, *weights.shape[2:]),
            {
                "instance": np.arange(*part.instances),
                **{name: list(values) for name, values in axes.items()},
                "chain": np.arange(*part.chains),
                "reference": first + np.arange(weights.shape[3]),
            },
            ("instance", *axes, "chain", "reference", "weight"),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """What was shown so far, and measured of it: for `go_on`."""
        arrays = {"volumes": np.array(len(self.found))}
        for number, (sweeps, part, references, future) in enumerate(self.found):
            where = [sweeps, *part.instances, *part.chains, int(references.reference[0])]
            kept = {"where": np.array(where), "weights": references.values}
            if future.done() and not future.exception():
                kept |= {name: future.result()[name].values for name in KEPT}
            arrays |= marked(f"volume{number}_", kept)
        return arrays

    def go_on(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take what `arrays` gave, and measure what was not."""
        for number in range(int(arrays.get("volumes", 0))):
            kept = unmarked(f"volume{number}_", arrays)
            sweeps, i0, i1, c0, c1, first = kept["where"].tolist()
            part, weights = Part((i0, i1), (c0, c1)), kept["weights"]
            flat = weights.reshape(len(weights), -1, *weights.shape[-3:])
            references = self._references(part, flat, first)
            if KEPT[0] in kept:
                future: Future = Future()
                future.set_result(self._measured(references, kept))
            else:
                future = self.worker.submit(self._measure, references)
            self.found.append((sweeps, part, references, future))

    def _measured(self, references: xr.DataArray, kept: Mapping[str, np.ndarray]) -> xr.Dataset:
        """What `_measure` has given before."""
        distance = np.atleast_1d(np.array(listed(self.volumes.distance), float))
        coordinates = {**references.coords, "distance": ("distance", distance, attributes("distance"))}
        dims = (*references.dims[:-1], "distance")
        variables = {
            name: (dims if kept[name].ndim > 1 else ("distance",), kept[name], attributes(name)) for name in KEPT
        }
        return xr.Dataset(variables, coordinates)

    def _measure(self, references: xr.DataArray) -> xr.Dataset:
        self.measuring = threading.get_ident()
        try:
            with choose(self.device).stream():
                return self.volumes.around(self.machine, self.patterns, references, self.device)
        finally:
            self.measuring = None

    def wait(self, progress: Telling | None, checkpoint: Checkpoint | None) -> None:
        """Wait for what is left to measure, and keep what was measured in the ``checkpoint``. Raises Unmeasured."""
        left = {future for *_, future in self.found}
        while left:
            left = futures.wait(left, timeout=LOOK_EVERY, return_when=futures.FIRST_COMPLETED).not_done
            self.check()
            if progress:
                progress(None, 1, f"volumes, {len(self.found) - len(left)} of {len(self.found)}")
            if left and checkpoint and checkpoint.due():
                checkpoint.keep_again()

    def dataset(self) -> xr.Dataset:
        """All measurements, over (instance, grid, chain, volume_draw, reference, distance)."""
        self.worker.shutdown()
        self.check()
        draws = []
        for sweeps in sorted({sweeps for sweeps, *_ in self.found}):
            pieces = [future.result() for at, *_, future in self.found if at == sweeps]
            draws.append(cast(xr.Dataset, xr.combine_by_coords(pieces, data_vars="all", combine_attrs="override")))
        along: list[Hashable] = [name for name in KEPT if name != "entropy_bound"]
        data = xr.concat(draws, "volume_draw", data_vars=along, combine_attrs="override")
        data = data.assign_coords(volume_sweep=("volume_draw", sorted({sweeps for sweeps, *_ in self.found})))
        data.volume_sweep.attrs, data.reference.attrs = attributes("volume_sweep"), attributes("reference")
        data.attrs = {}
        return data
