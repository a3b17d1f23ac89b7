"""Least action learning, and its entropic form by replicas that attract each other.

G. Mitchison, R. Durbin, Biol. Cybern. 60, 345 (1989): on a pattern that is wrong, the perceptron rule for those hidden units alone that
vote wrongly and are nearest to their threshold, as many as turn the majority. The entropic form is named in C. Baldassi, F. Pittorino,
R. Zecchina, PNAS 117, 161 (2020), which does not give its constants: those here were chosen by a scan (docs/learning.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gpumc.checks import keep, real, text, whole
from gpumc.device import kernel
from gpumc.device.philox import site_orders
from gpumc.errors import ConfigError
from gpumc.learning.learners import EpochLearner
from gpumc.learning.problems import STARTS, LearningProblem, LearningState, begins_together, pairwise_sum
from gpumc.machines import Machine, require_fixed_norm

#: The kernel's arguments behind states and inputs.
SIGNATURE = (
    *("const int8*", "const int32*", "const uint8*", "float64*"),
    *("int64", "int64", "int64", "int64", "int64", "float64", "float64"),
)


@dataclass(frozen=True)
class LeastAction(EpochLearner):
    """Least action learning of single machines.

    Parameters
    ----------
    rate : float
        What the perceptron rule adds to weights on spheres, times input and label; hidden states of binary weights move by twice that.
    limit : float
        The largest hidden state of binary weights.
    epochs : int
        Where runs end that have not found a solution.

    References
    ----------
    G. Mitchison, R. Durbin, Biol. Cybern. 60, 345 (1989).

    Examples
    --------
    >>> import gpumc
    >>> machine = gpumc.TreeCommittee(99, k=9, weights="spherical")
    >>> patterns = gpumc.random_patterns(machine, alpha=0.3, seed=1)
    >>> bool(gpumc.learn(machine, patterns, gpumc.LeastAction(), starts=2, device="numpy").solved.all())
    True
    """

    kind: ClassVar[str] = "least-action"
    axes: ClassVar[tuple[str, ...]] = ("rate", "limit")

    rate: float = 0.03
    limit: float = 31.0
    epochs: int = 1000

    def __post_init__(self) -> None:
        keep(
            self,
            rate=real(f"{self.kind}: rate", self.rate, lambda r: 0 < r < np.inf, "a positive finite number"),
            limit=real(f"{self.kind}: limit", self.limit, lambda c: 1 <= c < 2**31, "a number from 1 to 2^31"),
            epochs=whole(f"{self.kind}: epochs", self.epochs, 1, 2**31),
        )

    def check(self, machine: Machine) -> None:
        """Raise ConfigError for a machine that it does not teach."""
        check_votes(self.kind, machine)

    def init(self, problem: LearningProblem) -> LearningState:
        """The state before the first epoch."""
        return LearningState.random(problem, self.replicas, common=False)

    def step(self, problem: LearningProblem, state: LearningState) -> None:
        """One pass over the patterns, in place."""
        order = site_orders(problem.seed, np.array([state.epoch]), problem.patterns.count)[0]
        epoch = epoch_on_arrays if problem.device.kind == "numpy" else epoch_by_kernel
        epoch(problem, state, order, self.rate if problem.machine.spherical else 2 * self.rate, self.limit)
        state.epoch += 1


@dataclass(frozen=True)
class EntropicLeastAction(LeastAction):
    """Least action learning of several replicas, which are pulled to their mean after each pass over the patterns.

    Parameters
    ----------
    rate, limit, epochs
        See `LeastAction`.
    pull : float
        The part of its distance from the mean that a replica loses after the first epoch.
    growth : float
        The pull grows by this factor an epoch, up to 1.
    replicas : int
    start : {"auto", "independent", "common"}
        Whether replicas begin independently, or near one draw; "auto" is common for the fully connected committee, whose units could be
        permuted between replicas.

    References
    ----------
    C. Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020).

    Examples
    --------
    >>> import gpumc
    >>> gpumc.EntropicLeastAction(replicas=3).replicas
    3
    """

    kind: ClassVar[str] = "entropic-least-action"
    axes: ClassVar[tuple[str, ...]] = ("rate", "limit", "pull", "growth", "replicas")

    rate: float = 0.1
    pull: float = 0.1
    growth: float = 1.03
    replicas: int = 7
    start: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(
            self,
            pull=real(f"{self.kind}: pull", self.pull, lambda p: 0 <= p <= 1, "a number from 0 to 1"),
            growth=real(
                f"{self.kind}: growth", self.growth, lambda g: 1 <= g < np.inf, "a finite number of at least 1"
            ),
            replicas=whole(f"{self.kind}: replicas", self.replicas, 2, 2**16),
            start=text(f"{self.kind}: start", self.start, STARTS),
        )

    def init(self, problem: LearningProblem) -> LearningState:
        """The state before the first epoch."""
        return LearningState.random(problem, self.replicas, common=begins_together(self.start, problem.machine))

    def step(self, problem: LearningProblem, state: LearningState) -> None:
        """One pass over the patterns, and the pull to the mean, in place."""
        pull = min(1.0, self.pull * self.growth**state.epoch)
        super().step(problem, state)
        state.attract(problem, pull)


def check_votes(kind: str, machine: Machine) -> None:
    """Raise ConfigError unless the output of ``machine`` is the majority of its hidden signs, which a learner of that ``kind`` turns."""
    require_fixed_norm(machine, kind)
    if machine.activation != "sign" or machine.readout.by_unit or not machine.readout.plain:
        given = "" if machine.readout.plain else " with given output weights"
        raise ConfigError(
            f"{kind}: a {machine.kind} of {machine.activation} units{given}: perceptrons, and committees of sign units with output weights "
            "of 1, are possible"
        )


def epoch_by_kernel(
    problem: LearningProblem, state: LearningState, order: np.ndarray, rate: float, limit: float
) -> None:
    """A pass over the patterns in the given ``order`` by the kernel."""
    device, machine = problem.device, problem.machine
    variant = {} if machine.spherical else {"BINARY": 1}
    real = problem.inputs.dtype != np.int8
    signature = ("float64*", f"const {'float64' if real else 'int8'}*", *SIGNATURE)
    run = kernel(device, "least_action.cu", "epoch", signature, variant | ({"REAL": 1} if real else {}))
    walkers = state.states[..., 0].size
    fields = device.xp.empty((walkers, machine.k))
    active = device.asarray(np.repeat(state.active.ravel(), state.replicas).astype(np.uint8))
    sizes = walkers // len(problem.inputs), machine.k, machine.fan_in, machine.n, problem.patterns.count
    run(
        walkers,
        state.states,
        problem.inputs,
        problem.labels,
        device.asarray(order),
        active,
        fields,
        *sizes,
        rate,
        limit,
    )


def epoch_on_arrays(
    problem: LearningProblem, state: LearningState, order: np.ndarray, rate: float, limit: float
) -> None:
    """The same, pattern by pattern for all walkers of an instance: the twin of kernels/least_action.cu."""
    machine = problem.machine
    for instance, active in enumerate(state.active):
        learning = state.states[instance, active].reshape(-1, machine.k, machine.fan_in)
        inputs = machine.unit_inputs(problem.inputs[instance].astype(float))
        for pattern in order:
            _learn(
                learning, inputs[:, pattern], float(problem.labels[instance, pattern]), rate, limit, machine.spherical
            )
        state.states[instance, active] = learning.reshape(-1, state.replicas, machine.weight_count)


def _learn(states: np.ndarray, inputs: np.ndarray, label: float, rate: float, limit: float, spherical: bool) -> None:
    """Move ``states`` (walkers, units, fan_in), in place, after one pattern: ``inputs`` (units, fan_in)."""
    weights = states if spherical else np.where(states > 0, 1.0, -1.0)
    totals = pairwise_sum(weights * inputs)
    fields = label * totals
    votes = label * np.where(totals > 0, 1, -1)
    total = votes.sum(axis=1).astype(int)
    nearness = np.where(votes < 0, -fields, np.inf)
    rank = np.argsort(np.argsort(nearness, axis=1, kind="stable"), axis=1)
    walker, unit = np.nonzero((rank < (1 - total[:, None]) // 2) & (total < 0)[:, None])
    moved = states[walker, unit] + (rate * label) * inputs[unit]
    if spherical:
        moved *= np.sqrt(moved.shape[1] / pairwise_sum(moved * moved))[:, None]
    states[walker, unit] = moved if spherical else np.clip(moved, -limit, limit)
