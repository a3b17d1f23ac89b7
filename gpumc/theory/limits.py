"""The machines that have a theory: n -> infinity at given k, or with k -> infinity after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpumc.checks import nearest
from gpumc.errors import ConfigError
from gpumc.machines import WEIGHTS, Machine
from gpumc.theory.factors import IDENTITY, RELU, SIGN, Kernel

KINDS = ("perceptron", "tree-committee", "tree-parity")


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
        if self.kind not in KINDS:
            raise ConfigError(f"theory: machine {self.kind!r}: {nearest(self.kind, KINDS)}")
        if self.weights not in WEIGHTS:
            raise ConfigError(f"theory: weights = {self.weights!r}: {nearest(self.weights, WEIGHTS)}")
        if isinstance(self.k, bool) or not isinstance(self.k, (int, float, np.integer)):
            raise ConfigError(f"theory: k = {self.k!r}: whole numbers from 1 are possible, and inf")
        committees = self.kind == "tree-committee" and self.many
        if self.activation not in ("sign", "relu") or (self.activation == "relu" and not committees):
            raise ConfigError(
                f"theory: activation = {self.activation!r} with k = {self.k:g}: 'sign', or 'relu' for committees with k = inf"
            )
        if self.kind == "perceptron" and self.k != 1:
            raise ConfigError(f"theory: k = {self.k:g}: a perceptron has one unit, k = 1")
        whole = self.k == np.inf if self.many else float(self.k).is_integer() and self.k >= 1
        if not whole:
            raise ConfigError(f"theory: k = {self.k:g}: whole numbers from 1 are possible, and inf")
        if self.kind == "tree-committee" and not self.many and self.k % 2 == 0:
            raise ConfigError(
                f"theory: k = {self.k:g} is even, and the hidden units would tie: use {self.k - 1:g} or {self.k + 1:g}"
            )

    @classmethod
    def of(cls, machine: Machine | Limit | str, k: float | None = None, activation: str = "sign") -> Limit:
        """Of a name such as "binary-perceptron" or "spherical-tree-committee", with ``k`` (of a perceptron 1) and ``activation``; or of
        a machine, whose n tends to infinity at its k."""
        if isinstance(machine, Limit):
            return machine
        if isinstance(machine, Machine):
            return cls(machine.kind, machine.weights, machine.k, machine.activation)
        names = [f"{weights}-{kind}" for weights in WEIGHTS for kind in KINDS]
        if machine not in names:
            raise ConfigError(f"theory: machine {machine!r}: {nearest(str(machine), names)}")
        weights, kind = machine.split("-", 1)
        if k is None and kind != "perceptron":
            raise ConfigError(
                f"theory: {machine}: the number of hidden units is needed, k = 3, or inf for a committee of many"
            )
        return cls(kind, weights, 1 if k is None else k, activation)

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
