"""The one thing that changes: a population's arrays; and the constants that its sweeps read.

Leading dimensions everywhere: (instance, grid point, chain, replica), the grid being beta x gamma x coupling, flattened.
Signs are kept as bits, +1 as 1, little-endian in uint32 words; the bits past the last sign are 0.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gpumc.checks import a_path
from gpumc.device import Device, array_module, to_host
from gpumc.device.philox import signs_of
from gpumc.errors import RunError
from gpumc.losses import Loss
from gpumc.machines import Machine
from gpumc.reading import arrays_in, reason

#: Jumps of a count of the perceptron's errors of which patterns are kept in bitmaps: a margin has one, a band two.
MOST_CROSSINGS = 2
#: Words are padded to an even number, so that 64-bit arithmetic can be used on them.
WORD_BITS = 64


def word_count(signs: int) -> int:
    """The number of uint32 words that hold ``signs`` bits."""
    return 2 * ((signs + WORD_BITS - 1) // WORD_BITS)


def blocks(shape: tuple[int, ...], most: int) -> Iterator[tuple[np.ndarray, ...]]:
    """The indices of an array of ``shape``, at most so many at a time."""
    count = math.prod(shape)
    for first in range(0, count, most):
        yield np.unravel_index(np.arange(first, min(first + most, count)), shape)


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """Booleans (..., count) as uint32 words (..., word_count)."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    words = np.zeros((*bits.shape[:-1], 4 * word_count(bits.shape[-1])), dtype=np.uint8)
    words[..., : packed.shape[-1]] = packed
    return words.view(np.uint32)


def pack_signs(signs: np.ndarray) -> np.ndarray:
    """Signs +-1 (..., count) as uint32 words (..., word_count)."""
    return pack_bits(signs > 0)


def unpack_signs(words: np.ndarray, count: int) -> np.ndarray:
    """uint32 words as int8 signs +-1 (..., count)."""
    return signs_of(np.ascontiguousarray(words), count)


