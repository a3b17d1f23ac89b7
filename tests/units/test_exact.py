"""Enumeration against plain loops, brute force over all joint states, and identities of statistical mechanics."""

from itertools import product

import numpy as np
import pytest

import gpumc
from gpumc import exact
from gpumc.errors import ConfigError
from tests.variants import LOSSES, TINY, by_machine

by_name = by_machine(TINY)
by_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
#: n = 5, 3 patterns: with 3 replicas and a centre, 2^20 joint states.
FEW = gpumc.Perceptron(5)
FEW_PATTERNS = gpumc.random_patterns(FEW, alpha=0.6, instances=2, seed=3)


def patterns_of(machine, alpha=0.7, instances=2):
    return gpumc.random_patterns(machine, alpha, instances, seed=4)


def test_states_are_a_gray_code():
    states = exact.states(6)
    assert np.all((states[1:] != states[:-1]).sum(axis=1) == 1)
    assert len({state.tobytes() for state in states}) == 64
    rank = 37
    assert states[rank].tolist() == [1 if (rank ^ (rank >> 1)) >> i & 1 else -1 for i in range(6)]


@by_name
@by_loss
def test_losses_of_all_states(machine, loss):
    patterns, states = patterns_of(machine), exact.states(machine.weight_count)
    data = exact.enumerate_states(machine, patterns, loss)
    assert data.energy.dims == ("instance", "state")
    for i in range(2):
        stability = machine.stabilities(states, patterns.xi[i], patterns.labels[i])
        errors = (stability <= 0).sum(axis=1)
        assert np.array_equal(data.errors[i], errors)
        if loss.counts:
            assert np.array_equal(data.energy[i], errors)
        else:
            sums = (np.logaddexp(0, -2 * loss.gamma * stability) / (2 * loss.gamma)).sum(axis=1)
            np.testing.assert_allclose(data.energy[i], sums, rtol=0, atol=patterns.count * loss.unit / 2)


@by_name
@by_loss
def test_energies_are_those_of_the_sampler(machine, loss):
    """To the last bit."""
    patterns, count = patterns_of(machine), machine.weight_count
    data = gpumc.sample(machine, patterns, gpumc.Gibbs(loss, 1.0), chains=50, burn_in=3, sweeps=1, device="numpy")
    exactly = exact.enumerate_states(machine, patterns, loss)
    rank_of = {state.tobytes(): rank for rank, state in enumerate(exact.states(count))}
    for i in range(2):
        ranks = [rank_of[w.tobytes()] for w in data.weights.values[i, :, 0]]
        assert np.array_equal(data.energy[i, :, 0, -1], exactly.energy[i, ranks])
        assert np.array_equal(data.error_rate[i, :, 0, -1], exactly.errors[i, ranks] / patterns.count)


def test_chunks_change_nothing(monkeypatch):
    machine = gpumc.TreeParity(10, k=2)
    whole = exact.enumerate_states(machine, patterns_of(machine), LOSSES[1])
    monkeypatch.setattr(exact, "CHUNK", 100)
    assert exact.enumerate_states(machine, patterns_of(machine), LOSSES[1]).equals(whole)


def test_several_gammas():
    machine, gammas = TINY[0], [0.5, 2.0]
    data = exact.enumerate_states(machine, patterns_of(machine), gpumc.CrossEntropy(gammas))
    assert data.energy.dims == ("instance", "gamma", "state")
    averages = exact.averages(machine, patterns_of(machine), gpumc.Gibbs(gpumc.CrossEntropy(gammas), [0.5, 1.0, 3.0]))
    assert averages.energy.dims == averages.log_partition.dims == ("instance", "beta", "gamma")
    for gamma in gammas:
        alone = exact.enumerate_states(machine, patterns_of(machine), gpumc.CrossEntropy(gamma))
        assert np.array_equal(data.energy.sel(gamma=gamma), alone.energy)
        one = exact.averages(machine, patterns_of(machine), gpumc.Gibbs(gpumc.CrossEntropy(gamma), 3.0))
        np.testing.assert_allclose(averages.energy.sel(gamma=gamma, beta=3.0), one.energy)


