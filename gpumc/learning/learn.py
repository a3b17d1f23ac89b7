"""Learning from machine, patterns and learner to a dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np
import xarray as xr

from gpumc.checks import callback, one_of, whole
from gpumc.device import Device, choose, to_host
from gpumc.device.philox import SEED_LIMIT
from gpumc.learning.problems import LearningProblem, LearningState, error_counts
from gpumc.machines import Machine, check_machine
from gpumc.patterns import Patterns
from gpumc.schema import Started, described, provenance


class Learner(Protocol):
    """An algorithm: frozen settings, which begin a state and advance it by a pass over the patterns."""

    kind: ClassVar[str]

    @property
    def epochs(self) -> int:
        """Where runs end that have not found a solution."""

    @property
    def until(self) -> str:
        """Whether runs end when they are "solved", or at the "end" of the epochs."""

    @property
    def replicas(self) -> int:
        """Replicas of a start."""

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the learner."""

    def check(self, machine: Machine) -> None:
        """Raise ConfigError for a machine that it does not teach."""

    def init(self, problem: LearningProblem) -> LearningState:
        """The state before the first epoch."""

    def step(self, problem: LearningProblem, state: LearningState) -> None:
        """One epoch, in place."""


def learn(
    machine: Machine,
    patterns: Patterns,
    learner: Learner,
    *,
    starts: int = 1,
    seed: int = 0,
    device: str | Device = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Teach machines the patterns, from many starts of every instance at once.

    A run ends at its first solution, which of several replicas is their centre's, or after the learner's ``epochs``.

    Parameters
    ----------
    machine : Machine
    patterns : Patterns
        Those that are learned; errors on ``patterns.test``, where there are any, are measured at the end.
    learner : Learner
        `LeastAction`, `EntropicLeastAction`.
    starts : int
        Runs of every instance, from independent random weights.
    seed : int
        Of all random numbers, from 0 to 2^48 - 1.
    device : str or Device
        "auto", "cpu", "numpy", "cuda" or "cuda:1".
    progress : callable, optional
        Told the epochs that were made, and at most are.

    Returns
    -------
    Dataset
        Over (instance, start, replica, weight): ``weights`` at the end, and ``centre`` of several replicas; ``errors`` of the last centre
        (or machine), ``solved``, ``steps`` (epochs); along ``epoch``, after each, the ``error_rate`` of every replica and the
        ``centre_error_rate``; ``test_error`` and ``centre_test_error``. What was not run is NaN.

    Raises
    ------
    ConfigError
        For what makes no sense.
    DeviceError
        For a device that cannot be had, and for what does not fit in memory.

    Examples
    --------
    >>> import gpumc
    >>> machine = gpumc.Perceptron(101)
    >>> patterns = gpumc.random_patterns(machine, alpha=0.2, instances=2, seed=1)
    >>> data = gpumc.learn(machine, patterns, gpumc.LeastAction(rate=0.5), starts=3, device="numpy")
    >>> data.weights.dims
    ('instance', 'start', 'weight')
    """
    started = Started.now()
    check_machine(machine)
    one_of("patterns", patterns, Patterns, "Patterns").check(machine)
    learner.check(machine)
    starts, seed = whole("starts", starts, 1, 2**31), whole("seed", seed, 0, SEED_LIMIT)
    told = callback("progress", progress)
    chosen = choose(device)
    problem = LearningProblem(machine, patterns, starts, seed, chosen)
    walkers = patterns.instances * starts * learner.replicas
    chosen.need(
        8 * walkers * (3 * machine.weight_count + 2 * machine.k * patterns.count), f"{walkers} machines that learn"
    )
    state = learner.init(problem)
    curves: dict[str, list[np.ndarray]] = {"error_rate": [], "centre_error_rate": []}
    steps = np.zeros(state.active.shape, np.int64)
    errors = np.zeros(state.active.shape, np.int64)
    while state.active.any() and state.epoch < learner.epochs:
        learner.step(problem, state)
        running = state.active
        wrong = error_counts(problem, state.weights(machine), patterns)
        of_centre = wrong[:, :, 0] if state.replicas == 1 else error_counts(problem, state.centre(machine), patterns)
        for name, counts in (("error_rate", wrong), ("centre_error_rate", of_centre)):
            kept = running.reshape(*running.shape, *[1] * (counts.ndim - 2))
            curves[name].append(np.where(kept, counts / patterns.count, np.nan))
        errors, steps = np.where(running, of_centre, errors), np.where(running, state.epoch, steps)
        state.active = running & (errors > 0) if learner.until == "solved" else running
        if told:
            told(state.epoch, learner.epochs)
    settings = {"starts": starts, "seed": seed, "device": chosen.name}
    facts = provenance(started, machine.attributes, patterns.attributes(machine), learner.attributes, settings)
    return _dataset(
        problem, state, errors, steps, {name: np.stack(each, axis=-1) for name, each in curves.items()}, facts
    )


def _dataset(
    problem: LearningProblem,
    state: LearningState,
    errors: np.ndarray,
    steps: np.ndarray,
    curves: dict[str, np.ndarray],
    facts: dict[str, Any],
) -> xr.Dataset:
    machine, test = problem.machine, problem.patterns.test
    runs, several = ("instance", "start"), ("instance", "start", "replica")
    weights, centre = state.weights(machine), state.centre(machine)
    stored = machine.weight_kind.dtype
    variables: dict[str, Any] = {
        "weights": ((*several, "weight"), to_host(weights).astype(stored)),
        "errors": (runs, errors),
        "solved": (runs, errors == 0),
        "steps": (runs, steps),
        "error_rate": ((*several, "epoch"), curves["error_rate"]),
    }
    if test is not None:
        variables["test_error"] = several, error_counts(problem, weights, test) / test.count
    if state.replicas > 1:
        variables["centre"] = (*runs, "weight"), to_host(centre).astype(stored)
        variables["centre_error_rate"] = (*runs, "epoch"), curves["centre_error_rate"]
        if test is not None:
            variables["centre_test_error"] = runs, error_counts(problem, centre, test) / test.count
    coordinates = {
        "instance": np.arange(problem.patterns.instances),
        "start": np.arange(problem.starts),
        "epoch": np.arange(1, state.epoch + 1),
    }
    data = described(xr.Dataset(variables, coordinates, facts))
    return data if state.replicas > 1 else data.isel(replica=0)
