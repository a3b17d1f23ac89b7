"""The plan of a run: which part of it is one task. It depends on the config alone, never on the device: a run begun on one goes on on
any other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from gpumc.grid import Grid
from gpumc.sampling import Part
from gpumc.sweeps.config import RunConfig, listed
from gpumc.sweeps.sizes import MOST_TASKS

#: Pattern updates after which a task is long enough that a kill should not lose it: minutes on a CPU, a second on a GPU.
LONG = 2**40
#: Chains, times grid points, of one wave on an H100, whose lanes step a chain of binary weights each where errors are counted, and whose
#: warps one each of other losses; and of real weights. Tasks are not cut smaller, unless they would be this many times as long.
FULL_COUNTS, FULL_LOSSES, FULL_SPHERES = 67_584, 4_224, 2**14
TOO_LONG = 16


@dataclass(frozen=True)
class Task:
    """One shard's worth: a machine (n, k), a value of each task axis, and a part of the instances and chains."""

    n: int
    k: int
    alpha: float | None
    flip: float | None
    replicas: int
    instances: tuple[int, int]
    chains: tuple[int, int]

    @property
    def part(self) -> Part:
        """The part of the population."""
        return Part(self.instances, self.chains)

    def axes(self, config: RunConfig) -> dict[str, float]:
        """The values of the task axes that ``config`` sweeps."""
        swept = {"alpha": config.patterns.alpha, "flip": config.patterns.flip, "replicas": config.measure.replicas}
        return {name: getattr(self, name) for name, value in swept.items() if isinstance(value, tuple)}

    def record(self) -> dict[str, Any]:
        """The task as plain data; ``Task(**record)`` is its inverse."""
        return asdict(self)


def plan(config: RunConfig, pattern_count: int | None = None, instances: int | None = None) -> list[Task]:
    """All tasks of ``config``, in a fixed order. ``pattern_count`` and ``instances`` are those of patterns from a file."""
    instances = instances or config.patterns.instances
    axes = (config.patterns.alpha, config.patterns.flip, config.measure.replicas)
    points = list(product(config.shapes, product(*map(listed, axes))))
    tasks = []
    for (n, k), (alpha, flip, replicas) in points:
        machine = config.machine.machine(n, k)
        patterns = pattern_count or machine.pattern_count(alpha)
        walkers = _walkers_per_chain(config, replicas)
        updates = walkers * _attempts_per_walker(config, n, k) * patterns
        full = math.ceil(_full(config) * replicas / walkers)
        for part in _parts(instances, config.sampler.chains, full, updates, MOST_TASKS // len(points)):
            tasks.append(Task(n, k, alpha, flip, replicas, part.instances, part.chains))
    return tasks


def attempts_of(config: RunConfig, task: Task) -> int:
    """Flip attempts that a task makes."""
    instances, chains = task.part.size
    return instances * chains * _walkers_per_chain(config, task.replicas) * _attempts_per_walker(config, task.n, task.k)


def _walkers_per_chain(config: RunConfig, replicas: int) -> int:
    """Replicas times grid points, which a chain of an instance has."""
    return replicas * Grid.of(config.measure.measure(config.loss.loss(), replicas, None)).size


def _attempts_per_walker(config: RunConfig, n: int, k: int) -> int:
    return config.machine.machine(n, k).weight_count * (config.sampler.burn_in + config.sampler.sweeps)


def _full(config: RunConfig) -> int:
    """Chains, times grid points, that fill a large device."""
    if config.machine.weights != "binary":
        return FULL_SPHERES
    return FULL_COUNTS if config.loss.loss().counts else FULL_LOSSES


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
