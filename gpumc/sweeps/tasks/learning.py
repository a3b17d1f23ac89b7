"""Tasks that teach machines, and if asked measure how flat what was learned lies: configs with ``[learner]``."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from gpumc.device import choose
from gpumc.errors import GpumcError
from gpumc.flatness import hessian, summary
from gpumc.learning import learn
from gpumc.losses import CrossEntropy, ErrorCount
from gpumc.machines import Machine
from gpumc.measures import Gibbs
from gpumc.messages import BeliefPropagation
from gpumc.patterns import Patterns
from gpumc.schema import described
from gpumc.sweeps.checkpoints import Checkpoint
from gpumc.sweeps.explanations import refusal
from gpumc.sweeps.plan import Task
from gpumc.sweeps.sections import AroundSection, FlatnessSection, LearnerSection
from gpumc.sweeps.sections.values import listed
from gpumc.sweeps.tasks.local_entropies import Unmeasured
from gpumc.sweeps.tasks.run_config import Content, Load, RunConfig, Telling

#: Machines that learn at once and fill a large device.
FULL = 2**12
#: The most numbers of a replica that are kept of every epoch.
CURVES = 4
#: Of a Hessian, what is measured at a run's own slope and gamma, too.
ENDS = ("largest_eigenvalue", "smallest_eigenvalue")
#: Arrays that every shard has beside the weights, and the kind of their entries.
ARRAYS = {"errors": "iu", "steps": "iu", "error_rate": "f"}


class Learning(RunConfig):
    """The config of a run that learns."""

    unit = "epochs"

    learner: LearnerSection
    volumes: AroundSection | None = None
    flatness: FlatnessSection | None = None

    @staticmethod
    def misfits(sections: Any) -> list[str]:
        """See `RunConfig`."""
        mistakes = RunConfig.misfits(sections)
        for machine in sections.machine.all() if sections.machine else ():
            if sections.learner:
                mistakes += refusal(sections.learner.first.check, machine)
            if sections.flatness:
                mistakes += sections.flatness.misfits(machine)
            if sections.volumes:
                mistakes += refusal(BeliefPropagation().supports, machine, Gibbs(ErrorCount(), np.inf), "distance")
        return mistakes

    @property
    def task_axes(self) -> dict[str, Any]:
        """See `RunConfig`."""
        return super().task_axes | {"replicas": self.learner.first.replicas} | self.learner.axes

    def load(self, machine: Machine, point: Mapping[str, Any]) -> Load:
        """See `RunConfig`; the unit is an epoch of a start."""
        learner = self.learner.at(point)
        full = math.ceil(FULL / learner.replicas)
        return Load(self.learner.starts, learner.epochs, full, learner.replicas * machine.weight_count)

    def run(
        self,
        task: Task,
        device: str,
        progress: Telling | None,
        patterns_digest: str | None,
        checkpoint: Checkpoint | None = None,
    ) -> xr.Dataset:
        """See `RunConfig`. Raises Unmeasured where a measurement fails."""
        clock = time.monotonic()
        machine, learner = self.machine.machine(task.n, task.k), self.learner.at(task.point)
        patterns, runs = self.patterns_of(task, machine, patterns_digest), math.prod(task.part.size)
        told = (lambda done, total, doing: progress(done * runs, total * runs, doing)) if progress else None
        learned = functools.partial(
            learn,
            machine,
            patterns,
            learner,
            starts=self.learner.starts,
            seed=self.seed,
            device=device,
            part=task.part,
            progress=told,
            keeper=checkpoint,
        )
        measured = self.volumes or self.flatness
        data = checkpoint.finished("learned", learned) if checkpoint and measured else learned()
        data.attrs["patterns"] = self.patterns.kind
        for name in self.learner.axes:  # which the merged results have as a dimension
            del data.attrs[f"learner_{name}"]
        if measured:

            def finished(part: str, make: Callable[[], xr.Dataset], doing: str) -> xr.Dataset:
                if progress:
                    progress(None, learner.epochs * runs, doing)
                return checkpoint.finished(part, make) if checkpoint else make()

            data = self._measured(machine, patterns, data, device, finished)
            data.attrs["duration_s"] = round(time.monotonic() - clock, 3)
        return data

    def _measured(
        self, machine: Machine, patterns: Patterns, data: xr.Dataset, device: str, finished: Callable[..., xr.Dataset]
    ) -> xr.Dataset:
        """``data`` with what is measured around what it holds: parts, each ``finished(part, make, doing)``. Raises Unmeasured."""
        # A GPU is filled by all instances at once; elsewhere one after the other takes no longer.
        count = data.sizes["instance"]
        step = count if choose(device).kind == "cuda" else 1
        pieces = []
        try:
            for first in range(0, count, step):
                some = data.isel(instance=slice(first, first + step))
                place = f", instance {first + 1} of {count}" if step < count else ""
                made = [
                    finished(f"{name}-{first}", functools.partial(make, machine, patterns, some, device), name + place)
                    for name, make in self._parts.items()
                ]
                pieces.append(xr.merge(made, combine_attrs="override"))
        except (GpumcError, MemoryError) as error:
            failure = Unmeasured(error)
            failure.sampled = data
            raise failure from error
        around = xr.concat(pieces, "instance", data_vars="minimal", combine_attrs="override")
        return xr.merge([data, around], combine_attrs="override")

    @property
    def _parts(self) -> dict[str, Callable[[Machine, Patterns, xr.Dataset, str], xr.Dataset]]:
        """What is measured around learned weights, by its name."""
        asked = {"volumes": (self.volumes, self._volumes), "flatness": (self.flatness, self._flatness)}
        return {name: part for name, (section, part) in asked.items() if section}

    def _volumes(self, machine: Machine, patterns: Patterns, data: xr.Dataset, device: str) -> xr.Dataset:
        assert self.volumes
        return self.volumes.around(machine, patterns, self._references(data), device)

    def _flatness(self, machine: Machine, patterns: Patterns, data: xr.Dataset, device: str) -> xr.Dataset:
        assert self.flatness
        around = self._references(data)
        settings = {"distance": None, "seed": self.seed, "device": device, **self.flatness.settings}
        # which errors there are without noise the learner says
        flat = summary(machine, patterns, around, **settings).drop_vars("error_rate")
        if "largest_eigenvalue" not in flat or "final_slope" not in data:
            return flat
        own = _own_hessian(machine, patterns, around, data, settings)
        return xr.merge([flat, own], combine_attrs="override")

    def _references(self, data: xr.Dataset) -> xr.DataArray:
        return references(data, bool(self.volumes and self.volumes.replicas))

    def content(self, task: Task) -> Content:
        """See `RunConfig`."""
        machine, learner = self.machine.machine(task.n, task.k), self.learner.at(task.point)
        coordinates = {"instance": np.arange(*task.instances), "start": np.arange(*task.chains)}
        if learner.replicas > 1:
            coordinates["replica"] = np.arange(learner.replicas)
        if self.volumes:
            coordinates["distance"] = np.array(listed(self.volumes.distance), float)
        if self.flatness:
            coordinates |= {name: np.array(self.flatness.settings[name], float) for name in ("strength", "eta")}
        attributes = self.attributes(task) | {"learner": learner.kind, "starts": self.learner.starts}
        arrays = ARRAYS | {"weights": np.dtype(machine.weight_kind.dtype).kind}
        return Content(arrays, coordinates, {"weight": machine.weight_count}, attributes)

    def _result_bytes(self, machine: Machine) -> int:
        """Bytes of the merged results of one machine."""
        axes = {name: listed(values) for name, values in self.task_axes.items()}
        tasks = math.prod(map(len, axes.values()))
        replicas, learner = max(axes["replicas"]), self.learner.first
        weight = machine.weight_count * np.dtype(machine.weight_kind.dtype).itemsize
        return tasks * self.patterns.instances * self.learner.starts * replicas * (weight + 8 * CURVES * learner.epochs)

    def _input_bytes(self, machine: Machine) -> int:
        """Bytes of the patterns of one task, and of the states of one start."""
        states = 8 * machine.weight_count * self.learner.first.replicas
        return 2 * self.patterns.instances * self.most_patterns(machine) * machine.n + states


def _own_hessian(
    machine: Machine, patterns: Patterns, around: xr.DataArray, data: xr.Dataset, settings: Mapping[str, Any]
) -> xr.Dataset:
    """The ends of the Hessian's spectrum at the slope and gamma of each run's last epoch, which differ between runs."""
    where = {name: settings[name] for name in ("method", "seed", "device")}
    found = []
    for slope, gamma in sorted(set(zip(data.final_slope.values.flat, data.final_gamma.values.flat, strict=True))):
        runs = (data.final_slope == slope) & (data.final_gamma == gamma)
        some = around.where(runs, 0)
        found.append(
            hessian(machine, patterns, some, CrossEntropy(gamma), slope=slope, **where)[list(ENDS)].where(runs)
        )
    own = functools.reduce(lambda one, other: one.fillna(other), found)
    return described(own.rename({name: f"own_{name}" for name in ENDS}))


def references(data: xr.Dataset, replicas: bool) -> xr.DataArray:
    """Weights over ``reference``: the centre (0) where there is one, and the replicas (1, 2, ..) where asked or there is no centre."""
    weights = data.weights if "replica" in data.dims else data.weights.expand_dims(replica=1)
    weights = weights.rename(replica="reference").assign_coords(reference=np.arange(1, weights.sizes["replica"] + 1))
    if "centre" not in data:
        return weights
    centre = data.centre.expand_dims(reference=[0])
    return xr.concat([centre, weights], "reference", combine_attrs="override") if replicas else centre
