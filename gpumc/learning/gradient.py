"""Stochastic gradient descent on the cross-entropy, of machines whose hidden signs, if any, are softened, alone and by replicas.

C. Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020): norms are kept apart from directions, so that the slope of the hidden units
and gamma of the loss alone carry them. F. Pittorino et al., J. Stat. Mech. 124015 (2021): replicas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from gpumc.checks import keep, real, text, whole
from gpumc.device import array_module, to_host
from gpumc.device.philox import site_orders
from gpumc.errors import ConfigError
from gpumc.inputs import preactivations
from gpumc.learning.learners import EpochLearner
from gpumc.learning.problems import STARTS, LearningProblem, LearningState, begins_together
from gpumc.losses import CrossEntropy
from gpumc.machines import Machine
from gpumc.ramps import Parameter, Ramp, parameter, values_of
from gpumc.weights import LARGEST

#: How the attraction of replicas grows to its last value.
GROWTHS = ("exponential", "linear", "cosine")
POSITIVE = "a positive finite number, or a Ramp of them"


@dataclass
class GradientState(LearningState):
    """``velocity``: like ``states``. ``attraction`` (instances, starts, 1, 1): that of the first epoch."""

    velocity: np.ndarray = field(default_factory=lambda: np.zeros(()))
    attraction: np.ndarray = field(default_factory=lambda: np.zeros(()))


@dataclass(frozen=True)
class CrossEntropySGD(EpochLearner):
    """Gradient descent with momentum on the cross-entropy of minibatches.

    On spheres each unit is projected to its own after every step. Of gaussian weights, whose norm is free, L + decay |W|^2 is minimised, L
    being the sum over all M patterns: a step follows the gradient of the mean loss of its minibatch plus (decay / M) |W|^2. Hidden signs
    are tanh(slope x) in the gradient, and signs wherever errors are counted; other units are what they are.

    Parameters
    ----------
    rate : float
        Times the gradient of the mean loss of a minibatch.
    slope, gamma : float or Ramp
        Of the hidden signs, and of the loss; a Ramp moves over ``epochs``.
    batch : int
        Patterns of a minibatch.
    momentum : float
    nesterov : bool
        Whether the gradient is that ahead of the momentum.
    epochs : int
    until : {"solved", "end"}
        Whether a run ends at its first solution, or where the ramps end.
    initial_norm : float
        Of gaussian weights: the standard deviation of a weight at the start.

    References
    ----------
    C. Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020).

    Examples
    --------
    >>> import gpumc
    >>> str(gpumc.CrossEntropySGD.slow().slope)
    '1 to 5, geometric'
    """

    kind: ClassVar[str] = "cross-entropy-sgd"
    axes: ClassVar[tuple[str, ...]] = ("rate", "slope", "gamma", "batch", "momentum", "initial_norm")

    rate: float = 10.0
    slope: Parameter = 3.0
    gamma: Parameter = 2.0
    batch: int = 100
    momentum: float = 0.9
    nesterov: bool = False
    epochs: int = 500
    until: str = "solved"
    initial_norm: float = 1.0

    def __post_init__(self) -> None:
        keep(
            self,
            rate=real(f"{self.kind}: rate", self.rate, lambda r: 0 < r < np.inf, "a positive finite number"),
            initial_norm=real(
                f"{self.kind}: initial_norm",
                self.initial_norm,
                lambda s: 0 < s < LARGEST,
                f"a number from 0 to {LARGEST:g}",
            ),
            batch=whole(f"{self.kind}: batch", self.batch, 1, 2**31),
            momentum=real(f"{self.kind}: momentum", self.momentum, lambda m: 0 <= m < 1, "a number from 0 to below 1"),
            epochs=whole(f"{self.kind}: epochs", self.epochs, 1, 2**31),
            until=text(f"{self.kind}: until", self.until, ("solved", "end")),
        )
        for name in ("slope", "gamma"):
            value = parameter(f"{self.kind}: {name}", getattr(self, name), lambda v: (v > 0) & np.isfinite(v), POSITIVE)
            if isinstance(value, tuple):
                raise ConfigError(f"{self.kind}: {name} = {value}: {POSITIVE} is needed")
            keep(self, **{name: value})

    @classmethod
    def fast(cls) -> CrossEntropySGD:
        """Norms that are large from the start: gamma and slope of a steep loss."""
        return cls()

    @classmethod
    def slow(cls) -> CrossEntropySGD:
        """Norms that grow slowly from where the loss is nearly linear, at the same rate."""
        return cls(slope=Ramp(1.0, 5.0, "geometric"), gamma=Ramp(1.0, 3.0, "geometric"), epochs=300)

    def check(self, machine: Machine) -> None:
        """Raise ConfigError for a machine that it does not teach."""
        if not machine.continuous:
            raise ConfigError(
                f"{self.kind}: spherical or gaussian weights are needed, and this {machine.kind} has {machine.weights} ones"
            )
        if machine.weight_kind.fixed_norm and self.initial_norm != 1:
            raise ConfigError(
                f"{self.kind}: initial_norm is of gaussian weights, and this {machine.kind} has {machine.weights} ones"
            )

    def init(self, problem: LearningProblem) -> GradientState:
        """The state before the first epoch."""
        return self._begin(problem, common=False)

    def _begin(self, problem: LearningProblem, common: bool) -> GradientState:
        state = GradientState(**vars(LearningState.random(problem, self.replicas, common)))
        state.states = state.states * self.initial_norm
        state.velocity = array_module(state.states).zeros_like(state.states)
        return state

    def step(self, problem: LearningProblem, state: GradientState) -> None:
        """One pass over minibatches, in place."""
        count = problem.patterns.count
        order = site_orders(problem.seed, np.array([state.epoch]), count)[0].astype(np.int64)
        machine, loss = self.softened(problem.machine, state.epoch)
        active = problem.device.asarray(state.active)[:, :, None, None]
        for first in range(0, count, self.batch):
            places = np.arange(first, min(first + self.batch, count))
            chosen: list[Any] = [order[(places + a * count // state.replicas) % count] for a in range(state.replicas)]
            if len(places) == count:  # in whatever order
                chosen = [slice(None)] * state.replicas
            self._descend(problem, state, machine, loss, chosen, active)
        state.epoch += 1

    def observed(self, problem: LearningProblem, state: GradientState) -> dict[str, np.ndarray]:
        """The mean loss, with the hidden units of the epoch, and of gaussian weights their norm."""
        machine, loss = self.softened(problem.machine, state.epoch - 1)
        found = {"loss": to_host(mean_losses(problem, machine, loss, state.states))}
        if not machine.weight_kind.fixed_norm:
            found["norm"] = to_host((state.states**2).mean(axis=-1) ** 0.5)
        return found

    def ended(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        """The slope and gamma with which a run's last epoch was made."""
        parameters = {"final_slope": self.slope, "final_gamma": self.gamma}
        at = {name: [self._at(value, max(step - 1, 0)) for step in steps.flat] for name, value in parameters.items()}
        return {name: np.reshape(values, steps.shape) for name, values in at.items()}

    def softened(self, machine: Machine, epoch: int) -> tuple[Machine, CrossEntropy]:
        """The machine with hidden units tanh(slope x), if it has any that are signs, and the loss, of an epoch."""
        slope, gamma = (self._at(value, epoch) for value in (self.slope, self.gamma))
        return machine.softened(slope), CrossEntropy(gamma)

    def _at(self, value: Parameter, epoch: int) -> float:
        if isinstance(value, Ramp):
            return float(value.values(self.epochs, 0)[min(epoch, self.epochs - 1)])
        return float(values_of(value)[0])

    def _descend(self, problem, state, machine, loss, chosen, active) -> None:
        """One step of all replicas on the patterns ``chosen`` for each."""
        xp = array_module(state.states)
        here = state.states
        if self.nesterov:
            here = here + self.momentum * state.velocity
        steps = [gradients(problem, machine, loss, here[:, :, a], rows)[1] for a, rows in enumerate(chosen)]
        state.velocity = self.momentum * state.velocity - self._rate * xp.stack(steps, axis=2)
        moved = problem.machine.normalised(self._attracted(state.states + state.velocity, state))
        state.states = xp.where(active, moved, state.states)

    @property
    def _rate(self) -> float:
        return self.rate

    def _attracted(self, states: np.ndarray, state: GradientState) -> np.ndarray:
        return states


