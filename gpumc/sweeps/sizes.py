"""How large a run would be: what no machine's memory, or no folder, could hold is refused before anything starts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gpumc.device import Device
from gpumc.errors import ConfigError
from gpumc.machines import Machine

if TYPE_CHECKING:
    from gpumc.sweeps.config import RunConfig

#: Tasks of a run: each is a file.
MOST_TASKS = 100_000
#: Numbers that are kept of each volume.
VOLUME_NUMBERS = 5


def check_tasks(config: RunConfig) -> None:
    """Raise ConfigError for more tasks than a folder should hold files."""
    values = {
        "n": config.machine.n,
        "k": config.machine.k,
        "alpha": config.patterns.alpha,
        "flip": config.patterns.flip,
        "replicas": config.measure.replicas,
    }
    counts = {name: len(value) for name, value in values.items() if isinstance(value, tuple)}
    tasks = math.prod(counts.values())
    if tasks > MOST_TASKS:
        told = " x ".join(f"{count} of {name}" for name, count in counts.items())
        raise ConfigError(f"the config asks for {tasks} tasks, {told}: at most {MOST_TASKS} are possible in one run")


def check_memory(config: RunConfig) -> None:
    """Raise ConfigError for results, patterns and tables that need more memory than is free."""
    needed, free = least_bytes(config), Device("numpy").free_memory()
    if needed > free:
        raise ConfigError(
            f"the run needs at least {_gib(needed)} of memory for its results and patterns, and {_gib(free)} is free here: use fewer "
            "chains, instances, values or weights, or record less often ([sampler] every)"
        )


def least_bytes(config: RunConfig) -> int:
    """Bytes that a run holds at once at its end, when its results are merged, or while its largest task runs."""
    machines = [config.machine.machine(n, k) for n, k in config.shapes]
    return sum(_result(config, machine) for machine in machines) + max(_inputs(config, machine) for machine in machines)


def _result(config: RunConfig, machine: Machine) -> int:
    """Bytes of the merged results of one machine (`gpumc.sampling.dataset.Records`)."""
    measure, sampler = config.measure, config.sampler
    replicas, draws = _most(measure.replicas), sampler.sweeps // sampler.every
    weight = machine.weight_count * (8 if machine.spherical else 1)
    coupled = measure.coupling is not None
    replica = weight + 8 * (1 + (3 + coupled) * draws)
    chain = replicas * replica + coupled * weight + (replicas > 1) * 8 * draws
    if config.volumes:
        references = coupled + (replicas if config.volumes.replicas or not coupled else 0)
        measured = sampler.sweeps // (config.volumes.every or sampler.sweeps)
        chain += 8 * VOLUME_NUMBERS * references * measured * _count(config.volumes.distance)
    tasks = _count(config.patterns.alpha) * _count(config.patterns.flip) * _count(measure.replicas)
    return tasks * _grid(config) * config.patterns.instances * sampler.chains * chain


def _inputs(config: RunConfig, machine: Machine) -> int:
    """Bytes of the patterns of one task, of its table of losses, and of one chain's fields."""
    alpha = config.patterns.alpha
    patterns = 0 if alpha is None else max(1, round(min(_most(alpha), 2.0**32) * machine.weight_count))
    table = 9 * machine.readout.largest * _grid(config)
    fields = 2 * patterns * machine.k * _grid(config) * _most(config.measure.replicas)
    return 2 * config.patterns.instances * patterns * machine.n + table + fields


def _grid(config: RunConfig) -> int:
    return math.prod(map(_count, (*config.loss.axes.values(), config.measure.beta, config.measure.coupling)))


def _count(value: object) -> int:
    return len(value) if isinstance(value, tuple) else 1


def _most(value):
    return max(value) if isinstance(value, tuple) else value


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
