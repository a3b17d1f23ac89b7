"""Tasks that sample a measure, and if asked measure local entropies beside it: configs with ``[sampler]``."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpumc.errors import ConfigError
from gpumc.grid import Grid
from gpumc.losses import ErrorCount
from gpumc.machines import Machine
from gpumc.measures import Gibbs
from gpumc.messages import BeliefPropagation
from gpumc.observables import StabilityBins
from gpumc.sampling import sample
from gpumc.sampling.reports import Progress
from gpumc.sampling.samplers import default_sampler
from gpumc.sampling.stepping import check_measure
from gpumc.sweeps.checkpoints import Checkpoint
from gpumc.sweeps.explanations import refusal
from gpumc.sweeps.plan import Task
from gpumc.sweeps.sections import LossSection, MeasureSection, SamplerSection, VolumesSection
from gpumc.sweeps.sections.values import listed
from gpumc.sweeps.tasks.local_entropies import LocalEntropies, Unmeasured
from gpumc.sweeps.tasks.run_config import Content, Load, RunConfig, Telling

#: Chains, times grid points, of one wave on an H100, whose lanes step a chain of binary weights each where errors are counted, and whose
#: warps one each of other losses; and of real weights.
FULL_COUNTS, FULL_LOSSES, FULL_SPHERES = 67_584, 4_224, 2**14
#: Numbers that are kept of each volume.
VOLUME_NUMBERS = 5
#: Arrays that every shard has beside the weights, and the kind of their entries.
ARRAYS = {
    "energy": "f",
    "energy_per_pattern": "f",
    "error_rate": "f",
    "acceptance": "f",
    "stability_count": "iu",
    "pattern_count": "iu",
}


class Sampling(RunConfig):
    """The config of a run that samples."""

    unit = "attempts"

    loss: LossSection
    measure: MeasureSection
    sampler: SamplerSection
    volumes: VolumesSection | None = None

    @staticmethod
    def misfits(sections: Any) -> list[str]:
        """See `RunConfig`."""
        loss, measure, sampler, volumes = sections.loss, sections.measure, sections.sampler, sections.volumes
        mistakes = RunConfig.misfits(sections)
        for machine in sections.machine.all() if sections.machine else ():
            if loss and not machine.continuous:
                mistakes += refusal(loss.tables, machine)
            if loss and measure and sampler:
                sampled = measure.measure(loss, 1)
                mistakes += refusal(check_measure, machine, sampled)
                mistakes += refusal((sampler.sampler or default_sampler(machine, sampled)).check, machine, sampled)
            if volumes:
                mistakes += refusal(BeliefPropagation().supports, machine, Gibbs(ErrorCount(), np.inf), "distance")
        if volumes and sampler and (volumes.every or 1) > sampler.sweeps:
            mistakes.append(
                f"[volumes] every = {volumes.every} is more than [sampler] sweeps = {sampler.sweeps}: nothing would be measured"
            )
        return mistakes

    def check_files(self, folder: Path) -> None:
        """See `RunConfig`."""
        super().check_files(folder)
        if self.measure.file:
            shape = np.asarray(self.measure.measure(self.loss, 1, folder).centre).shape
            for machine in self.machine.all():
                if shape[-1:] != (machine.weight_count,):
                    raise ConfigError(
                        f"[measure] centre: {self.measure.file} has shape {shape}, and the machine has {machine.weight_count} weights: the "
                        "last dimension must be that"
                    )

    @property
    def files(self) -> dict[str, str]:
        """See `RunConfig`."""
        return super().files | ({"centre": self.measure.file} if self.measure.file else {})

    @property
    def task_axes(self) -> dict[str, Any]:
        """See `RunConfig`."""
        return super().task_axes | {"replicas": self.measure.replicas}

    def load(self, machine: Machine, point: Mapping[str, Any]) -> Load:
        """See `RunConfig`; the unit is a flip attempt."""
        replicas = point["replicas"]
        points = Grid.of(self.measure.measure(self.loss, replicas)).size
        attempts = replicas * points * machine.weight_count * (self.sampler.burn_in + self.sampler.sweeps)
        return Load(self.sampler.chains, attempts, math.ceil(self._full(machine) / points))

    def _full(self, machine: Machine) -> int:
        """Chains, times grid points, that fill a large device."""
        if machine.continuous:
            return FULL_SPHERES
        return FULL_COUNTS if self.loss.counts else FULL_LOSSES

    def run(
        self,
        task: Task,
        device: str,
        progress: Telling | None,
        patterns_digest: str | None,
        checkpoint: Checkpoint | None = None,
    ) -> xr.Dataset:
        """See `RunConfig`. Raises Unmeasured where local entropies fail."""
        clock = time.monotonic()
        machine, sampler, volumes = self.machine.machine(task.n, task.k), self.sampler, self.volumes
        patterns = self.patterns_of(task, machine, patterns_digest)
        measure = self.measure.measure(self.loss, task.replicas, Path())
        with contextlib.ExitStack() as beside:
            entropies = None
            if volumes:
                entropies = beside.enter_context(LocalEntropies(machine, patterns, measure, volumes, device))
                if checkpoint:
                    entropies.go_on(checkpoint.kept())
                    checkpoint.beside = entropies.arrays
            data = sample(
                machine,
                patterns,
                measure,
                chains=sampler.chains,
                burn_in=sampler.burn_in,
                sweeps=sampler.sweeps,
                every=sampler.every,
                seed=self.seed,
                sampler=sampler.sampler,
                device=device,
                part=task.part,
                progress=_both(progress, entropies),
                watch=entropies.watch if entropies else None,
                watch_every=(volumes.every if volumes else None) or sampler.sweeps,
                keeper=checkpoint,
            )
            if entropies:
                try:
                    entropies.wait(progress, checkpoint)
                    measured = entropies.dataset()
                except Unmeasured as failure:
                    failure.sampled = data
                    raise
                data = data.merge(measured, combine_attrs="override")
                data.attrs["duration_s"] = round(time.monotonic() - clock, 3)
        data.attrs["patterns"] = self.patterns.kind
        return data

    def content(self, task: Task) -> Content:
        """See `RunConfig`."""
        machine, sampler = self.machine.machine(task.n, task.k), self.sampler
        coordinates = {
            "instance": np.arange(*task.instances),
            "chain": np.arange(*task.chains),
            "replica": np.arange(task.replicas),
            "stability": StabilityBins.of(machine).centres,
            "sweep": (np.arange(sampler.sweeps // sampler.every) + 1) * sampler.every,
            **{name: np.array(v) for name, v in Grid.of(self.measure.measure(self.loss, task.replicas)).axes.items()},
        }
        if self.volumes:
            coordinates["distance"] = np.array(listed(self.volumes.distance), float)
        own = {"burn_in": sampler.burn_in, "replicas": task.replicas, "loss": self.loss.kind}
        attributes = self.attributes(task) | own
        arrays = ARRAYS | {"weights": np.dtype(machine.weight_kind.dtype).kind}
        return Content(arrays, coordinates, {"weight": machine.weight_count}, attributes)

    def _result_bytes(self, machine: Machine) -> int:
        """Bytes of the merged results of one machine (`gpumc.sampling.dataset.Records`)."""
        measure, sampler = self.measure, self.sampler
        replicas, draws = max(listed(measure.replicas)), sampler.sweeps // sampler.every
        weight = machine.weight_count * np.dtype(machine.weight_kind.dtype).itemsize
        coupled = measure.coupling is not None
        free = not machine.weight_kind.fixed_norm
        replica = weight + 8 * (1 + (3 + coupled + free * (1 + coupled)) * draws)
        chain = replicas * replica + coupled * weight + (replicas > 1) * 8 * draws
        if self.volumes:
            references = coupled + (replicas if self.volumes.replicas or not coupled else 0)
            measured = sampler.sweeps // (self.volumes.every or sampler.sweeps)
            chain += 8 * VOLUME_NUMBERS * references * measured * len(listed(self.volumes.distance))
        tasks = math.prod(len(listed(values)) for values in self.task_axes.values())
        return tasks * self._grid_size() * self.patterns.instances * sampler.chains * chain

    def _input_bytes(self, machine: Machine) -> int:
        """Bytes of the patterns of one task, of its table of losses, and of one chain's fields."""
        patterns = self.most_patterns(machine)
        table = 9 * machine.readout.largest * self._grid_size()
        fields = 2 * patterns * machine.k * self._grid_size() * max(listed(self.measure.replicas))
        return 2 * self.patterns.instances * patterns * machine.n + table + fields

    def _grid_size(self) -> int:
        return Grid.of(self.measure.measure(self.loss, 1)).size


def _both(progress: Telling | None, entropies: LocalEntropies | None) -> Progress:
    """Tells ``progress``, and raises at once what measuring has raised."""

    def told(done: int, total: int, doing: str) -> None:
        if entropies:
            entropies.check()
        if progress:
            progress(done, total, doing)

    return told
