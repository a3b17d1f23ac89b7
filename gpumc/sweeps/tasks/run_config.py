"""What every config of a run has, whatever is done with the machine and the patterns; and what a kind of task must know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import xarray as xr
from pydantic import Field

from gpumc.errors import RunError
from gpumc.machines import Machine
from gpumc.patterns import Patterns
from gpumc.sweeps.checkpoints import Checkpoint
from gpumc.sweeps.plan import Task
from gpumc.sweeps.sections import ClusterSection, MachineSection, PatternsSection, Section
from gpumc.sweeps.sections.keys import wanted
from gpumc.sweeps.sections.values import Seed, listed

#: Characters of a name; with what files add to it, the 143 of an encrypted folder are enough.
LONGEST_NAME = 100
#: Inputs of a run by their names in its folder, and the places in a config that name them.
PLACES = {"patterns": ("patterns", "path"), "centre": ("measure", "centre")}


#: Told by a task: the units of its work that are done, or None while it does something else, such as a measurement at its end; all units;
#: and what is being done, in words.
Telling = Callable[[int | None, int, str], None]


class Load(NamedTuple):
    """What one machine's tasks are cut by: the chains (or starts) of an instance, the units of work of one chain, the chains that fill a
    large device, and the flip attempts that a unit of work is about as long as."""

    chains: int
    work: int
    full: int
    attempts: int = 1


class Content(NamedTuple):
    """What the shard of a task contains: the kinds of the entries of its arrays, coordinates, sizes and attributes."""

    arrays: dict[str, str]
    coordinates: dict[str, Any]
    sizes: dict[str, int]
    attributes: dict[str, Any]


class RunConfig(Section):
    """A whole run. A kind of task is a subclass with more sections, which replaces the methods that raise NotImplementedError.

    Attributes
    ----------
    unit : str
        What progress counts.
    """

    unit: ClassVar[str]

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME),
        wanted(f"a name of at most {LONGEST_NAME} letters, digits, '.', '_' and '-', the first a letter or digit,"),
    ]
    seed: Seed = 0
    machine: MachineSection
    patterns: PatternsSection
    cluster: ClusterSection | None = None

    @staticmethod
    def misfits(sections: Any) -> list[str]:
        """What is wrong between ``sections``, as attributes: a config, or those of one that are right by themselves, the others None."""
        machines = sections.machine.all() if sections.machine else []
        return [line for machine in machines if sections.patterns for line in sections.patterns.misfits(machine)]

    def check_files(self, folder: Path) -> None:
        """Read what the config names, so that what is wrong with it is said before anything starts."""
        if self.patterns.stored:
            for machine in self.machine.all():
                self.patterns.make(machine, {}, self.seed, folder)

    @property
    def files(self) -> dict[str, str]:
        """The files that the config names, by their names in `PLACES`."""
        return {"patterns": self.patterns.file} if self.patterns.file else {}

    def with_files(self, files: Mapping[str, str | Path]) -> Self:
        """The same config with other paths for the files that it names."""
        config = self
        for name, file in files.items():
            section, key = PLACES[name]
            changed = getattr(config, section).model_copy(update={key: str(file)})
            config = config.model_copy(update={section: changed})
        return config

    @property
    def task_axes(self) -> dict[str, Any]:
        """The values of the axes along which tasks are split: ``alpha``, ``flip``, ``replicas``, and all others that are swept."""
        return self.patterns.axes | {"replicas": 1}

    def load(self, machine: Machine, point: Mapping[str, Any]) -> Load:
        """What the tasks of one machine at a ``point`` of the task axes are cut by."""
        raise NotImplementedError

    def least_bytes(self) -> int:
        """Bytes that the run holds at once at its end, when its results are merged, or while its largest task runs."""
        machines = self.machine.all()
        return sum(map(self._result_bytes, machines)) + max(map(self._input_bytes, machines))

    def _result_bytes(self, machine: Machine) -> int:
        """Bytes of the merged results of one machine."""
        raise NotImplementedError

    def _input_bytes(self, machine: Machine) -> int:
        """Bytes of what a task of one machine holds beside its results."""
        raise NotImplementedError

    def most_patterns(self, machine: Machine) -> int:
        """The patterns of an instance at the largest alpha; 0 where a file says it."""
        return max(
            self.patterns.count(machine, min(alpha, 2.0**32)) for alpha in listed(self.patterns.axes["alpha"] or 0.0)
        )

    def run(
        self,
        task: Task,
        device: str,
        progress: Telling | None,
        patterns_digest: str | None,
        checkpoint: Checkpoint | None = None,
    ) -> xr.Dataset:
        """Do one task, or go on from its ``checkpoint``; the config and the task are plain data, and it can be done anywhere.

        ``progress`` is told how far it is. Raises RunError where the patterns do not have ``patterns_digest``.
        """
        raise NotImplementedError

    def attributes(self, task: Task) -> dict[str, Any]:
        """Of the shard of every kind of ``task``."""
        machine = self.machine.machine(task.n, task.k)
        described = {"machine": machine.kind, "weights": machine.weights, "patterns": self.patterns.kind}
        return {"seed": self.seed, "n": task.n, "k": task.k, **described}

    def content(self, task: Task) -> Content:
        """What the shard of ``task`` contains."""
        raise NotImplementedError

    def patterns_of(self, task: Task, machine: Machine, digest: str | None) -> Patterns:
        """The patterns of a task. Raises RunError where they do not have the ``digest``, if one is given."""
        patterns = self.patterns.make(machine, {"alpha": task.alpha, "flip": task.flip}, self.seed, Path())
        if digest is not None and patterns.digest != digest:
            raise RunError(f"{self.patterns.file} holds other patterns than at the start of the run")
        return patterns
