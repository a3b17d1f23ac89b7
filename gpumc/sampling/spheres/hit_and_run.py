"""Hit-and-run: exact draws of the error-count measure along great circles of random direction.

On a circle x cos(t) + u sin(t) every preactivation is a sine, and hidden signs change at known angles; in between the number of errors is
constant, so that an arc is drawn by its length and its Boltzmann factor, and an angle uniformly in it. A centre that stays pulls with
another sine: it is taken into account by a slice (R. M. Neal, Ann. Stat. 31, 705 (2003)), which is one arc.
"""

from __future__ import annotations

import numpy as np

from gpumc.device import array_module
from gpumc.machines import Machine
from gpumc.sampling.spheres.rotations import direction, turned
from gpumc.sampling.spheres.target import Pull, Target, TracedPull


def hit_and_run(
    target: Target,
    beta: np.ndarray,
    pull: Pull | TracedPull | None,
    x: np.ndarray,
    fields: np.ndarray,
    normals: np.ndarray,
    uniforms: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One move of every row: new weights and preactivations, and whether (1.0 or 0.0) it was made.

    ``beta`` (rows,) may be inf, which draws among the arcs with fewest errors; ``uniforms`` (3, rows).
    """
    xp = array_module(x)
    u = direction(x, normals)
    along = target.fields(u)
    low, width = window(pull, x, u, uniforms[0]) if isinstance(pull, Pull) else (xp.full(len(x), -np.pi), 2 * np.pi)
    start = turned(fields, along, low), turned(along, -fields, low)
    crossings, errors = errors_along(target.machine, target.labels, *start)
    angle = low + _draw(crossings, errors, beta, xp.broadcast_to(xp.asarray(width), low.shape), uniforms[1])
    new, new_fields = turned(x, u, angle), turned(fields, along, angle)
    if not isinstance(pull, TracedPull):
        return new, new_fields, xp.ones(len(x))
    moved = xp.log(uniforms[2]) < pull.log_weight(new) - pull.log_weight(x)
    chosen = moved[:, None, None]
    return xp.where(chosen, new, x), xp.where(chosen, new_fields, fields), moved.astype(float)


def window(pull: Pull, x: np.ndarray, u: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The arc around angle 0 on which the pull's weight exceeds a uniform part of its present one: its begin and its width, (rows,)."""
    xp = array_module(x)
    here, ahead = pull.log_weight(x), pull.log_weight(u)
    strength, top = xp.hypot(here, ahead), xp.arctan2(ahead, here)
    level = (here + xp.log(uniforms)) / xp.maximum(strength, 1e-300)
    half = xp.arccos(xp.clip(level, -1, 1))
    return top - half, 2 * half


def errors_along(
    machine: Machine, labels: np.ndarray, here: np.ndarray, ahead: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of circles with preactivations here cos(t) + ahead sin(t), (rows, units, M): the sorted angles t in [0, 2 pi) at which the
    number of errors may change, (rows, crossings), and that number before, between and after them, (rows, crossings + 1)."""
    xp = array_module(here)
    rows = len(here)
    top = xp.arctan2(ahead, here)
    angles = xp.mod(xp.concatenate([top + np.pi / 2, top - np.pi / 2], axis=1), 2 * np.pi).swapaxes(1, 2)
    falls = xp.concatenate([xp.ones_like(top), -xp.ones_like(top)], axis=1).swapaxes(1, 2)
    order = xp.argsort(angles, axis=2)
    angles, falls = xp.take_along_axis(angles, order, axis=2), xp.take_along_axis(falls, order, axis=2)
    signs = xp.where(here < 0, -1, 1)
    before, after = machine.readout.along(signs, falls, order)
    wrong = xp.concatenate([before * xp.ones_like(after[:, :, :1]), after], axis=2) * labels[:, None] < 0
    change = xp.diff(wrong.astype(np.int64), axis=2).reshape(rows, -1)
    angles = angles.reshape(rows, -1)
    order = xp.argsort(angles, axis=1)
    angles, change = xp.take_along_axis(angles, order, axis=1), xp.take_along_axis(change, order, axis=1)
    first = wrong[:, :, 0].sum(axis=1)[:, None]
    return angles, xp.concatenate([first, first + xp.cumsum(change, axis=1)], axis=1)


def _draw(
    crossings: np.ndarray, errors: np.ndarray, beta: np.ndarray, width: np.ndarray, uniforms: np.ndarray
) -> np.ndarray:
    """An angle (rows,) in [0, width) with the density exp(-beta errors)."""
    xp = array_module(errors)
    ends = xp.minimum(crossings, width[:, None])
    edges = xp.concatenate([xp.zeros((len(ends), 1)), ends, width[:, None]], axis=1)
    lengths = xp.diff(edges, axis=1)
    least = xp.where(lengths > 0, errors, errors.max() + 1).min(axis=1)[:, None]
    above = errors - least
    factor = xp.exp(-xp.where(above > 0, beta[:, None] * xp.where(above > 0, above, 1), 0))
    total = xp.cumsum(lengths * xp.where(above < 0, 0, factor), axis=1)
    wanted = uniforms * total[:, -1]
    arc = (total <= wanted[:, None]).sum(axis=1)[:, None]
    arc = xp.minimum(arc, total.shape[1] - 1)
    end, reached = (xp.take_along_axis(a, arc, axis=1)[:, 0] for a in (edges[:, 1:], total))
    return end - (reached - wanted) / xp.take_along_axis(factor, arc, axis=1)[:, 0]