@by_name
def test_solutions_by_distance(machine):
    patterns, count = patterns_of(machine, alpha=0.4), machine.weight_count
    errors = exact.enumerate_states(machine, patterns).errors.values
    states = exact.states(count)
    reference = states[np.flatnonzero(errors[0] == 0)[0]]
    found = exact.solutions_by_distance(machine, patterns, reference)
    assert found.dims == ("instance", "flipped")
    assert found.sizes["flipped"] == count + 1
    assert np.array_equal(found.sum("flipped"), (errors == 0).sum(axis=1))
    assert found[0, 0] == 1
    for i in range(2):
        for flipped in range(count + 1):
            there = (states != reference).sum(axis=1) == flipped
            assert found[i, flipped] == (errors[i, there] == 0).sum()
    opposite = exact.solutions_by_distance(machine, patterns, -reference)
    assert np.array_equal(opposite, found[:, ::-1])


@by_name
@by_loss
def test_energy_is_the_derivative_of_log_z(machine, loss):
    patterns, step = patterns_of(machine), 1e-5
    data = exact.averages(machine, patterns, gpumc.Gibbs(loss, [1.3 - step, 1.3, 1.3 + step]))
    assert data.energy.dims == data.error_rate.dims == data.log_partition.dims == ("instance", "beta")
    derivative = (data.log_partition[:, 0] - data.log_partition[:, 2]) / (2 * step)
    np.testing.assert_allclose(derivative, data.energy[:, 1], rtol=1e-8)


@by_loss
def test_hot_and_cold_limits(loss):
    machine = TINY[0]
    patterns = patterns_of(machine)
    states = exact.enumerate_states(machine, patterns, loss)
    hot, cold = (exact.averages(machine, patterns, gpumc.Gibbs(loss, beta)) for beta in (0.0, 1e5))
    np.testing.assert_allclose(hot.log_partition, machine.weight_count * np.log(2))
    np.testing.assert_allclose(hot.energy, states.energy.mean("state"))
    np.testing.assert_allclose(hot.error_rate, states.errors.mean("state") / patterns.count)
    np.testing.assert_allclose(cold.energy, states.energy.min("state"))


def brute_force(loss, beta, coupling, replicas, centres):
    """(energy, overlap_centre, overlap_replicas) of instance 0 of FEW by a sum over every joint state, from the definitions."""
    states = np.array(list(product((-1, 1), repeat=5)))
    stability = FEW_PATTERNS.labels[0] * (states @ FEW_PATTERNS.xi[0].T.astype(int)) / np.sqrt(5)
    if loss.counts:
        energy = (stability < 0).sum(axis=1).astype(float)
    else:
        energy = (np.log(1 + np.exp(-2 * loss.gamma * stability)) / (2 * loss.gamma)).sum(axis=1)
    centres = states if centres is None else centres
    distance = ((centres[:, None] - states) ** 2).sum(axis=-1) / 2
    overlaps = states @ states.T / 5
    joint = np.array(list(product(range(len(centres)), *[range(32)] * replicas)))
    centre, members = joint[:, 0], joint[:, 1:].T
    log_p = sum(-beta * energy[w] - coupling * distance[centre, w] for w in members)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    pairs = [overlaps[members[a], members[b]] for a in range(replicas) for b in range(a)]
    to_centre = [1 - distance[centre, w] / 5 for w in members]
    return [float(p @ np.mean(values, axis=0)) for values in (energy[members], to_centre, pairs)]


@by_loss
@pytest.mark.parametrize("centre", ["explicit", "traced", "fixed"])
def test_three_replicas_against_brute_force(loss, centre):
    """All 2^20 joint states. The sampler's energies are rounded to 2^-20 a pattern."""
    fixed = np.array([1, 1, -1, 1, -1]) if centre == "fixed" else None
    expected = brute_force(loss, 1.1, 0.3, 3, None if fixed is None else fixed[None])
    measure = gpumc.LocalEntropy(loss, 1.1, 0.3, 3, centre if fixed is None else fixed)
    found = exact.averages(FEW, FEW_PATTERNS, measure)
    assert set(found) == {"energy", "energy_per_pattern", "error_rate", "overlap_centre", "overlap_replicas"}
    np.testing.assert_allclose(found.energy_per_pattern * FEW_PATTERNS.count, found.energy)
    assert not loss.counts or np.allclose(found.error_rate, found.energy_per_pattern)
    for name, value in zip(("energy", "overlap_centre", "overlap_replicas"), expected, strict=True):
        assert float(found[name][0]) == pytest.approx(value, abs=1e-5)


