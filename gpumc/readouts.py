"""What the output of a machine makes of its hidden units.

With binary weights it is an integer, the *readout*: a field, a weighted sum or a product of hidden signs, or twice a weighted sum of ReLU.
The stability is the readout times ``scale``, for a label of +1. With real weights it is a real number, the output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from gpumc.device import array_module
from gpumc.errors import ConfigError

Number = TypeVar("Number", int, np.ndarray)


@dataclass(frozen=True)
class Readout:
    """Of ``units`` hidden units with ``weights`` in all: their sum over sqrt(units), unless a class below says otherwise.

    ``linear``: the readout is the field of the one unit. ``rectified``: hidden units are ReLU, which are not odd, so that labels stay
    beside the patterns. ``by_unit``: the output is odd in each unit, and not only in all of them together. ``summed``: hidden units are
    not exchangeable, or have more than two values, so that kernels follow the readout itself. ``additive``: the output is a sum over
    units. ``plain``: fused kernels, belief
    propagation and theory know it. ``macro`` chooses the header in kernels/machines.
    """

    units: int
    weights: int

    macro: ClassVar[str] = "COMMITTEE"
    linear: ClassVar[bool] = False
    rectified: ClassVar[bool] = False
    by_unit: ClassVar[bool] = False
    summed: ClassVar[bool] = False
    additive: ClassVar[bool] = True
    plain: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Raise ConfigError for a class that has another output and not its derivatives, or the reverse."""
        own = [name for name in ("output", "differentiated") if name in vars(cls)]
        if len(own) == 1:
            raise ConfigError(
                f"the readout {cls.__name__} defines {own[0]} alone: output and differentiated must be of one function"
            )

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
        return {self.macro: 1, "PLANES": self.units.bit_length()}

    @property
    def output_weights(self) -> np.ndarray:
        """c_l of the hidden units, float64 (units,)."""
        return np.ones(self.units)

    @property
    def gains(self) -> np.ndarray:
        """What each hidden unit adds to the readout for a value of 1: int64 (units,)."""
        return np.ones(self.units, np.int64)

    def values(self, fields: np.ndarray) -> np.ndarray:
        """The hidden units' values at integer ``fields``, of their dtype."""
        return np.where(fields > 0, 1, -1).astype(fields.dtype)

    @property
    def sums_of_others(self) -> np.ndarray:
        """The sums, or products, that the signs of the other units can have: int64 (sums,)."""
        return np.arange(1 - self.units, self.units, 2)

    def ends(self, others: Number) -> tuple[Number, Number]:
        """The readouts with a unit's sign at -1, and at +1, where the other units give ``others``."""
        return others - 1, others + 1

    def of(self, fields: np.ndarray) -> np.ndarray:
        """The readout (..., M) of integer fields (..., units, M)."""
        return 2 * np.count_nonzero(fields > 0, axis=-2) - self.units

    @property
    def by_votes(self) -> np.ndarray:
        """The readouts where 0, 1, ... votes are for +1, each unit having as many as its output weight in absolute value."""
        positive = np.arange(self.units + 1) > np.arange(self.units)[:, None]
        return self.of(np.where(positive, 1, -1))

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
    def largest_output(self) -> float:
        """The largest output of units that are at most 1."""
        return 1 / self.scale

    def along(self, signs: np.ndarray, falls: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of hidden ``signs`` (rows, units, M), the weighted sum or product before, (rows, M, 1), and after each of the flips ``falls``
        (rows, M, flips), which are +1 where a sign falls and -1 where it rises, of the units ``order`` modulo their number."""
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


class Majority(Readout):
    """The majority of hidden signs, or the sum of real units over sqrt(units)."""

    plain = True


@dataclass(frozen=True)
class Weighted(Majority):
    """The sum of hidden signs with ``given`` output weights, which are whole numbers, over their norm."""

    given: tuple[float, ...]

    macro = "WEIGHTED"
    summed = True

    @property
    def plain(self) -> bool:  # type: ignore[override]
        """Whether output weights are the default ones: 1, of ReLU units -1 in the second half."""
        return self.given == (balanced(self.units) if self.rectified else (1.0,) * self.units)

    @property
    def largest(self) -> int:
        return int(np.abs(self.gains).sum())

    @property
    def scale(self) -> float:
        return self.scale_of_output

    @property
    def macros(self) -> dict[str, int]:
        return {self.macro: 1}

    @property
    def output_weights(self) -> np.ndarray:
        return np.array(self.given)

    @property
    def scale_of_output(self) -> float:
        return math.fsum(c * c for c in self.given) ** -0.5

    @property
    def largest_output(self) -> float:
        return math.fsum(map(abs, self.given)) * self.scale_of_output

    @property
    def gains(self) -> np.ndarray:
        return self.output_weights.astype(np.int64)

    @property
    def by_votes(self) -> np.ndarray:
        return np.arange(-self.largest, self.largest + 1, 2)

    def of(self, fields: np.ndarray) -> np.ndarray:
        return np.einsum("l,...lm->...m", self.gains, self.values(fields))

    def along(self, signs: np.ndarray, falls: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xp = array_module(signs)
        gains = xp.asarray(self.gains)
        before = xp.einsum("l,rlm->rm", gains, signs)[:, :, None]
        return before, before - 2 * xp.cumsum(falls * gains[order % self.units], axis=2)

    def margin(self, fields: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Here that of the unit at which the weighted sum of signs changes its own, as a threshold of all units rises."""
        xp = array_module(fields)
        c = xp.asarray(self.output_weights)[:, None]
        fields = fields * labels * xp.sign(c)
        order = xp.argsort(fields, axis=-2)
        share = xp.take_along_axis(xp.broadcast_to(xp.abs(c), fields.shape), order, axis=-2)
        below = (2 * xp.cumsum(share, axis=-2) < xp.abs(c).sum()).sum(axis=-2, keepdims=True)
        return xp.take_along_axis(xp.take_along_axis(fields, order, axis=-2), below, axis=-2)[..., 0, :]


class Linear(Majority):
    """The field of the one unit."""

    linear = True

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

    def differentiated(self, values: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return values[..., 0, :], slopes


class Rectified(Weighted):
    """Twice the sum of ReLU units with ``given`` output weights, which are whole numbers where weights are binary."""

    macro = "RECTIFIED"
    rectified = True

    @property
    def largest(self) -> int:
        return int(max(np.abs(self.gains[self.gains * sign > 0]).sum() for sign in (1, -1))) * (
            self.weights // self.units
        )

    @property
    def scale(self) -> float:
        return 0.5 * (self.weights // self.units * math.fsum(c * c for c in self.given)) ** -0.5

    @property
    def gains(self) -> np.ndarray:
        return (2 * self.output_weights).astype(np.int64)

    def values(self, fields: np.ndarray) -> np.ndarray:
        return np.maximum(fields, 0)

    def gauge(self, xi: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return np.array(xi)

    def remaining(self, labels: np.ndarray) -> np.ndarray:
        return np.asarray(labels, np.int8)


class Product(Readout):
    """The product of the hidden units; labels are folded into the inputs of the first."""

    macro = "PARITY"
    by_unit = True
    additive = False
    plain = True

    @property
    def largest(self) -> int:
        return 1

    @property
    def scale(self) -> float:
        return 1.0

    @property
    def sums_of_others(self) -> np.ndarray:
        return np.array([-1, 1])

    def ends(self, others: Number) -> tuple[Number, Number]:
        return -others, others

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

    def along(self, signs: np.ndarray, falls: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def balanced(units: int) -> tuple[float, ...]:
    """The default output weights of ReLU units: 1, and -1 in the second half."""
    return tuple(1.0 if unit < units / 2 else -1.0 for unit in range(units))
