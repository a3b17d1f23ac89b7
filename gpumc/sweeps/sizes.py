"""How large a run would be: what no machine's memory, or no folder, could hold is refused before anything starts."""

from __future__ import annotations

import math

from gpumc.device import Device
from gpumc.errors import ConfigError
from gpumc.sweeps.plan import MOST_TASKS
from gpumc.sweeps.tasks import RunConfig


def check_tasks(config: RunConfig) -> None:
    """Raise ConfigError for more tasks than a folder should hold files."""
    values = {"n": config.machine.n, "k": config.machine.k, **config.task_axes}
    counts = {name: len(value) for name, value in values.items() if isinstance(value, tuple)}
    tasks = math.prod(counts.values())
    if tasks > MOST_TASKS:
        told = " x ".join(f"{count} of {name}" for name, count in counts.items())
        raise ConfigError(f"the config asks for {tasks} tasks, {told}: at most {MOST_TASKS} are possible in one run")


def check_memory(config: RunConfig) -> None:
    """Raise ConfigError for results, patterns and tables that need more memory than is free."""
    needed, free = config.least_bytes(), Device("numpy").free_memory()
    if needed > free:
        raise ConfigError(
            f"the run needs at least {_gib(needed)} of memory for its results and patterns, and {_gib(free)} is free here: use fewer "
            "chains, instances, values or weights, or record less often ([sampler] every)"
        )


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
