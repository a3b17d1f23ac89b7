"""Energy changes of flips: the NumPy side of ``kernels/margins.cuh``, ``differences.cuh`` and ``sums.cuh``.

Flipping weight i of unit l moves the field of every pattern by -2 w_i xi_i: down where w_i xi_i = +1, else up. Let ``down`` and
``up`` be what the loss would gain if all fields of the unit went down, or all up, and D what it would gain if those with
xi_i = +1 went down beyond what it would gain if they went up, which is a sum of *slopes* over these patterns. Then

    change = w_i > 0 ? D + up : down - D = (up + down + w_i (2 D - (down - up))) / 2,

of which the last has no branch.

For a loss of the unit's sign the slope is the loss at -1 less that at +1, given the other units, and only patterns whose field is +-1
("at the margin") count; for a loss of the field itself all do. ``down`` and ``up`` are kept for every unit, so that a proposal costs
one pass over the patterns: popcounts of bitmaps where slopes take few values. ReLU units keep readouts alone.

Walkers are numbered instance by instance.
"""

from __future__ import annotations

import numpy as np

from gpumc.state import WORD_BITS, Model


class Margins:
    """Slopes of few values: a bitmap of the patterns at the margin for each unit and value ("class").

    ``active`` uint64 (k, classes, words, instances, walkers of one); ``total`` and ``both`` (k, walkers): ``down - up`` and
    ``down + up``, int64, or less where slopes are counts. Patterns are padded with fields 0, which are not at the margin.
    """

    ahead = 1

    def __init__(self, model: Model, instances: slice, grid_of: np.ndarray, fields: np.ndarray):
        self.machine, self.others = model.machine, model.classes
        self._crossings = model.crossings[grid_of].astype(fields.dtype)
        self.values = model.class_values[grid_of]
        self._counts_errors = bool(np.all(self.values == 1))
        # (n, words, instances, 1)
        self._inputs = model.pattern_bits[instances].view(np.uint64).transpose(1, 2, 0)[..., None].copy()
        words, count = self._inputs.shape[1:3]
        self._xi = _padded(model.xi[instances], words).astype(fields.dtype)
        walkers, k, self._count = fields.shape
        self._fields = _padded(fields, words).swapaxes(0, 1).copy()
        self._instance = np.repeat(np.arange(count), walkers // count)
        self.active = np.empty((k, len(self.others), words, count, walkers // count), np.uint64)
        self._by_walker = self.active.reshape(*self.active.shape[:3], walkers)
        self._count_dtype = np.int16 if model.pattern_count < 2**15 else np.int32
        self.total, self.both = np.empty((2, k, walkers), self._count_dtype if self._counts_errors else np.int64)
        self._scratch = np.empty(self.active.shape[1:], np.uint64)
        self._counts = np.empty(self._by_walker.shape[1:], np.uint8)
        self._ends = np.array([1, -1], fields.dtype)
        if self.machine.readout.linear:
            self._refresh_alone(np.arange(walkers), self._fields[0])
            return
        self._readout = _padded(model.machine.readout.of(fields).astype(np.int16), words)
        # Bits of the patterns with field +1, and -1.
        self._edges = self._edges_of(self._fields).transpose(0, 2, 1, 3).copy()
        self._refresh(np.arange(walkers), self._edges)

    @property
    def fields(self) -> np.ndarray:
        """The fields, (walkers, k, M)."""
        return self._fields[..., : self._count].swapaxes(0, 1)

    def prepare(self, sites: np.ndarray) -> None:
        """Nothing is gained by looking ahead."""

    def change(self, site: int, weight: np.ndarray) -> np.ndarray:
        """The energy change of flipping weight ``site``, now int8 (walkers,): integers (walkers,), in units of the loss."""
        unit = site // self.machine.fan_in
        np.bitwise_and(self.active[unit], self._inputs[site % self.machine.n], out=self._scratch)
        np.bitwise_count(self._scratch.reshape(self._counts.shape), out=self._counts)
        counts = np.add.reduce(self._counts, axis=1, dtype=self._count_dtype)
        weighted = counts[0] if self._counts_errors else np.einsum("cw,wc->w", counts.astype(np.int64), self.values)
        return branchless_change(weight, weighted, self.total[unit], self.both[unit])

    def flip(self, who: np.ndarray, site: int, old: np.ndarray, change: np.ndarray) -> None:
        """Follow the flip of weight ``site``, ``old`` int8 (A,) before, of the walkers ``who`` (A,)."""
        unit = site // self.machine.fan_in
        fields = self._fields[unit]
        before = fields[who]
        inputs = self._xi[:, site % self.machine.n]
        inputs = inputs[0] if len(inputs) == 1 else inputs[self._instance[who]]
        after = before - (2 * old.astype(before.dtype))[:, None] * inputs
        fields[who] = after
        if self.machine.readout.linear:
            self._refresh_alone(who, after)
            return
        self._edges[:, who, unit] = self._edges_of(after)
        self._readout[who] = self.machine.readout.followed(self._readout[who], before, after)
        self._refresh(who, self._edges[:, who])

    def _refresh(self, who: np.ndarray, edges: np.ndarray) -> None:
        """Follow the patterns with field +1 and -1 of every unit, uint64 (2, A, k, words), of the walkers ``who``."""
        sums = np.zeros((2, 1, 1), self.total.dtype)
        for index, others in enumerate(self.others):
            sides = edges & self._with_others(who, others)
            self._by_walker[:, index, :, who] = sides[0] | sides[1]
            counts = np.bitwise_count(sides).sum(axis=-1, dtype=self.total.dtype)
            sums = sums + (counts if self._counts_errors else self.values[who, index, None] * counts)
        down, raised = sums.swapaxes(1, 2)
        self.total[:, who], self.both[:, who] = down + raised, down - raised

    def _refresh_alone(self, who: np.ndarray, fields: np.ndarray) -> None:
        """The same of the one unit of a perceptron, by its ``fields`` (A, WORD_BITS x words)."""
        sums = np.zeros((2, len(who)), self.total.dtype)
        for index, crossing in enumerate(self._crossings[who].T):
            sides = self._edges_of(fields - crossing[:, None])
            self._by_walker[0, index, :, who] = sides[0] | sides[1]
            counts = np.bitwise_count(sides).sum(axis=-1, dtype=self.total.dtype)
            sums += counts if self._counts_errors else self.values[who, index] * counts
        down, raised = sums
        self.total[0, who], self.both[0, who] = down + raised, down - raised

    def _edges_of(self, fields: np.ndarray) -> np.ndarray:
        """Bits of the fields +1, and of the fields -1: uint64 (2, ..., words) of (..., WORD_BITS x words)."""
        return _bits(fields == self._ends.reshape(2, *[1] * fields.ndim))

    def _with_others(self, who: np.ndarray, others: int) -> np.ndarray:
        """Where the other units' signs have the sum or product ``others``, should this unit's be +, or -: uint64 (2, A, 1, words)."""
        low, high = self.machine.readout.ends(others)
        return _bits(self._readout[who] == np.array((high, low), np.int16)[:, None, None])[:, :, None]


class Differences:
    """Slopes of every pattern, for a loss of the perceptron's field: float64 integers, so that BLAS sums them exactly."""

    #: Sites whose D are computed at once: a matrix product reads the slopes once for all; a flip then mends those to come.
    ahead = 8

    def __init__(self, model: Model, instances: slice, grid_of: np.ndarray, fields: np.ndarray):
        self._xi = model.xi[instances]
        self._n, readouts = model.machine.n, model.machine.n + 1
        walkers, _, patterns = fields.shape
        self._by_instance = (len(self._xi), walkers // len(self._xi), patterns)
        up, slope = model.differences
        self._table = slope.astype(np.float64).ravel()
        # Rows of the table: a grid point's first, and the field's.
        self._first = (readouts * grid_of)[:, None] if len(slope) > 1 else None
        self._row = ((fields[:, 0] + np.int64(self._n)) // 2).astype(np.int16 if readouts < 2**15 else np.int32)
        self._places: dict[int, int] = {}
        self._everyone = np.arange(walkers)
        slopes = self._look_up(self._everyone, self._row)
        upwards = up.ravel().take(self._places_of(self._everyone, self._row)).sum(axis=-1)
        self.total = slopes.sum(axis=-1).astype(np.int64)
        self.both = self.total + 2 * upwards

    @property
    def fields(self) -> np.ndarray:
        """The fields, int64 (walkers, 1, M)."""
        return (2 * self._row.astype(np.int64) - self._n)[:, None]

    def prepare(self, sites: np.ndarray) -> None:
        """Compute D for ``sites`` (S,), whose changes are asked for next, in this order."""
        self._places = {int(site): place for place, site in enumerate(sites)}
        inputs = self._xi[:, sites] > 0
        # The last row sums all slopes.
        self._inputs = np.concatenate([inputs, np.ones_like(inputs[:, :1])], axis=1).astype(np.float64)
        slopes = self._look_up(self._everyone, self._row).reshape(self._by_instance)
        self._weighted = np.matmul(self._inputs, slopes.swapaxes(1, 2)).swapaxes(0, 1).reshape(len(sites) + 1, -1)

    def change(self, site: int, weight: np.ndarray) -> np.ndarray:
        """The energy change of flipping weight ``site``, now int8 (walkers,): int64 (walkers,), in units of 2^-20."""
        weighted = self._weighted[self._places[site]].astype(np.int64)
        return branchless_change(weight, weighted, self.total, self.both)

    def flip(self, who: np.ndarray, site: int, old: np.ndarray, change: np.ndarray) -> None:
        """Follow the flip of weight ``site``, ``old`` int8 (A,) before, that changed the energy of ``who`` (A,) by ``change``."""
        place, walkers = self._places[site], self._by_instance[1]
        ends = np.searchsorted(who, walkers * np.arange(len(self._xi) + 1))
        for instance in np.diff(ends).nonzero()[0]:
            part = slice(ends[instance], ends[instance + 1])
            here = who[part]
            rows = self._row[here]
            rows -= np.multiply.outer(old[part].astype(rows.dtype), self._xi[instance, site].astype(rows.dtype))
            self._row[here] = rows
            weighted = self._inputs[instance, place:] @ self._look_up(here, rows).T
            self._weighted[place:, here] = weighted
            slope, total = weighted[[0, -1]].astype(np.int64)
            self.total[here] = total
            # Flipping back would change the energy by -change.
            self.both[here] = old[part] * (2 * slope - total) - 2 * change[part]

    def _look_up(self, who: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return self._table.take(self._places_of(who, rows), mode="clip")

    def _places_of(self, who: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Where the rows of each walker's grid point are in the table."""
        places = rows.astype(np.intp)
        if self._first is not None:
            places += self._first[who]
        return places


class Sums:
    """Weighted sums of ReLU units, or of signs: a pattern's readout is followed, so that a proposal looks its loss up twice.

    Fields are int (k, walkers, M) here, readouts (walkers, M).
    """

    ahead = 1

    def __init__(self, model: Model, instances: slice, grid_of: np.ndarray, fields: np.ndarray):
        machine = model.machine
        self._xi, self._n, self._fan_in = model.xi[instances].astype(fields.dtype), machine.n, machine.fan_in
        self._instance = np.repeat(np.arange(len(self._xi)), len(fields) // len(self._xi))
        readout = machine.readout
        # What a unit's value adds to the readout, with the pattern's label.
        self._gain = np.multiply.outer(readout.gains, model.labels[instances])
        self._values = readout.values
        self._fields = fields.swapaxes(0, 1).copy()
        by_instance = fields.reshape(len(self._xi), -1, *fields.shape[1:])
        labels = model.labels[instances].astype(np.int64)[:, None]
        self._readout = (labels * readout.of(by_instance)).reshape(len(fields), -1)
        self._losses, self._middle = model.tables.ravel(), readout.largest
        self._first = (model.tables.shape[1] * grid_of)[:, None]

    @property
    def fields(self) -> np.ndarray:
        """The fields (walkers, k, M)."""
        return self._fields.swapaxes(0, 1)

    def prepare(self, sites: np.ndarray) -> None:
        """Nothing is made ahead."""

    def change(self, site: int, weight: np.ndarray) -> np.ndarray:
        """The energy change of flipping weight ``site``, now int8 (walkers,): int64 (walkers,), in units of the loss."""
        everyone = np.arange(len(weight))
        readout = self._readout + self._rise(everyone, site, weight)
        return (self._loss(everyone, readout) - self._loss(everyone, self._readout)).sum(axis=-1)

    def flip(self, who: np.ndarray, site: int, old: np.ndarray, change: np.ndarray) -> None:
        """Follow the flip of weight ``site``, ``old`` int8 (A,) before, of the walkers ``who`` (A,)."""
        self._readout[who] += self._rise(who, site, old)
        self._fields[site // self._fan_in, who] += self._step(who, site, old)

    def _step(self, who: np.ndarray, site: int, old: np.ndarray) -> np.ndarray:
        """What the flip adds to the fields of the unit: (A, M)."""
        return -2 * old[:, None].astype(self._xi.dtype) * self._xi[self._instance[who], site % self._n]

    def _rise(self, who: np.ndarray, site: int, old: np.ndarray) -> np.ndarray:
        """What the flip adds to the readouts: (A, M)."""
        unit = site // self._fan_in
        field = self._fields[unit, who]
        rise = self._values(field + self._step(who, site, old)) - self._values(field)
        return self._gain[unit, self._instance[who]] * rise

    def _loss(self, who: np.ndarray, readout: np.ndarray) -> np.ndarray:
        return self._losses.take(self._first[who] + ((readout + self._middle) >> 1))


Slopes = Margins | Differences | Sums


def slopes_of(model: Model, instances: slice, grid_of: np.ndarray, fields: np.ndarray) -> Slopes:
    """The slopes of walkers with ``fields`` (walkers, k, M), which are followed; ``grid_of`` int (walkers,)."""
    kind = Sums if model.machine.readout.summed else Differences if model.dense else Margins
    return kind(model, instances, grid_of, fields)


def branchless_change(weight: np.ndarray, weighted: np.ndarray, total: np.ndarray, both: np.ndarray) -> np.ndarray:
    """The change of flipping ``weight``, from D, down - up and down + up: all integers (walkers,)."""
    change = weighted + weighted
    change -= total
    change *= weight
    change += both
    change >>= 1
    return change


def _padded(array: np.ndarray, words: int) -> np.ndarray:
    """``array`` with zeros behind, to WORD_BITS x words along its last dimension."""
    out = np.zeros((*array.shape[:-1], WORD_BITS * words), array.dtype)
    out[..., : array.shape[-1]] = array
    return out


def _bits(where: np.ndarray) -> np.ndarray:
    """Booleans (..., WORD_BITS x words) as uint64 words."""
    return np.packbits(where, axis=-1, bitorder="little").view(np.uint64)
