"""What a flip would cost: the NumPy side of ``kernels/margins.cuh`` and ``kernels/differences.cuh``.

Flipping weight i of unit l moves the field of every pattern by -2 w_i xi_i. With d = [w_i xi_i = +1] (the field goes down),

    change = sum_patterns slope (d - [field < 0])        only patterns with field +-1 ("at the margin"), or, for a loss of
    change = sum_patterns (d (down - up) + up)           the field itself, all of them,

``slope`` being the loss with the unit's sign at -1 less that with it at +1, given the other units. Both are
``negative + (w_i > 0 ? D : total - D)``, D = sum over patterns with xi_i = +1 of slope (or down - up), with ``total`` and
``negative`` kept for every unit: a proposal costs one pass over the patterns, as a popcount of bitmaps where slopes take few values.

Walkers are numbered instance by instance. Patterns are padded with fields 0, which are neither at the margin nor positive.
"""

from __future__ import annotations

import numpy as np

from gpumc.state import WORD_BITS, Model


class Margins:
    """Slopes of few values: a bitmap of the patterns at the margin for each unit and value ("class").

    ``active`` uint64 (k, classes, words, walkers); ``total``, ``negative`` (k, walkers): int64, or less where slopes are counts.
    """

    def __init__(self, model: Model, instances: slice, grid_of: np.ndarray, fields: np.ndarray):
        self.machine, self.rest = model.machine, model.classes
        self.values = model.class_values[grid_of]
        self._counts_errors = bool(np.all(self.values == 1))
        self._patterns = model.pattern_bits[instances].view(np.uint64)
        words = self._patterns.shape[-1]
        self._xi = _padded(model.xi[instances], words)
        self.fields = _padded(fields, words)
        walkers, k, _ = self.fields.shape
        self._instance = np.repeat(np.arange(len(self._patterns)), walkers // len(self._patterns))
        self.active = np.empty((k, len(self.rest), words, walkers), np.uint64)
        self._count_dtype = np.int16 if model.pattern_count < 2**15 else np.int32
        self.total, self.negative = np.empty((2, k, walkers), self._count_dtype if self._counts_errors else np.int64)
        self._scratch = np.empty(self.active.shape[1:], np.uint64)
        self._counts = np.empty(self._scratch.shape, np.uint8)
        self._margin, self._positive = _bits(np.abs(self.fields) == 1), _bits(self.fields > 0)
        if k > 1:
            self._readout = _padded(model.machine.readout_of(fields).astype(np.int16), words)
        self._refresh(np.arange(walkers), self._margin, self._positive)

    def change(self, site: int, weight: np.ndarray) -> np.ndarray:
        """The energy change of flipping weight ``site``, now int8 (walkers,): integers (walkers,), in units of the loss."""
        unit = site // self.machine.fan_in
        inputs = self._patterns[:, site % self.machine.n].T[:, :, None]
        by_instance = (*self._scratch.shape[:2], inputs.shape[1], -1)
        active = self.active[unit].reshape(by_instance)
        np.bitwise_and(active, inputs, out=self._scratch.reshape(by_instance))
        np.bitwise_count(self._scratch, out=self._counts)
        counts = np.add.reduce(self._counts, axis=1, dtype=self._count_dtype)
        weighted = counts[0] if self._counts_errors else np.einsum("cw,wc->w", counts.astype(np.int64), self.values)
        return np.where(weight > 0, weighted, self.total[unit] - weighted) + self.negative[unit]

    def flip(self, who: np.ndarray, site: int, old: np.ndarray) -> None:
        """Follow the flip of weight ``site``, ``old`` int8 (A,) before, of the walkers ``who`` (A,)."""
        unit = site // self.machine.fan_in
        before = self.fields[who, unit]
        after = before - (2 * old)[:, None] * self._xi[self._instance[who], site % self.machine.n]
        self.fields[who, unit] = after
        up = after > 0
        margin, positive = _bits(np.abs(after) == 1), _bits(up)
        if self.machine.k == 1:
            self._refresh(who, margin[:, None], positive[:, None])
            return
        self._margin[who, unit], self._positive[who, unit] = margin, positive
        if self.machine.readout == "majority":
            self._readout[who] += 2 * (up.view(np.int8) - (before > 0).view(np.int8))
        else:
            self._readout[who] *= 1 - 2 * (up != (before > 0)).view(np.int8)
        self._refresh(who, self._margin[who], self._positive[who])

    def _refresh(self, who: np.ndarray, margin: np.ndarray, positive: np.ndarray) -> None:
        """Follow the bits of every unit, uint64 (A, k, words), of the walkers ``who``."""
        if self._counts_errors and self.machine.k == 1:
            self.active[0, 0, :, who] = margin[:, 0]
            self.total[0, who] = np.bitwise_count(margin[:, 0]).sum(axis=-1, dtype=self._count_dtype)
            self.negative[0, who] = -np.bitwise_count(margin[:, 0] & ~positive[:, 0]).sum(
                axis=-1, dtype=self._count_dtype
            )
            return
        total = negative = np.zeros((len(who), self.machine.k), np.int64)
        for index, rest in enumerate(self.rest):
            active = margin if self.machine.k == 1 and rest >= 0 else margin & self._with_rest(who, positive, rest)
            self.active[:, index, :, who] = active
            value = 1 if self._counts_errors else self.values[who, index, None]
            count = np.bitwise_count(active).sum(axis=-1, dtype=np.int64)
            below = np.bitwise_count(active & ~positive).sum(axis=-1, dtype=np.int64)
            total, negative = total + value * count, negative - value * below
        self.total[:, who] = total.T
        self.negative[:, who] = negative.T

    def _with_rest(self, who: np.ndarray, positive: np.ndarray, rest: int) -> np.ndarray | np.uint64:
        """Where the other units' signs have the sum or product ``rest``: uint64, broadcasting to (A, k, words)."""
        if self.machine.k == 1:
            return np.uint64(0)
        readout = self._readout[who]
        high, low = (rest + 1, rest - 1) if self.machine.readout == "majority" else (rest, -rest)
        at_high, at_low = _bits(readout == high)[:, None], _bits(readout == low)[:, None]
        return (positive & at_high) | (~positive & at_low)


class Differences:
    """Slopes of every pattern, for a loss of the perceptron's field: float64 integers, so that BLAS sums them exactly."""

    def __init__(self, model: Model, instances: slice, grid_of: np.ndarray, fields: np.ndarray):
        self._xi = model.xi[instances]
        self._plus = (self._xi > 0).astype(np.float64)
        walkers, _, patterns = fields.shape
        self._instance = np.repeat(np.arange(len(self._xi)), walkers // len(self._xi))
        # At place (field + n) / 2 + (n + 1) g of grid point g: down - up, and i times up. One look-up then gives both.
        up, slope = model.differences
        self._table = (slope + 1j * up).ravel()
        self._n, self._first = model.machine.n, ((model.machine.n + 1) * grid_of)[:, None]
        self._place = (fields[:, 0].astype(np.int64) + self._n) // 2 + self._first
        self.slopes = np.empty((len(self._xi), walkers // len(self._xi), patterns))
        self.total, self.negative = np.empty((2, walkers), np.int64)
        self._refresh(np.arange(walkers), self._place)

    @property
    def fields(self) -> np.ndarray:
        """The fields, int64 (walkers, 1, M)."""
        return (2 * (self._place - self._first) - self._n)[:, None]

    def change(self, site: int, weight: np.ndarray) -> np.ndarray:
        """The energy change of flipping weight ``site``, now int8 (walkers,): int64 (walkers,), in units of 2^-20."""
        weighted = np.matmul(self.slopes, self._plus[:, site, :, None]).ravel().astype(np.int64)
        return np.where(weight > 0, weighted, self.total - weighted) + self.negative

    def flip(self, who: np.ndarray, site: int, old: np.ndarray) -> None:
        """Follow the flip of weight ``site``, ``old`` int8 (A,) before, of the walkers ``who`` (A,)."""
        place = self._place[who] - old[:, None] * self._xi[self._instance[who], site]
        self._place[who] = place
        self._refresh(who, place)

    def _refresh(self, who: np.ndarray, place: np.ndarray) -> None:
        pairs = self._table.take(place)
        self.slopes.reshape(-1, pairs.shape[-1])[who] = pairs.real
        sums = pairs.sum(axis=-1)
        self.total[who], self.negative[who] = sums.real, sums.imag


Slopes = Margins | Differences


def slopes_of(model: Model, instances: slice, grid_of: np.ndarray, fields: np.ndarray) -> Slopes:
    """The slopes of walkers with ``fields`` (walkers, k, M), which are followed; ``grid_of`` int (walkers,)."""
    kind = Differences if model.dense else Margins
    return kind(model, instances, grid_of, fields)


def _padded(array: np.ndarray, words: int) -> np.ndarray:
    """``array`` with zeros behind, to WORD_BITS x words along its last dimension."""
    out = np.zeros((*array.shape[:-1], WORD_BITS * words), array.dtype)
    out[..., : array.shape[-1]] = array
    return out


def _bits(where: np.ndarray) -> np.ndarray:
    """Booleans (..., WORD_BITS x words) as uint64 words."""
    return np.packbits(where, axis=-1, bitorder="little").view(np.uint64)
