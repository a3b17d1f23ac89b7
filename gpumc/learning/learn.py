"""Learning from machine, patterns and learner to a dataset."""

from __future__ import annotations

import numpy as np
import xarray as xr

from gpumc.checks import callback, one_of, whole
from gpumc.device import Device, choose
from gpumc.device.philox import SEED_LIMIT
from gpumc.keeping import Keeper
from gpumc.learning.learners import Learner, Progress
from gpumc.learning.problems import LearningProblem
from gpumc.machines import Machine, check_machine
from gpumc.parts import Part
from gpumc.patterns import Patterns
from gpumc.schema import Started, described, provenance


def learn(
    machine: Machine,
    patterns: Patterns,
    learner: Learner,
    *,
    starts: int = 1,
    seed: int = 0,
    device: str | Device = "auto",
    part: Part | None = None,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> xr.Dataset:
    """Teach machines the patterns, from many starts of every instance at once.

    A run ends at its first solution, which of several replicas is their centre's, or after the learner's ``epochs``.

    Parameters
    ----------
    machine : Machine
    patterns : Patterns
        Those that are learned; errors on ``patterns.test``, where there are any, are measured at the end.
    learner : Learner
        `LeastAction`, `EntropicLeastAction`, `CrossEntropySGD`, `ReplicatedSGD`, `EntropySGD`, `BinarySGD`, `FocusingBP`.
    starts : int
        Runs of every instance, from independent random weights.
    seed : int
        Of all random numbers, from 0 to 2^48 - 1.
    device : str or Device
        "auto", "cpu", "numpy", "cuda" or "cuda:1".
    part : Part, optional
        Some of the instances and starts (its chains): they get the random numbers that they have in the whole run.
    progress : callable, optional
        Told the epochs that were made, and at most are, and what is being done: "learning".
    keeper : Keeper, optional
        Given all that the rest of the runs depends on whenever it is due; what it has kept of these very runs before is gone on from.
        `FocusingBP` gives nothing.

    Returns
    -------
    Dataset
        Over (instance, start, replica, weight): ``weights`` at the end, and ``centre`` of several replicas; ``errors`` of the last centre
        (or machine), ``solved``, ``steps`` (epochs); along ``epoch``, after each, the ``error_rate`` of every replica and the
        ``centre_error_rate``; ``test_error``, ``centre_test_error`` and that of
        the replicas' votes, ``vote_test_error``. Gradient descent adds the ``loss`` along ``epoch``, and the ``final_slope`` and
        ``final_gamma`` of a run's last epoch. What was not run is NaN.

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
    one_of("learner", learner, Learner, "a learner, such as LeastAction(),").check(machine)
    starts, seed = whole("starts", starts, 1, 2**31), whole("seed", seed, 0, SEED_LIMIT)
    told = callback("progress", progress)
    if part is not None:
        one_of("part", part, Part, "a Part, or None,").check(patterns.instances, starts)
    chosen = choose(device)
    problem = LearningProblem(machine, patterns, starts, seed, chosen, part)
    data = learner.run(problem, told, keeper)
    data = data.assign(solved=data.errors == 0).assign_coords(
        instance=np.arange(*problem.made.instances), start=np.arange(*problem.made.chains)
    )
    settings = {"starts": starts, "seed": seed, "device": chosen.name}
    data.attrs = provenance(started, machine.attributes, patterns.attributes(machine), learner.attributes, settings)
    return described(data)
