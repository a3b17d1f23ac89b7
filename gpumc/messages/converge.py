"""Iteration to a fixed point, each row for itself: rows that have converged, or cannot, stop costing time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import to_host
from gpumc.messages.amp import Amp
from gpumc.messages.edges import Exact, Relaxed
from gpumc.messages.priors import Prior

#: A damped change over 1 - damping is an undamped step's to first order: one below the tolerance may move by so many times it.
SLACK = 2.0

Form = Amp | Relaxed | Exact


@dataclass
class Messages:
    """Where an iteration stands: ``said`` of each weight by the patterns, (rows, units, fan_in) or (rows, 2, units, fan_in), and what
    the form remembers.

    On the host, for each row: whether it ``converged``, its ``iterations``, and its ``residual``, the largest change of a
    magnetisation.
    """

    said: Any
    memory: Any
    converged: np.ndarray
    iterations: np.ndarray
    residual: np.ndarray

    @classmethod
    def start(cls, said: Any, memory: Any) -> Messages:
        """Before the first iteration."""
        rows = len(said)
        return cls(said, memory, np.zeros(rows, bool), np.zeros(rows, np.int64), np.full(rows, np.inf))

    def put(self, rows: np.ndarray, part: Messages) -> None:
        """Take the state of some rows."""
        for name in ("said", "memory", "converged", "iterations", "residual"):
            getattr(self, name)[rows] = getattr(part, name)

    def take(self, rows: np.ndarray) -> Messages:
        """Some of the rows."""
        return Messages(
            self.said[rows], self.memory[rows], self.converged[rows], self.iterations[rows], self.residual[rows]
        )


def converge(
    form: Form, prior: Prior, messages: Messages, *, damping: float, tolerance: float, iterations: int
) -> None:
    """Iterate every row of ``messages``, in place, until its residual is at most ``tolerance`` or ``iterations`` were made.

    A message is ``damping`` times the old one and 1 - ``damping`` times the new, which the first one is alone; the residual is the change
    over 1 - ``damping``. A row that stops has converged if the step without damping moves it no further, which near magnetisations of
    +-1 is not the same. A row that is no number any more is given up.
    """
    device = form.graph.device
    xp = device.xp
    rows = np.arange(len(messages.said))
    now = messages.take(rows)
    now.iterations[:] = 0
    fields = prior.fields(now.said)
    mean, _ = form.graph.moments(fields)
    for iteration in range(iterations):
        said, memory = form.step(fields, now.memory)
        keep = damping if iteration else 0.0
        now.said = said + keep * (now.said - said)
        now.memory = memory + keep * (now.memory - memory)
        now.iterations += 1
        before, fields = mean, prior.fields(now.said)
        mean, _ = form.graph.moments(fields)
        change = xp.abs(mean - before).max(axis=(1, 2))
        now.residual = to_host(change).astype(float) / (1 - keep)
        still = now.residual <= tolerance
        now.converged[:] = False
        if still.any():
            bare, _ = form.graph.rows(still).moments(prior.rows(still).fields(said[still]))
            now.residual[still] = to_host(xp.abs(bare - before[still]).max(axis=(1, 2)))
            now.converged = still & (now.residual <= SLACK * tolerance)
        over = still | np.isnan(now.residual)
        if over.any():
            messages.put(rows[over], now.take(over))
            left = ~over
            if not left.any():
                return
            rows, now, fields, mean = rows[left], now.take(left), fields[left], mean[left]
            form, prior = form.rows(left), prior.rows(left)
    messages.put(rows, now)
