"""The wires between weights and patterns, for one batch axis of rows that share the patterns of their instances."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gpumc.device import Device
from gpumc.machines import Machine
from gpumc.messages.constraints import Constraints

#: Rows multiplied at once: always so many, so that a row's bits do not depend on how many others there are.
BLOCK = 8


@dataclass(frozen=True)
class Graph:
    """Different gauged patterns, and which of them each row sees.

    ``xi``: for each instance, float (units, patterns, fan_in), or (1, ...) where all units read the same inputs;
    ``squares``: theirs, None where all are 1; ``counts`` (2, instances, patterns): how many want the output +1, and -1, of each;
    ``instance`` (rows,): the place in ``xi``, never falling.
    """

    device: Device
    machine: Machine
    xi: list[np.ndarray]
    squares: list[np.ndarray] | None
    counts: np.ndarray
    instance: np.ndarray

    @classmethod
    def of(
        cls, device: Device, machine: Machine, constraints: list[Constraints], instance: np.ndarray, dtype: type
    ) -> Graph:
        """The graph of rows whose patterns are ``constraints``, all of one number, of ``instance`` (rows,), never falling."""
        xi = []
        for one in constraints:
            units = machine.unit_inputs(one.inputs)
            shared = units.strides[0] == 0
            xi.append(device.asarray(np.ascontiguousarray(units[:1] if shared else units, dtype=dtype)))
        squares = None if constraints[0].inputs.dtype == np.int8 else [x * x for x in xi]
        counts: np.ndarray = np.array(
            [[one.right for one in constraints], [one.opposite for one in constraints]], dtype
        )
        return cls(device, machine, xi, squares, device.asarray(counts), instance)

    def rows(self, chosen: np.ndarray) -> Graph:
        """The same for some of the rows."""
        return replace(self, instance=self.instance[chosen])

    @property
    def pattern_count(self) -> int:
        """M, the number of different patterns."""
        return self.xi[0].shape[1]

    def to_patterns(self, weights: np.ndarray) -> np.ndarray:
        """sum_i xi_i w_i: (rows, units, patterns), of ``weights`` (rows, units, fan_in)."""
        return self._multiplied(weights, [x.swapaxes(1, 2) for x in self.xi])

    def to_weights(self, values: np.ndarray) -> np.ndarray:
        """sum_mu xi_mu v_mu: (rows, units, fan_in), of ``values`` (rows, units, patterns)."""
        return self._multiplied(values, self.xi)

    def spread_to_patterns(self, variances: np.ndarray) -> np.ndarray:
        """sum_i xi_i^2 v_i: (rows, units, patterns or 1)."""
        if self.squares is None:
            return variances.sum(axis=2)[..., None]
        return self._multiplied(variances, [x.swapaxes(1, 2) for x in self.squares])

    def spread_to_weights(self, values: np.ndarray) -> np.ndarray:
        """sum_mu xi_mu^2 v_mu: (rows, units, fan_in or 1)."""
        return values.sum(axis=2)[..., None] if self.squares is None else self._multiplied(values, self.squares)

    def no_messages(self, dtype: type) -> np.ndarray:
        """Incoming fields, or pairs, that tell nothing."""
        machine = self.machine
        pair = (2,) if machine.spherical else ()
        return self.device.xp.zeros((len(self.instance), *pair, machine.k, machine.fan_in), dtype)

    def moments(self, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the weights, (rows, units, fan_in), of total ``fields``: of half log ratios, or of the pairs of
        `gpumc.messages.spherical_priors`."""
        if self.machine.spherical:
            return fields[:, 0] / fields[:, 1], 1 / fields[:, 1]
        xp = self.device.xp
        return xp.tanh(fields), 1 / xp.cosh(xp.clip(fields, -300, 300)) ** 2

    def multiplicities(self) -> np.ndarray:
        """How many patterns want the output +1, and -1, of each: (2, rows, patterns)."""
        return self.counts[:, self.instance]

    def edges(self) -> np.ndarray:
        """Every row's patterns: (rows, units or 1, patterns, fan_in)."""
        return self.device.xp.stack([self.xi[i] for i in self.instance])

    def _multiplied(self, rows: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
        xp = self.device.xp
        out = xp.empty((*rows.shape[:2], matrices[0].shape[2]), rows.dtype)
        for i in np.unique(self.instance):
            first, last = np.searchsorted(self.instance, [i, i + 1])
            count = last - first
            blocks = xp.zeros((-(-count // BLOCK) * BLOCK, *rows.shape[1:]), rows.dtype)
            blocks[:count] = rows[first:last]
            product = xp.matmul(blocks.reshape(-1, BLOCK, *rows.shape[1:]).swapaxes(1, 2), matrices[i])
            out[first:last] = product.swapaxes(1, 2).reshape(-1, *out.shape[1:])[:count]
        return out
