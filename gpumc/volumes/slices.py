"""Moves of any machine: uniform draws from arcs of great circles, by shrinking slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import Device, array_module
from gpumc.device.constants import Stream
from gpumc.device.philox import philox, uniform
from gpumc.sampling.spheres.geometry import normalised, tangent
from gpumc.volumes.regions import Region

#: Times that the arc of a move is shrunk, after which it is too short to matter.
SHRINKS = 40
#: Tries between two looks at which particles are still looking for a place, on a device that works on meanwhile.
LOOK_EVERY = 8


@dataclass(frozen=True)
class Slices:
    """``moves`` a level, along great circles of random directions."""

    region: Region
    moves: int

    def moved(self, u: Any, cloned: np.ndarray, scores: Any, bound: Any, level: int) -> tuple[Any, Any]:
        """Particles ``u`` (rows, units, fan_in) and their ``scores`` (rows,), above the ``bound`` (populations,) of theirs, after the moves
        of a level; which were ``cloned`` does not matter to these."""
        region = self.region
        xp = region.device.xp
        bounds = xp.repeat(bound, len(u) // len(bound))
        fields = region.fields(u)
        for number, step in enumerate(region.directions(level, self.moves, region.walkers)):
            heading = normalised(tangent(u, step))
            ahead = region.fields(heading)
            uniforms = _uniforms(region.device, region.seed, level, number, region.walkers)
            angle, scores = _turned(fields, ahead, scores, bounds, region.least_margin, uniforms)
            cos, sin = xp.cos(angle)[:, None, None], xp.sin(angle)[:, None, None]
            u, fields = cos * u + sin * heading, cos * fields + sin * ahead
        return normalised(u), scores


def _turned(
    fields: Any, ahead: Any, scores: Any, bounds: Any, least_margin: Callable[[Any], Any], uniforms: Any
) -> tuple[Any, Any]:
    """A uniform draw from a great circle where its score exceeds its bound, by shrinking an arc around where it is
    (I. Murray, R. P. Adams, D. J. C. MacKay, AISTATS 2010, algorithm 2): angles and scores (rows,); ``uniforms`` (tries, rows)."""
    xp = array_module(scores)
    every = 1 if xp is np else LOOK_EVERY
    scores, angle = scores.copy(), xp.zeros_like(scores)
    left, going = xp.arange(len(scores)), xp.ones(len(scores), bool)
    turn = 2 * np.pi * uniforms[0]
    low, high = turn - 2 * np.pi, turn
    for number, numbers in enumerate(uniforms[1:], 1):
        cos, sin = xp.cos(turn)[:, None, None], xp.sin(turn)[:, None, None]
        new = least_margin(cos * fields + sin * ahead)
        passed = going & (new > bounds)
        angle[left] = xp.where(passed, turn, angle[left])
        scores[left] = xp.where(passed, new, scores[left])
        going &= ~passed
        low, high = xp.where(turn < 0, turn, low), xp.where(turn < 0, high, turn)
        if number % every == 0:
            kept = xp.flatnonzero(going)
            if not len(kept):
                break
            left, going, low, high = left[kept], going[kept], low[kept], high[kept]
            fields, ahead, bounds = fields[kept], ahead[kept], bounds[kept]
        turn = low + numbers[left] * (high - low)
    return angle, scores


def _uniforms(device: Device, seed: int, level: int, move: int, walkers: np.ndarray) -> Any:
    """(SHRINKS, particles)"""
    blocks = np.arange(SHRINKS // 4)[:, None] + move * (SHRINKS // 4)
    words = philox(seed, Stream.ARCS, level, blocks, walkers)
    return device.asarray(uniform(words.swapaxes(0, 1).reshape(SHRINKS, -1)))
