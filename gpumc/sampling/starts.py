"""Where chains start, and the centres that stay where they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpumc.checks import shown
from gpumc.errors import ConfigError
from gpumc.grid import Grid
from gpumc.machines import Machine
from gpumc.measures import Measure
from gpumc.named import Check, placed
from gpumc.parts import Part


class Starts(NamedTuple):
    """Of a part of a run, read-only views: given ``weights`` (instances, grid, chains, replicas, weights) and ``centre`` (instances, grid,
    chains, weights), int8 or, of any norm, float64; None where they are drawn."""

    weights: np.ndarray | None
    centre: np.ndarray | None

    @classmethod
    def of(cls, machine: Machine, instances: int, measure: Measure, chains: int, init: Any, part: Part) -> Starts:
        """Of a run of so many ``instances`` and ``chains``. Raises ConfigError for what has no place in it."""
        shape = machine.k, machine.fan_in

        def check(name: str, values: Any) -> np.ndarray:
            return machine.weight_kind.checked(name, values, shape)

        weights, centre = None, measure.centre
        dims = _dims(machine, instances, measure, chains)
        if not isinstance(init, str):
            weights = _over("init", init, dims, part, check)
        elif init != "random":
            raise ConfigError(f"init = {shown(init)}: 'random' or an array of weights is needed")
        if measure.centre_kind != "fixed":
            return cls(weights, None)
        return cls(
            weights, _over("centre", centre, {dim: v for dim, v in dims.items() if dim != "replica"}, part, check)
        )

    def within(self, instances: slice, chains: slice) -> Starts:
        """Those of some of the instances and chains."""
        return Starts(*(array if array is None else array[instances, :, chains] for array in self))


def _dims(machine: Machine, instances: int, measure: Measure, chains: int) -> dict[str, np.ndarray]:
    """Coordinates of the weights of a whole run."""
    axes = Grid.of(measure).axes
    return {
        "instance": np.arange(instances),
        **{name: np.array(values) for name, values in axes.items()},
        "chain": np.arange(chains),
        "replica": np.arange(measure.replicas),
        "weight": np.arange(machine.weight_count),
    }


def _over(name: str, given: Any, dims: dict[str, np.ndarray], part: Part, check: Check) -> np.ndarray:
    """``given`` over a part, with the dimensions of the grid as one."""
    array = placed(name, given, dims, check, {"instance": slice(*part.instances), "chain": slice(*part.chains)})
    names = list(dims)
    chain = names.index("chain")
    grid = [len(dims[name]) for name in names[1:chain]]
    from_chain = array.shape[chain:]
    array = np.broadcast_to(array, (len(array), *grid, *from_chain)).reshape(len(array), -1, *from_chain)
    instances, chains = part.size
    return np.broadcast_to(
        array, (instances, array.shape[1], chains, *[len(dims[name]) for name in names[chain + 1 :]])
    )
