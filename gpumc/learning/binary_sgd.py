"""Stochastic gradient descent of replicas with binary weights: real hidden states whose signs are the weights.

C. Baldassi et al., PNAS 113, E7655 (2016), appendix C; the conventions are those of its program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpumc.checks import keep, real, text, whole
from gpumc.device import array_module
from gpumc.device.constants import Stream
from gpumc.device.philox import order_keys, site_orders
from gpumc.errors import ConfigError
from gpumc.inputs import preactivations
from gpumc.learning.learners import EpochLearner
from gpumc.learning.least_action import check_votes
from gpumc.learning.problems import STARTS, LearningProblem, LearningState, begins_together, signs
from gpumc.machines import Machine

#: What a weight is pulled to, and how strongly what it is draws the other way.
FORMULAS = ("simple", "hard", "corrected", "continuous")


class BinaryState(LearningState):
    """Hidden states, unbounded, whose signs are the weights."""

    def centre(self, machine: Machine) -> np.ndarray:
        """What most replicas have (instances, starts, weights)."""
        return signs(self.weights(machine).mean(axis=2))


@dataclass(frozen=True)
class BinarySGD(EpochLearner):
    """Gradient descent of replicas on the number of hidden units to be turned, each on minibatches of its own, with a pull to their mean.

    On a pattern that is wrong, the units that vote wrongly and are nearest to their threshold, as many as turn the majority, get ``rate``
    times label and input; these are summed over a minibatch. Then the hidden state of each weight gets ``pull`` times its attraction: of
    weight W and mean M of the replicas before the minibatch, with x = coupling replicas M, the formula "simple" has tanh(x) - W, "hard" x
    cut to [-1, 1] less W, "corrected" tanh(x) - tanh(coupling replicas) W, and "continuous" M - W.

    Parameters
    ----------
    rate : float
    pull : float
    coupling : float
        In the first epoch.
    tightening : float
        What every further epoch adds to the coupling.
    batch : int
        Patterns of a minibatch.
    replicas : int
    formula : {"simple", "hard", "corrected", "continuous"}
    start : {"auto", "independent", "common"}
        Whether replicas begin independently, or at one draw; "auto" is common for the fully connected committee, whose units could be
        permuted between replicas.
    epochs : int
        Where runs end that have not found a solution.

    References
    ----------
    C. Baldassi et al., PNAS 113, E7655 (2016).

    Examples
    --------
    >>> import gpumc
    >>> gpumc.BinarySGD(formula="hard").replicas
    7
    """

    kind: ClassVar[str] = "binary-sgd"
    axes: ClassVar[tuple[str, ...]] = ("rate", "pull", "coupling", "tightening", "batch", "replicas")

    rate: float = 2.0
    pull: float = 0.75
    coupling: float = 0.05
    tightening: float = 0.001
    batch: int = 80
    replicas: int = 7
    formula: str = "simple"
    start: str = "auto"
    epochs: int = 1000

    def __post_init__(self) -> None:
        for name, right, wanted in (
            ("rate", lambda r: 0 < r < np.inf, "a positive finite number"),
            *(
                (name, lambda p: 0 <= p < np.inf, "a finite non-negative number")
                for name in ("pull", "coupling", "tightening")
            ),
        ):
            keep(self, **{name: real(f"{self.kind}: {name}", getattr(self, name), right, wanted)})
        keep(
            self,
            batch=whole(f"{self.kind}: batch", self.batch, 1, 2**31),
            replicas=whole(f"{self.kind}: replicas", self.replicas, 2, 2**16),
            formula=text(f"{self.kind}: formula", self.formula, FORMULAS),
            start=text(f"{self.kind}: start", self.start, STARTS),
            epochs=whole(f"{self.kind}: epochs", self.epochs, 1, 2**31),
        )

    def check(self, machine: Machine) -> None:
        """Raise ConfigError for a machine that it does not teach."""
        check_votes(self.kind, machine)
        if machine.continuous:
            raise ConfigError(
                f"{self.kind}: binary weights are needed, and this {machine.kind} has {machine.weights} ones"
            )

    def init(self, problem: LearningProblem) -> BinaryState:
        """The state before the first epoch."""
        state = BinaryState(**vars(LearningState.random(problem, self.replicas, common=False)))
        if begins_together(self.start, problem.machine):
            state.states[:] = state.states[:, :, :1].copy()
        return state

    def step(self, problem: LearningProblem, state: LearningState) -> None:
        """One pass over minibatches, which each replica in turn, in random order, has its own of, in place."""
        count, y = problem.patterns.count, self.replicas
        orders = site_orders(problem.seed, state.epoch * y + np.arange(y), count).astype(np.int64)
        firsts = range(0, count, self.batch)
        turns = np.argsort(order_keys(problem.seed, Stream.ORDER, np.arange(len(firsts)), state.epoch + 1, y), axis=1)
        coupling = self.coupling + self.tightening * state.epoch
        active = problem.device.asarray(state.active)[:, :, None]
        for first, turn in zip(firsts, turns, strict=True):
            for replica in turn:
                hidden = state.states[:, :, replica]
                mean = state.weights(problem.machine).mean(axis=2)
                moved = hidden + self.rate * updates(
                    problem, signs(hidden), orders[replica, first : first + self.batch]
                )
                moved = moved + self.pull * self.attraction(mean, signs(moved), coupling)
                state.states[:, :, replica] = array_module(moved).where(active, moved, hidden)
        state.epoch += 1

    def attraction(self, mean: np.ndarray, weights: np.ndarray, coupling: float) -> np.ndarray:
        """What draws hidden states, of ``weights``, to replicas of that ``mean``."""
        xp, x = array_module(mean), coupling * self.replicas * mean
        if self.formula == "continuous":
            return mean - weights
        if self.formula == "hard":
            return xp.clip(x, -1.0, 1.0) - weights
        return xp.tanh(x) - (np.tanh(coupling * self.replicas) if self.formula == "corrected" else 1.0) * weights


def updates(problem: LearningProblem, weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Label times input of the units to be turned, summed over the patterns ``chosen``: like ``weights`` (instances, starts, weights)."""
    xp, machine, found = array_module(weights), problem.machine, []
    root = np.sqrt(machine.fan_in)
    numbers = xp.arange(machine.k)[:, None]
    for row, inputs, labels in zip(weights, problem.unit_inputs, problem.labels, strict=True):
        units, label = inputs[:, chosen] * root, labels[chosen]
        fields = label * xp.rint(preactivations(row.reshape(len(row), machine.k, machine.fan_in), units))
        total = xp.where(fields > 0, 1, -1).sum(axis=1, keepdims=True)
        # Of units that are equally near the first is turned first.
        nearness = xp.where(fields > 0, xp.inf, -fields * machine.k + numbers)
        turned = (xp.argsort(xp.argsort(nearness, axis=1), axis=1) < (1 - total) // 2) & (total < 0)
        found.append(xp.matmul((turned * label).swapaxes(0, 1) * 1.0, units).swapaxes(0, 1).reshape(row.shape))
    return xp.stack(found)