@by_loss
def test_joint_distribution_gives_the_averages(loss):
    measure = gpumc.LocalEntropy(loss, 1.1, 0.3, 3)
    joint = exact.joint_distribution(FEW, FEW_PATTERNS, measure)
    assert joint.dims == ("instance", "replica_0", "replica_1", "replica_2", "centre")
    np.testing.assert_allclose(joint.sum(joint.dims[1:]), 1)
    averages = exact.averages(FEW, FEW_PATTERNS, measure)
    energy = exact.enumerate_states(FEW, FEW_PATTERNS, loss).energy.values
    states = exact.states(5).astype(float)
    overlap = states @ states.T / 5
    one = joint.sum(["replica_1", "replica_2", "centre"]).values
    np.testing.assert_allclose((one * energy).sum(axis=1), averages.energy)
    to_centre = joint.sum(["replica_0", "replica_2"]).values
    np.testing.assert_allclose((to_centre * overlap).sum(axis=(1, 2)), averages.overlap_centre)
    pair = joint.sum(["replica_0", "centre"]).values
    np.testing.assert_allclose((pair * overlap).sum(axis=(1, 2)), averages.overlap_replicas)


def test_a_traced_centre_leaves_the_replicas_as_they_were():
    """P(W^1..W^y) ~ prod_a exp(-beta L(W^a)) prod_i 2cosh(coupling sum_a W^a_i), and the marginal of the explicit measure."""
    beta, coupling = 0.9, 0.35
    explicit, traced = (
        exact.joint_distribution(FEW, FEW_PATTERNS, gpumc.LocalEntropy(LOSSES[0], beta, coupling, 2, centre))
        for centre in ("explicit", "traced")
    )
    assert traced.dims == ("instance", "replica_0", "replica_1")
    np.testing.assert_allclose(explicit.sum("centre"), traced, rtol=1e-12)
    energy = exact.enumerate_states(FEW, FEW_PATTERNS).energy.values[0]
    states = exact.states(5).astype(int)
    attraction = np.log(2 * np.cosh(coupling * (states[:, None] + states[None]))).sum(axis=-1)
    formula = np.exp(-beta * (energy[:, None] + energy) + attraction)
    np.testing.assert_allclose(traced[0], formula / formula.sum(), rtol=1e-12)


@by_name
@by_loss
def test_without_coupling_replicas_are_gibbs(machine, loss):
    patterns = patterns_of(machine)
    found = exact.averages(machine, patterns, gpumc.LocalEntropy(loss, 0.8, 0.0, 4))
    np.testing.assert_allclose(found.energy, exact.averages(machine, patterns, gpumc.Gibbs(loss, 0.8)).energy)
    np.testing.assert_allclose(found.overlap_centre, 0, atol=1e-12)
    energy = exact.enumerate_states(machine, patterns, loss).energy.values
    weight = np.exp(-0.8 * energy)
    mean = weight @ exact.states(machine.weight_count) / weight.sum(axis=1, keepdims=True)
    # By symmetry it vanishes for the parity machines.
    np.testing.assert_allclose(found.overlap_replicas, (mean**2).mean(axis=1), rtol=1e-10, atol=1e-20)


@by_loss
@pytest.mark.parametrize("centre", ["explicit", "traced"])
def test_one_replica_is_gibbs(loss, centre):
    """The sum over the centre does not depend on one replica, and the centre follows it: <W.W~>/N = tanh(coupling)."""
    measure = gpumc.LocalEntropy(loss, 1.4, 0.6, 1, centre)
    found = exact.averages(FEW, FEW_PATTERNS, measure)
    np.testing.assert_allclose(found.energy, exact.averages(FEW, FEW_PATTERNS, gpumc.Gibbs(loss, 1.4)).energy)
    np.testing.assert_allclose(found.overlap_centre, np.tanh(0.6))
    assert np.all(np.isnan(found.overlap_replicas))
    energy = exact.enumerate_states(FEW, FEW_PATTERNS, loss).energy.values
    weight = np.exp(-1.4 * energy)
    joint = exact.joint_distribution(FEW, FEW_PATTERNS, measure)
    marginal = joint.sum("centre") if centre == "explicit" else joint
    np.testing.assert_allclose(marginal, weight / weight.sum(axis=1, keepdims=True))


