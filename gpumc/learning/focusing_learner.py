"""Focusing belief propagation as a learner."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import xarray as xr

from gpumc.checks import keep
from gpumc.keeping import Keeper
from gpumc.learning.learners import Learner, Progress
from gpumc.learning.problems import LearningProblem, error_counts
from gpumc.machines import Machine
from gpumc.messages import BeliefPropagation, focusing_bp
from gpumc.messages.focusing import check_focusing, checked
from gpumc.messages.protocols import Protocol

#: What `focusing_bp` takes where nothing is given.
DEFAULTS: dict[str, Any] = focusing_bp.__kwdefaults__ or {}


@dataclass(frozen=True)
class FocusingBP(Learner):
    """Focusing belief propagation, an epoch of which is a step of its protocol.

    Parameters
    ----------
    protocol, iterations, damping, tolerance, form
        Of `focusing_bp`, with the same defaults.

    References
    ----------
    C. Baldassi et al., PNAS 113, E7655 (2016).

    Examples
    --------
    >>> import gpumc
    >>> machine = gpumc.Perceptron(101)
    >>> patterns = gpumc.random_patterns(machine, alpha=0.3, seed=1)
    >>> bool(gpumc.learn(machine, patterns, gpumc.FocusingBP("standard-reinforcement"), device="numpy").solved.all())
    True
    """

    kind: ClassVar[str] = "focusing-bp"
    axes: ClassVar[tuple[str, ...]] = ("damping",)

    protocol: Protocol | str = DEFAULTS["protocol"]
    iterations: int = DEFAULTS["iterations"]
    damping: float = DEFAULTS["damping"]
    tolerance: float = DEFAULTS["tolerance"]
    form: str = DEFAULTS["form"]

    def __post_init__(self) -> None:
        how = BeliefPropagation(self.form, self.tolerance, self.iterations)
        protocol, damping, _ = checked(self.protocol, self.damping, how)
        keep(self, protocol=protocol, damping=damping, iterations=how.iterations, tolerance=how.tolerance)

    @property
    def epochs(self) -> int:
        """The steps of the protocol."""
        return len(self.protocol.steps())  # type: ignore[union-attr]

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the learner."""
        return super().attributes | {"learner_protocol": type(self.protocol).__name__}

    def check(self, machine: Machine) -> None:
        """Raise ConfigError for a machine that it does not teach."""
        check_focusing(machine)

    def run(self, problem: LearningProblem, progress: Progress | None, keeper: Keeper | None) -> xr.Dataset:
        """See `Learner`."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        found = focusing_bp(
            problem.machine,
            problem.patterns,
            **settings,
            starts=problem.starts,
            seed=problem.seed,
            device=problem.device,
            part=problem.part,
        )
        data, test = (
            found[["weights", "errors", "steps", "error_rate"]],
            problem.patterns.test,
        )
        if test is not None:
            weights = problem.device.asarray(data.weights.values.astype(float))
            data["test_error"] = ("instance", "start"), error_counts(problem, weights, test) / test.count
        if progress:
            progress(self.epochs, self.epochs, "learning")
        return data
