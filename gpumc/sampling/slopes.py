"""What a flip would cost: the NumPy side of ``kernels/machines/*.cuh``.

Flipping weight i of unit l moves the field of every pattern by -2 w_i xi_i. With d = [w_i xi_i = +1] (the field goes down),

    change = sum_patterns slope (d - [field < 0])        only patterns with field +-1 ("at the margin"), or, for a loss of
    change = sum_patterns (d (down - up) + up)           the field itself, all of them,

``slope`` being the loss with the unit's sign at -1 less that with it at +1, given the other units. Both are
``negative + (w_i > 0 ? D : total - D)``, D = sum over patterns with xi_i = +1 of slope (or down - up), with ``total`` and
``negative`` kept for every unit: a proposal costs one pass over the patterns, as a popcount of bitmaps where slopes take few values.

Arrays lead with (instance, walker), those that proposals read end with the walker.
"""

from __future__ import annotations

import numpy as np

from gpumc.state import Model, pack_bits


class Margins:
    """Slopes of few values: a bitmap of the patterns at the margin for each unit and value ("class").

    ``active`` uint64 (I, k, classes, words, w); ``total``, ``negative`` int64 (I, k, w).
    """

    def __init__(self, model: Model, instances: slice, grid_of_walker: np.ndarray, fields: np.ndarray):
        self.model = model
        self.fields = fields
        self.unit_of = np.arange(model.machine.weight_count) // model.machine.fan_in
        self.rest = model.classes
        self.values = model.class_values[grid_of_walker]
        self.xi = model.xi[instances]
        self.patterns = model.pattern_bits[instances].view(np.uint64)
        shape_i, shape_w, k, _ = fields.shape
        words = self.patterns.shape[-1]
        self.margin = np.empty((shape_i, shape_w, k, words), np.uint64)
        self.positive = np.empty_like(self.margin)
        self.active = np.empty((shape_i, k, len(self.rest), words, shape_w), np.uint64)
        self.total = np.empty((shape_i, k, shape_w), np.int64)
        self.negative = np.empty_like(self.total)
        self._scratch = np.empty((shape_i, len(self.rest), words, shape_w), np.uint64)
        self._counts = np.empty(self._scratch.shape, np.uint8)
        self._binary = bool(np.all(self.values == 1))
        self.readout = model.machine.readout_of(fields).astype(np.int16) if model.machine.readout != "linear" else None
        every = tuple(index.ravel() for index in np.indices((shape_i, shape_w)))
        for unit in range(k):
            self._set_bits(every, unit, fields[every[0], every[1], unit])
        self._refresh(every)

    def weighted(self, site: int) -> np.ndarray:
        """D of weight ``site``: int64 (I, w)."""
        row = self.patterns[:, site % self.model.machine.n]
        np.bitwise_and(self.active[:, self.unit_of[site]], row[:, None, :, None], out=self._scratch)
        np.bitwise_count(self._scratch, out=self._counts)
        counts = np.add.reduce(self._counts, axis=2, dtype=np.uint32)
        if self._binary:
            return counts[:, 0].astype(np.int64)
        return np.einsum("icw,wc->iw", counts.astype(np.int64), self.values)

    def change(self, site: int, weight: np.ndarray) -> np.ndarray:
        """The energy change of flipping weight ``site``, now int8 (I, w): int64 (I, w), in units of the loss."""
        unit = self.unit_of[site]
        weighted = self.weighted(site)
        return np.where(weight > 0, weighted, self.total[:, unit] - weighted) + self.negative[:, unit]

    def flip(self, who: tuple[np.ndarray, np.ndarray], site: int, old: np.ndarray) -> None:
        """Follow the flip of weight ``site``, ``old`` int8 (A,) before, of the walkers ``who`` = (instances, walkers), (A,) each."""
        unit = self.unit_of[site]
        where = (*who, unit)
        before = self.fields[where]
        after = before - (2 * old)[:, None] * self.xi[who[0], site % self.model.machine.n]
        self.fields[where] = after
        if self.readout is not None:
            self._follow_readout(who, before > 0, after > 0)
        self._set_bits(who, unit, after)
        self._refresh(who)

    def _follow_readout(self, who, before: np.ndarray, after: np.ndarray) -> None:
        assert self.readout is not None
        if self.model.machine.readout == "majority":
            self.readout[who] += 2 * (after.view(np.int8) - before.view(np.int8))
        else:
            self.readout[who] *= 1 - 2 * (after != before)

    def _set_bits(self, who, unit: int, fields: np.ndarray) -> None:
        self.margin[(*who, unit)] = pack_bits(np.abs(fields) == 1).view(np.uint64)
        self.positive[(*who, unit)] = pack_bits(fields > 0).view(np.uint64)

    def _refresh(self, who) -> None:
        margin, positive = self.margin[who], self.positive[who]
        total = np.zeros((len(margin), self.model.machine.k), np.int64)
        negative = np.zeros_like(total)
        values = self.values[who[1]]
        for index, rest in enumerate(self.rest):
            active = margin & self._has_rest(who, positive, rest)
            self.active[who[0], :, index, :, who[1]] = active
            value = values[:, index, None]
            total += value * np.bitwise_count(active).sum(axis=-1, dtype=np.int64)
            negative -= value * np.bitwise_count(active & ~positive).sum(axis=-1, dtype=np.int64)
        self.total[who[0], :, who[1]] = total
        self.negative[who[0], :, who[1]] = negative

    def _has_rest(self, who, positive: np.ndarray, rest: int) -> np.ndarray:
        """Where the other units' signs have the sum or product ``rest``: uint64 (A, k, words)."""
        if self.readout is None:
            return np.uint64(2**64 - 1)
        readout = self.readout[who]
        high, low = (rest + 1, rest - 1) if self.model.machine.readout == "majority" else (rest, -rest)
        at_high = pack_bits(readout == high).view(np.uint64)[:, None]
        at_low = pack_bits(readout == low).view(np.uint64)[:, None]
        return (positive & at_high) | (~positive & at_low)


