"""Where particles of splitting live, and the margins by which levels are counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from gpumc.device import Device, to_host
from gpumc.device.constants import Stream
from gpumc.device.normals import normals
from gpumc.inputs import preactivations, unit_inputs
from gpumc.machines import Machine

#: A least margin that is none, of patterns of norm 1 and weights of norm 1.
NO_MARGIN = 1e-9


@dataclass(frozen=True)
class Place:
    """Where configurations live: W_l = overlap R_l + sqrt(1 - overlap^2) U_l in every unit, U_l on the sphere and orthogonal to the
    ``reference`` R float64 (units, fan_in); or all of the sphere, where there is none."""

    reference: np.ndarray | None
    overlap: float

    @property
    def across(self) -> float:
        """The part of W that is U's."""
        return math.sqrt(1 - self.overlap**2)

    def weights(self, u: Any) -> Any:
        """W of ``u``, (rows, units, fan_in)."""
        return u if self.reference is None else self.overlap * self.reference + self.across * u

    def projected(self, x: np.ndarray) -> np.ndarray:
        """``x`` (..., units, fan_in) without its part along the reference."""
        if self.reference is None:
            return x
        along = (x * self.reference).sum(axis=-1, keepdims=True) / x.shape[-1]
        return x - along * self.reference


@dataclass(frozen=True)
class Region:
    """The configurations U of a place by the margins of their patterns: ``inputs`` as of `gpumc.inputs.unit_inputs`,
    and ``labels`` (M,); preactivations are ``offset`` (1, units, M), the reference's part, plus ``place.across`` times those of U.
    ``floors`` (M,), None where all are 0, are what margins are above. ``walkers`` uint64 (particles,), on the host, number the particles
    of all populations."""

    device: Device
    machine: Machine
    place: Place
    inputs: Any
    labels: Any
    offset: Any
    floors: Any
    walkers: np.ndarray
    seed: int

    @classmethod
    def of(
        cls,
        device: Device,
        machine: Machine,
        xi: np.ndarray,
        labels: np.ndarray,
        floors: np.ndarray,
        place: Place,
        walkers: np.ndarray,
        seed: int,
    ) -> Region:
        """Of patterns ``xi`` (M, n) with ``labels`` and ``floors`` (M,)."""
        inputs = unit_inputs(device, machine, xi)
        offset = device.xp.zeros((1, machine.k, len(labels)))
        if place.reference is not None:
            offset = place.overlap * preactivations(place.reference[None], inputs)
        return cls(
            device,
            machine,
            place,
            inputs,
            device.asarray(labels.astype(float)),
            offset,
            device.asarray(floors) if floors.any() else None,
            walkers,
            seed,
        )

    def fields(self, u: Any) -> Any:
        """Preactivations (rows, units, M) of ``u`` (rows, units, fan_in), without the reference's part."""
        return preactivations(u, self.inputs)

    def least_margin(self, fields: Any) -> Any:
        """The least margin above its floor, (rows,), of :meth:`fields`."""
        found = margins(self.machine, self.offset + self.place.across * fields, self.labels)
        return (found if self.floors is None else found - self.floors).min(axis=-1)

    def ahead(self) -> Any:
        """Of a perceptron the reference's part of the margins, above their floors: (M,)."""
        own = self.labels * self.offset[0, 0]
        return own if self.floors is None else own - self.floors

    def empty(self) -> bool:
        """Whether certainly none of a perceptron's configurations is right: where patterns y >= 0 sum to a vector so short that the mean of
        their margins above their floors, and so the least, is not above 0 anywhere (P. Gordan's theorem). Such y are found by non-negative
        least squares (C. L. Lawson, R. J. Hanson, Solving Least Squares Problems, chapter 23), and checked."""
        inputs = self.place.across * to_host(self.inputs[0] * self.labels[:, None])
        inputs, offset = self.place.projected(inputs[:, None])[:, 0], to_host(self.ahead())
        norm = np.sqrt(self.machine.fan_in)
        scale = np.linalg.norm(to_host(self.inputs[0]), axis=1) * norm
        inputs, offset = inputs * norm / scale[:, None], offset / scale
        # The shortest mean, or one that outweighs the reference's margins.
        pulls = -offset if offset.any() else np.ones_like(offset)
        try:
            y, _ = nnls(np.vstack([inputs.T, pulls]), np.append(np.zeros(inputs.shape[1]), 1.0))
        except RuntimeError:  # too many iterations: nothing is certain
            return False
        return bool(y.any() and y @ offset + np.linalg.norm(y @ inputs) <= NO_MARGIN * y.sum())

    def directions(self, level: int, sets: int, walkers: np.ndarray) -> Any:
        """``sets`` times a normal vector in the place for each of ``walkers``: (sets, walkers, units, fan_in)."""
        drawn = normals(self.device, self.seed, Stream.SPLITTING, level, walkers, sets, self.machine.weight_count)
        return self.place.projected(drawn.reshape(sets, -1, self.machine.k, self.machine.fan_in))


def margins(machine: Machine, fields: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of preactivations (..., units, M), a continuous number for each pattern, (..., M), above 0 where it is right: the stability, or
    where that counts signs what their readout says."""
    return machine.outputs(fields) * labels if machine.differentiable else machine.readout.margin(fields, labels)
