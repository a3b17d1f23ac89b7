"""The machines that have a theory: n -> infinity at given k, or with k -> infinity after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpumc.checks import keep, real, text
from gpumc.errors import ConfigError
from gpumc.machines import WEIGHTS, Machine
from gpumc.theory.factors import IDENTITY, RELU, SIGN, Kernel

KINDS = ("perceptron", "tree-committee", "tree-parity")
#: Sums over more units take too long, and are those of k = inf to all digits that matter.
MOST_UNITS = 100_000


@dataclass(frozen=True)
class Limit:
    """A machine of infinitely many inputs: a ``kind`` of KINDS with ``k`` hidden units, inf for the limit of many.

    Units are signs, or with k = inf, "relu". Raises ConfigError for what has no theory here.
    """

    kind: str
    weights: str = "binary"
    k: float = 1
    activation: str = "sign"

    def __post_init__(self) -> None:
        wanted = f"a whole number from 1 to {MOST_UNITS}, or inf,"
        k = real("theory: k", self.k, lambda k: k == np.inf or (1 <= k <= MOST_UNITS and k % 1 == 0), wanted)
        keep(
            self,
            kind=text("theory: machine", self.kind, KINDS),
            weights=text("theory: weights", self.weights, WEIGHTS),
            k=k if k == np.inf else int(k),
            activation=text("theory: activation", self.activation, ("sign", "relu")),
        )
        committees = self.kind == "tree-committee" and self.many
        if self.activation == "relu" and not committees:
            raise ConfigError(
                f"theory: activation = {self.activation!r} with k = {self.k:g}: 'sign', or 'relu' for committees with k = inf"
            )
        if self.kind == "perceptron" and self.k != 1:
            raise ConfigError(f"theory: k = {self.k:g}: a perceptron has one unit, k = 1")
        if self.kind == "tree-committee" and not self.many and self.k % 2 == 0:
            raise ConfigError(
                f"theory: k = {self.k:g} is even, and the hidden units would tie: use {self.k - 1:g} or {self.k + 1:g}"
            )

    @classmethod
    def of(cls, machine: Machine | Limit | str, k: float | None = None, activation: str | None = None) -> Limit:
        """Of a name such as "binary-perceptron" or "spherical-tree-committee", with ``k`` (of a perceptron 1) and ``activation`` ("sign");
        or of a machine, whose n tends to infinity at its k. Raises ConfigError, also where ``k`` or ``activation`` contradicts it."""
        if isinstance(machine, Machine):
            return cls(machine.kind, machine.weights, machine.k, machine.activation)._confirmed(machine, k, activation)
        if isinstance(machine, Limit):
            return machine._confirmed(machine, k, activation)
        names = [f"{weights}-{kind}" for weights in WEIGHTS for kind in KINDS]
        machine = text("theory: machine", machine, names, ", or a machine such as gpumc.Perceptron(1001)")
        weights, kind = machine.split("-", 1)
        if k is None and kind != "perceptron":
            raise ConfigError(
                f"theory: {machine}: the number of hidden units is needed, k = 3, or inf for a committee of many"
            )
        return cls(kind, weights, 1 if k is None else k, "sign" if activation is None else activation)

    def _confirmed(self, machine: Machine | Limit, k: float | None, activation: str | None) -> Limit:
        """Itself, the limit of ``machine``, or ConfigError where ``k`` or ``activation`` beside it is another."""
        given: dict[str, Any] = {
            name: value for name, value in (("k", k), ("activation", activation)) if value is not None
        }
        if replace(self, **given) != self:
            named, has = (", ".join(f"{name} = {of[name]!r}" for name in given) for of in (given, vars(self)))
            raise ConfigError(
                f"theory: {named} contradicts {machine}, which has {has}: leave it out, or give the machine by its name"
            )
        return self

    @property
    def many(self) -> bool:
        """Whether k -> infinity."""
        return bool(np.isinf(self.k))

    @property
    def gaussian(self) -> bool:
        """Whether the output is a Gaussian field: the perceptron's, and that of a committee of infinitely many units."""
        return self.kind == "perceptron" or (self.kind == "tree-committee" and self.many)

    @property
    def kernel(self) -> Kernel:
        """How the hidden fields' overlap becomes the output's, where that is Gaussian."""
        return IDENTITY if self.kind == "perceptron" else RELU if self.activation == "relu" else SIGN
