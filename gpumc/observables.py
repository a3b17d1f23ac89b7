"""What is measured of a population, on whichever device its arrays are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpumc.state import Model, Population, unpack_signs

#: The width that a bin of the stability histogram is given, as nearly as the readouts' lattice allows.
BIN_WIDTH = 0.1


def energies(model: Model, fields: np.ndarray) -> np.ndarray:
    """The energy, int64 (I, G, C, y) in units of the loss, of fields (I, G, C, y, k, M), summed from scratch."""
    row = (model.machine.readout_of(fields) + model.machine.largest_readout) // 2
    grid = np.arange(len(model.tables))[:, None, None, None]
    return model.tables[grid, row].sum(axis=-1)


def errors(model: Model, fields: np.ndarray) -> np.ndarray:
    """The number of patterns with Delta < 0: int64 (I, G, C, y)."""
    return (model.machine.readout_of(fields) < 0).sum(axis=-1)


def overlap_sums(weights: np.ndarray, others: np.ndarray, count: int) -> np.ndarray:
    """sum_i W_i W'_i of words (..., words) that broadcast together, ``count`` weights each: int64 (...)."""
    return count - 2 * np.bitwise_count(weights ^ others).sum(axis=-1, dtype=np.int64)


def centre_overlaps(population: Population, count: int) -> np.ndarray:
    """sum_i W_i W~_i of every replica: int64 (I, G, C, y)."""
    return overlap_sums(population.weights, population.centre[..., None, :], count)


def replica_overlaps(population: Population, count: int) -> np.ndarray:
    """sum over pairs of replicas of sum_i W_i^a W_i^b: int64 (I, G, C).

    From sum_i (sum_a W_i^a)^2 = y N + 2 (the sum over pairs).
    """
    replicas = population.weights.shape[3]
    total = unpack_signs(population.weights, count).sum(axis=3, dtype=np.int64)
    return ((total**2).sum(axis=-1) - replicas * count) // 2


@dataclass(frozen=True)
class StabilityBins:
    """Bins of ``stride`` neighbouring readouts each; the last may hold fewer."""

    centres: np.ndarray
    widths: np.ndarray
    stride: int

    @classmethod
    def of(cls, machine) -> StabilityBins:
        """Bins over all stabilities that ``machine`` can have: width about 0.1, or one readout each where those are further apart."""
        step = 2 * machine.stability_scale
        stride = max(1, round(BIN_WIDTH / step))
        readouts = np.arange(-machine.largest_readout, machine.largest_readout + 1, 2)
        edges = np.arange(0, len(readouts), stride)
        sizes = np.diff(np.append(edges, len(readouts)))
        centres = np.add.reduceat(readouts, edges) / sizes * machine.stability_scale
        return cls(centres, sizes * step, stride)


def stability_counts(model: Model, fields: np.ndarray, bins: StabilityBins) -> np.ndarray:
    """How many stabilities of all chains and replicas fall in each bin: int64 (I, G, bins)."""
    row = (model.machine.readout_of(fields) + model.machine.largest_readout) // (2 * bins.stride)
    instances, grid = row.shape[:2]
    size = len(bins.centres)
    shifted = row.reshape(instances * grid, -1) + np.arange(instances * grid)[:, None] * size
    return np.bincount(shifted.ravel(), minlength=instances * grid * size).reshape(instances, grid, size)
