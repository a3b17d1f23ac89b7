"""Iteration to a fixed point, each row for itself: rows that have converged, or cannot, stop costing time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import to_host
from gpumc.messages.amp import Amp
from gpumc.messages.edges import Exact, Relaxed
from gpumc.messages.marginals import Marginals, Stops, damp, marginals
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

    def read(self, stops: Stops, iteration: int) -> np.ndarray:
        """Learn from the device how far rows are after an ``iteration``, and which were stopped: bool (rows,)."""
        stopped_at, self.residual = to_host(stops.known).T.copy()
        stopped = stopped_at > 0
        self.iterations = np.where(stopped, stopped_at, iteration).astype(np.int64)
        self.converged = stopped & (self.residual <= SLACK * stops.tolerance)
        return stopped

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
    every = form.graph.read_every
    rows = np.arange(len(messages.incoming))
    active, stops = messages.take(rows), Stops.start(device, len(rows), tolerance)
    fields = prior.fields(active.incoming)
    now = Marginals(fields, *form.graph.moments(fields))
    for iteration in range(1, iterations + 1):
        incoming, memory = form.step(now, active.memory)
        kept = damping if iteration > 1 else 0.0
        now = marginals(form.graph, prior, active.incoming, incoming, kept, now.mean, stops, iteration)
        damp(device, active.memory, memory, kept, stops, iteration)
        if iteration % every and iteration < iterations:
            continue
        stopped = active.read(stops, iteration)
        if stopped.any():
            messages.put(rows[stopped], active.take(stopped))
            going = ~stopped
            if not going.any():
                return
            rows, active, now, stops = rows[going], active.take(going), now.rows(going), stops.rows(going)
            form, prior = form.rows(going), prior.rows(going)
    messages.put(rows, active)
