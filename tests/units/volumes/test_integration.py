"""Thermodynamic integration against enumeration, and against belief propagation where nothing can be enumerated."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc import exact
from gpumc.errors import ConfigError
from gpumc.volumes.integration import _jackknife, _total
from tests.units.volumes.enumeration import middle_solutions, satisfiable
from tests.variants import MIDDLE, by_machine

#: 20 comparisons in this file at 4.5 standard errors over chains (few of them: Student's t): below 2 % in all, at fixed seeds.
FAR = 4.5
QUICK = gpumc.ThermodynamicIntegration(temperatures=16, couplings=12, chains=16, burn_in=200, sweeps=2000, every=10)


def agrees(found, truth):
    assert found.converged.all()
    assert float(found.entropy_error.max()) < 0.02
    return abs(found.entropy - truth) < FAR * found.entropy_error


@by_machine(MIDDLE)
def test_all_solutions(machine):
    patterns, errors = satisfiable(machine, 0.3, 2, seed=3)
    found = gpumc.entropy(machine, patterns, method=QUICK, device="cpu")
    truth = xr.DataArray(np.log((errors == 0).sum(axis=1)) / machine.weight_count, dims="instance")
    assert agrees(found, truth).all()


def test_cross_entropy_at_several_points():
    machine, loss, beta = gpumc.TreeCommittee(15, 3), gpumc.CrossEntropy([0.5, 2.0]), [1.0, 3.0]
    patterns = gpumc.random_patterns(machine, 0.3, 2, seed=3)
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, beta))
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, beta), method=QUICK, device="cpu")
    assert agrees(found, (truth.log_partition + truth.beta * truth.energy) / machine.weight_count).all()


@pytest.mark.parametrize("beta", [2.0, np.inf])
def test_around_a_reference(beta):
    """The Legendre transform of the enumerated free entropy is what mean distances are about."""
    machine, wanted = gpumc.Perceptron(15), np.array([0.1, 0.2, 0.3])
    patterns, errors = satisfiable(machine, 0.3, 1, seed=3)
    reference = middle_solutions(machine, errors)
    found = gpumc.local_entropy(
        machine, patterns, reference, gpumc.Gibbs(gpumc.ErrorCount(), beta), distance=wanted, method=QUICK, device="cpu"
    )
    flipped = (exact.states(15) != reference[0]).sum(axis=1)
    loss = beta * errors[0] if np.isfinite(beta) else np.where(errors[0] > 0, np.inf, 0)
    h = np.linspace(0, 8, 20001)
    counts = [np.exp(-loss[flipped == d]).sum() for d in range(16)]
    heats = [(loss[flipped == d] * np.exp(-loss[flipped == d])).sum() if np.isfinite(beta) else 0.0 for d in range(16)]
    boltzmann = np.exp(-np.outer(h, np.arange(16)))
    log_z, heat = np.log(boltzmann @ counts), (boltzmann @ heats) / (boltzmann @ counts)
    best = (log_z[:, None] + 15 * np.outer(h, wanted)).argmin(axis=0)
    truth = xr.DataArray((log_z[best] + 15 * h[best] * wanted + heat[best]) / 15, dims="distance")
    assert agrees(found, truth).all()
    assert np.allclose(found.field[0], h[best], atol=0.2)


def test_each_distance_has_its_own_reference():
    """A solution, and its opposite, around which there is none."""
    machine, short = gpumc.Perceptron(15), dataclasses.replace(QUICK, chains=4, sweeps=400)
    patterns, errors = satisfiable(machine, 0.3, 1, seed=3)
    solution = middle_solutions(machine, errors)[0]
    rows = xr.DataArray([solution, -solution], {"distance": [0.2, 0.1]}, ("distance", "weight"))
    found = gpumc.local_entropy(machine, patterns, rows, distance=[0.2, 0.1], method=short, device="cpu")
    alone = gpumc.local_entropy(machine, patterns, solution, distance=[0.2, 0.1], method=short, device="cpu")
    assert found.converged.values.tolist() == [[True, False]]
    assert abs(found.entropy - alone.entropy)[0, 0] < FAR * found.entropy_error[0, 0]


@pytest.mark.long
def test_belief_propagation_and_integration_agree():
    """Within 3 standard errors at every distance around a focused solution, n = 1001 and alpha = 0.4, at the default settings; it has a
    larger local entropy than a solution that 20,000 sweeps without error lead to. Finer integration is in docs/volumes.md."""
    machine, distance = gpumc.Perceptron(1001), np.linspace(0.02, 0.2, 7)
    patterns = gpumc.random_patterns(machine, 0.4, 1, seed=1)
    focused = gpumc.focusing_bp(machine, patterns, device="cpu").weights.values[0, 0]
    walk = gpumc.sample(
        machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(), np.inf), chains=1, burn_in=0, sweeps=20_000, every=20_000,
        init=focused, sampler=gpumc.HeatBath(), device="cpu",
    )  # fmt: skip
    assert float(walk.energy.max()) == 0
    walked = walk.weights.values[0, 0, 0]
    wide, narrow = (
        gpumc.local_entropy(machine, patterns, w, distance=distance, device="cpu") for w in (focused, walked)
    )
    assert (wide.entropy > narrow.entropy).all()
    ti = gpumc.local_entropy(machine, patterns, focused, distance=distance, method="ti", device="cpu")
    gap = ((wide.entropy - ti.entropy) / ti.entropy_error).values[0]
    print("BP", wide.entropy.values[0].round(5), "TI", ti.entropy.values[0].round(5))
    print("+-", ti.entropy_error.values[0].round(5), "gap", gap.round(1))
    assert np.all(np.abs(gap) < 3)


def test_errors_include_the_fraction_without_error():
    """Chains that differ in nothing but their fractions: the error is that of the log of the mean."""
    solved = np.random.default_rng(1).uniform(0.3, 0.7, (50, 1))
    none = np.zeros((50, 1))
    value, error = _jackknife(_total, 10, none, none, solved)
    assert value == pytest.approx(np.log(2) + np.log(solved.mean()) / 10)
    assert error == pytest.approx(solved.std(ddof=1) / 50**0.5 / solved.mean() / 10, rel=0.02)


def test_one_chain_that_alone_is_without_error_is_no_answer():
    none, solved = np.zeros((4, 1)), np.array([[0.9], [0.0], [0.0], [0.0]])
    assert np.isnan(_jackknife(_total, 10, none, none, solved)).all()


def test_what_cannot_be_reached_is_nan():
    machine = gpumc.Perceptron(15)
    patterns = gpumc.random_patterns(machine, 3.0, 1, seed=1)
    found = gpumc.entropy(machine, patterns, method=QUICK, device="cpu")
    assert np.isnan(found.entropy).all()
    assert not found.converged.any()


@pytest.mark.parametrize(
    "settings",
    [
        *({"chains": 1}, {"temperatures": 2}, {"couplings": 3}, {"every": 500, "sweeps": 100}),
        *({"seed": seed} for seed in (-1, "a", None, 2**48, True)),
    ],
)
def test_bad_settings_are_said(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        gpumc.ThermodynamicIntegration(**settings)


def test_integration_needs_distances():
    machine = gpumc.Perceptron(15)
    with pytest.raises(ConfigError, match="needs distances"):
        gpumc.local_entropy(
            machine, gpumc.random_patterns(machine, 0.2), np.ones(15), field=1.0, method="ti", device="numpy"
        )