@dataclass(frozen=True)
class Model:
    """What a sweep reads and never writes.

    ``xi`` int8 (instances, n, M): patterns with their labels folded in (:meth:`Machine.gauge`), input by input;
    ``pattern_bits`` uint32 (instances, n, words): the same as bits; ``labels`` int8 (instances, M): what the gauge leaves;
    ``tables`` int64 (grid, readouts): the loss of a pattern at each readout, in units of ``loss.unit``; ``in_error`` int8, of the same
    shape: whether it is an error. ``loss`` is that of the first grid point.
    """

    machine: Machine
    loss: Loss
    xi: np.ndarray
    pattern_bits: np.ndarray
    labels: np.ndarray
    tables: np.ndarray
    in_error: np.ndarray

    @classmethod
    def of(cls, machine: Machine, losses: Sequence[Loss], xi: np.ndarray, labels: np.ndarray) -> Model:
        """The model of patterns xi (instances, M, n), labels (instances, M), with a loss for every grid point."""
        gauged = np.ascontiguousarray(machine.readout.gauge(xi, labels).transpose(0, 2, 1))
        return cls(
            machine, losses[0], gauged, pack_signs(gauged), machine.readout.remaining(labels), *_tables(machine, losses)
        )

    def under(self, losses: Sequence[Loss]) -> Model:
        """The same with other losses."""
        tables, in_error = _tables(self.machine, losses)
        return replace(self, loss=losses[0], tables=tables, in_error=in_error)

    @property
    def pattern_count(self) -> int:
        return self.xi.shape[2]

    @cached_property
    def classes(self) -> np.ndarray:
        """The sums (or products) of the other units' signs at which flipping one unit's sign changes the loss.

        int64 (classes,). The perceptron, which has its ``crossings``, and readouts that are followed have none to speak of.
        """
        readout = self.machine.readout
        if readout.linear or readout.summed:
            return np.zeros(self.crossings.shape[1], np.int64)
        others = readout.sums_of_others
        matter = others[np.any(self.class_values_at(others), axis=0)]
        return matter if len(matter) else others[:1]

    @cached_property
    def crossings(self) -> np.ndarray:
        """The perceptron's fields, between two neighbours that it can have, at which its loss changes: int64 (grid, crossings), as many as
        the grid point with most of them has; further ones of others are 0, with a change of 0. One, 0, where all patterns count."""
        if self.dense:
            return np.zeros((len(self.tables), 1), np.int64)
        steps = self._steps != 0
        most = max(1, int(steps.sum(axis=1).max()))
        found = np.zeros((len(steps), most), np.int64)
        for row, places in zip(found, steps, strict=True):
            where = np.flatnonzero(places)
            row[: len(where)] = 2 * where + 1 - self.machine.readout.largest
        return found

    def class_values_at(self, others: np.ndarray) -> np.ndarray:
        """Loss with the unit's sign at -1 less loss with it at +1, for each sum or product of the ``others``: int64 (grid, others)."""
        largest = self.machine.readout.largest
        low, high = self.machine.readout.ends(others)
        return self.tables[:, (low + largest) // 2] - self.tables[:, (high + largest) // 2]

    @cached_property
    def class_values(self) -> np.ndarray:
        """:meth:`class_values_at` the ``classes``, or, of the perceptron, at its crossings."""
        if not self.machine.readout.linear or self.dense:
            return self.class_values_at(self.classes)
        below = (self.crossings - 1 + self.machine.readout.largest) // 2
        values = -np.take_along_axis(self._steps, below, axis=1)
        return np.where(np.arange(below.shape[1]) < np.count_nonzero(self._steps, axis=1)[:, None], values, 0)

    @property
    def differences(self) -> tuple[np.ndarray, np.ndarray]:
        """For a loss of the field: what the field's going up by 2 adds at each readout, and what its going down adds beyond that:
        int64 (grid, readouts) each. Beyond the ends the loss is taken to be constant; no field gets there."""
        tables = np.pad(self.tables, ((0, 0), (1, 1)), mode="edge")
        up = tables[:, 2:] - tables[:, 1:-1]
        return up, tables[:, :-2] - tables[:, 2:]

    @cached_property
    def dense(self) -> bool:
        """Whether every pattern, and not only those near where the loss jumps, feels the flip of a weight."""
        if not self.machine.readout.linear:
            return self.machine.readout.summed
        return not self.loss.counts or int(np.count_nonzero(self._steps, axis=1).max()) > MOST_CROSSINGS

    @cached_property
    def _steps(self) -> np.ndarray:
        """What the loss gains from each readout to the next: int64 (grid, readouts - 1)."""
        return np.diff(self.tables, axis=1)

    @cached_property
    def largest_change(self) -> int:
        """The most that a pattern's loss changes by in the flip of a weight, in units of ``loss.unit``."""
        if not self.dense:
            return int(np.abs(self.class_values).max())
        return int(np.abs(self._steps).max()) * int(np.abs(self.machine.readout.gains).max())

    def on(self, device: Device) -> Tables:
        """What kernels read of it on ``device``, copied once."""
        if device not in self._copies:
            self._copies[device] = Tables.of(self, device)
        return self._copies[device]

    @cached_property
    def _copies(self) -> dict[Device, Tables]:
        return {}

    def readout_of(self, fields: np.ndarray) -> np.ndarray:
        """The integer readouts, int64 (instances, ..., M), of fields (instances, ..., k, M)."""
        readout = self.machine.readout.of(fields).astype(np.int64)
        return readout * self.labels.reshape(len(self.labels), *[1] * (readout.ndim - 2), -1)


class State(ABC):
    """What changes in a population as it is advanced: plain arrays, and ``sweep``, the number of sweeps made."""

    sweep: int

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """(instances, grid, chains, replicas)."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """All that the rest of a trajectory depends on, on the host: ``weights`` (instances, grid, chains, replicas, weights), int8 or
        float64, ``sweep``, and others."""

    def save(self, path: str | os.PathLike) -> None:
        """Write the state to a file of NumPy's .npz format, whole or not at all; `Dynamics.load` reads it.

        Raises
        ------
        RunError
            Where the file cannot be written.
        """
        file = a_path(path)
        new = file.with_name(f"{file.name}.{os.getpid()}.new")
        try:
            with open(new, "wb") as stream:
                np.savez(stream, **self.arrays())  # type: ignore[arg-type]
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(new, file)
        except OSError as error:
            raise RunError(f"the state cannot be saved as {file} ({reason(error)})") from None
        finally:
            new.unlink(missing_ok=True)


def load_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a saved state. Raises RunError for a file that is none, or cannot be read."""
    file = a_path(path)
    try:
        arrays = arrays_in(file)
    except RunError as error:
        raise RunError(f"the state {error}") from None
    if "weights" not in arrays:
        raise RunError(f"{file} holds no state: it has no array 'weights'")
    return arrays


@dataclass(frozen=True)
class Tables:
    """What kernels read of a model, on a device: ``patterns`` uint32 (instances, n, words), bits of ``xi``; ``labels`` int8 (instances, M);
    ``places`` int32: where slopes are, the perceptron's crossings (grid, classes), or what the other units' signs give (classes,), or
    what units add to a readout that is followed (units,);
    ``values`` int64 and ``slopes`` int32, what slopes are made of, (grid, ...) or None; ``losses`` int64 and ``in_error`` int8 (grid,
    readouts)."""

    patterns: np.ndarray
    labels: np.ndarray
    places: np.ndarray
    values: np.ndarray | None
    slopes: np.ndarray | None
    losses: np.ndarray
    in_error: np.ndarray

    @classmethod
    def of(cls, model: Model, device: Device) -> Tables:
        """Copies on ``device``."""
        readout = model.machine.readout
        values: np.ndarray | None = None
        slopes: np.ndarray | None = None
        if readout.summed:
            slopes = model.tables
        elif model.dense:
            values, slopes = model.differences
        else:
            values = model.class_values
        places = model.crossings if readout.linear else readout.gains if readout.summed else model.classes

        def copied(array: np.ndarray, dtype: type) -> np.ndarray:
            return device.asarray(np.ascontiguousarray(array, dtype=dtype))

        return cls(
            patterns=copied(model.pattern_bits, np.uint32),
            labels=copied(model.labels, np.int8),
            places=copied(places, np.int32),
            values=None if values is None else copied(values, np.int64),
            slopes=None if slopes is None else copied(slopes, np.int32),
            losses=copied(model.tables, np.int64),
            in_error=copied(model.in_error, np.int8),
        )


@dataclass
class Population(State):
    """The arrays of binary weights that sweeps advance in place.

    ``weights`` uint32 (I, G, C, y, words); ``centre`` uint32 (I, G, C, words) or None; ``fields`` int16 or int32
    (I, G, C, y, k, M): w_l . xi_l of every unit and pattern; ``energy`` int64 (I, G, C, y) in units of the loss; ``flips`` int64
    (I, G, C, y): accepted proposals. ``first_instance`` and ``first_chain`` place the arrays in the whole run of ``chains`` chains.
    """

    weights: np.ndarray
    centre: np.ndarray | None
    fields: np.ndarray
    energy: np.ndarray
    flips: np.ndarray
    first_instance: int
    first_chain: int
    chains: int
    weight_count: int
    sweep: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(instances, grid, chains, replicas)."""
        return self.energy.shape

    def arrays(self) -> dict[str, np.ndarray]:
        """See `State`: weights and centre are signs; fields and energies follow from them."""
        centre = {} if self.centre is None else {"centre": unpack_signs(to_host(self.centre), self.weight_count)}
        return {
            "weights": unpack_signs(to_host(self.weights), self.weight_count),
            **centre,
            "accepted": to_host(self.flips),
            "sweep": np.array(self.sweep),
        }

    def permute_grid(self, source: Any) -> None:
        """Give every chain the replicas that are at grid point ``source`` now: integers (instances, grid, chains) on the device. The arrays
        are replaced by others."""
        xp, (instances, grid, chains) = array_module(source), source.shape
        instance, chain = xp.arange(instances)[:, None, None], xp.arange(chains)
        rows = ((instance * grid + source) * chains + chain).ravel()
        self.weights, self.fields, self.energy = (
            array.reshape(-1, *array.shape[3:])[rows].reshape(array.shape)
            for array in (self.weights, self.fields, self.energy)
        )

    def on(self, device: Device) -> Population:
        """The same population with its arrays on ``device``."""
        return replace(
            self,
            weights=device.asarray(self.weights),
            centre=None if self.centre is None else device.asarray(self.centre),
            fields=device.asarray(self.fields),
            energy=device.asarray(self.energy),
            flips=device.asarray(self.flips),
        )

    def walkers(self) -> np.ndarray:
        """The rank of (instance, chain, replica) in the whole run: uint64 (I, C, y)."""
        instances, _, chains, replicas = self.energy.shape
        instance = self.first_instance + np.arange(instances, dtype=np.uint64)[:, None, None]
        chain = self.first_chain + np.arange(chains, dtype=np.uint64)[:, None]
        return (instance * np.uint64(self.chains) + chain) * np.uint64(replicas) + np.arange(replicas, dtype=np.uint64)


def _tables(machine: Machine, losses: Sequence[Loss]) -> tuple[np.ndarray, np.ndarray]:
    """The tables of a model: equal losses are computed once."""
    known = {loss: (loss.table(machine), loss.wrong(machine.possible_stabilities)) for loss in dict.fromkeys(losses)}
    tables, wrong = (np.stack([known[loss][part] for loss in losses]) for part in (0, 1))
    return tables, wrong.astype(np.int8)


def field_dtype(machine: Machine) -> type[np.int16] | type[np.int32]:
    """The integers that hold a field of this machine."""
    return np.int16 if machine.fan_in < 2**15 - 1 else np.int32