@dataclass(frozen=True)
class ReplicatedSGD(CrossEntropySGD):
    """Gradient descent of replicas, each on its own minibatches, that are attracted to their mean.

    The loss is the mean over replicas plus g times the sum of |w_a - mean|^2 / replicas with the mean as a constant; the attraction is
    applied outside of the momentum, as (w_a - mean) *= exp(-2 g rate), and cannot overshoot. g begins where both parts of the loss are
    equal, and grows by the factor ``total`` until the last epoch.

    Parameters
    ----------
    rate, slope, gamma, batch, momentum, nesterov, epochs, until, initial_norm
        See `CrossEntropySGD`; steps of replicas have ``rate`` times their number.
    replicas : int
    total : float
    growth : {"exponential", "linear", "cosine"}
    start : {"auto", "independent", "common"}
        See `EntropicLeastAction`.

    References
    ----------
    F. Pittorino et al., J. Stat. Mech. 124015 (2021).

    Examples
    --------
    >>> import gpumc
    >>> gpumc.ReplicatedSGD().replicas
    3
    """

    kind: ClassVar[str] = "replicated-sgd"
    axes: ClassVar[tuple[str, ...]] = (*CrossEntropySGD.axes, "replicas", "total")

    rate: float = 3.0
    nesterov: bool = True
    replicas: int = 3
    total: float = 1e4
    growth: str = "exponential"
    start: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        keep(
            self,
            replicas=whole(f"{self.kind}: replicas", self.replicas, 2, 2**16),
            total=real(f"{self.kind}: total", self.total, lambda t: 1 <= t < np.inf, "a finite number of at least 1"),
            growth=text(f"{self.kind}: growth", self.growth, GROWTHS),
            start=text(f"{self.kind}: start", self.start, STARTS),
        )

    def init(self, problem: LearningProblem) -> GradientState:
        """The state before the first epoch, with the attraction at which both parts of the loss are equal."""
        state = self._begin(problem, common=begins_together(self.start, problem.machine))
        machine, loss = self.softened(problem.machine, 0)
        losses = mean_losses(problem, machine, loss, state.states).mean(axis=-1)
        apart = ((state.states - state.states.mean(axis=2, keepdims=True)) ** 2).sum(axis=-1).mean(axis=-1)
        state.attraction = (losses / apart)[:, :, None, None]
        return state

    def grown(self, epoch: int) -> float:
        """By what the attraction of an epoch exceeds the first one's."""
        part = epoch / max(1, self.epochs - 1)
        if self.growth == "exponential":
            return self.total**part
        return 1 + (self.total - 1) * (part if self.growth == "linear" else (1 - math.cos(math.pi * part)) / 2)

    @property
    def _rate(self) -> float:
        return self.rate * self.replicas

    def _attracted(self, states: np.ndarray, state: GradientState) -> np.ndarray:
        mean = states.mean(axis=2, keepdims=True)
        return mean + (states - mean) * array_module(states).exp(
            -2 * self.rate * self.grown(state.epoch) * state.attraction
        )


