"""What patterns without error ask of margins: that they exceed floors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpumc.channels.formulae import Formula, continuous
from gpumc.errors import ConfigError
from gpumc.losses import Loss
from gpumc.machines import Machine


class Walls(NamedTuple):
    """Patterns ``xi`` (M, n) with ``labels`` (M,), whose margins are above ``floors`` (M,) where they make no error."""

    xi: np.ndarray
    labels: np.ndarray
    floors: np.ndarray

    @classmethod
    def of(cls, machine: Machine, loss: Loss, xi: np.ndarray, labels: np.ndarray) -> Walls:
        """Of a ``loss`` of numbers. One that is 0 below a stability is a floor of patterns with the other label."""
        ends = allowed(machine, loss)
        xis, signs, floors = zip(
            *((xi, sign * labels, np.full(len(labels), floor)) for sign, floor in ends), strict=True
        )
        return cls(np.concatenate(xis), np.concatenate(signs), np.concatenate(floors))


def check_walls(machine: Machine, loss: Loss) -> None:
    """Raise ConfigError for losses without such floors."""
    for point in loss.points():
        ends = point.counts and allowed(machine, point)
        if not ends:
            raise ConfigError(
                f"splitting is for the error count, and others that count what is outside of one interval, not for loss {loss.kind!r}"
            )
        if not continuous(machine) and ends != [(1, 0.0)]:
            raise ConfigError(f"splitting of a {machine.kind} of signs is for errors Delta < 0, without a margin")


def allowed(machine: Machine, loss: Loss) -> list[tuple[int, float]]:
    """The ends of the stabilities at which ``loss``, which counts, is 0: (1, the lower), (-1, minus the upper); none unless these are one
    interval."""
    edges, levels = Formula(loss).steps(machine)
    if (levels == 0).sum() != 1 or len(levels) == 1:
        return []
    place = int(levels.argmin())
    ends = [(1, float(edges[place - 1]))] if place else []
    return ends + [(-1, -float(edge)) for edge in edges[place : place + 1]]
