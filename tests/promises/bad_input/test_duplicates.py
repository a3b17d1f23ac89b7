"""Patterns that a machine cannot tell apart are one constraint in belief propagation, and their losses are summed."""

import warnings

import numpy as np
import pytest

import gpumc
from gpumc import exact
from gpumc.patterns import alike
from tests.variants import SIGNS, by_machine

MACHINES = (
    gpumc.Perceptron(21),
    gpumc.TreeCommittee(99, 3),
    gpumc.FullCommittee(7, 3),
    gpumc.TreeParity(21, 3),
    gpumc.Perceptron(51, weights="spherical"),
    gpumc.TreeCommittee(27, 3, weights="spherical"),
)
machines = pytest.mark.parametrize("machine", MACHINES, ids=lambda m: f"{m.kind}-{m.weights}-{m.n}")
NUMPY = {"device": "numpy"}


def repeated(machine, xi, labels, how):
    """The same constraints more than once: all again, all as opposites, two again, or, on spheres, all by a positive factor."""
    again, wanted = {
        "twice": (xi, labels),
        "opposites": (-xi, -labels),
        "some": (xi[:2], labels[:2]),
        "scaled": ((0.3 if machine.spherical else 1) * xi, labels),
    }[how]
    return gpumc.Patterns(np.concatenate([xi, again]), np.concatenate([labels, wanted]))


def once(machine, alpha=0.3):
    patterns = gpumc.random_patterns(machine, alpha, seed=1)
    return patterns, patterns.xi[0], patterns.labels[0]


@machines
def test_a_constraint_counts_once(machine):
    patterns, xi, labels = once(machine)
    forms = ("amp", "relaxed", "exact") if machine == MACHINES[0] else ("auto",)
    for form in forms:
        how = gpumc.BeliefPropagation(form)
        expected = gpumc.entropy(machine, patterns, method=how, **NUMPY)
        assert expected.converged.all()
        for more in ("twice", "opposites", "some", "scaled"):
            found = gpumc.entropy(machine, repeated(machine, xi, labels, more), method=how, **NUMPY)
            for name in ("entropy", "free_entropy", "energy", "magnetisation"):
                assert abs(found[name] - expected[name]).max() < 1e-9, (form, more, name)


@machines
def test_a_constraint_counts_once_around_a_reference(machine):
    patterns, xi, labels = once(machine)
    reference = np.ones(machine.weight_count)
    expected = gpumc.local_entropy(machine, patterns, reference, distance=0.45, **NUMPY)
    assert expected.converged.any()
    for more in ("twice", "scaled"):
        found = gpumc.local_entropy(machine, repeated(machine, xi, labels, more), reference, distance=0.45, **NUMPY)
        assert np.array_equal(found.converged, expected.converged)
        for name in ("entropy", "field"):
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("machine", "alpha"), [(gpumc.Perceptron(51), 0.8), (gpumc.Perceptron(51, weights="spherical"), 2.5)]
)
def test_focusing_searches_as_if_they_were_once(machine, alpha):
    """And counts all errors: too few steps leave some."""
    patterns, xi, labels = once(machine, alpha)
    few, more = gpumc.PseudoReinforcement([0.0, 0.1]), gpumc.StandardReinforcement([0.0, 0.3, 0.6, 0.8, 0.9])
    for protocol in (few, more):
        expected = gpumc.focusing_bp(machine, patterns, protocol=protocol, starts=2, **NUMPY)
        found = gpumc.focusing_bp(machine, repeated(machine, xi, labels, "twice"), protocol=protocol, starts=2, **NUMPY)
        assert np.array_equal(found.weights, expected.weights)
        assert np.array_equal(found.errors, 2 * expected.errors)
        np.testing.assert_array_equal(found.local_entropy, expected.local_entropy)
        assert expected.errors.any() or protocol is not few


@by_machine(SIGNS)
@pytest.mark.parametrize("loss", [gpumc.ErrorCount(), gpumc.CrossEntropy(1.5)], ids=str)
def test_losses_of_one_constraint_are_summed(machine, loss):
    """One input is a tree, where messages are exact: three patterns want one output of it, and one the other."""
    xi = gpumc.random_patterns(machine, 1.0, seed=2).xi[0][[0, 0, 0, 0]].copy()
    xi[1] *= -1
    odd = not machine.readout.by_unit or machine.k % 2
    patterns = gpumc.Patterns(xi, [1, -1 if odd else 1, -1, 1])
    beta = [0.3, 2.0]
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, beta))
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, beta), method=gpumc.BeliefPropagation("exact"), **NUMPY)
    assert found.converged.all()
    tolerance = 1e-9 if loss.counts else 1e-5  # the enumerated loss is a multiple of 2^-20
    assert abs(found.free_entropy - truth.log_partition / machine.weight_count).max() < tolerance
    assert abs(found.energy - truth.energy).max() < tolerance


