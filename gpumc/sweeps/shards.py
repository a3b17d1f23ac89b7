"""Whether the content of a shard is that of its task."""

from __future__ import annotations

import numpy as np
import xarray as xr

from gpumc.errors import Damaged
from gpumc.grid import Grid
from gpumc.sweeps.config import RunConfig
from gpumc.sweeps.plan import Task

#: Arrays that every shard has, and the kind of their entries.
ARRAYS = {
    "energy": "f",
    "energy_per_pattern": "f",
    "error_rate": "f",
    "acceptance": "f",
    "stability_count": "iu",
    "pattern_count": "iu",
}


def check_shard(data: xr.Dataset | xr.DataTree, config: RunConfig, task: Task, patterns_digest: str | None) -> None:
    """Raise Damaged unless the arrays, coordinates and attributes of ``data`` are those that ``task`` gives.

    ``patterns_digest`` is that of patterns from a file at the start of the run.
    """
    if not isinstance(data, xr.Dataset):
        raise Damaged("it has groups, and a shard has none")
    machine = config.machine.machine(task.n, task.k)
    weights = "f" if machine.spherical else "i"
    for name, kinds in (ARRAYS | {"weights": weights}).items():
        if name not in data:
            raise Damaged(f"it has no array '{name}'")
        if data.variables[name].dtype.kind not in kinds:
            raise Damaged(f"'{name}' is of type {data.variables[name].dtype}")
    sampler = config.sampler
    recorded = (np.arange(sampler.sweeps // sampler.every) + 1) * sampler.every
    parameters = Grid.of(config.measure.measure(config.loss.loss(), task.replicas, None)).axes
    expected = {
        "instance": np.arange(*task.instances),
        "chain": np.arange(*task.chains),
        "replica": np.arange(task.replicas),
        "sweep": recorded,
        **{name: np.array(list(values)) for name, values in parameters.items()},
    }
    for name, values in expected.items():
        if name not in data.coords or not np.array_equal(data.variables[name].values, values):
            raise Damaged(f"its '{name}' is not that of the task")
    if data.sizes.get("weight") != machine.weight_count:
        raise Damaged(f"it has {data.sizes.get('weight')} weights, and the machine {machine.weight_count}")
    attributes = {
        "seed": config.seed,
        "n": task.n,
        "k": task.k,
        "machine": machine.kind,
        "weights": machine.weights,
        "burn_in": sampler.burn_in,
        "replicas": task.replicas,
        "loss": config.loss.loss().kind,
        "patterns": config.patterns.kind,
        **({"patterns_digest": patterns_digest} if patterns_digest else {}),
    }
    for name, value in attributes.items():
        if data.attrs.get(name) != value:
            raise Damaged(f"its {name} is {data.attrs.get(name)}, and that of the task {value}")
