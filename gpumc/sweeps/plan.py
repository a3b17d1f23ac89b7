"""The plan of a run: which part of it is one task. It depends on the config alone, never on the device: a run begun on one goes on on
any other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from gpumc.parts import Part
from gpumc.sweeps.sections.values import listed

if TYPE_CHECKING:
    from gpumc.sweeps.tasks import RunConfig

#: Tasks of a run: each is a file.
MOST_TASKS = 100_000
#: Flip attempts, times patterns, after which a task is long enough that a kill should not lose it: minutes on a CPU, a second on a GPU.
LONG = 2**40
#: The axes that every kind of task has.
COMMON = ("alpha", "flip", "replicas")
#: Tasks are not cut smaller than what fills a device, unless they would be this many times as long.
TOO_LONG = 16


@dataclass(frozen=True)
class Task:
    """One shard's worth: a machine (n, k), a value of each task axis, and a part of the instances and chains (or starts).

    ``settings`` are the values of axes that only some kinds of tasks have, by their names.
    """

    n: int
    k: int
    alpha: float | None
    flip: float | None
    replicas: int
    instances: tuple[int, int]
    chains: tuple[int, int]
    settings: tuple[tuple[str, float], ...] = ()

    @classmethod
    def at(cls, n: int, k: int, point: Mapping[str, Any], part: Part) -> Task:
        """The task of a machine at a ``point`` of the task axes."""
        common = {name: point[name] for name in COMMON}
        settings = tuple((name, value) for name, value in point.items() if name not in COMMON)
        return cls(n, k, **common, instances=part.instances, chains=part.chains, settings=settings)

    @property
    def point(self) -> dict[str, Any]:
        """The values of all task axes."""
        return {name: getattr(self, name) for name in COMMON} | dict(self.settings)

    @property
    def part(self) -> Part:
        """The part of the population."""
        return Part(self.instances, self.chains)

    def axes(self, config: RunConfig) -> dict[str, float]:
        """The values of the task axes that ``config`` sweeps."""
        return {name: self.point[name] for name, value in config.task_axes.items() if isinstance(value, tuple)}

    def record(self) -> dict[str, Any]:
        """The task as plain data; `read` is its inverse."""
        plain = asdict(self)
        if not self.settings:
            del plain["settings"]
        return plain

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Task:
        """The task of a `record` that may have been written as JSON."""
        settings = tuple((name, value) for name, value in record.get("settings", ()))
        ends = {name: tuple(record[name]) for name in ("instances", "chains")}
        return cls(**{**record, **ends, "settings": settings})


def plan(config: RunConfig, pattern_count: int | None = None, instances: int | None = None) -> list[Task]:
    """All tasks of ``config``, in a fixed order. ``pattern_count`` and ``instances`` are those of patterns from a file."""
    instances = instances or config.patterns.instances
    axes = config.task_axes
    points = list(product(config.machine.shapes, product(*map(listed, axes.values()))))
    tasks = []
    for (n, k), values in points:
        machine, point = config.machine.machine(n, k), dict(zip(axes, values, strict=True))
        load = config.load(machine, point)
        updates = load.work * load.attempts * (pattern_count or config.patterns.count(machine, point["alpha"]))
        for part in _parts(instances, load.chains, load.full, updates, MOST_TASKS // len(points)):
            tasks.append(Task.at(n, k, point, part))
    return tasks


def work_of(config: RunConfig, task: Task) -> int:
    """Units of work of a task."""
    return math.prod(task.part.size) * config.load(config.machine.machine(task.n, task.k), task.point).work


def _parts(instances: int, chains: int, full: int, updates: int, most: int) -> Iterator[Part]:
    """Cut instances x chains, of which ``full`` fill a device and each has so many pattern updates, into ``most`` parts or fewer, neither
    too long nor too small."""
    total = instances * chains
    lengths = math.ceil(total * updates / LONG)
    pieces = min(total, max(1, min(lengths, total // full), lengths // TOO_LONG), most)
    across_instances = min(instances, pieces)
    across_chains = min(chains, math.ceil(pieces / across_instances))
    for i, c in product(range(across_instances), range(across_chains)):
        yield Part(_cut(instances, across_instances, i), _cut(chains, across_chains, c))


def _cut(size: int, pieces: int, index: int) -> tuple[int, int]:
    return size * index // pieces, size * (index + 1) // pieces
