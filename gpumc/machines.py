"""The architectures whose weights are sampled, and what they compute of a pattern.

A machine is a frozen description: how many inputs ``n`` and hidden units ``k`` it has, which weight reads which input,
and how the hidden preactivations become an output. With binary weights and +-1 patterns every
preactivation is an odd integer (the *field* ``w_l . xi_l``, not divided by ``sqrt(fan_in)``), and so signs never tie.
With spherical weights each unit's vector is real, of squared norm ``fan_in``, and so is its preactivation ``w_l . xi_l / sqrt(fan_in)``;
with gaussian weights its norm is free.

Where hidden units are odd functions, labels are folded into the patterns (:meth:`Readout.gauge`): for a majority the label
multiplies every input, for a parity it multiplies the inputs of the first unit alone. In that gauge every label is +1 and a stability
is a function of the fields. ReLU units are not odd, and their labels stay beside the patterns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from gpumc.activations import ACTIVATIONS, ODD, activated, activation_curvature, activation_slope
from gpumc.checks import keep, one_of, real, series, text, whole
from gpumc.device import array_module
from gpumc.errors import ConfigError
from gpumc.readouts import Linear, Majority, Product, Readout, Rectified, Weighted, balanced
from gpumc.weights import WEIGHTS, Weights

#: Inputs, hidden units and weights are fewer: single precision holds every sum of so many signs, and random numbers count units in 16
#: bits and weights, four at a time, in 24.
MOST_INPUTS, MOST_UNITS, MOST_WEIGHTS = 2**24, 2**16, 2**26
#: Patterns are fewer, as random numbers count them in 32 bits.
MOST_PATTERNS = 2**32
#: The flattest and the steepest activation: within, squares of preactivations neither overflow nor vanish.
SLOPES = 1e-50, 1e50
STEEPNESS = f"a number from {SLOPES[0]:g} to {SLOPES[1]:g}"
#: At which gaussian weights are standard normals where there are no patterns.
STANDARD_DECAY = 0.5
MAGNITUDES = f"numbers of absolute value {SLOPES[0]:g} to {SLOPES[1]:g}"
#: Which decays are allowed, and in words; and which output weights.
DECAYS: tuple[Callable[[float], Any], str] = (lambda d: d == 0 or SLOPES[0] <= d <= SLOPES[1], f"0, or {STEEPNESS}")
WHOLE: Callable[[np.ndarray], np.ndarray] = lambda c: (c != 0) & (c == np.rint(c))  # noqa: E731
MODERATE: Callable[[np.ndarray], np.ndarray] = lambda c: (abs(c) >= SLOPES[0]) & (abs(c) <= SLOPES[1])  # noqa: E731


@dataclass(frozen=True)
class Machine:
    """What all machines share; use one of the four below.

    ``weights`` "binary", "spherical" or "gaussian"; hidden units have the ``activation`` "sign", "relu", "erf" or "tanh", the last two of
    ``slope`` times the preactivation. ``decay`` is lambda of gaussian weights (0.5 by default): they have the density exp(-beta L - lambda
    |W|^2), L being the sum of the losses of all patterns, and learners minimise L + lambda |W|^2.
    """

    n: int
    k: int = 1
    weights: str = "binary"
    activation: str = "sign"
    slope: float = 1.0
    decay: float | None = None

    kind: ClassVar[str]
    #: The activations that hidden units may have.
    activations: ClassVar[tuple[str, ...]] = ACTIVATIONS

    def __post_init__(self) -> None:
        keep(
            self,
            n=whole(f"{self.kind}: n", self.n, 1, MOST_INPUTS),
            k=whole(f"{self.kind}: k", self.k, 1, MOST_UNITS),
            weights=text(f"{self.kind}: weights", self.weights, WEIGHTS),
            activation=text(f"{self.kind}: activation", self.activation, self.activations),
            slope=real(f"{self.kind}: slope", self.slope, lambda s: SLOPES[0] <= s <= SLOPES[1], STEEPNESS),
        )
        if self.weights == "binary" and self.activation not in ("sign", "relu"):
            raise ConfigError(
                f"{self.kind}: activation = {self.activation!r} with binary weights: these have 'sign' or 'relu'; use weights = 'spherical'"
            )
        if not self.weight_kind.fixed_norm:
            decay = STANDARD_DECAY if self.decay is None else self.decay
            keep(self, decay=real(f"{self.kind}: decay", decay, *DECAYS))
        elif self.decay is not None:
            raise ConfigError(
                f"{self.kind}: decay is of gaussian weights, and this has {self.weights} ones: leave it out"
            )
        if self.weight_count >= MOST_WEIGHTS:
            raise ConfigError(
                f"{self.kind}: n = {self.n} and k = {self.k} are {self.weight_count} weights: fewer than {MOST_WEIGHTS} are possible"
            )

    def _odd(self, name: str, value: int, why: str) -> None:
        if value % 2 == 0:
            raise ConfigError(
                f"{self.kind}: {name} = {value} is even, and {why} would tie: use {value - 1 or 1} or {value + 1}"
            )

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the machine."""
        facts: dict[str, Any] = {"machine": self.kind, "n": self.n, "k": self.k, "weights": self.weights}
        if not self.readout.linear:
            facts["activation"] = self.activation
        if self.activation in ("erf", "tanh"):
            facts["slope"] = self.slope
        if self.decay is not None:
            facts["decay"] = self.decay
        return facts

    @property
    def weight_kind(self) -> Weights:
        """What all weights of this kind have in common."""
        return WEIGHTS[self.weights]

    @property
    def spherical(self) -> bool:
        """Whether the weights are real, on a sphere for each unit."""
        return self.weights == "spherical"

    @property
    def continuous(self) -> bool:
        """Whether the weights are real."""
        return self.weight_kind.dtype is np.float64

    @property
    def spread(self) -> float:
        """The standard deviation of a weight where there are no patterns; inf of gaussian weights without a decay."""
        if self.decay is None:
            return 1.0
        return (2 * self.decay) ** -0.5 if self.decay else math.inf

    @property
    def differentiable(self) -> bool:
        """Whether the stability of real weights has a gradient that is not 0."""
        return self.readout.linear or self.activation != "sign"

    @property
    def correlated(self) -> bool:
        """Whether hidden units share inputs through real weights, so that the fields of a pattern's units are correlated."""
        return self.spherical and self.weight_count > self.n

    @property
    def readout(self) -> Readout:
        """What the output makes of the hidden units."""
        return Majority(self.k, self.weight_count)

    @property
    def weight_count(self) -> int:
        """The number of weights in all."""
        return self.n

    @property
    def fan_in(self) -> int:
        """The number of weights of one hidden unit; weight ``i`` belongs to unit ``i // fan_in`` and reads input ``i % n``."""
        return self.weight_count // self.k

    @property
    def possible_stabilities(self) -> np.ndarray:
        """The stabilities of binary weights, rising: float64 (readouts,)."""
        readout = self.readout
        return np.arange(-readout.largest, readout.largest + 1, 2) * readout.scale

    def pattern_count(self, alpha: object) -> int:
        """M = round(alpha x number of weights). Raises ConfigError where that is no pattern."""
        per_weight = real("alpha", alpha, lambda a: 0 < a < np.inf, "a positive finite number")
        if per_weight * self.weight_count >= MOST_PATTERNS:
            raise ConfigError(
                f"alpha = {per_weight:g} gives too many patterns for {self.weight_count} weights: use one below "
                f"{MOST_PATTERNS / self.weight_count:.2g}"
            )
        count = round(per_weight * self.weight_count)
        if count < 1:
            raise ConfigError(
                f"alpha = {per_weight:g} gives no pattern for {self.weight_count} weights: use at least {1 / self.weight_count:.2g}"
            )
        return count

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

    def stabilities(self, weights: np.ndarray, xi: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Stabilities Delta, float64 (C, M), of weights (C, weight_count) on patterns xi (M, n) with labels (M,)."""
        if self.continuous:
            return self.outputs(self.preactivations(weights, xi)) * labels
        readout = self.readout
        of_fields = readout.of(self.fields(weights, readout.gauge(xi, labels)))
        return of_fields * readout.remaining(labels) * readout.scale

    def normalised(self, weights: np.ndarray) -> np.ndarray:
        """Weights (..., weight_count) of the right direction as configurations: spherical ones are brought to their units' spheres."""
        units = weights.reshape(*weights.shape[:-1], self.k, self.fan_in)
        return self.weight_kind.normalised(units).reshape(weights.shape)

    def preactivations(self, weights: np.ndarray, xi: np.ndarray) -> np.ndarray:
        """w_l . xi_l / sqrt(fan_in) of real weights (C, weight_count) on patterns (M, n): (C, k, M)."""
        per_unit = weights.reshape(len(weights), self.k, self.fan_in).swapaxes(0, 1)
        inputs = self.unit_inputs(xi).astype(weights.dtype, copy=False)
        return array_module(weights).matmul(per_unit, inputs.swapaxes(1, 2)).swapaxes(0, 1) / np.sqrt(self.fan_in)

    def outputs(self, preactivations: np.ndarray) -> np.ndarray:
        """The output (..., M) of real preactivations (..., k, M), which is the stability for a label of +1."""
        return self.readout.output(self._activated(preactivations))

    def differentiated(self, preactivations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The output (..., M), and its derivatives by each preactivation (..., k, M)."""
        value = self._activated(preactivations)
        return self.readout.differentiated(value, activation_slope(self.activation, self.slope, preactivations, value))

    def twice_differentiated(self, preactivations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The output (..., M), and its first and second derivatives by each preactivation, (..., k, M), of additive readouts."""
        output, first = self.differentiated(preactivations)
        value = self._activated(preactivations)
        bent = activation_curvature(self.activation, self.slope, preactivations, value)
        return output, first, self.readout.differentiated(value, bent)[1]

    def softened(self, slope: float) -> Machine:
        """The machine with hidden units tanh(``slope`` x) in the place of signs; itself where it has none."""
        if self.readout.linear or self.activation != "sign":
            return self
        return replace(self, activation="tanh", slope=slope)

    def _activated(self, preactivations: np.ndarray) -> np.ndarray:
        return activated(self.activation, self.slope, preactivations)


@dataclass(frozen=True)
class Perceptron(Machine):
    """One unit of ``n`` inputs (odd for binary weights); Delta = sigma w.xi / sqrt(n)."""

    kind: ClassVar[str] = "perceptron"
    activations: ClassVar[tuple[str, ...]] = ("sign",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k != 1:
            raise ConfigError(f"perceptron: k = {self.k}: a perceptron has one unit, k = 1")
        if not self.continuous:
            self._odd("n", self.n, "binary weights")

    @property
    def readout(self) -> Readout:
        return Linear(1, self.n)

    def outputs(self, preactivations: np.ndarray) -> np.ndarray:
        return preactivations[..., 0, :]

    def differentiated(self, preactivations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return preactivations[..., 0, :], array_module(preactivations).ones_like(preactivations)

    def twice_differentiated(self, preactivations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return *self.differentiated(preactivations), array_module(preactivations).zeros_like(preactivations)


@dataclass(frozen=True)
class Committee(Machine):
    """What committees share: Delta = sigma sum_l c_l tau_l / |c|, tau_l being the activation of the preactivation.

    ``output`` gives c_l, a number for each unit; by default 1, of ReLU units -1 in the second half, which are even in number. Those of
    signs are whole numbers of odd sum, so that nothing ties (by default ``k`` is odd); those of ReLU units with binary weights are whole.
    """

    output: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            keep(self, output=self._checked_output(self.output))
        elif self.activation == "sign":
            self._odd("k", self.k, "the hidden units")
        elif self.activation == "relu" and self.k % 2:
            raise ConfigError(
                f"{self.kind}: k = {self.k} is odd, and half of the ReLU units have output weight -1: use {self.k + 1}, or give output"
            )

    def _checked_output(self, given: object) -> tuple[float, ...]:
        name = f"{self.kind}: output"
        whole_ones = self.activation == "sign" or not self.continuous
        right, wanted = (WHOLE, "whole numbers other than 0") if whole_ones else (MODERATE, MAGNITUDES)
        values = np.atleast_1d(
            series(name, given, right, f"{wanted} for {self.activation} units of {self.weights} weights")
        )
        if values.shape != (self.k,):
            raise ConfigError(
                f"{name} has {values.size} numbers, and there are {self.k} hidden units: one each is needed"
            )
        if whole_ones:
            total, limit = math.fsum(np.abs(values)), MOST_INPUTS // (2 * self.fan_in)
            if total >= limit:
                raise ConfigError(f"{name}: the sum of absolute values is {total:.0f}: less than {limit} is possible")
            if self.activation == "sign" and total % 2 == 0:
                raise ConfigError(
                    f"{name} has the even sum {values.sum():.0f}, and the hidden units would tie: an odd one is needed"
                )
        return tuple(values.tolist())

    @property
    def attributes(self) -> dict[str, Any]:
        return super().attributes | ({} if self.output is None else {"output": list(self.output)})

    @property
    def readout(self) -> Readout:
        rectified = self.activation == "relu"
        default = balanced(self.k) if rectified else (1.0,) * self.k
        if not rectified and self.output in (None, default):
            return Majority(self.k, self.weight_count)
        return (Rectified if rectified else Weighted)(self.k, self.weight_count, self.output or default)


@dataclass(frozen=True)
class TreeCommittee(Committee):
    """A committee whose ``k`` hidden units have disjoint inputs, ``n/k`` each (odd for binary weights)."""

    kind: ClassVar[str] = "tree-committee"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_tree(self)


@dataclass(frozen=True)
class FullCommittee(Committee):
    """A committee whose ``k`` hidden units have the same ``n`` (odd for binary weights) inputs: n k weights, unit by unit."""

    kind: ClassVar[str] = "full-committee"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.continuous:
            self._odd("n", self.n, "binary weights")

    @property
    def weight_count(self) -> int:
        return self.n * self.k

    def unit_inputs(self, xi: np.ndarray) -> np.ndarray:
        return np.broadcast_to(xi, (self.k, *xi.shape))


@dataclass(frozen=True)
class TreeParity(Machine):
    """``k`` hidden units on disjoint inputs, ``n/k`` each (odd for binary weights); Delta = sigma prod_l tau_l."""

    kind: ClassVar[str] = "tree-parity"
    activations: ClassVar[tuple[str, ...]] = ODD

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_tree(self)

    @property
    def readout(self) -> Readout:
        return Product(self.k, self.n)


def _check_tree(machine: Machine) -> None:
    if machine.n % machine.k:
        raise ConfigError(f"{machine.kind}: k = {machine.k} does not divide n = {machine.n}: n must be a multiple of k")
    if not machine.continuous:
        machine._odd("n/k", machine.fan_in, "binary weights")


def require_binary(machine: Machine, what: str) -> None:
    """Raise ConfigError unless the weights are binary."""
    if machine.continuous:
        raise ConfigError(f"{what} needs binary weights, and this {machine.kind} has {machine.weights} ones")


def require_fixed_norm(machine: Machine, what: str) -> None:
    """Raise ConfigError for weights of free norm."""
    if not machine.weight_kind.fixed_norm:
        raise ConfigError(
            f"{what} is for binary and spherical weights, and this {machine.kind} has {machine.weights} ones, whose norm is free: "
            "sample it, or let it learn"
        )


def check_machine(machine: object) -> None:
    """Raise ConfigError for what is no machine."""
    one_of("machine", machine, (Machine,), "a Perceptron, TreeCommittee, FullCommittee or TreeParity")


#: Every machine by the name that a config gives it.
MACHINES: dict[str, type[Machine]] = {m.kind: m for m in (Perceptron, TreeCommittee, FullCommittee, TreeParity)}
