"""What the output of a machine makes of its hidden units.

With binary weights it is an integer, the *readout*: a field, a sum or a product of hidden signs, or twice a weighted sum of ReLU. The
stability is the readout times ``scale``, for a label of +1. With real weights it is a real number, the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from gpumc.device import array_module

Number = TypeVar("Number", int, np.ndarray)


@dataclass(frozen=True)
class Readout:
    """Of ``units`` hidden units with ``weights`` in all: the majority of hidden signs, unless a class below says otherwise.

    ``linear``: the readout is the field of the one unit. ``rectified``: hidden units are ReLU, which are not odd, so that labels stay
    beside the patterns. ``by_unit``: the output is odd in each unit, and not only in all of them together. ``macro`` chooses the header
    in kernels/machines.
    """

    units: int
    weights: int

    macro: ClassVar[str] = "COMMITTEE"
    linear: ClassVar[bool] = False
    rectified: ClassVar[bool] = False
    by_unit: ClassVar[bool] = False

    @property
    def largest(self) -> int:
        """The largest integer readout; readouts run from its negative to it in steps of 2."""
        return self.units

    @property
    def scale(self) -> float:
        """The stability of a readout of 1."""
        return self.units**-0.5

    @property
    def macros(self) -> dict[str, int]:
        """The definitions that kernels of this readout are compiled with."""
        return {self.macro: 1, "PLANES": self.units.bit_length()}

    @property
    def output_weights(self) -> np.ndarray:
        """c_l of the hidden units, float64 (units,)."""
        return np.ones(self.units)

    @property
    def rests(self) -> np.ndarray:
        """What the signs of the other units may sum, or multiply, to: int64 (rests,)."""
        return np.arange(1 - self.units, self.units, 2)

    def ends(self, rest: Number) -> tuple[Number, Number]:
        """The readouts with a unit's sign at -1, and at +1, where the other units give ``rest``."""
        return rest - 1, rest + 1

    def of(self, fields: np.ndarray) -> np.ndarray:
        """The readout (..., M) of integer fields (..., units, M)."""
        return 2 * np.count_nonzero(fields > 0, axis=-2) - self.units

    def followed(self, readout: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """The readout (A, M) after the fields of one unit went from ``before`` to ``after``, (A, M)."""
        return readout + 2 * ((after > 0).view(np.int8) - (before > 0).view(np.int8))

    def output(self, values: np.ndarray) -> np.ndarray:
        """The output (..., M) of real ``values`` (..., units, M) of the hidden units."""
        c = array_module(values).asarray(self.output_weights)[:, None]
        return (c * values).sum(axis=-2) * self.scale_of_output

    def differentiated(self, values: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The output (..., M), and its derivatives by preactivations (..., units, M); those of the units, ``slopes``, are overwritten."""
        xp = array_module(values)
        c = xp.asarray(self.output_weights * self.scale_of_output)
        slopes *= c[:, None]
        return xp.einsum("l,...lm->...m", c, values), slopes

    @property
    def scale_of_output(self) -> float:
        """The factor of the weighted sum of real units."""
        return self.units**-0.5

    @property
    def plain(self) -> bool:
        """Whether output weights are those that kernels know: 1, of ReLU units -1 in the second half, over sqrt(units)."""
        first = np.arange(self.units) < self.units / 2
        known = np.where(first | (not self.rectified), 1.0, -1.0)
        return self.scale_of_output == self.units**-0.5 and np.array_equal(self.output_weights, known)

    def along(self, signs: np.ndarray, falls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of hidden ``signs`` (rows, units, M), the sum or product before, (rows, M, 1), and after each of the flips ``falls`` (rows, M,
        flips), which are +1 where a sign falls and -1 where it rises."""
        before = signs.sum(axis=1)[:, :, None]
        return before, before - 2 * array_module(signs).cumsum(falls, axis=2)

    def margin(self, fields: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Of preactivations (..., units, M) of hidden signs, a continuous number for each pattern, (..., M), above 0 where it is right:
        here that of the unit in the middle."""
        return array_module(fields).sort(fields * labels, axis=-2)[..., self.units // 2, :]

    def gauge(self, xi: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Labels +-1 (..., M) folded into patterns xi (..., M, n), of whose dtype the result is; :meth:`remaining` stay."""
        return np.asarray(xi * labels[..., None], dtype=np.asarray(xi).dtype)

    def remaining(self, labels: np.ndarray) -> np.ndarray:
        """What the gauge leaves of labels +-1: int8."""
        return np.ones_like(labels, np.int8)


class Linear(Readout):
    """The field of the one unit."""

    linear: ClassVar[bool] = True

    @property
    def largest(self) -> int:
        return self.weights

    @property
    def scale(self) -> float:
        return self.weights**-0.5

    @property
    def macros(self) -> dict[str, int]:
        return {}

    def of(self, fields: np.ndarray) -> np.ndarray:
        return fields[..., 0, :]

    def output(self, values: np.ndarray) -> np.ndarray:
        return values[..., 0, :]


class Rectified(Readout):
    """Twice the sum of ReLU units, the second half with a minus."""

    macro: ClassVar[str] = "RECTIFIED"
    rectified: ClassVar[bool] = True

    @property
    def largest(self) -> int:
        return self.weights

    @property
    def scale(self) -> float:
        return 0.5 * self.weights**-0.5

    @property
    def macros(self) -> dict[str, int]:
        return {self.macro: 1}

    @property
    def output_weights(self) -> np.ndarray:
        return np.where(np.arange(self.units) < self.units / 2, 1.0, -1.0)

    def of(self, fields: np.ndarray) -> np.ndarray:
        return np.einsum("l,...lm->...m", 2 * self.output_weights.astype(np.int64), np.maximum(fields, 0))

    def gauge(self, xi: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.array(xi)

    def remaining(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels, np.int8)


class Product(Readout):
    """The product of the hidden units; labels are folded into the inputs of the first."""

    macro: ClassVar[str] = "PARITY"
    by_unit: ClassVar[bool] = True

    @property
    def largest(self) -> int:
        return 1

    @property
    def scale(self) -> float:
        return 1.0

    @property
    def macros(self) -> dict[str, int]:
        return {self.macro: 1}

    @property
    def rests(self) -> np.ndarray:
        return np.array([-1, 1])

    def ends(self, rest: Number) -> tuple[Number, Number]:
        return -rest, rest

    def of(self, fields: np.ndarray) -> np.ndarray:
        return 1 - 2 * ((self.units - np.count_nonzero(fields > 0, axis=-2)) % 2)

    def followed(self, readout: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return readout * (1 - 2 * ((after > 0) != (before > 0)).view(np.int8))

    def output(self, values: np.ndarray) -> np.ndarray:
        return values.prod(axis=-2)

    def differentiated(self, values: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xp = array_module(values)
        others = xp.stack([xp.delete(values, unit, axis=-2).prod(axis=-2) for unit in range(self.units)], axis=-2)
        return values.prod(axis=-2), slopes * others

    @property
    def plain(self) -> bool:
        """Whether output weights are those that kernels know: 1, of ReLU units -1 in the second half, over sqrt(units)."""
        first = np.arange(self.units) < self.units / 2
        known = np.where(first | (not self.rectified), 1.0, -1.0)
        return self.scale_of_output == self.units**-0.5 and np.array_equal(self.output_weights, known)

    def along(self, signs: np.ndarray, falls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        before = signs.prod(axis=1)[:, :, None]
        return before, before * (-1) ** array_module(signs).arange(1, falls.shape[2] + 1)

    def margin(self, fields: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Here the least distance of a unit from its turn, with the sign of the product."""
        xp = array_module(fields)
        return xp.where(fields < 0, -1.0, 1.0).prod(axis=-2) * labels * xp.abs(fields).min(axis=-2)

    def gauge(self, xi: np.ndarray, labels: np.ndarray) -> np.ndarray:
        gauged = np.array(xi)
        gauged[..., : gauged.shape[-1] // self.units] *= labels[..., None].astype(gauged.dtype)
        return gauged
