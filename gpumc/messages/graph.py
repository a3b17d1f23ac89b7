"""The wires between weights and patterns, for one batch axis of rows that share the patterns of their instances, and what the messages
to weights of a kind are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType

import numpy as np

from gpumc.device import Device
from gpumc.machines import Machine
from gpumc.messages.constraints import Constraints

#: Rows multiplied at once on the host: always so many, so that a row's bits do not depend on how many others there are.
BLOCK = 8
#: Iterations between two looks at residuals on a device that works on meanwhile.
READ_EVERY = 8
#: The variance of a uniform distribution between neighbouring fields of +-1, which are 2 apart: a narrower Gaussian tells nothing more.
LATTICE = 1 / 3


@dataclass(frozen=True)
class Graph(ABC):
    """Different gauged patterns, and which of them each row sees.

    ``xi``: for each instance, float (units, patterns, fan_in), or (1, ...) where all units read the same inputs, in one array;
    ``squares``: theirs, None where all are 1; ``counts`` (2, instances, patterns): how many want the output +1, and -1, of each;
    ``instance`` (rows,): the place in ``xi``, never falling.
    """

    device: Device
    machine: Machine
    xi: np.ndarray
    squares: np.ndarray | None
    counts: np.ndarray
    instance: np.ndarray

    @staticmethod
    def of(
        device: Device, machine: Machine, constraints: list[Constraints], instance: np.ndarray, dtype: type
    ) -> Graph:
        """The graph of rows whose patterns are ``constraints``, all of one number, of ``instance`` (rows,), never falling."""
        xi: list[np.ndarray] = []
        for one in constraints:
            units = machine.unit_inputs(one.inputs)
            shared = units.strides[0] == 0
            xi.append(np.ascontiguousarray(units[:1] if shared else units, dtype=dtype))
        inputs = device.asarray(np.stack(xi) if len(xi) > 1 else xi[0][None])
        squares = None if constraints[0].inputs.dtype == np.int8 else inputs * inputs
        counts: np.ndarray = np.array(
            [[one.right for one in constraints], [one.opposite for one in constraints]], dtype
        )
        spherical = SharedGraph if machine.correlated or machine.readout.rectified else SphericalGraph
        of_weights = spherical if machine.spherical else BinaryGraph
        return of_weights(device, machine, inputs, squares, device.asarray(counts), instance)

    def rows(self, chosen: np.ndarray) -> Graph:
        """The same for some of the rows."""
        return replace(self, instance=self.instance[chosen])

    @property
    def by_arrays(self) -> bool:
        """Whether marginals and messages are made by operations on arrays; else there are kernels."""
        return self.device.kind == "numpy"

    @property
    def read_every(self) -> int:
        """Iterations from one look at the residuals to the next: on CUDA each look waits for the device."""
        return READ_EVERY if self.device.kind == "cuda" and not self.by_arrays else 1

    @property
    def pattern_count(self) -> int:
        """M, the number of different patterns."""
        return self.xi.shape[2]

    @cached_property
    def places(self) -> np.ndarray:
        """``instance`` on the device."""
        return self.device.asarray(self.instance.astype(np.int64))

    def to_patterns(self, weights: np.ndarray) -> np.ndarray:
        """sum_i xi_i w_i: (rows, units, patterns), of ``weights`` (rows, units, fan_in)."""
        return self._multiplied(weights, self.xi.swapaxes(2, 3))

    def to_weights(self, values: np.ndarray) -> np.ndarray:
        """sum_mu xi_mu v_mu: (rows, units, fan_in), of ``values`` (rows, units, patterns)."""
        return self._multiplied(values, self.xi)

    def spread_to_patterns(self, variances: np.ndarray) -> np.ndarray:
        """sum_i xi_i^2 v_i: (rows, units, patterns or 1)."""
        if self.squares is None:
            return variances.sum(axis=2)[..., None]
        return self._multiplied(variances, self.squares.swapaxes(2, 3))

    def spread_to_weights(self, values: np.ndarray) -> np.ndarray:
        """sum_mu xi_mu^2 v_mu: (rows, units, fan_in or 1)."""
        return values.sum(axis=2)[..., None] if self.squares is None else self._multiplied(values, self.squares)

    @abstractmethod
    def message(self, linear: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """What a weight gets: ``linear`` (rows, units, fan_in), and the ``precision`` that goes with it."""

    @abstractmethod
    def moments(self, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the weights, (rows, units, fan_in), of total ``fields``."""

    @abstractmethod
    def mean_exponent(self, fields: np.ndarray, incoming: np.ndarray) -> np.ndarray:
        """The mean, (rows,), of the exponent of all ``incoming`` messages, the weights having total ``fields``."""

    @abstractmethod
    def weights(self, mean: np.ndarray) -> np.ndarray:
        """The weights that magnetisations ``mean`` (rows, units, fan_in) stand for."""

    def no_messages(self, dtype: type) -> np.ndarray:
        """Messages that tell nothing."""
        machine = self.machine
        nothing = self.device.xp.zeros((len(self.instance), machine.k, machine.fan_in), dtype)
        return self.message(nothing, nothing)

    def field_variance(self, variances: np.ndarray) -> np.ndarray:
        """That of the units' fields, (rows, units, patterns or 1), of ``variances`` of the weights."""
        return self.spread_to_patterns(variances)

    def multiplicities(self) -> np.ndarray:
        """How many patterns want the output +1, and -1, of each: (2, rows, patterns)."""
        return self.counts[:, self.instance]

    def edges(self) -> np.ndarray:
        """Every row's patterns: (rows, units or 1, patterns, fan_in)."""
        return self.xi[self.places]

    def _multiplied(self, rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        xp = self.device.xp
        found = []
        for i in np.unique(self.instance):
            first, last = np.searchsorted(self.instance, [i, i + 1])
            product = _on_a_device if self.device.kind == "cuda" else _by_blocks
            found.append(product(xp, rows[first:last], matrices[i]))
        return found[0] if len(found) == 1 else xp.concatenate(found)


def _by_blocks(xp: ModuleType, rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """``rows`` (rows, units, a) times ``matrices`` (units or 1, a, b), `BLOCK` rows at a time."""
    count, full = len(rows), -(-len(rows) // BLOCK) * BLOCK
    blocks = xp.zeros((full, *rows.shape[1:]), rows.dtype)
    blocks[:count] = rows
    product = xp.matmul(blocks.reshape(-1, BLOCK, *rows.shape[1:]).swapaxes(1, 2), matrices)
    return xp.ascontiguousarray(product.swapaxes(1, 2)).reshape(full, rows.shape[1], -1)[:count]


def _on_a_device(xp: ModuleType, rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """The same in one product, which does not read the matrices again for every block; its last bits may depend on how many rows there
    are."""
    if len(matrices) == 1:
        return xp.matmul(rows.reshape(-1, rows.shape[2]), matrices[0]).reshape(*rows.shape[:2], -1)
    return xp.ascontiguousarray(xp.matmul(rows.swapaxes(0, 1), matrices).swapaxes(0, 1))


class BinaryGraph(Graph):
    """Of binary weights: a message is half a log ratio u, with the exponent u W."""

    def message(self, linear: np.ndarray, precision: np.ndarray) -> np.ndarray:
        return linear

    def moments(self, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        xp = self.device.xp
        return xp.tanh(fields), 1 / xp.cosh(xp.clip(fields, -300, 300)) ** 2

    def mean_exponent(self, fields: np.ndarray, incoming: np.ndarray) -> np.ndarray:
        return (incoming * self.moments(fields)[0]).sum(axis=(1, 2))

    def weights(self, mean: np.ndarray) -> np.ndarray:
        return self.device.xp.where(mean < 0, -1.0, 1.0)

    def field_variance(self, variances: np.ndarray) -> np.ndarray:
        return self.device.xp.maximum(self.spread_to_patterns(variances), LATTICE)


class SphericalGraph(Graph):
    """Of spherical weights: a message is a pair (rows, 2, units, fan_in), of B and A, with the exponent B W - A W^2 / 2."""

    def message(self, linear: np.ndarray, precision: np.ndarray) -> np.ndarray:
        return self.device.xp.stack([linear, precision + 0 * linear], axis=1)

    def moments(self, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return fields[:, 0] / fields[:, 1], 1 / fields[:, 1]

    def mean_exponent(self, fields: np.ndarray, incoming: np.ndarray) -> np.ndarray:
        mean, variance = self.moments(fields)
        return (incoming[:, 0] * mean - 0.5 * incoming[:, 1] * (mean**2 + variance)).sum(axis=(1, 2))

    def weights(self, mean: np.ndarray) -> np.ndarray:
        """Every unit on its sphere; one without a direction becomes all ones."""
        xp = self.device.xp
        length = xp.sqrt((mean**2).mean(axis=2, keepdims=True))
        return xp.where(length > 1e-100, mean / xp.where(length > 1e-100, length, 1), 1.0)


class SharedGraph(SphericalGraph):
    """Of spherical weights of units that share inputs, or whose norms matter each by itself: a message to the weights w of an input, or of
    one of each unit, is B and a matrix A, (rows, 1 + units, units, inputs), with the exponent B w - w A w / 2."""

    @property
    def by_arrays(self) -> bool:
        return True

    def message(self, linear: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """``precision`` (rows, units, units, inputs or 1), or one for each unit alone."""
        found = self.device.xp.empty((len(linear), 1 + linear.shape[1], *linear.shape[1:]), linear.dtype)
        found[:, 0] = linear
        found[:, 1:] = (
            precision if precision.ndim == 4 else self.device.xp.eye(linear.shape[1])[..., None] * precision[:, None]
        )
        return found

    def moments(self, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, covariance = self.covariances(fields)
        return mean, self.device.xp.einsum("rlli->rli", covariance) + 0 * mean

    def covariances(self, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (rows, units, inputs) and covariance (rows, units, units, inputs, or 1 where it is that of all) of the weights."""
        xp = self.device.xp
        precision = xp.moveaxis(fields[:, 1:], 3, 1)
        if self.squares is None:
            precision = precision[:, :1]
        bad = ~xp.isfinite(precision).all(axis=(2, 3), keepdims=True)
        inverse = xp.linalg.inv(xp.where(bad, xp.eye(precision.shape[-1], dtype=fields.dtype), precision))
        covariance = xp.moveaxis(xp.where(bad, xp.nan, inverse), 1, 3)
        return (covariance * fields[:, None, 0]).sum(axis=2), covariance

    def mean_exponent(self, fields: np.ndarray, incoming: np.ndarray) -> np.ndarray:
        mean, covariance = self.covariances(fields)
        quadratic = incoming[:, 1:] * (mean[:, :, None] * mean[:, None] + covariance)
        return (incoming[:, 0] * mean).sum(axis=(1, 2)) - 0.5 * quadratic.sum(axis=(1, 2, 3))
