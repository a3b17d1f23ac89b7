"""Metropolis rotations: every unit turns by one angle, up to twice the tuned one, along a great circle of random direction."""

from __future__ import annotations

import numpy as np

from gpumc.device import array_module
from gpumc.sampling.spheres.geometry import normalised, tangent
from gpumc.sampling.spheres.target import Pull, Target, TracedPull


def direction(x: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """A random tangent of every unit, of squared norm fan_in."""
    return normalised(tangent(x, normals))


def turned(a: np.ndarray, b: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """cos(angle) a + sin(angle) b; ``angle`` (rows,)."""
    xp = array_module(a)
    angle = angle[:, None, None]
    return xp.cos(angle) * a + xp.sin(angle) * b


def rotation(
    size: np.ndarray,
    target: Target,
    beta: np.ndarray,
    pull: Pull | TracedPull | None,
    x: np.ndarray,
    fields: np.ndarray,
    normals: np.ndarray,
    uniforms: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One proposal of every row: new weights and preactivations, and the probability (rows,) with which it was accepted.

    ``beta`` (rows,) may be inf; ``normals`` shaped as ``x``; ``uniforms`` (2, rows); ``size`` (rows,), the mean angle.
    """
    xp = array_module(x)
    u, angle = direction(x, normals), 2 * size * uniforms[0]
    new, new_fields = turned(x, u, angle), turned(fields, target.fields(u), angle)
    change = target.energy(new_fields) - target.energy(fields)
    cost = xp.where(change == 0, 0, beta * xp.where(change == 0, 1, change))
    if pull is not None:
        cost = cost + pull.log_weight(x) - pull.log_weight(new)
    chance = xp.exp(-xp.maximum(cost, 0))
    moved = (uniforms[1] < chance)[:, None, None]
    return xp.where(moved, new, x), xp.where(moved, new_fields, fields), chance
