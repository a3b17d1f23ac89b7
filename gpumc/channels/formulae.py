"""What a factor asks of a stability: the loss of its patterns, some of which want the output -1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpumc.errors import ConfigError
from gpumc.losses import Loss, checked_values
from gpumc.machines import Machine

#: Where formulae are looked at, if a stability may be any number.
LOOKED_AT = np.linspace(-10, 10, 2001)


@dataclass(frozen=True)
class Formula:
    """``right`` f(x) + ``opposite`` f(-x) at the stability x of the output +1; f is the ``loss``, of numbers."""

    loss: Loss
    right: float = 1.0
    opposite: float = 0.0

    def values(self, x: np.ndarray) -> np.ndarray:
        """At stabilities over NumPy or CuPy arrays."""
        found = self.right * self.loss.values(x)
        return found + self.opposite * self.loss.values(-x) if self.opposite else found

    def slopes(self, x: np.ndarray) -> np.ndarray:
        """The derivative of ``values``."""
        found = self.right * self.loss.slopes(x)
        return found - self.opposite * self.loss.slopes(-x) if self.opposite else found

    @property
    def kinks(self) -> list[float]:
        """Where it jumps or bends, rising."""
        own = {float(kink) for kink in self.loss.kinks}
        return sorted(own | {-kink for kink in own} if self.opposite else own)

    @cached_property
    def sweep(self) -> float:
        """How far the slope goes from one side to the other, of a loss that says within what it bends."""
        low, high = self.slopes(100 * np.array([-1.0, 1.0]) * self.loss.bend)
        return float(high - low)

    def steps(self, machine: Machine) -> tuple[np.ndarray, np.ndarray]:
        """Of a loss that counts: the stabilities at which it changes, rising, and its values below the first of them, behind it, and so
        on. Where stabilities are few numbers, a change is in the middle between two of them."""
        if continuous(machine):
            edges = np.unique([0.0, *self.kinks, *(-kink for kink in self.kinks)])
            size = 1.0
        else:
            size = machine.readout.scale
            edges = np.arange(1 - machine.readout.largest, machine.readout.largest, 2.0)
        between = (edges[1:] + edges[:-1]) / 2
        values = np.asarray(self.values(np.array([edges[0] - 1, *between, edges[-1] + 1]) * size), float)
        changes = values[1:] != values[:-1]
        return edges[changes] * size, np.array([values[0], *values[1:][changes]])


def continuous(machine: Machine) -> bool:
    """Whether a stability may be any number: not of binary weights, and not of signs."""
    return machine.spherical and machine.differentiable


def both_labels(machine: Machine, loss: Loss) -> bool:
    """Whether a pattern may be without loss whichever output it wants, of a loss that counts."""
    return bool((Formula(loss, 1, 1).steps(machine)[1] == 0).any())


def check_values(machine: Machine, loss: Loss) -> None:
    """Raise ConfigError unless the values of ``loss`` are numbers, and, where it counts, change at its kinks alone."""
    for point in loss.points():
        if not continuous(machine):
            checked_values(point, machine.possible_stabilities)
            continue
        values = checked_values(point, LOOKED_AT)
        if point.counts:
            edges, levels = Formula(point).steps(machine)
            wrong = (levels[np.searchsorted(edges, LOOKED_AT)] != values) & ~np.isin(LOOKED_AT, edges)
            if wrong.any():
                raise ConfigError(
                    f"the loss {loss.kind!r} counts errors, and changes near the stability {LOOKED_AT[wrong][0]:g} where it has no kink: "
                    "give it the kinks at which its values change"
                )
