"""The machines that have a theory: n -> infinity at given k, or with k -> infinity after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.channels.effective_kernels import IDENTITY, RELU, SIGN, Kernel
from gpumc.checks import keep, one_of, real, text
from gpumc.errors import ConfigError
from gpumc.machines import Machine
from gpumc.weights import WEIGHTS, Weights

KINDS = ("perceptron", "tree-committee", "tree-parity")
#: Sums over more units take too long, and are those of k = inf to all digits that matter.
MOST_UNITS = 100_000


@dataclass(frozen=True)
class Limit:
    """A machine of infinitely many inputs.

    Parameters
    ----------
    kind : str
        "perceptron", "tree-committee" or "tree-parity".
    weights : str
        "binary" or "spherical".
    k : int or inf
        Hidden units; inf for the limit of many, taken after that of n.
    activation : str
        "sign", or, of committees with k = inf, "relu".

    Raises
    ------
    ConfigError
        For what has no theory here.

    Examples
    --------
    >>> from gpumc import theory
    >>> theory.Limit("tree-committee", "spherical", k=float("inf"), activation="relu").gaussian
    True
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
            kind=text("theory: kind", self.kind, KINDS),
            weights=text("theory: weights", self.weights, [name for name, kind in WEIGHTS.items() if kind.fixed_norm]),
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
    def of(cls, machine: Machine | Limit) -> Limit:
        """Itself, or that of a machine, whose n tends to infinity at its k. Raises ConfigError for what is neither."""
        wanted = "a machine such as gpumc.Perceptron(1001), or a theory.Limit such as theory.Limit('perceptron'),"
        machine = one_of("theory: machine", machine, (Machine, Limit), wanted)
        if isinstance(machine, Limit):
            return machine
        if not machine.readout.plain:
            raise ConfigError(
                f"theory: output weights of this {machine.kind}: the theory is of the default ones, leave output out"
            )
        return cls(machine.kind, machine.weights, machine.k, machine.activation)

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the machine."""
        facts: dict[str, Any] = {"machine": self.kind, "weights": self.weights, "k": self.k}
        return facts if self.kind == "perceptron" else facts | {"activation": self.activation}

    @property
    def weight_kind(self) -> Weights:
        """The properties of this kind of weights."""
        return WEIGHTS[self.weights]

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
