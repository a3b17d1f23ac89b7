"""What a learner is; and those that advance a state by passes over the patterns, which one loop drives."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from gpumc.device import to_host
from gpumc.keeping import Keeper, marked, unmarked
from gpumc.learning.problems import LearningProblem, LearningState, error_counts, vote_error_rates
from gpumc.machines import Machine

#: Told the epochs that were made, and at most are, and what is being done: "learning".
Progress = Callable[[int, int, str], None]

#: Before the names of a state's arrays, and of what is recorded after every epoch, where they are kept.
STATE, CURVE = "state_", "curve_"


class Learner(ABC):
    """An algorithm that looks for solutions: a frozen dataclass of settings.

    Attributes
    ----------
    kind : str
        Its name in files and configs.
    axes : tuple of str
        The settings that a config may give several values of, each an axis of the results.
    epochs : int
        Where runs end that have not found a solution.
    replicas : int
        Replicas of a start.
    """

    kind: ClassVar[str]
    axes: ClassVar[tuple[str, ...]] = ()
    epochs: Any
    replicas: Any = 1

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the learner: its kind, and its settings with "learner_" before their names."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {"learner": self.kind, **{f"learner_{name}": _recorded(value) for name, value in settings.items()}}

    @abstractmethod
    def check(self, machine: Machine) -> None:
        """Raise ConfigError for a machine that it does not teach."""

    @abstractmethod
    def run(self, problem: LearningProblem, progress: Progress | None, keeper: Keeper | None) -> xr.Dataset:
        """The runs of a problem, over (instance, start), without coordinates of these: ``weights``, ``errors``, ``steps`` at least.

        A ``keeper`` is given all that the rest depends on, if the learner can go on from that.
        """


class EpochLearner(Learner):
    """A learner that begins a state and advances it by an epoch at a time.

    Attributes
    ----------
    until : {"solved", "end"}
        Whether a run ends at its first solution, or with the last epoch.
    """

    until: Any = "solved"

    @abstractmethod
    def init(self, problem: LearningProblem) -> LearningState:
        """The state before the first epoch."""

    @abstractmethod
    def step(self, problem: LearningProblem, state: Any) -> None:
        """One epoch, in place, of a state that `init` began."""

    def observed(self, problem: LearningProblem, state: Any) -> dict[str, np.ndarray]:
        """What is recorded after every epoch beside the errors: names, and values (instances, starts, replicas) on the host."""
        return {}

    def ended(self, steps: np.ndarray) -> dict[str, np.ndarray]:
        """What is said of runs that ended after so many ``steps`` (instances, starts): names, and values of that shape."""
        return {}

    def run(self, problem: LearningProblem, progress: Progress | None, keeper: Keeper | None) -> xr.Dataset:
        """See `Learner`; along ``epoch``, the errors after each, and what is ``observed``. Runs that diverge end, and are NaN."""
        machine, patterns = problem.machine, problem.patterns
        walkers = problem.walkers(self.replicas).size
        problem.device.need(
            8 * walkers * (3 * machine.weight_count + 2 * machine.k * patterns.count), f"{walkers} machines that learn"
        )
        state = self.init(problem)
        curves: dict[str, list[np.ndarray]] = {}
        steps, errors = np.zeros((2, *state.active.shape), np.int64)
        lost = np.zeros_like(state.active)
        if keeper and (kept := keeper.kept()):
            state.take(unmarked(STATE, kept))
            curves = {name: list(np.moveaxis(curve, -1, 0)) for name, curve in unmarked(CURVE, kept).items()}
            steps, errors, lost = kept["steps"], kept["errors"], kept["lost"]
        while state.active.any() and state.epoch < self.epochs:
            with np.errstate(over="ignore", invalid="ignore"):  # of runs that diverge
                self.step(problem, state)
            diverged, running = state.drop(problem), state.active
            lost |= diverged
            errors, steps = np.where(diverged, patterns.count, errors), np.where(diverged, state.epoch, steps)
            wrong = error_counts(problem, state.weights(machine), patterns)
            of_centre = (
                wrong[:, :, 0] if state.replicas == 1 else error_counts(problem, state.centre(machine), patterns)
            )
            rates = {"error_rate": wrong / patterns.count, "centre_error_rate": of_centre / patterns.count}
            with np.errstate(invalid="ignore"):
                observed = self.observed(problem, state)
            for name, values in (rates | observed).items():
                going = running.reshape(*running.shape, *[1] * (values.ndim - 2))
                curves.setdefault(name, []).append(np.where(going, values, np.nan))
            errors, steps = np.where(running, of_centre, errors), np.where(running, state.epoch, steps)
            state.active = running & (errors > 0) if self.until == "solved" else running
            if progress:
                progress(state.epoch, self.epochs, "learning")
            if keeper and keeper.due():
                so_far = marked(STATE, state.arrays()) | marked(CURVE, _stacked(curves))
                keeper.keep(so_far | {"steps": steps, "errors": errors, "lost": lost})
        _warn_of_divergence(lost, steps)
        data = _learned(problem, state, errors, steps, _stacked(curves))
        return data.assign({name: (("instance", "start"), values) for name, values in self.ended(steps).items()})


def _stacked(curves: Mapping[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    """What was recorded after every epoch, with the epochs as the last dimension."""
    return {name: np.stack(each, axis=-1) for name, each in curves.items()}


def _warn_of_divergence(lost: np.ndarray, steps: np.ndarray) -> None:
    if lost.any():
        warnings.warn(
            f"{np.count_nonzero(lost)} of {lost.size} runs diverged, the first in epoch {steps[lost].min()}: their weights are NaN and "
            "they count as not solved; use a smaller rate",
            stacklevel=4,
        )


def _learned(
    problem: LearningProblem, state: LearningState, errors: np.ndarray, steps: np.ndarray, curves: dict[str, np.ndarray]
) -> xr.Dataset:
    machine, test = problem.machine, problem.patterns.test
    runs, several = ("instance", "start"), ("instance", "start", "replica")
    weights, centre = state.weights(machine), state.centre(machine)
    stored = machine.weight_kind.dtype
    variables: dict[str, Any] = {
        "weights": ((*several, "weight"), to_host(weights).astype(stored)),
        "errors": (runs, errors),
        "steps": (runs, steps),
    }
    of_centre = curves.pop("centre_error_rate")
    variables |= {name: ((*several, "epoch"), values) for name, values in curves.items()}
    known = np.isfinite(to_host(centre[..., 0]))
    if test is not None:
        rates = error_counts(problem, weights, test) / test.count
        variables["test_error"] = several, np.where(known[..., None], rates, np.nan)
    if state.replicas > 1:
        variables["centre"] = (*runs, "weight"), to_host(centre).astype(stored)
        variables["centre_error_rate"] = (*runs, "epoch"), of_centre
        if test is not None:
            rates = error_counts(problem, centre, test) / test.count
            variables["centre_test_error"] = runs, np.where(known, rates, np.nan)
            variables["vote_test_error"] = runs, np.where(known, vote_error_rates(problem, weights, test), np.nan)
    coordinates = {"replica": np.arange(state.replicas), "epoch": np.arange(1, state.epoch + 1)}
    data = xr.Dataset(variables, coordinates)
    return data if state.replicas > 1 else data.isel(replica=0, drop=True)


def _recorded(value: Any) -> Any:
    """A setting as an attribute of a file: numbers as they are, all else in words."""
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, (int, float)) else str(value)
