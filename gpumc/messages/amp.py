"""Belief propagation in O(weights + patterns) numbers: the expansion of relaxed belief propagation for large fan-in (TAP, AMP).

Y. Kabashima, J. Phys. A 36, 11111 (2003); the free entropy is the variational form of F. Krzakala, A. Manoel, E. W. Tramel and
L. Zdeborova, ISIT 2014, whose stationary points are the fixed points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpumc.machines import Machine
from gpumc.messages.graph import Graph
from gpumc.messages.likelihoods import Channel
from gpumc.messages.marginals import Marginals, combined
from gpumc.messages.rectified import RectifiedUnits

#: Damping of a first attempt and of those that follow where it does not converge, and their shares of the iterations.
ATTEMPTS = ((0.2, 0.2), (0.6, 0.3), (0.85, 0.5))


@dataclass(frozen=True)
class Amp:
    """One iteration and the interaction part of the free entropy. Its memory is each node's slope (rows, units,
    patterns)."""

    attempts: ClassVar = ATTEMPTS

    graph: Graph
    channel: Channel | RectifiedUnits

    @staticmethod
    def row_size(machine: Machine, patterns: int) -> int:
        """The numbers that a row takes."""
        matrices = machine.spherical and machine.readout.rectified
        weights = machine.weight_count * (machine.k + 1 if matrices else 1)
        return 10 * (weights + (machine.k + 1) ** 2 * patterns)

    def rows(self, chosen) -> Amp:
        """The same for some of the rows."""
        return type(self)(self.graph.rows(chosen), self.channel.rows(chosen))

    def memory(self, dtype: type) -> np.ndarray:
        """The memory before the first iteration."""
        graph = self.graph
        return graph.device.xp.zeros((len(graph.instance), graph.machine.k, graph.pattern_count), dtype)

    def step(self, now: Marginals, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The incoming messages of the weights and the new memory, given the weights' marginals."""
        node = self.channel.gaussian(*self._moments(now.mean, now.variance, memory))
        return combined(self.graph, self.graph.to_weights(node.slope), now.mean, node.curvature), node.slope

    def interaction(self, fields: np.ndarray, incoming: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The free entropy (rows,) beyond the weights' log of the mean of exp of all messages' exponent, in nats."""
        mean, variance = self._moments(*self.graph.moments(fields), memory)
        node = self.channel.gaussian(mean, variance)
        reaction = 0.5 * (variance * memory**2).sum(axis=(1, 2))
        return node.log_z.sum(axis=1) + reaction - self.graph.mean_exponent(fields, incoming)

    def energy(self, fields: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The mean loss (rows,)."""
        return self.channel.energy(*self._moments(*self.graph.moments(fields), memory))

    def _moments(self, mean: np.ndarray, variances: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (rows, units, patterns) and variance (rows, units, patterns or 1) of the units' fields in a pattern's absence, given
        those of the weights."""
        variance = self.graph.field_variance(variances)
        return self.graph.to_patterns(mean) - variance * memory, variance
