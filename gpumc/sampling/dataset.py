"""The dataset that a run returns: dimensions, names, units."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import xarray as xr

from gpumc.grid import Grid
from gpumc.machines import Machine
from gpumc.measures import Measure
from gpumc.observables import StabilityBins
from gpumc.ramps import Ramp
from gpumc.sampling.acceptance import Schedule
from gpumc.schema import described


@dataclass
class Records:
    """What a run has measured: float64 (I, G, C, y, draws), overlap_replicas without y; stability_counts int64 (I, G, bins); the last
    configurations (I, G, C, (y,) weights), int8 or float64; acceptance float64 (I, G, C, y). Without a centre its arrays are None, and
    where norms are fixed ``norm`` and ``distance_centre``."""

    energy: np.ndarray
    error_rate: np.ndarray
    overlap_centre: np.ndarray | None
    overlap_replicas: np.ndarray | None
    norm: np.ndarray | None
    distance_centre: np.ndarray | None
    stability_counts: np.ndarray
    acceptance: np.ndarray
    weights: np.ndarray
    centre: np.ndarray | None

    @classmethod
    def empty(cls, machine: Machine, measure: Measure, size: tuple[int, int], draws: int) -> Records:
        """Room for instances x chains = ``size`` and ``draws`` draws."""
        grid = Grid.of(measure).size
        shape = (size[0], grid, size[1])
        y, count = measure.replicas, machine.weight_count
        has_centre, free = measure.centre_kind is not None, not machine.weight_kind.fixed_norm
        bins = len(StabilityBins.of(machine).centres)
        dtype = machine.weight_kind.dtype
        return cls(
            energy=np.empty((*shape, y, draws)),
            error_rate=np.empty((*shape, y, draws)),
            overlap_centre=np.empty((*shape, y, draws)) if has_centre else None,
            overlap_replicas=np.full((*shape, draws), np.nan) if y > 1 else None,
            norm=np.empty((*shape, y, draws)) if free else None,
            distance_centre=np.empty((*shape, y, draws)) if free and has_centre else None,
            stability_counts=np.zeros((size[0], grid, bins), np.int64),
            acceptance=np.empty((*shape, y)),
            weights=np.empty((*shape, y, count), dtype),
            centre=np.empty((*shape, count), dtype) if has_centre else None,
        )

    def part(self, where: tuple[slice, slice]) -> Records:
        """A view of some instances and chains."""
        views = {}
        for field in fields(self):
            array = getattr(self, field.name)
            if array is not None:
                views[field.name] = (
                    array[where[0]] if field.name == "stability_counts" else array[where[0], :, where[1]]
                )
        return replace(self, **views)


def dataset(
    machine: Machine,
    pattern_count: int,
    measure: Measure,
    first_instance: int,
    first_chain: int,
    every: int,
    records: Records,
    schedule: Schedule,
    burn_in: int,
    attributes: dict,
) -> xr.Dataset:
    """The records of a run with names, coordinates and attributes; instances and chains are counted from the given first ones."""
    grid = Grid.of(measure)
    axes, grid_shape = grid.axes, grid.shape
    instances, _, chains, _, draws = records.energy.shape
    recorded = (np.arange(draws) + 1) * every
    lead = ("instance", *axes)

    def variable(array: np.ndarray, *dims: str) -> tuple:
        return (*lead, *dims), array.reshape(len(array), *grid_shape, *array.shape[2:])

    variables = {
        "energy": variable(records.energy, "chain", "replica", "draw"),
        "energy_per_pattern": variable(records.energy / pattern_count, "chain", "replica", "draw"),
        "error_rate": variable(records.error_rate, "chain", "replica", "draw"),
        "acceptance": variable(records.acceptance, "chain", "replica"),
        "weights": variable(records.weights, "chain", "replica", "weight"),
        "stability_count": variable(records.stability_counts, "stability"),
        "pattern_count": ((), pattern_count),
    }
    for name in ("norm", "distance_centre"):
        if (array := getattr(records, name)) is not None:
            variables[name] = variable(array, "chain", "replica", "draw")
    if records.overlap_replicas is not None:
        variables["overlap_replicas"] = variable(records.overlap_replicas, "chain", "draw")
    if records.overlap_centre is not None and records.centre is not None:
        variables["overlap_centre"] = variable(records.overlap_centre, "chain", "replica", "draw")
        variables["centre"] = variable(records.centre, "chain", "weight")
    coordinates = {
        "instance": first_instance + np.arange(instances),
        **{name: list(values) for name, values in axes.items()},
        "chain": first_chain + np.arange(chains),
        "replica": np.arange(measure.replicas),
        "stability": StabilityBins.of(machine).centres,
        "sweep": ("draw", recorded),
    }
    moving = {"beta": schedule.beta, "coupling": schedule.coupling, **schedule.own}
    for name, parameter in grid.parameters.items():
        if isinstance(parameter, Ramp):
            coordinates[name] = ("draw", moving[name][schedule.row(burn_in + recorded - 1), 0])
    return described(xr.Dataset(variables, coordinates, attributes), *measure.loss.axes)
