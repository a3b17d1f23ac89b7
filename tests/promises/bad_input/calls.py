"""Calls of public functions with arguments of right and wrong kinds, for hypothesis.

To extend: a line in `CALLS` for a function (its parameters, and of each what is right, given a machine), one in `WRONG` for a kind of
object.
All sizes are tiny: a call takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import strategies as st

import gpumc
from gpumc import exact, flatness, theory
from gpumc.device import Device
from gpumc.parts import Part
from gpumc.sampling.samplers import SAMPLERS
from tests.variants import EVERY_LOSS, FREE, SPHERICAL, TINY

MACHINES = TINY + SPHERICAL + FREE
LOSSES = [*EVERY_LOSS, gpumc.CrossEntropy([0.5, 2.0])]


def _dataset() -> xr.Dataset:
    return xr.Dataset({"centre": ("weight", np.ones(5))})


#: Objects that are wrong in most places, made anew for each call.
WRONG: list[Callable[[], Any]] = [
    *(lambda value=value: value for value in (None, True, np.bool_(True), -1, 0, 2.5, 10**30, 10**400, -0.0)),
    *(lambda value=value: value for value in (np.nan, np.inf, -np.inf, 1j, 1e300, 1e-300, "", "text", b"bytes", "\0")),
    *(
        lambda value=value: value
        for value in ([], [1, 2], (), {}, {"a": 1}, set(), [[1], [1, 2]], [None], ["a", "b"], range(3))
    ),
    *(lambda value=value: value for value in (Fraction(1, 3), Decimal("0.5"), slice(2), ..., int, len, object())),
    *(
        lambda value=value: value
        for value in (gpumc.ErrorCount, gpumc.Perceptron, gpumc.Gibbs, gpumc.Splitting, np, gpumc)
    ),
    *(
        lambda value=value: value
        for value in (*MACHINES[:1], *LOSSES, gpumc.Ramp(0.0, 1.0), gpumc.Gibbs(LOSSES[0], 1.0))
    ),
    *(lambda value=value: value for value in (np.float32(0.5), np.uint8(3), np.int8(2), np.uint64(2**63), np.array(3))),
    *(
        lambda value=value: value
        for value in (np.datetime64("2020-01-01"), np.timedelta64(5), np.ma.masked, np.str_("x"))
    ),
    lambda: iter([1, 2]),
    lambda: (number for number in (1, 2)),
    lambda: np.array(None),
    lambda: np.array(["a"]),
    lambda: np.array([1, 2], object),
    lambda: np.array([1 + 1j]),
    lambda: np.zeros((0, 3)),
    lambda: np.ones((2, 2, 2, 2, 2, 2)),
    lambda: np.ma.masked_array([1.0, 2.0], [False, True]),
    lambda: [np.ma.masked_array([1, -1], [False, True])],
    lambda: np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
    lambda: xr.DataArray(np.ones((2, 5)), {"instance": [7, 8]}, ("instance", "weight")),
    lambda: xr.DataArray(np.ones((5, 3)), dims=("weight", "beta")),
    lambda: xr.DataArray(0.5),
    lambda: xr.Variable("weight", np.ones(5)),
    lambda: xr.DataTree.from_dict({"a": _dataset()}),
    _dataset,
    lambda: pd.Series([0.1, 0.2]),
    lambda: pd.DataFrame({"a": [1, None]}),
    lambda: gpumc.random_patterns(MACHINES[0], 0.5),
    lambda: memoryview(b"ab"),
    lambda: bytearray(b"ab"),
]

few, seeds = st.integers(1, 3), st.integers(0, 9)
numbers = st.sampled_from([0.3, 1, np.float32(0.5), [0.5, 1.0], np.array([1.0, 2.0])])
devices = st.sampled_from(["numpy", Device("numpy")])


def of(value: Any) -> Any:
    """What is right whatever the machine."""
    strategy = value if isinstance(value, st.SearchStrategy) else st.just(value)
    return lambda machine: strategy


def machines(machine: gpumc.Perceptron) -> st.SearchStrategy:
    return st.just(machine)


def patterns(machine: gpumc.Perceptron) -> st.SearchStrategy:
    drawn = st.builds(gpumc.random_patterns, st.just(machine), st.sampled_from([0.3, 0.9]), st.integers(1, 2), seeds)
    return drawn.map(lambda p: gpumc.Patterns(p.xi * 1.5, p.labels)) | drawn if machine.continuous else drawn


def inits(machine: gpumc.Perceptron) -> st.SearchStrategy:
    count = machine.weight_count
    shapes = st.sampled_from([(count,), (1, count), (2, count), (1, 1, 1, 1, count)])
    scales = st.sampled_from([1, 1e200, 1e-200] if machine.continuous else [1])
    plain = st.builds(lambda shape, scale: np.ones(shape) * scale, shapes, scales)
    named = st.just(xr.DataArray(np.ones((1, count)), {"instance": [0]}, ("instance", "weight")))
    return st.just("random") | plain | named


def references(machine: gpumc.Perceptron) -> st.SearchStrategy:
    count = machine.weight_count
    named = xr.DataArray(np.ones((2, count)), {"instance": [1, 0]}, ("instance", "weight"))
    return st.sampled_from([np.ones(count), -np.ones((1, count)), named, named.isel(instance=[1])])


def measures(machine: gpumc.Perceptron) -> st.SearchStrategy:
    loss = st.sampled_from(LOSSES)
    beta = st.sampled_from([0.5, 1e3, np.inf, [0.5, 2.0], gpumc.Ramp(0.1, 1.0)])
    centre = st.sampled_from(["explicit", "traced", np.ones(machine.weight_count)])
    local = st.builds(gpumc.LocalEntropy, loss, beta, st.sampled_from([0.3, [0.0, 50.0]]), few, centre)
    return st.builds(gpumc.Gibbs, loss, beta) | local


losses = of(st.sampled_from(LOSSES))
volume = {
    "measure": of(st.builds(gpumc.Gibbs, st.sampled_from(LOSSES), st.sampled_from([np.inf, 0.5, [0.3, 1.0], 1e3]))),
    "method": of(
        st.sampled_from(
            [
                *("bp", gpumc.BeliefPropagation("exact"), gpumc.BeliefPropagation("relaxed", 1e-4, 20, np.float32)),
                gpumc.ThermodynamicIntegration(4, 6, 2, burn_in=2, sweeps=4, every=2),
                gpumc.Splitting(16, 2, 1),
            ]
        )
    ),
    "device": of(devices),
}
protocols = [
    "scoping",
    gpumc.FreeScoping([(3.0, 0.5)]),
    gpumc.StandardReinforcement([0.1]),
    gpumc.PseudoReinforcement([0.0, 0.5]),
]
limits = of(st.sampled_from([theory.Limit("perceptron"), theory.Limit("perceptron", "spherical"), gpumc.Perceptron(5)]))
kinds = of(st.sampled_from(["binary", "spherical", "gaussian"]))
tree = {"n": of(9), "k": of(3), "weights": kinds, "slope": of(1.0), "decay": of(st.sampled_from([None, 0.0, 0.1]))}

#: Functions, and what is right for their parameters.
CALLS: dict[str, tuple[Callable, dict[str, Callable]]] = {
    "sample": (
        gpumc.sample,
        {
            "machine": machines,
            "patterns": patterns,
            "measure": measures,
            "init": inits,
            "chains": of(few),
            "burn_in": of(few),
            "sweeps": of(st.integers(2, 4)),
            "every": of(1),
            "seed": of(seeds),
            "sampler": of(st.sampled_from([None, *(kind() for kind in SAMPLERS.values())])),
            "part": of(st.sampled_from([None, Part((0, 1), (0, 1))])),
            "device": of(devices),
            "watch": of(lambda *_: None),
            "watch_every": of(few),
            "progress": of(None),
        },
    ),
    "entropy": (gpumc.entropy, {"machine": machines, "patterns": patterns, **volume}),
    "local_entropy": (
        gpumc.local_entropy,
        {
            "machine": machines,
            "patterns": patterns,
            "reference": references,
            **volume,
            "distance": of(st.sampled_from([0.2, [0.1, 0.5], 1e-300])),
        },
    ),
    "local_entropy in a field": (
        gpumc.local_entropy,
        {
            "machine": machines,
            "patterns": patterns,
            "reference": references,
            "field": of(st.sampled_from([0.5, [0.0, 1e3]])),
            **volume,
        },
    ),
    "focusing_bp": (
        gpumc.focusing_bp,
        {
            "machine": machines,
            "patterns": patterns,
            "protocol": of(st.sampled_from(protocols)),
            "starts": of(few),
            "seed": of(seeds),
            "iterations": of(5),
            "damping": of(0.5),
            "tolerance": of(1e-3),
            "device": of(devices),
            "form": of(st.sampled_from(["auto", "amp", "exact", "relaxed"])),
        },
    ),
    "random_patterns": (
        gpumc.random_patterns,
        {
            "machine": machines,
            "alpha": of(st.sampled_from([0.5, 1])),
            "instances": of(few),
            "seed": of(seeds),
            "inputs": of(st.sampled_from(["binary", "gaussian"])),
        },
    ),
    "teacher_patterns": (
        gpumc.teacher_patterns,
        {
            "machine": machines,
            "alpha": of(st.sampled_from([0.5, 1])),
            "instances": of(few),
            "seed": of(seeds),
            "teacher": machines,
            "flip": of(0.1),
            "inputs": of("gaussian"),
        },
    ),
    "load_patterns": (gpumc.load_patterns, {"path": of("patterns.txt")}),
    "open_run": (gpumc.open_run, {"path": of("saved.h5"), "lazy": of(False)}),
    "save": (gpumc.save, {"data": of(st.builds(_dataset)), "path": of("saved.h5")}),
    "Patterns": (gpumc.Patterns, {"xi": of([[1, -1, 1]]), "labels": of([1])}),
    "Perceptron": (gpumc.Perceptron, {**tree, "n": of(5), "k": of(1)}),
    "TreeCommittee": (gpumc.TreeCommittee, {**tree, "activation": of("sign")}),
    "FullCommittee": (gpumc.FullCommittee, {**tree, "activation": of("sign")}),
    "TreeParity": (gpumc.TreeParity, {**tree, "activation": of("sign")}),
    "CrossEntropy": (gpumc.CrossEntropy, {"gamma": of(numbers)}),
    "SquaredHinge": (gpumc.SquaredHinge, {"margin": of(0.1)}),
    "dynamics": (
        gpumc.dynamics,
        {
            "machine": machines,
            "patterns": patterns,
            "measure": measures,
            "sampler": of(st.sampled_from([None, *(kind() for kind in SAMPLERS.values())])),
            "seed": of(seeds),
            "device": of(devices),
            "burn_in": of(few),
            "sweeps": of(few),
        },
    ),
    "learn": (
        gpumc.learn,
        {
            "machine": machines,
            "patterns": patterns,
            "learner": of(
                st.sampled_from(
                    [gpumc.LeastAction(epochs=2), gpumc.ReplicatedSGD(epochs=2), gpumc.EntropySGD(epochs=2)]
                )
            ),
            "starts": of(few),
            "seed": of(seeds),
            "device": of(devices),
            "part": of(st.sampled_from([None, Part((0, 1), (0, 1))])),
        },
    ),
    "hessian": (
        flatness.hessian,
        {
            "machine": machines,
            "patterns": patterns,
            "weights": references,
            "loss": losses,
            "slope": of(2.0),
            "geometry": of("flat"),
            "method": of("lanczos"),
            "steps": of(few),
            "probes": of(few),
            "seed": of(seeds),
            "device": of(devices),
        },
    ),
    "local_energy of weights": (
        flatness.local_energy,
        {
            "machine": machines,
            "patterns": patterns,
            "weights": references,
            "strength": of(0.2),
            "perturbation": of(st.sampled_from(["flip", "additive"])),
            "draws": of(few),
            "seed": of(seeds),
            "device": of(devices),
        },
    ),
    "robustness": (
        flatness.robustness,
        {
            "machine": machines,
            "patterns": patterns,
            "weights": references,
            "eta": of([0.5, 1.0]),
            "draws": of(few),
            "seed": of(seeds),
            "device": of(devices),
        },
    ),
    "EntropySGD": (
        gpumc.EntropySGD,
        {
            "walk": of(few),
            "walk_rate": of(0.1),
            "averaging": of(0.75),
            "noise": of(1e-4),
            "scope": of(0.03),
            "total": of(10.0),
        },
    ),
    "BinarySGD": (
        gpumc.BinarySGD,
        {
            "rate": of(2.0),
            "pull": of(0.75),
            "coupling": of(0.05),
            "tightening": of(0.001),
            "batch": of(few),
            "replicas": of(3),
            "formula": of("hard"),
            "start": of("common"),
            "epochs": of(few),
        },
    ),
    "FocusingBP": (
        gpumc.FocusingBP,
        {"protocol": of("scoping"), "iterations": of(few), "damping": of(0.5), "tolerance": of(0.1), "form": of("amp")},
    ),
    "EntropicLeastAction": (
        gpumc.EntropicLeastAction,
        {
            "rate": of(0.1),
            "pull": of(0.1),
            "growth": of(1.1),
            "replicas": of(3),
            "start": of("auto"),
            "epochs": of(few),
        },
    ),
    "ReplicatedSGD": (
        gpumc.ReplicatedSGD,
        {
            "rate": of(0.1),
            "gamma": of(1.0),
            "slope": of(2.0),
            "batch": of(few),
            "momentum": of(0.5),
            "total": of(10.0),
            "initial_norm": of(0.2),
        },
    ),
    "HMC": (gpumc.HMC, {"steps": of(few), "acceptance": of(0.5)}),
    "Rotations": (gpumc.Rotations, {"moves": of(few), "acceptance": of(0.5)}),
    "HitAndRun": (gpumc.HitAndRun, {"moves": of(few)}),
    "Ramp": (gpumc.Ramp, {"start": of(0.1), "stop": of(1), "scale": of("geometric"), "over": of("run")}),
    "Gibbs": (gpumc.Gibbs, {"loss": losses, "beta": of(numbers)}),
    "LocalEntropy": (
        gpumc.LocalEntropy,
        {"loss": losses, "beta": of(numbers), "coupling": of(numbers), "replicas": of(few), "centre": of("traced")},
    ),
    "BeliefPropagation": (
        gpumc.BeliefPropagation,
        {"form": of("amp"), "tolerance": of(1e-3), "iterations": of(few), "dtype": of(np.float32)},
    ),
    "ThermodynamicIntegration": (
        gpumc.ThermodynamicIntegration,
        {
            "temperatures": of(5),
            "couplings": of(7),
            "chains": of(2),
            "burn_in": of(1),
            "sweeps": of(9),
            "every": of(few),
            "seed": of(seeds),
        },
    ),
    "Splitting": (gpumc.Splitting, {"particles": of(16), "populations": of(2), "moves": of(few), "seed": of(seeds)}),
    "exact.states": (exact.states, {"count": of(few)}),
    "exact.enumerate_states": (
        exact.enumerate_states,
        {"machine": machines, "patterns": patterns, "loss": of(st.sampled_from([None, *LOSSES]))},
    ),
    "exact.averages": (exact.averages, {"machine": machines, "patterns": patterns, "measure": measures}),
    "exact.solutions_by_distance": (
        exact.solutions_by_distance,
        {"machine": machines, "patterns": patterns, "reference": references},
    ),
    "exact.joint_distribution": (
        exact.joint_distribution,
        {"machine": machines, "patterns": patterns, "measure": measures},
    ),
    "theory.Limit": (
        theory.Limit,
        {"kind": of("tree-committee"), "weights": of("binary"), "k": of(3), "activation": of("sign")},
    ),
    "theory.capacity": (theory.capacity, {"machine": of(theory.Limit("tree-committee", "spherical", 3))}),
    "theory.replica_symmetric": (
        theory.replica_symmetric,
        {
            "machine": limits,
            "measure": of(
                st.sampled_from(
                    [
                        gpumc.Gibbs(LOSSES[0], np.inf),
                        gpumc.Gibbs(LOSSES[1], 1.0),
                        gpumc.LocalEntropy(LOSSES[0], 1.0, 0.3, 2),
                    ]
                )
            ),
            "alpha": of(0.4),
            "device": of(devices),
        },
    ),
    "theory.zero_entropy": (
        theory.zero_entropy,
        {"machine": of(theory.Limit("perceptron")), "loss": of(LOSSES[1]), "alpha": of(0.4), "device": of(devices)},
    ),
    "theory.franz_parisi": (
        theory.franz_parisi,
        {
            "machine": of(theory.Limit("perceptron")),
            "reference": of(gpumc.Gibbs(LOSSES[0], np.inf)),
            "alpha": of(0.4),
            "distance": of(0.2),
        },
    ),
    "theory.dense_clusters": (
        theory.dense_clusters,
        {
            "machine": of(theory.Limit("perceptron", "spherical")),
            "alpha": of(0.4),
            "distance": of(0.2),
            "replicas": of(np.inf),
        },
    ),
}


@st.composite
def calls(draw, names=tuple(CALLS)) -> tuple[str, dict[str, Any]]:
    """A function's name and its arguments, up to two of which are wrong."""
    name = draw(st.sampled_from(names))
    machine = draw(st.sampled_from(MACHINES))
    parameters = CALLS[name][1]
    wrong = draw(st.sets(st.sampled_from(sorted(parameters)), max_size=2))
    return name, {
        key: draw(st.sampled_from(WRONG))() if key in wrong else draw(right(machine))
        for key, right in parameters.items()
    }
