"""The architectures whose weights are sampled, and what they compute of a pattern.

A machine is a frozen description: how many inputs ``n`` and hidden units ``k`` it has, which weight reads which input,
and how the signs of the hidden preactivations become an output. With binary weights and +-1 patterns every
preactivation is an odd integer (the *field* ``w_l . xi_l``, not divided by ``sqrt(fan_in)``), and so nothing ever ties.

Labels are folded into the patterns (:meth:`Machine.gauge`): for a majority the label multiplies every input, for a
parity it multiplies the inputs of the first unit alone. In that gauge every label is +1 and a stability is a function of the fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpumc.errors import ConfigError


@dataclass(frozen=True)
class Machine:
    """What all machines share, with the readout of a majority unless they have another; use one of the four below."""

    n: int
    k: int = 1
    weights: str = "binary"

    kind: ClassVar[str]
    #: Whether the stability depends on the field's value ("linear"), on the majority or on the product of hidden signs.
    readout: ClassVar[str]

    def __post_init__(self) -> None:
        for name in ("n", "k"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ConfigError(f"{self.kind}: {name} = {value!r}: a whole number of at least 1 is needed")
            object.__setattr__(self, name, int(value))
        if self.weights != "binary":
            raise ConfigError(f"{self.kind}: weights = {self.weights!r}: only 'binary' is simulated")

    def _odd(self, name: str, value: int) -> None:
        if value % 2 == 0:
            raise ConfigError(
                f"{self.kind}: {name} = {value} is even, and binary weights would tie: use {value - 1 or 1} or {value + 1}"
            )

    @property
    def weight_count(self) -> int:
        """The number of weights in all."""
        return self.n

    @property
    def fan_in(self) -> int:
        """The number of weights of one hidden unit; weight ``i`` belongs to unit ``i // fan_in`` and reads input ``i % n``."""
        return self.weight_count // self.k

    @property
    def stability_scale(self) -> float:
        """The number by which an integer readout (field, sum or product of signs) is multiplied to give the stability Delta."""
        return self.k**-0.5

    @property
    def largest_readout(self) -> int:
        """The largest integer readout; readouts run from its negative to it in steps of 2."""
        return self.k

    def pattern_count(self, alpha: float) -> int:
        """M = round(alpha x number of weights). Raises ConfigError where that is no pattern."""
        if not (np.isfinite(alpha) and alpha > 0):
            raise ConfigError(f"alpha = {alpha}: a positive number is needed")
        count = round(alpha * self.weight_count)
        if count < 1:
            raise ConfigError(
                f"alpha = {alpha:g} gives no pattern for {self.weight_count} weights: use at least {1 / self.weight_count:.2g}"
            )
        return count

    def gauge(self, xi: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Fold labels (..., M) into patterns xi (..., M, n), both int8 +-1: the patterns for which every label is +1."""
        return np.asarray(xi * labels[..., None], dtype=np.int8)

    def fields(self, weights: np.ndarray, xi: np.ndarray) -> np.ndarray:
        """Integer fields w_l . xi_l of weights (C, weight_count) on patterns (M, n): int64 (C, k, M)."""
        per_unit = weights.reshape(len(weights), self.k, self.fan_in).astype(np.float32)
        inputs = self.unit_inputs(xi.astype(np.float32))
        # Integers below 2^24 are exact in float32, and BLAS is fast there.
        product = np.matmul(per_unit.transpose(1, 0, 2), inputs.transpose(0, 2, 1))
        return np.rint(product).astype(np.int64).transpose(1, 0, 2)

    def unit_inputs(self, xi: np.ndarray) -> np.ndarray:
        """The inputs of each unit, (k, M, fan_in), out of patterns (M, n): disjoint slices."""
        return xi.reshape(len(xi), self.k, self.fan_in).transpose(1, 0, 2)

    def readout_of(self, fields: np.ndarray) -> np.ndarray:
        """The integer readout (..., M) of fields (..., k, M): a majority's sum of hidden signs."""
        return 2 * np.count_nonzero(fields > 0, axis=-2) - self.k

    def stabilities(self, weights: np.ndarray, xi: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Stabilities Delta, float64 (C, M), of weights (C, weight_count) on patterns xi (M, n) with labels (M,)."""
        return self.readout_of(self.fields(weights, self.gauge(xi, labels))) * self.stability_scale


@dataclass(frozen=True)
class Perceptron(Machine):
    """One unit of ``n`` (odd) inputs; Delta = sigma w.xi / sqrt(n)."""

    kind: ClassVar[str] = "perceptron"
    readout: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k != 1:
            raise ConfigError(f"perceptron: k = {self.k}: a perceptron has one unit, k = 1")
        self._odd("n", self.n)

    @property
    def stability_scale(self) -> float:
        return self.n**-0.5

    @property
    def largest_readout(self) -> int:
        return self.n

    def readout_of(self, fields: np.ndarray) -> np.ndarray:
        return fields[..., 0, :]


@dataclass(frozen=True)
class TreeCommittee(Machine):
    """``k`` (odd) hidden units on disjoint inputs, ``n/k`` (odd) each; Delta = sigma sum_l tau_l / sqrt(k)."""

    kind: ClassVar[str] = "tree-committee"
    readout: ClassVar[str] = "majority"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._odd("k", self.k)
        _check_tree(self)


@dataclass(frozen=True)
class FullCommittee(Machine):
    """``k`` (odd) hidden units on the same ``n`` (odd) inputs, n k weights, unit by unit; Delta as for the tree."""

    kind: ClassVar[str] = "full-committee"
    readout: ClassVar[str] = "majority"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._odd("n", self.n)
        self._odd("k", self.k)

    @property
    def weight_count(self) -> int:
        return self.n * self.k

    def unit_inputs(self, xi: np.ndarray) -> np.ndarray:
        return np.broadcast_to(xi, (self.k, *xi.shape))


@dataclass(frozen=True)
class TreeParity(Machine):
    """``k`` hidden units on disjoint inputs, ``n/k`` (odd) each; Delta = sigma prod_l tau_l."""

    kind: ClassVar[str] = "tree-parity"
    readout: ClassVar[str] = "product"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_tree(self)

    @property
    def stability_scale(self) -> float:
        return 1.0

    @property
    def largest_readout(self) -> int:
        return 1

    def gauge(self, xi: np.ndarray, labels: np.ndarray) -> np.ndarray:
        gauged = np.array(xi, dtype=np.int8)
        gauged[..., : self.fan_in] *= labels[..., None].astype(np.int8)
        return gauged

    def readout_of(self, fields: np.ndarray) -> np.ndarray:
        return 1 - 2 * ((self.k - np.count_nonzero(fields > 0, axis=-2)) % 2)


def _check_tree(machine: Machine) -> None:
    if machine.n % machine.k:
        raise ConfigError(f"{machine.kind}: k = {machine.k} does not divide n = {machine.n}: n must be a multiple of k")
    machine._odd("n/k", machine.fan_in)


#: Every machine by the name that a config gives it.
MACHINES: dict[str, type[Machine]] = {m.kind: m for m in (Perceptron, TreeCommittee, FullCommittee, TreeParity)}
