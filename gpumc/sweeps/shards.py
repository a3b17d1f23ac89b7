"""Whether the content of a shard is that of its task."""

from __future__ import annotations

import numpy as np
import xarray as xr

from gpumc.errors import Damaged
from gpumc.sweeps.plan import Task
from gpumc.sweeps.tasks import RunConfig


def check_shard(data: xr.Dataset | xr.DataTree, config: RunConfig, task: Task, patterns_digest: str | None) -> None:
    """Raise Damaged unless the arrays, coordinates and attributes of ``data`` are those that ``task`` gives.

    ``patterns_digest`` is that of patterns from a file at the start of the run.
    """
    if not isinstance(data, xr.Dataset):
        raise Damaged("it has groups, and a shard has none")
    expected = config.content(task)
    for name, kinds in expected.arrays.items():
        if name not in data:
            raise Damaged(f"it has no array '{name}'")
        if data.variables[name].dtype.kind not in kinds:
            raise Damaged(f"'{name}' is of type {data.variables[name].dtype}")
    for name, values in expected.coordinates.items():
        if name not in data.coords or not np.array_equal(data.variables[name].values, values):
            raise Damaged(f"its '{name}' is not that of the task")
    for name, size in expected.sizes.items():
        if data.sizes.get(name) != size:
            raise Damaged(f"its '{name}' has the size {data.sizes.get(name)}, and that of the task {size}")
    digest = {"patterns_digest": patterns_digest} if patterns_digest else {}
    for name, value in (expected.attributes | digest).items():
        if data.attrs.get(name) != value:
            raise Damaged(f"its {name} is {data.attrs.get(name)}, and that of the task {value}")
