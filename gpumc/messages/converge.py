"""Iteration to a fixed point, each row for itself: rows that have converged, or cannot, stop costing time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import to_host
from gpumc.messages.amp import Amp
from gpumc.messages.edges import Exact, Relaxed
from gpumc.messages.marginals import Marginals, damp, marginals
from gpumc.messages.priors import Prior
from gpumc.messages.shared_inputs import SharedAmp

#: A damped change over 1 - damping is an undamped step's to first order: one below the tolerance may move by so many times it.
SLACK = 2.0

Form = Amp | SharedAmp | Relaxed | Exact


@dataclass
class Messages:
    """The state of an iteration: the ``incoming`` field of each weight, (rows, units, fan_in) or (rows, 2, units, fan_in), and the
    memory of the form.

    On the host, for each row: whether it ``converged``, its ``iterations``, and its ``residual``, the largest change of a
    magnetisation.
    """

    incoming: Any
    memory: Any
    converged: np.ndarray
    iterations: np.ndarray
    residual: np.ndarray

    @classmethod
    def start(cls, incoming: Any, memory: Any) -> Messages:
        """Before the first iteration."""
        rows = len(incoming)
        return cls(incoming, memory, np.zeros(rows, bool), np.zeros(rows, np.int64), np.full(rows, np.inf))

    def put(self, rows: np.ndarray, part: Messages) -> None:
        """Take the state of some rows."""
        for name in ("incoming", "memory", "converged", "iterations", "residual"):
            getattr(self, name)[rows] = getattr(part, name)

    def take(self, rows: np.ndarray) -> Messages:
        """Some of the rows."""
        return Messages(
            self.incoming[rows], self.memory[rows], self.converged[rows], self.iterations[rows], self.residual[rows]
        )


def converge(
    form: Form, prior: Prior, messages: Messages, *, damping: float, tolerance: float, iterations: int
) -> None:
    """Iterate every row of ``messages``, in place, until its residual is at most ``tolerance`` or ``iterations`` were made.

    A message is ``damping`` times the old one and 1 - ``damping`` times the new, which the first one is alone; the residual is the change
    over 1 - ``damping``. A row that stops has converged if the step without damping moves it no further, which near magnetisations of
    +-1 is not the same. A row with NaN is given up.
    """
    device = form.graph.device
    xp = device.xp
    rows = np.arange(len(messages.incoming))
    active = messages.take(rows)
    active.iterations[:] = 0
    fields = prior.fields(active.incoming)
    now = Marginals(fields, *form.graph.moments(fields))
    for iteration in range(iterations):
        incoming, memory = form.step(now, active.memory)
        kept = damping if iteration else 0.0
        active.iterations += 1
        before = now.mean
        now, change = marginals(form.graph, prior, active.incoming, incoming, kept, before)
        damp(device, active.memory, memory, kept)
        active.residual = to_host(change).astype(float) / (1 - kept)
        settled = active.residual <= tolerance
        active.converged[:] = False
        if settled.any():
            undamped, _ = form.graph.rows(settled).moments(prior.rows(settled).fields(incoming[settled]))
            active.residual[settled] = to_host(xp.abs(undamped - before[settled]).max(axis=(1, 2)))
            active.converged = settled & (active.residual <= SLACK * tolerance)
        finished = settled | np.isnan(active.residual)
        if finished.any():
            messages.put(rows[finished], active.take(finished))
            unfinished = ~finished
            if not unfinished.any():
                return
            rows, active, now = rows[unfinished], active.take(unfinished), now.rows(unfinished)
            form, prior = form.rows(unfinished), prior.rows(unfinished)
    messages.put(rows, active)
