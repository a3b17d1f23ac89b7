"""What all learners share: patterns on a device, and the states of many starts at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from gpumc.device import Device, array_module, to_host
from gpumc.device.constants import Stream
from gpumc.device.philox import random_normals
from gpumc.inputs import preactivations, unit_inputs
from gpumc.machines import Machine
from gpumc.parts import Part
from gpumc.patterns import Patterns
from gpumc.weights import LARGEST

#: Parts of a sum, which are added pairwise (kernels/least_action.cu).
PARTS = 32
#: How replicas begin.
STARTS = ("auto", "independent", "common")
#: The standard deviation of the noise between replicas that begin near one draw, in units of a weight's.
NOISE = 0.1


def begins_together(start: str, machine: Machine) -> bool:
    """Whether replicas begin near one draw: ``start`` is one of `STARTS`."""
    return start == "common" or (start == "auto" and machine.weight_count > machine.n)


@dataclass(frozen=True)
class LearningProblem:
    """Patterns that ``starts`` machines learn for each instance, and the ``part`` of these runs that is made: all of them by default."""

    machine: Machine
    patterns: Patterns
    starts: int
    seed: int
    device: Device
    part: Part | None = None

    @cached_property
    def made(self) -> Part:
        """The instances and starts that are made."""
        return self.part or Part((0, self.patterns.instances), (0, self.starts))

    @property
    def instances(self) -> slice:
        """The instances that are made, among all."""
        return slice(*self.made.instances)

    @cached_property
    def inputs(self) -> np.ndarray:
        """The inputs (instances, M, n) on the device: int8, or float64 of real patterns."""
        return self.device.asarray(self.patterns.xi[self.instances])

    @cached_property
    def unit_inputs(self) -> list[np.ndarray]:
        """Of each instance, `gpumc.inputs.unit_inputs`."""
        return [unit_inputs(self.device, self.machine, xi) for xi in self.patterns.xi[self.instances]]

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels int8 (instances, M) on the device."""
        return self.device.asarray(self.patterns.labels[self.instances])

    def walkers(self, replicas: int) -> np.ndarray:
        """The rank of (instance, start, replica) in the whole run: int64 of that shape."""
        instances, starts = (np.arange(*ends) for ends in (self.made.instances, self.made.chains))
        return ((instances[:, None] * self.starts + starts)[..., None] * replicas) + np.arange(replicas)


