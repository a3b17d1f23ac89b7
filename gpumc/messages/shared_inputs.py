"""Belief propagation of spherical weights whose units share inputs, in O(weights units + patterns units^2) numbers.

The fields of a pattern's units are Gaussian and correlated: the weights of an input are a vector with a covariance
(B. Aubin et al., J. Stat. Mech. 124023 (2019), algorithm 1). Messages are those of `gpumc.messages.unit_spheres`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gpumc.machines import Machine
from gpumc.messages.amp import Amp
from gpumc.messages.correlated import MOST_NUMBERS
from gpumc.messages.marginals import Marginals


@dataclass(frozen=True)
class SharedAmp(Amp):
    """`Amp` with the covariance of the weights of an input, and of the fields of a pattern, in the place of their variances."""

    #: Inputs of real data have a mean and few directions in which they differ, along which all patterns push at once.
    attempts: ClassVar = ((0.2, 0.2), (0.6, 0.2), (0.95, 0.6))

    graph: Any  # a `gpumc.messages.graph.SharedGraph`
    channel: Any  # CorrelatedSigns or RectifiedUnits

    @staticmethod
    def row_size(machine: Machine, patterns: int) -> int:
        """The numbers that a row takes."""
        return 10 * (machine.k + 1) * (machine.weight_count + machine.k * patterns) + MOST_NUMBERS

    def step(self, now: Marginals, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The messages of the patterns to the weights, (rows, 1 + units, units, inputs), and the new memory, given their marginals."""
        graph = self.graph
        node = self.channel.gaussian(*self._covariances(now.fields, memory))
        shape = node.curvature.shape
        precision = -graph.spread_to_weights(node.curvature.reshape(shape[0], -1, shape[3]))
        precision = precision.reshape(*shape[:3], -1)
        linear = graph.to_weights(node.slope) + (precision * now.mean[:, None]).sum(axis=2)
        return graph.message(linear, precision), node.slope

    def interaction(self, fields: np.ndarray, incoming: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The free entropy (rows,) beyond the weights' log of the mean of exp(B W - W A W / 2), in nats."""
        mean, covariance = self._covariances(fields, memory)
        node = self.channel.gaussian(mean, covariance)
        reaction = 0.5 * ((covariance * memory[:, None]).sum(axis=2) * memory).sum(axis=(1, 2))
        return node.log_z.sum(axis=1) + reaction - self.graph.mean_exponent(fields, incoming)

    def energy(self, fields: np.ndarray, memory: np.ndarray) -> np.ndarray:
        """The mean loss (rows,)."""
        return self.channel.energy(*self._covariances(fields, memory))

    def _covariances(self, fields: np.ndarray, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (rows, units, patterns) and covariance (rows, units, units, patterns or 1) of the fields in a pattern's absence."""
        mean, covariance = self.graph.covariances(fields)
        rows, units = mean.shape[:2]
        everywhere = self.graph.device.xp.broadcast_to(covariance, (rows, units, *mean.shape[1:]))
        of_fields = self.graph.spread_to_patterns(everywhere.reshape(rows, -1, mean.shape[2]))
        of_fields = of_fields.reshape(rows, units, units, -1)
        return self.graph.to_patterns(mean) - (of_fields * memory[:, None]).sum(axis=2), of_fields
