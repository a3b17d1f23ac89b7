"""The one table of machines, losses and samplers for all tests: a new one is a line here, and `tests/test_variants.py` says if it lacks."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

import gpumc
from gpumc.measures import Measure

#: A plain machine of each kind.
KINDS = (gpumc.Perceptron(7), gpumc.TreeCommittee(9, k=3), gpumc.FullCommittee(3, k=3), gpumc.TreeParity(9, k=3))
#: Small enough to enumerate pairs of replicas; with an even number of units, ReLU units and output weights.
TINY = (
    *KINDS,
    gpumc.TreeParity(6, k=2),
    gpumc.TreeCommittee(6, k=2, activation="relu"),
    gpumc.FullCommittee(3, k=2, activation="relu"),
    gpumc.TreeCommittee(9, k=3, output=[3, -1, 1]),
)
#: Odd sizes on purpose: words of bits that are partly filled, more than one word, and more than 64 patterns.
SMALL = (
    gpumc.Perceptron(131),
    gpumc.TreeCommittee(99, k=9),
    gpumc.FullCommittee(35, k=3),
    gpumc.TreeParity(75, k=3),
    gpumc.TreeParity(66, k=2),
    gpumc.TreeParity(33, k=1),
    gpumc.TreeCommittee(33, k=1),
    gpumc.TreeCommittee(66, k=6, activation="relu"),
    gpumc.FullCommittee(35, k=2, activation="relu"),
    gpumc.TreeCommittee(66, k=6, output=[1, 2, -3, 2, 4, -1]),
)
#: Those of sign units, whose readouts are odd.
SIGNS = tuple(machine for machine in TINY if machine.activation == "sign")
#: Large enough for belief propagation that takes fields as Gaussian, and for weights that solve the patterns.
MIDDLE = (
    gpumc.Perceptron(15),
    gpumc.TreeCommittee(15, k=3),
    gpumc.FullCommittee(5, k=3),
    gpumc.TreeParity(15, k=3),
)
#: Real weights, with each activation, and with output weights.
SPHERICAL = (
    gpumc.Perceptron(6, weights="spherical"),
    gpumc.TreeCommittee(12, k=3, weights="spherical"),
    gpumc.TreeCommittee(12, k=4, weights="spherical", activation="relu"),
    gpumc.TreeCommittee(12, k=3, weights="spherical", activation="erf", slope=0.7),
    gpumc.FullCommittee(6, k=3, weights="spherical", activation="tanh", slope=2.0),
    gpumc.FullCommittee(6, k=2, weights="spherical", activation="relu"),
    gpumc.TreeParity(12, k=3, weights="spherical"),
    gpumc.TreeParity(12, k=4, weights="spherical", activation="tanh"),
    gpumc.TreeCommittee(12, k=3, weights="spherical", output=[2, -2, 1]),
    gpumc.FullCommittee(6, k=2, weights="spherical", activation="tanh", output=[1.5, -0.3]),
    gpumc.TreeCommittee(12, k=3, weights="spherical", activation="relu", output=[0.2, -1.0, 1.5]),
)
#: Real weights of free norm.
FREE = (
    gpumc.Perceptron(6, weights="gaussian", decay=0.3),
    gpumc.TreeCommittee(12, k=4, weights="gaussian", activation="relu"),
    gpumc.FullCommittee(6, k=3, weights="gaussian", activation="tanh", slope=2.0, decay=0.1),
    gpumc.TreeParity(12, k=4, weights="gaussian", activation="erf", decay=0.2),
)
#: Those of the recorded bits, and all losses.
LOSSES = (gpumc.ErrorCount(), gpumc.CrossEntropy(gamma=0.7))
EVERY_LOSS = (*LOSSES, gpumc.SquaredHinge(0.3), gpumc.BandCount(0.8), gpumc.LogBarrier(0.1))
#: Those of binary weights, and of spherical ones.
METROPOLIS, HEAT_BATH = SAMPLERS = gpumc.Metropolis(), gpumc.HeatBath()
SPHERE_SAMPLERS = (gpumc.HMC(), gpumc.Rotations(), gpumc.HitAndRun())
CENTRES = (None, "explicit", "traced", "fixed")


def name_of(machine: gpumc.machines.Machine) -> str:
    """The id of a machine in a parametrised test."""
    activation = "" if machine.activation == "sign" else f"-{machine.activation}"
    real = f"-{machine.weights}" if machine.continuous else ""
    weighted = "" if machine.readout.plain else "-weighted"
    return f"{machine.kind}-{machine.n}-{machine.k}{activation}{weighted}{real}"


def by_machine(machines):
    """Parametrises a test with these machines."""
    return pytest.mark.parametrize("machine", machines, ids=name_of)


@dataclass(frozen=True)
class Case:
    """One machine under one measure, moved by one sampler."""

    machine: gpumc.machines.Machine
    loss: gpumc.losses.Loss
    sampler: gpumc.sampling.Sampler
    centre: str | None

    def __str__(self) -> str:
        return f"{name_of(self.machine)}-{self.loss.kind}-{self.sampler.kind}-{self.centre or 'gibbs'}"

    def measure(self, beta=1.2, coupling=0.4, replicas=2) -> Measure:
        if self.centre is None:
            return gpumc.Gibbs(self.loss, beta)
        centre = self.centre
        if centre == "fixed":
            centre = np.resize([1, 1, -1], self.machine.weight_count)
        return gpumc.LocalEntropy(self.loss, beta, coupling, replicas, centre)

    def patterns(self, alpha: float, instances: int = 1) -> gpumc.Patterns:
        return gpumc.random_patterns(self.machine, alpha=alpha, instances=instances, seed=11)


ERRORS, CROSS_ENTROPY = LOSSES
#: A dozen sweeps, every kind of kernel: margins of each readout, slopes in registers and in memory, ReLU units, each sampler and centre.
KERNELS = [
    Case(gpumc.Perceptron(131), ERRORS, METROPOLIS, "explicit"),
    Case(gpumc.Perceptron(7), ERRORS, HEAT_BATH, "traced"),
    Case(gpumc.Perceptron(131), CROSS_ENTROPY, METROPOLIS, None),
    Case(gpumc.Perceptron(131), CROSS_ENTROPY, HEAT_BATH, "explicit"),
    Case(gpumc.Perceptron(7), CROSS_ENTROPY, METROPOLIS, "traced"),
    Case(gpumc.TreeCommittee(9, k=3), ERRORS, METROPOLIS, "explicit"),
    Case(gpumc.FullCommittee(3, k=3), CROSS_ENTROPY, HEAT_BATH, "fixed"),
    Case(gpumc.TreeParity(75, k=3), ERRORS, HEAT_BATH, "explicit"),
    Case(gpumc.TreeParity(6, k=2), CROSS_ENTROPY, METROPOLIS, "traced"),
    Case(gpumc.TreeCommittee(6, k=2, activation="relu"), ERRORS, METROPOLIS, "explicit"),
    Case(gpumc.FullCommittee(3, k=2, activation="relu"), CROSS_ENTROPY, HEAT_BATH, "explicit"),
    Case(gpumc.FullCommittee(3, k=2, activation="relu"), ERRORS, HEAT_BATH, "traced"),
    Case(gpumc.TreeCommittee(9, k=3, output=[3, -1, 1]), CROSS_ENTROPY, METROPOLIS, "explicit"),
]


def covering(machines) -> list[Case]:
    """Each machine with each loss under each sampler, each time around another centre, and these shifted from machine to machine:
    any two properties occur together, and over four machines any loss, sampler and centre do."""
    moved = list(product(LOSSES, SAMPLERS))
    return [
        Case(machine, *moved[(shift + place) % len(moved)], centre)
        for shift, machine in enumerate(machines)
        for place, centre in enumerate(CENTRES)
    ]


def hinges(machines) -> list[Case]:
    """A loss that has no kernel of its own, once for each machine."""
    return [Case(machine, gpumc.SquaredHinge(0.3), METROPOLIS, "explicit") for machine in machines]


def cases(machines) -> list[Case]:
    """Every combination for these machines."""
    return [Case(*case) for case in product(machines, LOSSES, SAMPLERS, CENTRES)] + hinges(machines)


def by_case(machines):
    """Parametrises a test with every combination for these machines, those beyond a covering set marked long."""
    short = covering(machines) + hinges(machines)
    rest = [pytest.param(case, marks=pytest.mark.long) for case in cases(machines) if case not in short]
    return pytest.mark.parametrize("case", short + rest, ids=str)


#: What a run gives that must not depend on anything but its arguments.
VARIABLES = (
    "energy",
    "energy_per_pattern",
    "error_rate",
    "overlap_centre",
    "overlap_replicas",
    "acceptance",
    "weights",
    "centre",
    "stability_count",
)


def same_bits(left, right) -> bool:
    """Whether two datasets hold the same numbers to the last bit."""
    assert set(left.variables) == set(right.variables)
    different = [
        name for name in VARIABLES if name in left and not np.array_equal(left[name], right[name], equal_nan=True)
    ]
    assert not different, f"{different} differ"
    return True
