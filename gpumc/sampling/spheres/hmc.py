"""Hamiltonian Monte Carlo: leapfrog steps, on spheres geodesic ones (S. Byrne, M. Girolami, Scand. J. Stat. 40, 825 (2013))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpumc.device import array_module
from gpumc.sampling.spheres.spaces import Space, space_of
from gpumc.sampling.spheres.target import Attraction, Target

#: Step sizes of a trajectory are spread by so much, so that none resonates.
JITTER = 0.2


@dataclass(frozen=True)
class Potential:
    """beta L and what holds the norms, less the log weight of the coupling, of whole chains: rows (chains x replicas), ``beta`` (rows,).

    ``pull``: of a centre that stays; or ``coupling`` (chains,), where it is integrated over; or neither.
    """

    target: Target
    beta: np.ndarray
    replicas: int
    pull: Attraction | None
    coupling: np.ndarray | None

    @property
    def space(self) -> Space:
        """Where the weights live."""
        return space_of(self.target.device, self.target.machine)

    @property
    def together(self) -> int:
        """Rows that feel one another and so move, or stay, as one."""
        return 1 if self.coupling is None else self.replicas

    def value(self, x: np.ndarray, fields: np.ndarray) -> np.ndarray:
        """(rows / together,)"""
        cost = self.space.potential(self.beta * self.target.energy(fields), x)
        loss = cost.reshape(-1, self.together).sum(axis=1)
        if self.coupling is not None:
            return loss - self.space.traced(self.coupling, self._chains(x))[0]
        return loss if self.pull is None else loss - self.pull.log_weight(x)

    def gradient(self, x: np.ndarray, fields: np.ndarray) -> np.ndarray:
        """(rows, units, fan_in); it may overwrite ``fields``."""
        slope = self.space.gradient(self.target.gradient(fields, self.beta), x)
        if self.coupling is not None:
            return (self._chains(slope) - self.space.traced(self.coupling, self._chains(x))[1]).reshape(x.shape)
        return slope if self.pull is None else slope - self.pull.gradient(x)

    def _chains(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(-1, self.replicas, *x.shape[1:])


def leapfrog(
    potential: Potential, x: np.ndarray, v: np.ndarray, size: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position and velocity after ``steps`` of ``size`` (rows,), kick, drift, kick; and how far the potential has risen,
    (rows / together,)."""
    target, space = potential.target, potential.space
    half = size / 2
    fields = target.fields(x)
    before = potential.value(x, fields)
    v = space.kicked(x, v, potential.gradient(x, fields), half)
    for step in range(steps):
        x, v = space.drift(x, v, size)
        fields = target.fields(x)
        last = step == steps - 1
        after = potential.value(x, fields) if last else before
        v = space.kicked(x, v, potential.gradient(x, fields), half if last else size)
    return x, v, after - before


def trajectory(
    potential: Potential, x: np.ndarray, size: np.ndarray, steps: int, momenta: np.ndarray, uniforms: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One trajectory of ``steps`` of every row: new weights, and the probability (rows / together,) with which each was accepted.

    ``size`` (rows / together,); ``momenta`` normals shaped as ``x``; ``uniforms`` (2, rows / together).
    """
    xp, space = array_module(x), potential.space
    v = space.tangent(x, momenta)
    jittered = size * (1 + JITTER * (2 * uniforms[0] - 1))
    new, after, rise = leapfrog(potential, x, v, xp.repeat(jittered, potential.together), steps)
    gain = (_kinetic(v) - _kinetic(after)).reshape(-1, potential.together).sum(axis=1) - rise
    chance = xp.exp(xp.minimum(xp.where(xp.isnan(gain), -xp.inf, gain), 0))
    moved = xp.repeat(uniforms[1] < chance, potential.together)[:, None, None]
    return xp.where(moved, space.placed(new), x), chance


def _kinetic(v: np.ndarray) -> np.ndarray:
    return 0.5 * (v * v).sum(axis=(-2, -1))
