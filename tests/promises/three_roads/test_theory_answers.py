"""Theory gives answers that can be: no negative entropy of discrete weights, known values at beta = 0, one machine at a time."""

import numpy as np
import pytest

import gpumc
from gpumc import theory
from gpumc.errors import ConfigError

BINARY, SPHERICAL = theory.Limit("perceptron"), theory.Limit("perceptron", "spherical")
LOG_2 = np.log(2)


def no_answer(data, rows):
    """NaN and a flag in ``rows``, the iteration having found its point."""
    np.testing.assert_array_equal(~data.converged, rows)
    assert np.all(data.residual.values[rows] < 1e-9)
    for name in ("entropy", "overlap", "energy_per_pattern", "log_volume", "local_entropy"):
        if name in data:
            np.testing.assert_array_equal(np.isnan(data[name]), rows, name)


def test_no_negative_entropies_of_configurations():
    """Above the capacity, 0.833, and colder than where the entropy vanishes, beta = 6.78 at alpha = 0.9."""
    solutions = theory.replica_symmetric(BINARY, alpha=[0.8, 0.9])
    no_answer(solutions, np.array([False, True]))
    assert not solutions.stable[1]
    no_answer(
        theory.replica_symmetric(BINARY, gpumc.Gibbs(gpumc.ErrorCount(), [3.0, 6.7, 6.9, 10.0]), alpha=0.9),
        np.array([False, False, True, True]),
    )
    cross_entropy = gpumc.CrossEntropy(1.0)
    frozen = theory.replica_symmetric(BINARY, gpumc.Gibbs(cross_entropy, np.inf), alpha=0.4).beta_frozen.item()
    near = theory.replica_symmetric(BINARY, gpumc.Gibbs(cross_entropy, [0.99 * frozen, 1.01 * frozen]), alpha=0.4)
    no_answer(near, np.array([False, True]))


def test_spherical_entropies_may_be_negative():
    assert theory.replica_symmetric(SPHERICAL, alpha=1.5).entropy == pytest.approx(-1.5892, abs=1e-4)


def test_no_negative_local_entropies():
    no_answer(
        theory.franz_parisi(theory.Limit("perceptron"), alpha=0.4, distance=[0.001, 0.3]), np.array([True, False])
    )


def test_no_clusters_above_the_capacity():
    assert not theory.dense_clusters(BINARY, alpha=0.9, distance=[0.02, 0.1]).converged.any()
    parity = theory.dense_clusters(theory.Limit("tree-parity", k=3), alpha=[0.9, 1.1], distance=0.3, replicas=2)
    assert parity.converged.values.tolist() == [True, False]
    assert np.isnan(parity.entropy[1])


def test_no_negative_entropies_of_replicas():
    """One replica without coupling is the symmetric theory; beside its entropy there is that of the centre, which is log 2."""
    found = theory.replica_symmetric(
        theory.Limit("perceptron"), gpumc.LocalEntropy(gpumc.ErrorCount(), [6.0, 7.5], 0.0, 1), alpha=0.9
    )
    expected = theory.replica_symmetric(BINARY, gpumc.Gibbs(gpumc.ErrorCount(), 6.0), alpha=0.9)
    assert found.converged.values.tolist() == [True, False]
    assert found.entropy[0].item() == pytest.approx(expected.entropy.item() + LOG_2, abs=1e-6)
    assert np.isnan(found.energy_per_pattern[1])


@pytest.mark.parametrize("machine", [BINARY, SPHERICAL, theory.Limit("tree-committee", k=3)], ids=str)
def test_beta_0(machine):
    data = theory.replica_symmetric(machine, gpumc.Gibbs(gpumc.ErrorCount(), 0.0), alpha=0.7)
    whole = 0.0 if machine == SPHERICAL else LOG_2
    for name, value in {"entropy": whole, "free_entropy": whole, "energy_per_pattern": 0.5, "overlap": 0.0}.items():
        assert data[name].item() == pytest.approx(value, abs=1e-13)  # the rounding of a sum over nodes
    assert data.converged
    assert data.replicon.item() == pytest.approx(1, abs=1e-14)