def mean_losses(problem: LearningProblem, machine: Machine, loss: CrossEntropy, weights: np.ndarray) -> np.ndarray:
    """The mean loss of all patterns, (instances, ...), of ``weights`` (instances, ..., weights)."""
    found = []
    for row, inputs, labels in zip(weights, problem.unit_inputs, problem.labels, strict=True):
        own = row.reshape(-1, machine.k, machine.fan_in)
        found.append(loss.values(machine.outputs(preactivations(own, inputs)) * labels).mean(axis=-1))
    return array_module(weights).stack(found).reshape(weights.shape[:-1])


def gradients(
    problem: LearningProblem, machine: Machine, loss: CrossEntropy, weights: np.ndarray, chosen: Any
) -> tuple[np.ndarray, np.ndarray]:
    """What is minimised, (instances, starts): the mean loss of the patterns ``chosen``, numbers or a slice, and of gaussian weights
    (decay / M) |W|^2; and its gradient by ``weights`` (instances, starts, weights)."""
    xp = array_module(weights)
    losses, found = [], []
    for row, inputs, labels in zip(weights, problem.unit_inputs, problem.labels, strict=True):
        units = inputs[:, chosen]
        own = row.reshape(len(row), machine.k, machine.fan_in)
        output, slopes = machine.differentiated(preactivations(own, units))
        stability = output * labels[chosen]
        outer = loss.slopes(stability) * labels[chosen] / output.shape[-1]
        losses.append(loss.values(stability).mean(axis=-1))
        found.append(xp.matmul((slopes * outer[:, None]).swapaxes(0, 1), units).swapaxes(0, 1).reshape(row.shape))
    value, gradient = xp.stack(losses), xp.stack(found)
    if not machine.decay:
        return value, gradient
    decay = machine.decay / problem.patterns.count
    return value + decay * (weights**2).sum(axis=-1), gradient + 2 * decay * weights
