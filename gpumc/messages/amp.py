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

#: The variance of a uniform distribution between neighbouring fields, which are 2 apart: a narrower Gaussian tells nothing more.
LATTICE = 1 / 3


@dataclass(frozen=True)
class Amp:
    """One iteration and the interaction part of the free entropy. Its memory is each node's slope (rows, units,
    patterns)."""

    graph_type: ClassVar[type[Graph]] = Graph

    graph: Graph
    channel: Channel

    @staticmethod
    def row_size(machine: Machine, patterns: int) -> int:
        """The numbers that a row takes."""
        return 10 * (machine.weight_count + (machine.k + 1) ** 2 * patterns)

    def rows(self, chosen) -> Amp:
        """The same for some of the rows."""
        return Amp(self.graph.rows(chosen), self.channel.rows(chosen))

    def memory(self, dtype: type) -> np.ndarray:
        """The memory before the first iteration."""
        graph = self.graph
        return graph.device.xp.zeros((len(graph.instance), graph.machine.k, graph.pattern_count), dtype)

    def step(self, fields: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The incoming fields of the weights, (rows, units, fan_in), or pairs of `spherical_priors.py`, and the new memory, given the
        weights' total ``fields``."""
        graph = self.graph
        node = self.channel.gaussian(*self._moments(fields, memory))
        mean, _ = graph.moments(fields)
        precision = -graph.spread_to_weights(node.curvature)
        incoming = graph.to_weights(node.slope) + mean * precision
        if graph.machine.spherical:
            incoming = graph.device.xp.stack([incoming, precision + 0 * incoming], axis=1)
        return incoming, node.slope

    def interaction(self, fields: np.ndarray, incoming: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The free entropy (rows,) beyond the weights' log sum_W P(W) exp(u W), in nats, with u the incoming field; on a sphere
        u W is B W - A W^2 / 2."""
        mean, variance = self._moments(fields, memory)
        node = self.channel.gaussian(mean, variance)
        reaction = 0.5 * (variance * memory**2).sum(axis=(1, 2))
        return node.log_z.sum(axis=1) + reaction - self._mean_incoming(fields, incoming)

    def _mean_incoming(self, fields: np.ndarray, incoming: np.ndarray) -> np.ndarray:
        """The mean of u W, u being the incoming field: (rows,)."""
        mean, variance = self.graph.moments(fields)
        if not self.graph.machine.spherical:
            return (incoming * mean).sum(axis=(1, 2))
        return (incoming[:, 0] * mean - 0.5 * incoming[:, 1] * (mean**2 + variance)).sum(axis=(1, 2))

    def energy(self, fields: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The mean loss (rows,)."""
        return self.channel.energy(*self._moments(fields, memory))

    def _moments(self, fields: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (rows, units, patterns) and variance (rows, units, patterns or 1) of the units' fields in a pattern's absence."""
        mean, variances = self.graph.moments(fields)
        variance = self.graph.spread_to_patterns(variances)
        if not self.graph.machine.spherical:
            variance = self.graph.device.xp.maximum(variance, LATTICE)
        return self.graph.to_patterns(mean) - variance * memory, variance
