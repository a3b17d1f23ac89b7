"""The second derivatives of the mean loss over patterns at given weights, as an operator and as a matrix.

With preactivations x_l and the output o, the block of units l and m is the mean over patterns of (f''(Delta) o_l o_m + delta_lm f'(Delta)
sigma o_ll) xi_l xi_m, o_l and o_ll being derivatives of the output by preactivations. On the spheres of the units it is
P_l H_lm P_m - delta_lm (w_l . g_l / |w_l|^2) P_l, P_l = 1 - w_l w_l / |w_l|^2 and g the gradient (P.-A. Absil, R. Mahony, R. Sepulchre,
Optimization Algorithms on Matrix Manifolds (2008), sec. 5.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import array_module
from gpumc.inputs import preactivations
from gpumc.losses import Loss
from gpumc.machines import Machine


@dataclass(frozen=True)
class Curvature:
    """The Hessian at one configuration ``weights`` (units, fan_in); ``inputs`` as `gpumc.inputs.unit_inputs`.

    ``products`` (units, M): the square roots of f'' times o_l, whose outer products are one part of a pattern's block, f'' being at least
    0 of convex losses, and ``signs`` (M,) its sign; ``alone`` (units, M): f' sigma o_ll; ``radial`` (units,): w_l . g_l / |w_l|^2.
    """

    weights: Any
    inputs: Any
    products: Any
    signs: Any
    alone: Any
    radial: Any
    riemannian: bool

    @classmethod
    def of(cls, machine: Machine, loss: Loss, weights: Any, inputs: Any, labels: Any, riemannian: bool) -> Curvature:
        """Of ``machine``, whose hidden units are smooth, at ``weights`` (weights,) on ``labels`` (M,)."""
        xp = array_module(weights)
        units = weights.reshape(machine.k, machine.fan_in)
        x = preactivations(units[None], inputs)[0]
        output, first, second = machine.twice_differentiated(x)
        stability = output * labels
        outer = loss.curvatures(stability) / len(labels)
        inner = loss.slopes(stability) * labels / len(labels)
        radial = (inner * first * x).sum(axis=1) / (units**2).sum(axis=1)
        return cls(units, inputs, first * xp.sqrt(xp.abs(outer)), xp.sign(outer), inner * second, radial, riemannian)

    @property
    def count(self) -> int:
        """The number of weights."""
        return self.weights.size

    def tangent(self, vector: Any) -> Any:
        """``vector`` (N,) without its radial parts, on spheres."""
        if not self.riemannian:
            return vector
        units = vector.reshape(self.weights.shape)
        along = (units * self.weights).sum(axis=1) / (self.weights**2).sum(axis=1)
        return (units - along[:, None] * self.weights).reshape(-1)

    def product(self, vector: Any) -> Any:
        """The Hessian times a vector (N,)."""
        xp = array_module(vector)
        moved = self.tangent(vector).reshape(self.weights.shape)
        along = preactivations(moved[None], self.inputs)[0]
        change = self.products * (self.signs * (self.products * along).sum(axis=0)) + self.alone * along
        image = xp.matmul(change[:, None], self.inputs)[:, 0]
        if self.riemannian:
            image = self.tangent(image.reshape(-1)).reshape(image.shape) - self.radial[:, None] * moved
        return image.reshape(-1)

    def matrix(self) -> Any:
        """The Hessian (N, N)."""
        xp = array_module(self.weights)
        units, fan_in = self.weights.shape
        found = xp.empty((units, fan_in, units, fan_in))
        for one in range(units):
            for other in range(one + 1):
                factor = self.signs * self.products[one] * self.products[other]
                if one == other:
                    factor = factor + self.alone[one]
                own, across = self.inputs[one % len(self.inputs)], self.inputs[other % len(self.inputs)]
                found[one, :, other] = own.T @ (factor[:, None] * across)
                found[other, :, one] = found[one, :, other].T
        matrix = found.reshape(self.count, self.count)
        if not self.riemannian:
            return matrix
        radial = self._radial_directions()
        half = matrix - (matrix @ radial.T) @ radial
        projected = half - radial.T @ (radial @ half)
        projector = xp.eye(self.count) - radial.T @ radial
        return projected - xp.repeat(self.radial, fan_in)[:, None] * projector

    def eigenvalues(self) -> Any:
        """All eigenvalues, rising; on spheres without the one of each unit that is 0 since it is radial: (N,) or (N - units,)."""
        xp = array_module(self.weights)
        matrix = self.matrix()
        if not self.riemannian:
            return xp.linalg.eigvalsh(matrix)
        radial = self._radial_directions()
        above = 1 + 2 * xp.abs(matrix).sum(axis=1).max()
        return xp.linalg.eigvalsh(matrix + above * (radial.T @ radial))[: -len(radial)]

    def _radial_directions(self) -> Any:
        """The direction of each unit's weights: (units, N)."""
        xp = array_module(self.weights)
        units, fan_in = self.weights.shape
        directions = xp.zeros((units, units, fan_in))
        each = np.arange(units)
        directions[each, each] = self.weights / xp.sqrt((self.weights**2).sum(axis=1, keepdims=True))
        return directions.reshape(units, -1)
