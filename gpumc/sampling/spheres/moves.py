"""What a block of rows does in a sweep: a trajectory, or several moves along great circles of spheres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpumc.device import Device
from gpumc.device.constants import Stream
from gpumc.device.normals import normals
from gpumc.device.philox import philox, uniform
from gpumc.sampling.spheres import hmc
from gpumc.sampling.spheres.geometry import normalised
from gpumc.sampling.spheres.spaces import space_of
from gpumc.sampling.spheres.target import Attraction, Target, TracedPull

#: A move of rows: of (rows, target, beta, pull, x, fields, normals, uniforms) it makes new weights, preactivations, and chances of
#: acceptance; ``rows`` are their places in the block.
Move = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Moves:
    """A sweep of a block: rows (chains x replicas), ``walkers`` uint64 (rows,) on the host, ``coupling`` (chains,), the rest (rows,).

    ``centre`` (rows, units, fan_in) where one stays during the sweep; where it is ``traced``, replicas feel one another.
    """

    device: Device
    seed: int
    sweep: int
    replicas: int
    traced: bool
    walkers: np.ndarray
    target: Target
    beta: np.ndarray
    coupling: np.ndarray
    centre: np.ndarray | None

    def trajectory(self, x: np.ndarray, size: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """A trajectory of Hamiltonian Monte Carlo: new weights, and chances of acceptance."""
        coupling = self.coupling if self.traced else None
        potential = hmc.Potential(self.target, self.beta, self.replicas, self._pull(slice(None)), coupling)
        momenta = self._normals(1, slice(None))[0]
        uniforms = self._uniforms(1, slice(None, None, self.replicas if self.traced else 1))[:, 0]
        return hmc.trajectory(potential, x, size, steps, momenta, uniforms)

    def repeated(self, x: np.ndarray, count: int, move: Move) -> tuple[np.ndarray, np.ndarray]:
        """A ``move`` several times: new weights, and mean chances of acceptance. Replicas that feel one another take their turns."""
        y = self.replicas
        x, chances = x.copy(), self.device.xp.zeros(len(x))
        for rows in [slice(r, None, y) for r in range(y)] if self.traced else [slice(None)]:
            moved, fields, target = x[rows], self.target.fields(x[rows]), self.target.rows(rows)
            pull: Attraction | TracedPull | None = self._pull(rows)
            if self.traced:
                pull = TracedPull(self.coupling, x.reshape(-1, y, *x.shape[1:]).sum(axis=1) - moved)
            directions, uniforms = self._normals(count, rows), self._uniforms(count, rows)
            for step in range(count):
                moved, fields, chance = move(
                    rows, target, self.beta[rows], pull, moved, fields, directions[step], uniforms[:, step]
                )
                chances[rows] += chance / count
            x[rows] = normalised(moved)
        return x, chances

    def _pull(self, rows: slice) -> Attraction | None:
        if self.centre is None:
            return None
        coupling = self.device.xp.repeat(self.coupling, self.replicas)[rows]
        return space_of(self.device, self.target.machine).pull(coupling, self.centre[rows])

    def _normals(self, sets: int, rows: slice) -> np.ndarray:
        shape = self.target.shape
        drawn = normals(
            self.device, self.seed, Stream.MOMENTA, self.sweep, self.walkers[rows], sets, shape[0] * shape[1]
        )
        return drawn.reshape(sets, -1, *shape)

    def _uniforms(self, sets: int, rows: slice) -> np.ndarray:
        """(4, sets, rows)"""
        words = philox(self.seed, Stream.MOVES, self.sweep, np.arange(sets)[:, None], self.walkers[rows])
        return self.device.asarray(uniform(words))
