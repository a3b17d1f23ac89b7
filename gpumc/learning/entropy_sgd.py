"""Entropy-SGD: gradient descent on a local entropy, whose gradient is estimated by Langevin steps around the weights.

P. Chaudhari et al., ICLR 2017, arXiv:1611.01838.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from gpumc.checks import keep, real, whole
from gpumc.device import array_module
from gpumc.device.constants import Stream
from gpumc.device.philox import random_normals
from gpumc.learning.gradient import CrossEntropySGD, GradientState, gradients
from gpumc.learning.problems import LearningProblem


@dataclass
class EntropyState(GradientState):
    """``walker`` and ``average``: like ``states``, the Langevin walker around them and its running mean. ``made``: Langevin steps."""

    walker: np.ndarray = field(default_factory=lambda: np.zeros(()))
    average: np.ndarray = field(default_factory=lambda: np.zeros(()))
    made: int = 0


@dataclass(frozen=True)
class EntropySGD(CrossEntropySGD):
    """Gradient descent whose every step goes to the mean of a Langevin walk around the weights, each step of which has a minibatch.

    The walk begins at the weights x (with ``nesterov`` ahead of them). A step subtracts ``walk_rate`` times the gradient of the loss, adds
    normals times ``noise`` sqrt(walk_rate), multiplies the distance from x by exp(-walk_rate scope), and projects to spheres. The mean
    keeps 1 - ``averaging`` of what it was. After ``walk`` steps x moves by ``rate`` times (mean - x), with momentum.

    Parameters
    ----------
    rate, slope, gamma, batch, momentum, nesterov, epochs, until, initial_norm
        See `CrossEntropySGD`; an epoch is a pass over the patterns by the walk.
    walk : int
    walk_rate, averaging, noise : float
    scope : float
        Holds the walker to the weights in the first epoch.
    total : float
        The scope grows by this factor until the last epoch.

    References
    ----------
    P. Chaudhari et al., ICLR 2017, arXiv:1611.01838.

    Examples
    --------
    >>> import gpumc
    >>> gpumc.EntropySGD(scope=0.1).walk
    20
    """

    kind: ClassVar[str] = "entropy-sgd"
    axes: ClassVar[tuple[str, ...]] = (*CrossEntropySGD.axes, "walk_rate", "noise", "scope", "total")

    rate: float = 1.0
    momentum: float = 0.0
    walk: int = 20
    walk_rate: float = 0.1
    averaging: float = 0.75
    noise: float = 1e-4
    scope: float = 0.03
    total: float = 1e3

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(self, walk=whole(f"{self.kind}: walk", self.walk, 1, 2**31))
        for name, right, wanted in (
            ("walk_rate", lambda r: 0 < r < np.inf, "a positive finite number"),
            ("averaging", lambda a: 0 < a <= 1, "a number above 0 and at most 1"),
            ("noise", lambda s: 0 <= s < np.inf, "a finite non-negative number"),
            ("scope", lambda s: 0 <= s < np.inf, "a finite non-negative number"),
            ("total", lambda t: 1 <= t < np.inf, "a finite number of at least 1"),
        ):
            keep(self, **{name: real(f"{self.kind}: {name}", getattr(self, name), right, wanted)})

    def init(self, problem: LearningProblem) -> EntropyState:
        """The state before the first epoch."""
        return EntropyState(**vars(super().init(problem)))

    def held(self, epoch: int) -> float:
        """The scope of an epoch."""
        return self.scope * self.total ** (epoch / max(1, self.epochs - 1))

    def _descend(self, problem, state, machine, loss, chosen, active) -> None:
        """One step of the walk on the patterns ``chosen``, and at its end one of the weights."""
        if state.made % self.walk == 0:
            state.walker = state.states + (self.momentum * state.velocity if self.nesterov else 0.0)
            state.average = state.walker
        state.walker = self.walked(
            problem, state, gradients(problem, machine, loss, state.walker[:, :, 0], chosen[0])[1]
        )
        state.average = (1 - self.averaging) * state.average + self.averaging * state.walker
        state.made += 1
        if state.made % self.walk == 0:
            state.velocity = self.momentum * state.velocity + self.rate * (state.average - state.states)
            moved = problem.machine.normalised(state.states + state.velocity)
            state.states = array_module(moved).where(active, moved, state.states)

    def walked(self, problem: LearningProblem, state: EntropyState, gradient: np.ndarray) -> np.ndarray:
        """The walker after a step down the ``gradient`` (instances, starts, weights)."""
        count = problem.machine.weight_count
        normals = random_normals(problem.seed, Stream.LANGEVIN, state.made, problem.walkers(1), count)
        kick = self.noise * np.sqrt(self.walk_rate) * problem.device.asarray(normals)
        moved = state.walker - self.walk_rate * gradient[:, :, None] + kick
        nearer = np.exp(-self.walk_rate * self.held(state.epoch))
        return problem.machine.normalised(state.states + nearer * (moved - state.states))