class Differences:
    """Slopes of every pattern, for a loss of the perceptron's field: float64 integers, so that BLAS sums them exactly."""

    def __init__(self, model: Model, instances: slice, grid_of_walker: np.ndarray, fields: np.ndarray):
        self.model = model
        self.fields = fields
        self.grid = grid_of_walker
        self._up, slope = model.differences
        self._slope = slope.astype(np.float64)
        self.xi = model.xi[instances]
        self.plus = (self.xi > 0).astype(np.float64)
        shape = fields.shape[:2]
        self.slopes = np.empty((*shape, fields.shape[-1]))
        self.total = np.empty(shape, np.int64)
        self.negative = np.empty(shape, np.int64)
        self._refresh(tuple(index.ravel() for index in np.indices(shape)), fields.reshape(-1, fields.shape[-1]))

    def change(self, site: int, weight: np.ndarray) -> np.ndarray:
        """The energy change of flipping weight ``site``, now int8 (I, w): int64 (I, w), in units of 2^-20."""
        weighted = np.matmul(self.slopes, self.plus[:, site, :, None])[..., 0].astype(np.int64)
        return np.where(weight > 0, weighted, self.total - weighted) + self.negative

    def flip(self, who: tuple[np.ndarray, np.ndarray], site: int, old: np.ndarray) -> None:
        """Follow the flip of weight ``site``, ``old`` int8 (A,) before, of the walkers ``who`` = (instances, walkers), (A,) each."""
        where = (*who, 0)
        after = self.fields[where] - (2 * old)[:, None] * self.xi[who[0], site]
        self.fields[where] = after
        self._refresh(who, after)

    def _refresh(self, who, fields: np.ndarray) -> None:
        n = self.model.machine.n
        row = (fields.astype(np.int32) + n) // 2 + (self.grid[who[1]] * (n + 1)).astype(np.int32)[:, None]
        slopes = self._slope.take(row)
        self.slopes[who] = slopes
        self.total[who] = slopes.sum(axis=-1).astype(np.int64)
        self.negative[who] = self._up.take(row).sum(axis=-1)


Slopes = Margins | Differences


def slopes_of(model: Model, instances: slice, grid_of_walker: np.ndarray, fields: np.ndarray) -> Slopes:
    """The slopes of walkers (I, w) with ``fields`` (I, w, k, M), which are followed in place; ``grid_of_walker`` int (w,)."""
    kind = Differences if model.dense else Margins
    return kind(model, instances, grid_of_walker, fields)
