"""What is measured of a population: the NumPy twins, and the launches of ``kernels/observe.cu``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gpumc import launch
from gpumc.device import Device, to_host
from gpumc.device.constants import MEASURED_TOGETHER
from gpumc.launch import Sizes
from gpumc.state import Model, Population, unpack_signs

#: The width that a bin of the stability histogram is given, as nearly as the readouts' lattice allows.
BIN_WIDTH = 0.1
#: The largest real stability that has a bin of its own.
FARTHEST = 8.0


@dataclass(frozen=True)
class StabilityBins:
    """Bins of ``stride`` neighbouring readouts each, of which the last may hold fewer; 0 where readouts are real."""

    centres: np.ndarray
    widths: np.ndarray
    stride: int

    @classmethod
    def of(cls, machine) -> StabilityBins:
        """Bins over all stabilities that ``machine`` can have: width about 0.1, or one readout each where those are further apart.

        Where stabilities are real, those beyond ``FARTHEST`` count in the last bins.
        """
        if machine.continuous and machine.differentiable:
            farthest = (
                FARTHEST if machine.readout.linear or machine.activation == "relu" else machine.readout.largest_output
            )
            edges = np.linspace(-farthest, farthest, 2 * round(farthest / BIN_WIDTH) + 1)
            return cls((edges[:-1] + edges[1:]) / 2, np.diff(edges), 0)
        step = 2 * machine.readout.scale
        stride = max(1, round(BIN_WIDTH / step))
        readouts = np.arange(-machine.readout.largest, machine.readout.largest + 1, 2)
        edges = np.arange(0, len(readouts), stride)
        sizes = np.diff(np.append(edges, len(readouts)))
        centres = np.add.reduceat(readouts, edges) / sizes * machine.readout.scale
        return cls(centres, sizes * step, stride)

    def counted(self, stabilities: np.ndarray) -> np.ndarray:
        """How many real ``stabilities`` fall in each bin: int64 (bins,)."""
        first, width = self.centres[0] - self.widths[0] / 2, self.widths[0]
        place = np.floor((to_host(stabilities).ravel() - first) / width).astype(np.int64)
        return np.bincount(np.clip(place, 0, len(self.centres) - 1), minlength=len(self.centres))


class Measured(NamedTuple):
    """Of every replica (I, G, C, y), int64: its ``energy`` in units of the loss, summed from scratch, and its ``errors``, the
    patterns that its loss calls wrong; and ``stabilities`` int64 (I, G, bins), how many of all chains' and replicas' fall in each bin."""

    energy: np.ndarray
    errors: np.ndarray
    stabilities: np.ndarray


def measure(device: Device, model: Model, population: Population, bins: StabilityBins) -> Measured:
    """Measure ``population``, whose arrays are on ``device``; the result is on the host."""
    if device.kind == "numpy":
        return _measure_numpy(model, population.fields, bins)
    shape = population.energy.shape
    size = len(bins.centres)
    energy, errors = (device.xp.empty(shape, np.int64) for _ in range(2))
    histogram = device.xp.zeros((*shape[:2], size), np.int64)
    sizes = Sizes.of(model, population).array(device)
    run = launch.measure_kernel(device, model, population.fields.dtype)
    tables = model.on(device)
    constants = tables.labels, tables.places, tables.losses, tables.in_error
    items = shape[0] * shape[1] * -(-shape[2] * shape[3] // MEASURED_TOGETHER)
    run(items, sizes, population.fields, *constants, size, bins.stride, energy, errors, histogram)
    return Measured(to_host(energy), to_host(errors), to_host(histogram))


def _measure_numpy(model: Model, fields: np.ndarray, bins: StabilityBins) -> Measured:
    readout = model.readout_of(fields)
    row = (readout + model.machine.readout.largest) // 2
    grid = np.arange(len(model.tables))[:, None, None, None]
    instances, points = row.shape[:2]
    size = len(bins.centres)
    binned = (row // bins.stride).reshape(instances * points, -1) + np.arange(instances * points)[:, None] * size
    return Measured(
        energy=model.tables[grid, row].sum(axis=-1),
        errors=model.in_error[grid, row].sum(axis=-1, dtype=np.int64),
        stabilities=np.bincount(binned.ravel(), minlength=instances * points * size).reshape(instances, points, size),
    )


def overlaps(device: Device, model: Model, population: Population) -> tuple[np.ndarray, np.ndarray]:
    """sum_i W_i W~_i of every replica, int64 (I, G, C, y), and its like summed over pairs of replicas, int64 (I, G, C); on the host."""
    count = model.machine.weight_count
    if device.kind == "numpy":
        return _overlaps_numpy(population, count)
    shape = population.energy.shape
    with_centre, with_replicas = device.xp.empty(shape, np.int64), device.xp.empty(shape[:3], np.int64)
    run = launch.overlaps_kernel(device, model, population.fields.dtype)
    sizes = Sizes.of(model, population).array(device)
    run(with_replicas.size, sizes, population.weights, population.centre, with_centre, with_replicas)
    return to_host(with_centre), to_host(with_replicas)


def _overlaps_numpy(population: Population, count: int) -> tuple[np.ndarray, np.ndarray]:
    assert population.centre is not None
    apart = np.bitwise_count(population.weights ^ population.centre[..., None, :]).sum(axis=-1, dtype=np.int64)
    total = unpack_signs(population.weights, count).sum(axis=3, dtype=np.int64)
    # sum_i (sum_a W_i^a)^2 = y N + 2 (the sum over pairs)
    pairs = ((total**2).sum(axis=-1) - population.weights.shape[3] * count) // 2
    return count - 2 * apart, pairs
