"""Problems of volumes: the entropy of a measure, of all configurations or of those around references, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpumc.losses import Loss
from gpumc.machines import Machine
from gpumc.patterns import Patterns


@dataclass(frozen=True)
class Problems:
    """Rows in any order: the entropy of exp(-beta L) of a ``machine`` on one ``instance`` of ``patterns``, which a method solves.

    Attributes
    ----------
    machine : Machine
    patterns : Patterns
    loss : Loss
        Its parameters are arrays (rows,).
    instance : int array (rows,)
        Places in the patterns.
    beta : float64 array (rows,)
    reference : array (rows, weights) or None
        +-1, or real with every unit on its sphere; None for all configurations.
    curve : int array (rows,)
        Rows of one curve differ in their distance, or field, alone.
    distance, field : float64 array (rows,) or None
        The mean normalised distance from the reference, or the field toward it (nats): one of them where there are references.
    """

    machine: Machine
    patterns: Patterns
    loss: Loss
    instance: np.ndarray
    beta: np.ndarray
    reference: np.ndarray | None
    curve: np.ndarray
    distance: np.ndarray | None = None
    field: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.instance)

    def rows(self, chosen: np.ndarray) -> Problems:
        """Some of the rows."""
        reference, distance, field = (
            None if array is None else array[chosen] for array in (self.reference, self.distance, self.field)
        )
        loss, instance, beta = self.loss.take(chosen), self.instance[chosen], self.beta[chosen]
        return Problems(
            self.machine, self.patterns, loss, instance, beta, reference, self.curve[chosen], distance, field
        )

    def loss_at(self, row: int) -> Loss:
        """The loss of one row, its parameters being Python's own numbers."""
        return self.loss.at(**{name: float(value[row]) for name, value in self.loss.parameters.items()})


def entropy_bound(machine: Machine, distance: np.ndarray) -> np.ndarray:
    """The entropy per weight (nats) at distances D without patterns: of binary weights, or the log of the cap of the spheres."""
    return machine.weight_kind.entropy_bound(distance)