@pytest.mark.parametrize("form", ["amp", "relaxed", "exact"])
@pytest.mark.parametrize("loss", [gpumc.ErrorCount(), gpumc.CrossEntropy(1.0)], ids=str)
def test_finite_temperature_is_near_enumeration(form, loss):
    """Every constraint two to four times, two of them with the other label too: as near as for patterns that are there once."""
    machine = gpumc.Perceptron(13)
    _, xi, labels = once(machine)
    more, wanted = (xi, xi, xi[:2], xi[:2]), (labels, labels, labels[:2], -labels[:2])
    patterns = gpumc.Patterns(np.concatenate(more), np.concatenate(wanted))
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, 1.0))
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, 1.0), method=gpumc.BeliefPropagation(form), **NUMPY)
    assert found.converged.all()
    assert abs(found.free_entropy - truth.log_partition / 13) < 0.007
    assert abs(found.energy / truth.energy - 1) < 0.04


def test_no_instance_depends_on_the_duplicates_of_another():
    machine = gpumc.Perceptron(101)
    patterns = gpumc.random_patterns(machine, 0.4, 3, seed=3)
    xi, labels = patterns.xi.copy(), patterns.labels.copy()
    xi[1, 5:9], labels[1, 5:9] = xi[1, 0], labels[1, 0]
    mixed = gpumc.entropy(machine, gpumc.Patterns(xi, labels), **NUMPY)
    for i in range(3):
        alone = gpumc.entropy(machine, gpumc.Patterns(xi[i], labels[i]), **NUMPY)
        assert np.array_equal(alone.entropy[0], mixed.entropy[i])


def test_the_cross_entropy_of_a_perceptron_depends_on_the_scale():
    """Patterns are one only where they are equal or opposite."""
    machine = gpumc.Perceptron(51, weights="spherical")
    patterns, xi, labels = once(machine)
    soft = gpumc.Gibbs(gpumc.CrossEntropy(1.0), 2.0)
    twice = gpumc.entropy(machine, repeated(machine, xi, labels, "twice"), soft, **NUMPY)
    opposites = gpumc.entropy(machine, repeated(machine, xi, labels, "opposites"), soft, **NUMPY)
    harder = gpumc.entropy(machine, patterns, gpumc.Gibbs(gpumc.CrossEntropy(1.0), 4.0), **NUMPY)
    assert abs(twice.free_entropy - harder.free_entropy).max() < 1e-9
    assert abs(twice.energy - 2 * harder.energy).max() < 1e-7
    assert abs(opposites.free_entropy - twice.free_entropy).max() < 1e-12
    both = np.concatenate([xi, 3.0 * xi])
    wanted = np.concatenate([labels, labels])
    assert len(np.unique(alike(machine, both, wanted)[0])) == len(xi)
    assert len(np.unique(alike(machine, both, wanted, scaled=False)[0])) == 2 * len(xi)


def test_rounding_hides_no_factor():
    """Products with arbitrary factors differ in their last bits: rounding to decimals tells some of them apart."""
    machine = gpumc.Perceptron(200, weights="spherical")
    rng = np.random.default_rng(1)
    xi = rng.normal(size=(100, 200))
    both = np.concatenate([xi, xi * rng.uniform(0.1, 30, (100, 1))])
    first, agrees = alike(machine, both, np.ones(200, np.int8))
    assert np.array_equal(first, np.tile(np.arange(100), 2))
    assert (agrees == 1).all()
    twins = np.stack([xi, both[100:]], axis=1)
    labels = np.tile(np.array([1, -1], np.int8), (100, 1))
    assert gpumc.Patterns(twins, labels).contradictions(machine).all()


def test_nearly_equal_patterns_are_warned_of():
    machine = gpumc.Perceptron(201)
    patterns, xi, labels = once(machine)
    near = xi[:3] * np.where(np.arange(201) < 5, -1, 1)
    near[0] *= -1  # with the opposite label
    doubtful = gpumc.Patterns(np.concatenate([xi, near]), np.concatenate([labels, [-labels[0]], labels[1:3]]))
    with pytest.warns(UserWarning, match="6 of instance 0.*independent"):
        gpumc.entropy(machine, doubtful, **NUMPY)
    with pytest.warns(UserWarning, match="6 of instance 0"):
        gpumc.focusing_bp(machine, doubtful, **NUMPY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gpumc.entropy(machine, patterns, **NUMPY)
        gpumc.entropy(machine, repeated(machine, xi, labels, "opposites"), **NUMPY)


def test_focusing_says_that_nothing_solves_a_contradiction():
    machine = gpumc.Perceptron(51)
    _, xi, labels = once(machine)
    contradiction = gpumc.Patterns(np.concatenate([xi, xi[:1]]), np.concatenate([labels, -labels[:1]]))
    with pytest.warns(UserWarning, match="instance 0 contradict"):
        found = gpumc.focusing_bp(machine, contradiction, **NUMPY)
    assert found.errors.item() == 1
    assert np.isnan(found.local_entropy).all()
