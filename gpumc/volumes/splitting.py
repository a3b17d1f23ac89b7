"""Volumes of spherical machines by multilevel splitting, independent of belief propagation.

Every pattern has a margin, above 0 where it is right; configurations whose least margin exceeds a level are cloned in the place of
the others and moved, the level rising so that a fixed part of them survives, until it is 0. The product of these parts is the fraction of
the sphere (or cap) that makes no error (F. Cerou, P. Del Moral, T. Furon, A. Guyader, Stat. Comput. 22, 795 (2012)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import Device, array_module, to_host
from gpumc.device.normals import normals
from gpumc.device.philox import SEED_LIMIT, Stream, philox, uniform
from gpumc.errors import whole
from gpumc.machines import Machine
from gpumc.patterns import Patterns

#: The part that survives a level.
SURVIVORS = 0.5
#: Times that the arc of a move is shrunk, after which it is too short to matter.
SHRINKS = 40
#: Levels for each weight after which there is taken to be no solution: the fraction is then below exp(-7) for each weight.
MOST_LEVELS = 10
#: Populations that differ by more than so many times what independent particles would have not settled.
SETTLED = 3.0


@dataclass(frozen=True)
class Splitting:
    """How it is done: ``populations`` (2 or more: error bars are over them) of ``particles``, each moved ``moves`` times a level."""

    particles: int = 1024
    populations: int = 4
    moves: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, limit in (
            ("particles", 16, 2**20),
            ("populations", 2, 2**12),
            ("moves", 1, 2**12),
            ("seed", 0, SEED_LIMIT),
        ):
            whole(f"splitting: {name}", getattr(self, name), least, limit)


@dataclass(frozen=True)
class Place:
    """Where configurations live: W_l = overlap R_l + sqrt(1 - overlap^2) U_l in every unit, U_l on the sphere and orthogonal to the
    ``reference`` R float64 (units, fan_in); or all of the sphere, where there is none."""

    reference: np.ndarray | None
    overlap: float

    def projected(self, x: np.ndarray) -> np.ndarray:
        """``x`` (..., units, fan_in) without its part along the reference."""
        if self.reference is None:
            return x
        along = (x * self.reference).sum(axis=-1, keepdims=True) / x.shape[-1]
        return x - along * self.reference


def log_fraction(
    device: Device, machine: Machine, xi: np.ndarray, labels: np.ndarray, place: Place, instance: int, how: Splitting
) -> tuple[float, float, bool]:
    """log of the fraction of ``place`` that makes no error on xi (M, n) with labels (M,), its standard error, and whether it could be had.

    The mean over populations of the log of the product, plus half its variance: such products are nearly log-normal, and their mean is the
    fraction (adaptive levels leave a bias of the order of 1/particles).
    """
    logs, levels = _populations(device, machine, xi, labels, place, instance, how)
    expected = math.sqrt(max(levels, 1) * (1 - SURVIVORS) / SURVIVORS / how.particles)
    spread = logs.std(ddof=1)
    reached = bool(np.isfinite(logs).all() and spread < SETTLED * expected)
    if not reached:
        return math.nan, math.nan, False
    return logs.mean() + spread**2 / 2, spread / math.sqrt(how.populations), True


def split(
    device: Device,
    machine: Machine,
    patterns: Patterns,
    instance: np.ndarray,
    references: np.ndarray | None,
    distance: np.ndarray,
    how: Splitting,
) -> dict[str, np.ndarray]:
    """``log_volume``, ``entropy_error`` and ``converged`` of every problem: the part of the sphere, or at ``distance`` (problems,) from
    ``references`` (problems, weights), without error on the patterns of ``instance`` (problems,); per weight, in nats."""
    found = []
    for row, number in enumerate(instance):
        place = Place(None, 0.0)
        if references is not None:
            place = Place(
                device.asarray(references[row].reshape(machine.k, machine.fan_in)), 1 - 2 * float(distance[row])
            )
        found.append(
            log_fraction(device, machine, patterns.xi[number], patterns.labels[number], place, int(number), how)
        )
    logs, errors, reached = np.array(found, float).reshape(-1, 3).T
    count = machine.weight_count
    return {"log_volume": logs / count, "entropy_error": errors / count, "converged": reached > 0}


def margins(machine: Machine, fields: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of preactivations (..., units, M), a continuous number for each pattern, (..., M), above 0 where it is right: the stability, or
    where it counts signs that of the unit in the middle, or which a product turns first."""
    xp = array_module(fields)
    if machine.differentiable:
        return machine.output(fields) * labels
    if machine.readout == "product":
        return machine.output(fields) * labels * xp.abs(fields).min(axis=-2)
    return xp.sort(fields * labels, axis=-2)[..., machine.k // 2, :]


def _populations(
    device: Device, machine: Machine, xi: np.ndarray, labels: np.ndarray, place: Place, instance: int, how: Splitting
) -> tuple[np.ndarray, int]:
    """The log of every population's product, NaN where it found no solution, and the levels made."""
    xp = device.xp
    shape = (how.populations, how.particles)
    first = instance * how.populations * how.particles
    walkers = np.arange(first, first + how.populations * how.particles, dtype=np.uint64)
    inputs = device.asarray(np.ascontiguousarray(machine.unit_inputs(xi.astype(float)) / math.sqrt(machine.fan_in)))
    labels = device.asarray(labels.astype(float))
    across = math.sqrt(1 - place.overlap**2)
    offset = 0.0 if place.reference is None else place.overlap * _fields(place.reference[None], inputs)

    def directions(sets: int, sweep: int) -> Any:
        drawn = normals(device, how.seed, Stream.SPLITTING, sweep, walkers, sets, machine.weight_count)
        return place.projected(drawn.reshape(sets, -1, machine.k, machine.fan_in))

    def least_margin(fields: Any) -> Any:
        return margins(machine, offset + across * fields, labels).min(axis=-1)

    u = _normalised(directions(1, 0)[0])
    fields = _fields(u, inputs)
    scores = least_margin(fields)
    logs, over = np.zeros(how.populations), np.zeros(how.populations, bool)
    for level in range(1, MOST_LEVELS * machine.weight_count + 100):
        kept, fraction, bound, done = _levels(scores.reshape(shape))
        logs += np.where(over, 0.0, np.log(fraction))
        over |= done
        if over.all():
            return logs, level
        chosen = _cloned(device, kept, level, walkers, how.seed).reshape(-1)
        u, fields, scores = u[chosen], fields[chosen], scores[chosen]
        bounds = xp.repeat(bound, how.particles)
        for number, step in enumerate(directions(how.moves, level)):
            tangent = _normalised(step - u * ((step * u).sum(axis=-1, keepdims=True) / machine.fan_in))
            ahead = _fields(tangent, inputs)
            uniforms = _uniforms(device, how.seed, level, number, walkers)
            angle, scores = _turned(fields, ahead, scores, bounds, least_margin, uniforms)
            cos, sin = xp.cos(angle)[:, None, None], xp.sin(angle)[:, None, None]
            u, fields = cos * u + sin * tangent, cos * fields + sin * ahead
        u = _normalised(u)
        fields = _fields(u, inputs)
    return np.where(over, logs, np.nan), level


def _turned(
    fields: Any, ahead: Any, scores: Any, bounds: Any, least_margin: Callable[[Any], Any], uniforms: Any
) -> tuple[Any, Any]:
    """A uniform draw from a great circle where its score exceeds its bound, by shrinking an arc around where it is
    (I. Murray, R. P. Adams, D. J. C. MacKay, AISTATS 2010, algorithm 2): angles and scores (rows,); ``uniforms`` (tries, rows)."""
    xp = array_module(scores)
    scores, angle = scores.copy(), xp.zeros_like(scores)
    left = xp.arange(len(scores))
    turn = 2 * np.pi * uniforms[0]
    low, high = turn - 2 * np.pi, turn
    for numbers in uniforms[1:]:
        cos, sin = xp.cos(turn)[:, None, None], xp.sin(turn)[:, None, None]
        new = least_margin(cos * fields[left] + sin * ahead[left])
        passed = new > bounds[left]
        angle[left[passed]], scores[left[passed]] = turn[passed], new[passed]
        low, high = xp.where(turn < 0, turn, low), xp.where(turn < 0, high, turn)
        missed = ~passed
        left, low, high = left[missed], low[missed], high[missed]
        if not len(left):
            break
        turn = low + numbers[left] * (high - low)
    return angle, scores


def _uniforms(device: Device, seed: int, level: int, move: int, walkers: np.ndarray) -> Any:
    """(SHRINKS, particles)"""
    blocks = np.arange(SHRINKS // 4)[:, None] + move * (SHRINKS // 4)
    words = philox(seed, Stream.ARCS, level, blocks, walkers)
    return device.asarray(uniform(words.swapaxes(0, 1).reshape(SHRINKS, -1)))


def _levels(scores: Any) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Of ``scores`` (populations, particles): who survives the next level, what part of them, the level, at most 0, and whether it is 0."""
    xp = array_module(scores)
    bound = xp.minimum(xp.quantile(scores, 1 - SURVIVORS, axis=1), 0.0)
    kept = scores > bound[:, None]
    # A population all of whose particles are equal has collapsed.
    alone = ~kept.any(axis=1)
    kept = kept | alone[:, None]
    fraction = np.where(to_host(alone), np.nan, to_host(kept.mean(axis=1)))
    return kept, fraction, bound, to_host(bound == 0) | to_host(alone)


def _cloned(device: Device, kept: Any, level: int, walkers: np.ndarray, seed: int) -> Any:
    """For each particle itself, or one of its population that was ``kept``: places in the flattened array."""
    xp = device.xp
    populations, particles = kept.shape
    words = philox(seed, Stream.CLONES, level, 0, walkers)[0].reshape(kept.shape)
    count = kept.sum(axis=1)[:, None]
    rank = xp.minimum((device.asarray(words / 2.0**32) * count).astype(np.int64), count - 1)
    order = xp.argsort(~kept, axis=1, kind="stable")
    own = xp.broadcast_to(xp.arange(particles), kept.shape)
    chosen = xp.where(kept, own, xp.take_along_axis(order, rank, axis=1))
    return chosen + xp.arange(populations)[:, None] * particles


def _fields(u: Any, inputs: Any) -> Any:
    """Preactivations (rows, units, M) of (rows, units, fan_in)."""
    return array_module(u).matmul(u.swapaxes(0, 1), inputs.swapaxes(1, 2)).swapaxes(0, 1)


def _normalised(u: Any) -> Any:
    return u * (math.sqrt(u.shape[-1]) / array_module(u).sqrt((u * u).sum(axis=-1, keepdims=True)))