@dataclass
class LearningState:
    """What a learner advances in place.

    ``states`` float64 (instances, starts, replicas, weights), on the device: real weights, or hidden states whose signs are the weights.
    ``active`` bool (instances, starts), on the host: the runs that go on. ``epoch``: passes over the patterns that were made.
    """

    states: np.ndarray
    active: np.ndarray
    epoch: int = 0

    @classmethod
    def random(cls, problem: LearningProblem, replicas: int, common: bool) -> LearningState:
        """Random weights; those of replicas are near to one another where they begin in ``common``."""
        machine, walkers = problem.machine, problem.walkers(replicas)
        states = machine.weight_kind.drawn(problem.seed, Stream.INITIAL, 0, walkers, machine.weight_count).astype(float)
        if common:
            noise = random_normals(problem.seed, Stream.INITIAL, 1, walkers, machine.weight_count)
            states = states[:, :, :1] + NOISE * noise
        if machine.continuous:
            states = machine.normalised(states)
        return cls(problem.device.asarray(states), np.ones(states.shape[:2], bool))

    def arrays(self) -> dict[str, np.ndarray]:
        """All that the rest of the runs depends on, on the host."""
        return {each.name: np.asarray(to_host(getattr(self, each.name))) for each in fields(self)}

    def take(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `arrays` gave."""
        for each in fields(self):
            here, kept = getattr(self, each.name), arrays[each.name]
            number = isinstance(here, (int, float))
            setattr(self, each.name, type(here)(kept) if number else array_module(here).asarray(kept))

    @property
    def replicas(self) -> int:
        """The number of replicas of a start."""
        return self.states.shape[2]

    def weights(self, machine: Machine) -> np.ndarray:
        """Weights (instances, starts, replicas, weights) on the device: float64."""
        return self.states if machine.continuous else signs(self.states)

    @property
    def mean(self) -> np.ndarray:
        """The mean state of the replicas (instances, starts, weights), with the same bits on every device."""
        total = self.states[:, :, 0]
        for replica in range(1, self.replicas):
            total = total + self.states[:, :, replica]
        return total / self.replicas

    def centre(self, machine: Machine) -> np.ndarray:
        """The mean state of the replicas as weights (instances, starts, weights): on the spheres where weights are, or its signs."""
        return on_spheres(machine, self.mean) if machine.continuous else signs(self.mean)

    def drop(self, problem: LearningProblem) -> np.ndarray:
        """Which active runs, bool (instances, starts), have weights that are no numbers any more, or beyond `LARGEST`: they end, and all
        their weights are NaN."""
        xp = array_module(self.states)
        lost = self.active & ~to_host((xp.abs(self.states) <= LARGEST).all(axis=(2, 3)))
        if lost.any():
            self.states = xp.where(problem.device.asarray(lost)[:, :, None, None], xp.nan, self.states)
            self.active = self.active & ~lost
        return lost

    def attract(self, problem: LearningProblem, pull: float) -> None:
        """Bring the replicas of active runs nearer to their mean, by the part ``pull`` of their distance from it."""
        xp, active = array_module(self.states), problem.device.asarray(self.active)[:, :, None, None]
        moved = self.states + pull * (self.mean[:, :, None] - self.states)
        if problem.machine.continuous:
            moved = on_spheres(problem.machine, moved)
        self.states = xp.where(active, moved, self.states)


def error_counts(problem: LearningProblem, weights: np.ndarray, patterns: Patterns) -> np.ndarray:
    """How many of ``patterns`` are wrong, int64 (instances, ...), on the host; ``weights`` (instances, ..., weights) on the device. Of
    weights that are NaN all are."""
    counts = [to_host((~(right > 0)).sum(axis=-1)) for right in _stabilities(problem, weights, patterns)]
    return np.stack(counts).reshape(weights.shape[:-1])


def vote_error_rates(problem: LearningProblem, weights: np.ndarray, patterns: Patterns) -> np.ndarray:
    """The fraction of ``patterns`` (instances, starts), on the host, that most replicas get wrong, a tie being half an error; ``weights``
    (instances, starts, replicas, weights) on the device."""
    xp, rates = array_module(weights), []
    for right in _stabilities(problem, weights, patterns):
        votes = xp.where(right > 0, 1, -1).reshape(*weights.shape[1:3], -1).sum(axis=1)
        rates.append(to_host(((1 - xp.sign(votes)) / 2).mean(axis=-1)))
    return np.stack(rates)


def _stabilities(problem: LearningProblem, weights: np.ndarray, patterns: Patterns) -> Iterator[np.ndarray]:
    """Of each instance, (rows, M), its weights being one row behind the other."""
    machine = problem.machine
    learned = patterns is problem.patterns  # these have inputs and labels on the device already
    for instance, row in zip(range(*problem.made.instances), weights, strict=True):
        place = instance - problem.made.instances[0]
        inputs = problem.unit_inputs[place] if learned else unit_inputs(problem.device, machine, patterns.xi[instance])
        labels = problem.labels[place] if learned else problem.device.asarray(patterns.labels[instance])
        yield machine.outputs(preactivations(row.reshape(-1, machine.k, machine.fan_in), inputs)) * labels


def on_spheres(machine: Machine, weights: np.ndarray) -> np.ndarray:
    """Weights (..., weights) with each unit brought to its sphere, if it has one, with the same bits on every device."""
    if not machine.spherical:
        return weights
    units = weights.reshape(*weights.shape[:-1], machine.k, machine.fan_in)
    square = pairwise_sum(units * units)[..., None]
    xp = array_module(weights)
    factor = xp.sqrt(machine.fan_in / xp.where(square > 0, square, 1))
    return (units * factor).reshape(weights.shape)


def pairwise_sum(terms: np.ndarray) -> np.ndarray:
    """Sums (...) of ``terms`` (..., count) with the bits that kernels/least_action.cu gives them, on every device."""
    xp = array_module(terms)
    parts = xp.zeros((*terms.shape[:-1], PARTS))
    for first in range(0, terms.shape[-1], PARTS):
        block = terms[..., first : first + PARTS]
        parts[..., : block.shape[-1]] += block
    for half in (16, 8, 4, 2, 1):
        parts = parts[..., :half] + parts[..., half : 2 * half]
    return parts[..., 0]


def signs(states: np.ndarray) -> np.ndarray:
    """The weights of hidden states, +1 where they are positive."""
    return array_module(states).where(states > 0, 1.0, -1.0)