def test_strong_coupling_makes_one_machine_of_all():
    """All replicas lie on the centre, whose weight is exp(-y beta L); a hundred of them overflow nothing."""
    for replicas in (3, 100):
        found = exact.averages(FEW, FEW_PATTERNS, gpumc.LocalEntropy(LOSSES[1], 0.3, 30.0, replicas))
        gibbs = exact.averages(FEW, FEW_PATTERNS, gpumc.Gibbs(LOSSES[1], 0.3 * replicas))
        np.testing.assert_allclose(found.energy, gibbs.energy, rtol=1e-9)
        np.testing.assert_allclose(found.overlap_replicas, 1)


def test_a_grid_of_a_measure_is_its_points():
    loss, patterns = gpumc.CrossEntropy([0.5, 2.0]), FEW_PATTERNS
    grid = exact.averages(FEW, patterns, gpumc.LocalEntropy(loss, [0.5, 1.0], [0.1, 0.4], 2))
    assert grid.energy.dims == ("instance", "beta", "gamma", "coupling")
    for beta, gamma, coupling in product((0.5, 1.0), (0.5, 2.0), (0.1, 0.4)):
        alone = exact.averages(FEW, patterns, gpumc.LocalEntropy(gpumc.CrossEntropy(gamma), beta, coupling, 2))
        point = grid.sel(beta=beta, gamma=gamma, coupling=coupling)
        for name in alone:
            assert np.array_equal(point[name], alone[name]), name


def test_a_centre_for_each_instance():
    centres = np.array([[1, 1, 1, -1, 1], [-1, 1, -1, -1, 1]])
    both = exact.averages(FEW, FEW_PATTERNS, gpumc.LocalEntropy(LOSSES[0], 1.0, 0.4, 2, centres))
    for i in range(2):
        alone = exact.averages(FEW, FEW_PATTERNS, gpumc.LocalEntropy(LOSSES[0], 1.0, 0.4, 2, centres[i]))
        for name in both:
            assert both[name][i] == alone[name][i]


ERRORS = LOSSES[0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: exact.states(25), "25 weights.*24"),
        (
            lambda: exact.enumerate_states(gpumc.FullCommittee(9, k=3), patterns_of(gpumc.Perceptron(9))),
            "27 weights.*24",
        ),
        (lambda: exact.enumerate_states(gpumc.Perceptron(7), FEW_PATTERNS), "5 inputs.*n = 7"),
        (lambda: exact.averages(FEW, FEW_PATTERNS, gpumc.Gibbs(ERRORS, -1.0)), "beta"),
        (lambda: exact.averages(FEW, FEW_PATTERNS, gpumc.Gibbs(ERRORS, np.inf)), "beta"),
        (lambda: exact.solutions_by_distance(FEW, FEW_PATTERNS, np.ones(4)), "reference has shape"),
        (lambda: exact.solutions_by_distance(FEW, FEW_PATTERNS, np.zeros(5)), "reference"),
        (lambda: exact.averages(FEW, FEW_PATTERNS, ERRORS), "measure"),
        (lambda: exact.averages(FEW, FEW_PATTERNS, gpumc.LocalEntropy(ERRORS, np.inf, 0.1, 2)), "beta"),
        (
            lambda: exact.joint_distribution(FEW, FEW_PATTERNS, gpumc.LocalEntropy(ERRORS, 1.0, [0.1, 0.2], 2)),
            "coupling",
        ),
        (lambda: exact.averages(FEW, FEW_PATTERNS, gpumc.LocalEntropy(ERRORS, 1.0, 0.1, 2, np.ones(4))), "centre"),
        (lambda: exact.joint_distribution(FEW, FEW_PATTERNS, gpumc.LocalEntropy(ERRORS, 1.0, 0.1, 4)), "25 weights"),
    ],
)
def test_what_cannot_be_enumerated(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
