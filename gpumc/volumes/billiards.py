"""Moves of the perceptron: billiards in version space (P. Rujan, Neural Comput. 9, 99 (1997)).

What gets every pattern right by a margin lies between flat walls. A particle runs along a great circle to the next of them, is reflected
there, and so on, for a given length: that keeps the uniform measure, and crosses the whole of a region many walls wide.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpumc.device import Device, kernel
from gpumc.device.constants import TOUCHING, Stream
from gpumc.device.philox import philox, uniform
from gpumc.sampling.spheres.geometry import normalised, tangent
from gpumc.volumes.regions import Region

SIGNATURE = ("float64*",) * 4 + ("int32*",) + ("const float64*",) * 5 + ("int64",) * 3 + ("int32",)
#: The longest path of a level, in radians; the formulae are for less than half a turn.
LONGEST = 1.0
#: The path of a move, in units of the particles' distance from their mean.
STRETCH = 0.03
#: Paths vary by this part of their length, so that none is a period.
SPREAD = 0.2
#: Paths meet no more walls than there are weights, on average; one that meets so many times more is not taken.
STUCK = 100


class Billiards:
    """Paths as long as ``moves`` times a part of the particles' spread; what survives a level keeps its heading.

    So a path crosses the same part of a region whatever its size, and meets the more walls the more there are.
    """

    def __init__(self, region: Region, moves: int):
        self.region, self.moves = region, moves
        self.walls_per_radian = 0.0
        self.heading: Any = None
        projected = region.place.projected(region.inputs[0][:, None])[:, 0]
        self.inputs = projected * region.labels[:, None]
        self.gram = self.inputs @ self.inputs.T
        self.ahead = region.ahead()

    def moved(self, u: Any, cloned: np.ndarray, scores: Any, bound: Any, level: int) -> tuple[Any, Any]:
        """Particles ``u`` (rows, 1, n) and their scores (rows,) after a path between the walls of ``bound`` (populations,); those
        ``cloned`` (rows,) start in new directions."""
        region = self.region
        heading = self._headings(u, cloned, level)
        length = self._length(u)
        angle = length * (1 + SPREAD * (2 * _uniforms(region, level) - 1))
        walls = (bound[:, None] - self.ahead) / region.place.across
        ends = u[:, 0].copy(), heading[:, 0].copy()
        most = STUCK * u.shape[-1]
        met = play(region.device, *ends, self.inputs, self.gram, walls, angle, most)[:, None, None]
        xp = region.device.xp
        stuck = met == most
        u = normalised(xp.where(stuck, u, ends[0][:, None]))
        self.heading = xp.where(stuck, -heading, ends[1][:, None])
        self.walls_per_radian = float(met.mean()) / length
        return u, region.least_margin(region.fields(u))

    def _length(self, u: Any) -> float:
        """In radians. The spread is that of all populations, which one that has collapsed does not make small."""
        spread = math.sqrt(max(1 - float((u.mean(axis=0) ** 2).mean()), 1e-15))
        length = min(self.moves * STRETCH * spread, LONGEST)
        return length if self.walls_per_radian * length <= u.shape[-1] else u.shape[-1] / self.walls_per_radian

    def _headings(self, u: Any, cloned: np.ndarray, level: int) -> Any:
        """Velocities of squared norm n, tangent at ``u``: those kept, and new ones of the ``cloned``."""
        region = self.region
        if self.heading is None:
            self.heading, cloned = region.device.xp.empty_like(u), np.ones(len(u), bool)
        self.heading[region.device.asarray(cloned)] = region.directions(level, 1, region.walkers[cloned])[0]
        return normalised(tangent(u, self.heading))


def play(device: Device, u: Any, heading: Any, inputs: Any, gram: Any, walls: Any, angle: Any, most: int) -> Any:
    """Move ``u`` and ``heading`` float64 (rows, n), of squared norm n and orthogonal, in place, along paths of length ``angle`` (rows,), in
    radians below pi, inside inputs u > walls; the number of walls met, int32 (rows,), where it is ``most`` the path was cut.

    ``inputs`` (M, n), with products ``gram`` (M, M); ``walls`` (populations, M), equal shares of the rows to each.
    """
    xp = device.xp
    h, g = u @ inputs.T, heading @ inputs.T
    cosine, sine = xp.cos(angle), xp.sin(angle)
    met = xp.zeros(len(u), np.int32)
    share = len(u) // len(walls)
    if device.kind == "numpy":
        _played(u, heading, h, g, met, inputs, gram, np.repeat(walls, share, axis=0), cosine, sine, most)
        return met
    run = kernel(device, "billiards.cu", "billiards", SIGNATURE)
    weights, patterns = u.shape[1], len(inputs)
    run(len(u), u, heading, h, g, met, inputs, gram, walls, cosine, sine, share, weights, patterns, most)
    return met


def _played(
    u: np.ndarray,
    heading: np.ndarray,
    h: np.ndarray,
    g: np.ndarray,
    met: np.ndarray,
    inputs: np.ndarray,
    gram: np.ndarray,
    walls: np.ndarray,
    cosine: np.ndarray,
    sine: np.ndarray,
    most: int,
) -> None:
    """The twin of ``kernels/billiards.cu``, to the bit; ``walls`` (rows, M)."""
    going = np.arange(len(u))
    near, wall = _nearest(h, g, walls)
    while len(going):
        ends = (near <= 0) | (1 + cosine >= near * sine)
        last = going[ends]
        u[last], heading[last] = _turned(cosine[ends], sine[ends], u[last], heading[last])
        going, wall, near, cosine, sine = (of[~ends] for of in (going, wall, near, cosine, sine))
        tangent = 1 / near
        scale = 1 / (1 + tangent * tangent)
        cos, sin = (1 - tangent * tangent) * scale, 2 * tangent * scale
        cosine, sine = cosine * cos + sine * sin, sine * cos - cosine * sin
        ahead, speed = (of[going, wall] for of in (h, g))
        ahead, speed = cos * ahead + sin * speed, cos * speed - sin * ahead
        at = ahead / u.shape[1]
        lost = np.where(speed < 0, 2 * speed / (gram[wall, wall] - ahead * at), 0)
        for position, velocity, normal in ((h, g, gram), (u, heading, inputs)):
            new, turned = _turned(cos, sin, position[going], velocity[going])
            velocity[going] = turned - lost[:, None] * (normal[wall] - at[:, None] * new)
            position[going] = new
        met[going] += 1
        going, cosine, sine = (of[met[going] < most] for of in (going, cosine, sine))
        near, wall = _nearest(h[going], g[going], walls[going])


def _turned(
    cosine: np.ndarray, sine: np.ndarray, position: np.ndarray, velocity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (rows, ...) further on their great circles by angles (rows,)."""
    cosine, sine = cosine[:, None], sine[:, None]
    return cosine * position + sine * velocity, cosine * velocity - sine * position


def _nearest(h: np.ndarray, g: np.ndarray, walls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The wall to which h cos + g sin (rows, M) falls first: one over the tangent of half the angle, not above 0 where none is met in half
    a turn, and which it is (rows,)."""
    above = h - walls
    square = g * g + above * (h + walls)
    root = np.sqrt(np.maximum(square, 0))
    away = g > 0
    near = np.where(away, h + walls, root - g)
    with np.errstate(over="ignore"):
        near /= np.where(away, root + g, np.maximum(above, TOUCHING))
    near[(square < 0) & (above > TOUCHING)] = 0
    wall = near.argmax(axis=1)
    return near[np.arange(len(near)), wall], wall


def _uniforms(region: Region, level: int) -> Any:
    """(particles,)"""
    return region.device.asarray(uniform(philox(region.seed, Stream.ARCS, level, 0, region.walkers)[0]))
