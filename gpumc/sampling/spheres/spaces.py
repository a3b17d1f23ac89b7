"""Where real weights live and how they move there: on the spheres of their units, or anywhere, held by a decay; and what a centre does.

Rows are (chains x replicas), a chain's replicas being neighbours: weights (rows, units, fan_in).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from gpumc.device import Device, array_module
from gpumc.device.constants import Stream
from gpumc.device.philox import random_normals
from gpumc.machines import Machine
from gpumc.sampling.spheres.centre import draw_centre
from gpumc.sampling.spheres.geometry import geodesic, kicked, normalised, tangent
from gpumc.sampling.spheres.target import Attraction, FreePull, Pull, traced_pull


class Space(ABC):
    """The configurations of real weights, and the measure on them without patterns."""

    @abstractmethod
    def placed(self, x: np.ndarray) -> np.ndarray:
        """Vectors of the right direction as configurations."""

    @abstractmethod
    def tangent(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The part of ``v`` along which weights at ``x`` can move."""

    @abstractmethod
    def kicked(self, x: np.ndarray, v: np.ndarray, force: np.ndarray, time: np.ndarray) -> np.ndarray:
        """``v`` less ``time`` (rows,) times the part of ``force`` along which weights at ``x`` can move."""

    @abstractmethod
    def drift(self, x: np.ndarray, v: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity after ``time`` (rows,) without forces."""

    @abstractmethod
    def potential(self, cost: np.ndarray, x: np.ndarray) -> np.ndarray:
        """``cost`` (rows,) less the log density without patterns."""

    @abstractmethod
    def gradient(self, slope: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Its gradient by the weights, ``slope`` being that of the cost."""

    @abstractmethod
    def pull(self, coupling: np.ndarray, centre: np.ndarray) -> Attraction:
        """The attraction to a centre that stays: ``coupling`` (rows,), ``centre`` as the weights."""

    @abstractmethod
    def traced(self, coupling: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of chains x (chains, replicas, units, fan_in) with the centre integrated out: the log weight (chains,), and its gradient, as x;
        ``coupling`` (chains,)."""

    @abstractmethod
    def drawn_centre(
        self, seed: int, sweep: int, walkers: np.ndarray, x: np.ndarray, coupling: np.ndarray
    ) -> np.ndarray:
        """Centres (chains, units, fan_in) from their conditional given the replicas x (chains, replicas, units, fan_in); ``walkers``, each
        chain's first, and ``coupling`` (chains,) are on the host."""

    @abstractmethod
    def direction(self, x: np.ndarray) -> np.ndarray:
        """``x`` (..., units, fan_in) with the norm sqrt(number of weights): overlaps are means of products of these."""


@dataclass(frozen=True)
class SphereSpace(Space):
    """Every unit on its sphere, uniformly."""

    device: Device

    def placed(self, x: np.ndarray) -> np.ndarray:
        return normalised(x)

    def tangent(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return tangent(x, v)

    def kicked(self, x: np.ndarray, v: np.ndarray, force: np.ndarray, time: np.ndarray) -> np.ndarray:
        return kicked(self.device, x, v, force, time)

    def drift(self, x: np.ndarray, v: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return geodesic(self.device, x, v, time)

    def potential(self, cost: np.ndarray, x: np.ndarray) -> np.ndarray:
        return cost

    def gradient(self, slope: np.ndarray, x: np.ndarray) -> np.ndarray:
        return slope

    def pull(self, coupling: np.ndarray, centre: np.ndarray) -> Attraction:
        return Pull(coupling, centre)

    def traced(self, coupling: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = traced_pull(self.device, coupling, x)
        return value, array_module(x).broadcast_to(gradient[:, None], x.shape)

    def drawn_centre(
        self, seed: int, sweep: int, walkers: np.ndarray, x: np.ndarray, coupling: np.ndarray
    ) -> np.ndarray:
        return draw_centre(seed, sweep, walkers, x.sum(axis=1), coupling)

    def direction(self, x: np.ndarray) -> np.ndarray:
        return x


@dataclass(frozen=True)
class FreeSpace(Space):
    """Any weights, with the density exp(-decay |W|^2). A centre is uniform in space, and so has a normal distribution around the mean of
    its replicas, of variance 1 / (coupling replicas)."""

    decay: float

    def placed(self, x: np.ndarray) -> np.ndarray:
        return x

    def tangent(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return v

    def kicked(self, x: np.ndarray, v: np.ndarray, force: np.ndarray, time: np.ndarray) -> np.ndarray:
        return v - time[:, None, None] * force

    def drift(self, x: np.ndarray, v: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x + v * time[:, None, None], v

    def potential(self, cost: np.ndarray, x: np.ndarray) -> np.ndarray:
        return cost + self.decay * (x * x).sum(axis=(-2, -1))

    def gradient(self, slope: np.ndarray, x: np.ndarray) -> np.ndarray:
        return slope + 2 * self.decay * x

    def pull(self, coupling: np.ndarray, centre: np.ndarray) -> Attraction:
        return FreePull(coupling, centre)

    def traced(self, coupling: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        apart = x - x.mean(axis=1, keepdims=True)
        value = -0.5 * coupling * (apart * apart).sum(axis=(1, 2, 3))
        return value, -coupling[:, None, None, None] * apart

    def drawn_centre(
        self, seed: int, sweep: int, walkers: np.ndarray, x: np.ndarray, coupling: np.ndarray
    ) -> np.ndarray:
        chains, replicas, units, fan_in = x.shape
        normals = random_normals(seed, Stream.CENTRE, sweep, walkers, units * fan_in).reshape(chains, units, fan_in)
        width = (coupling * replicas) ** -0.5
        return x.mean(axis=1) + array_module(x).asarray(width[:, None, None] * normals)

    def direction(self, x: np.ndarray) -> np.ndarray:
        xp = array_module(x)
        norm = xp.sqrt((x * x).mean(axis=(-2, -1), keepdims=True))
        return x / xp.maximum(norm, 1e-300)


def space_of(device: Device, machine: Machine) -> Space:
    """Where the real weights of ``machine`` live."""
    return SphereSpace(device) if machine.decay is None else FreeSpace(machine.decay)