def test_beta_0_of_other_losses():
    """E f(z) over a normal stability."""
    z, weight = np.polynomial.hermite_e.hermegauss(100)
    loss = gpumc.CrossEntropy([0.5, 1.0])
    data = theory.replica_symmetric(BINARY, gpumc.Gibbs(loss, 0.0), alpha=0.7)
    expected = [point.values(z) @ weight / weight.sum() for point in loss.points()]
    np.testing.assert_allclose(data.energy_per_pattern, expected, atol=1e-8)
    np.testing.assert_allclose(data.entropy, LOG_2, atol=1e-14)


def test_beta_0_of_replicas():
    """Free spins around a free centre."""
    data = theory.replica_symmetric(
        theory.Limit("perceptron"), gpumc.LocalEntropy(gpumc.ErrorCount(), 0.0, 0.5, 3), alpha=0.7
    )
    mean = np.tanh(0.5)
    entropy = LOG_2 / 3 + np.log(2 * np.cosh(0.5)) - 0.5 * mean
    expected = {
        "entropy": entropy,
        "energy_per_pattern": 0.5,
        "overlap_centre": mean,
        "overlap_replicas": mean**2,
        "overlap_others": 0.0,
    }
    for name, value in expected.items():
        assert data[name].item() == pytest.approx(value, abs=1e-8), name


def test_beta_0_of_references():
    """At half of the weights from any configuration there are the typical solutions."""
    data = theory.franz_parisi(
        theory.Limit("perceptron"), gpumc.Gibbs(gpumc.ErrorCount(), 0.0), alpha=0.4, distance=0.5
    )
    typical = theory.replica_symmetric(BINARY, alpha=0.4)
    assert data.entropy.item() == pytest.approx(typical.entropy.item(), abs=1e-8)
    assert data.overlap.item() == pytest.approx(typical.overlap.item(), abs=1e-6)


def test_zero_entropy_takes_names_machines_limits_and_arrays():
    loss = gpumc.CrossEntropy([0.5, 2.0])
    named = theory.zero_entropy(BINARY, loss, alpha=[0.3, 0.5])
    assert named.dims == ("alpha", "gamma")
    for machine in (gpumc.Perceptron(11), theory.Limit("perceptron")):
        one = theory.zero_entropy(machine, gpumc.CrossEntropy(2.0), alpha=0.5)
        assert float(one) == pytest.approx(named.sel(alpha=0.5, gamma=2.0).item(), rel=1e-9)
    at_that = theory.replica_symmetric(BINARY, gpumc.Gibbs(gpumc.CrossEntropy(2.0), float(one) * 0.999999), alpha=0.5)
    assert 0 <= at_that.entropy < 1e-5
    assert theory.zero_entropy(BINARY, alpha=0.9).item() == pytest.approx(6.7777, abs=1e-3)
    assert np.isposinf(theory.zero_entropy(BINARY, alpha=0.0))
    with pytest.raises(ConfigError, match="binary weights"):
        theory.zero_entropy(SPHERICAL, alpha=0.5)


COMMITTEE = gpumc.TreeCommittee(999, k=9, weights="spherical")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.capacity("binary-perceptron"), "theory.Limit"),
        (lambda: theory.capacity(gpumc.FullCommittee(9, k=3)), "full-committee"),
        (lambda: theory.Limit("tree-comittee"), "did you mean 'tree-committee'"),
        (lambda: theory.Limit("perceptron", k=3), "one unit"),
        (lambda: theory.Limit("tree-committee", k=float("nan")), "k = nan"),
        (lambda: theory.Limit("tree-committee", k=1e300), "a whole number from 1 to"),
    ],
)
def test_machines_without_a_theory(call, words):
    with pytest.raises(ConfigError, match=words):
        call()


@pytest.mark.parametrize(
    "function", [theory.capacity, theory.replica_symmetric, theory.zero_entropy, theory.dense_clusters]
)
@pytest.mark.parametrize("beside", [{"k": 3}, {"activation": "relu"}], ids=str)
def test_nothing_beside_a_machine_says_what_it_is(function, beside):
    with pytest.raises(TypeError, match="unexpected keyword"):
        function(COMMITTEE, **beside)


def test_a_machine_is_its_limit():
    assert theory.Limit.of(COMMITTEE) == theory.Limit("tree-committee", "spherical", 9)
    assert theory.Limit("tree-committee", k=np.uint8(3)).k + 255 == 258
