"""The constraints of belief propagation, which takes them as independent: patterns that a machine cannot tell apart are one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from gpumc.machines import Machine
from gpumc.patterns import Patterns, alike

#: Overlap beyond which two patterns are too much alike for messages from them to be independent (docs/volumes.md).
NEAR = 0.75
#: Rows of the overlaps that are looked at together.
BLOCK = 512


@dataclass(frozen=True)
class Constraints:
    """The different patterns of one instance: gauged ``inputs`` (M, n), and how many patterns want the output +1 of each, ``right``
    float64 (M,), and how many the output -1, ``opposite``."""

    inputs: np.ndarray
    right: np.ndarray
    opposite: np.ndarray

    @classmethod
    def of(cls, machine: Machine, xi: np.ndarray, labels: np.ndarray, *, scaled: bool = True) -> Constraints:
        """Of patterns xi (M, n) with labels (M,); ``scaled`` is that of `gpumc.patterns.alike`."""
        first, agrees = alike(machine, xi, labels, scaled=scaled)
        kept, place = np.unique(first, return_inverse=True)
        wanted = agrees * machine.readout.remaining(labels)[first]
        right, opposite = (np.bincount(place, wanted == sign, len(kept)) for sign in (1, -1))
        return cls(machine.readout.gauge(xi, labels)[kept], right, opposite)

    def __len__(self) -> int:
        return len(self.right)

    @property
    def contradictory(self) -> bool:
        """Whether some pattern has both labels."""
        return bool((self.right * self.opposite).any())

    def near(self, machine: Machine) -> int:
        """How many have an overlap of more than `NEAR`, in absolute value, with another: of a parity in every unit."""
        of_units = self.inputs.reshape(len(self), -1, machine.fan_in if machine.readout.by_unit else machine.n)
        units = [
            part / np.linalg.norm(part, axis=1, keepdims=True) for part in of_units.swapaxes(0, 1).astype(np.float32)
        ]
        near = np.zeros(len(self), bool)
        for start in range(0, len(self), BLOCK):
            overlap = np.min([np.abs(unit[start : start + BLOCK] @ unit.T) for unit in units], axis=0)
            overlap[np.arange(len(overlap)), start + np.arange(len(overlap))] = 0
            near[start : start + BLOCK] = (overlap > NEAR).any(axis=1)
        return int(near.sum())


def constraints_of(
    machine: Machine, patterns: Patterns, instances: np.ndarray, *, scaled: bool = True
) -> dict[int, Constraints]:
    """The constraints of each of ``instances``, with a warning that says how many are nearly equal."""
    found = {
        int(i): Constraints.of(machine, patterns.xi[i], patterns.labels[i], scaled=scaled) for i in np.unique(instances)
    }
    near = {i: count for i, one in found.items() if (count := one.near(machine))}
    if near:
        where = ", ".join(f"{count} of instance {i}" for i, count in near.items())
        warnings.warn(
            f"patterns with an overlap above {NEAR:g} with another: {where}; belief propagation takes patterns as independent, and its "
            "entropies N S are 0.1 to 0.3 nats too low for each such pair: use method 'ti' or 'splitting', or leave one of each pair out",
            stacklevel=3,
        )
    return found
