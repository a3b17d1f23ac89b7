"""Franz-Parisi entropies: the typical entropy at their maximum, their derivative, and belief propagation around sampled references."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import gpumc
from gpumc import theory
from gpumc.errors import ConfigError

MACHINE = gpumc.Perceptron(1001)
PERCEPTRON = theory.Limit("perceptron")


@pytest.mark.parametrize("alpha", [0.2, 0.4, 0.6])
def test_maximum_is_the_typical_entropy(alpha):
    """Around typical solutions, at the distance of two of them, where no field is needed."""
    typical = theory.replica_symmetric(PERCEPTRON, alpha=alpha)
    distance = (1 - typical.overlap.item()) / 2
    top = theory.franz_parisi(PERCEPTRON, alpha=alpha, distance=[distance - 0.01, distance, distance + 0.01])
    assert top.converged.all()
    assert top.entropy[1] == pytest.approx(typical.entropy.item(), abs=1e-6)
    assert top.field[1] == pytest.approx(0, abs=1e-6)
    assert top.overlap[1] == pytest.approx(typical.overlap.item(), abs=1e-6)
    assert np.all(top.entropy[[0, 2]] < top.entropy[1])


REFERENCES = [(gpumc.ErrorCount(), np.inf), (gpumc.ErrorCount(), 1.0), (gpumc.CrossEntropy(1.0), 5.0)]


@pytest.mark.parametrize(("loss", "beta"), REFERENCES, ids=["solutions", "errors", "cross-entropy"])
def test_field_is_the_derivative(loss, beta):
    """dS/dD by differences."""
    places = [0.2 - 1e-4, 0.2, 0.2 + 1e-4]
    found = theory.franz_parisi(PERCEPTRON, gpumc.Gibbs(loss, beta), alpha=0.4, distance=places)
    assert found.converged.all()
    s = found.entropy.values
    assert found.field[1] == pytest.approx((s[2] - s[0]) / 2e-4, rel=1e-5)
    assert found.log_volume[1] == pytest.approx(s[1] + 0.2 * np.log(0.2) + 0.8 * np.log(0.8))


@pytest.mark.parametrize("distance", [0.05, 0.3])
def test_few_patterns(distance):
    """Each by itself: alpha times the mean over x > 0, the reference's stability, of log H(-s x / sqrt(1 - s^2))."""
    s = 1 - 2 * distance
    by_itself = quad(lambda x: 2 * norm.pdf(x) * norm.logcdf(s * x / np.sqrt(1 - s**2)), 0, 12)[0]
    found = theory.franz_parisi(PERCEPTRON, alpha=[1e-4, 1e-6], distance=distance)
    assert found.converged.all()
    assert found.log_volume[0].item() == pytest.approx(1e-4 * by_itself, rel=2e-3)
    assert found.log_volume[1].item() == pytest.approx(1e-6 * by_itself, rel=2e-3)


def test_random_references():
    """At beta -> 0 the reference is any configuration: S at D = 1/2 is the typical entropy."""
    hot = theory.franz_parisi(PERCEPTRON, gpumc.Gibbs(gpumc.ErrorCount(), 1e-6), alpha=0.4, distance=[0.5])
    typical = theory.replica_symmetric(PERCEPTRON, alpha=0.4)
    assert hot.entropy[0] == pytest.approx(typical.entropy.item(), abs=1e-5)
    assert hot.overlap[0] == pytest.approx(typical.overlap.item(), abs=1e-4)


def test_typical_solutions_are_isolated():
    """No solution is near to a typical one (H. Huang, Y. Kabashima, Phys. Rev. E 90, 052813 (2014)): S would be negative at small D.
    Near to a minimum of the cross-entropy there are as many as without patterns, to 1 %."""
    near = [0.001, 0.002]
    alone = theory.franz_parisi(PERCEPTRON, alpha=0.4, distance=near)
    assert np.isnan(alone.entropy).all()
    assert not alone.converged.any()
    assert np.all(alone.residual < 1e-9)
    minima = theory.franz_parisi(PERCEPTRON, gpumc.Gibbs(gpumc.CrossEntropy(2.0), np.inf), alpha=0.4, distance=near)
    assert minima.converged.all()
    np.testing.assert_allclose(minima.entropy, minima.entropy_bound, rtol=0.01)


#: At gamma = 0.3, 1 and 5, by three times as many points on wider ranges.
COLD = [[0.25739389, 0.39619341], [0.2750927, 0.39628132], [0.27276334, 0.39644088]]


def test_cold_references_are_resolved():
    """At zero entropy, where the reference's fields are far from what they would be alone."""
    found = theory.franz_parisi(
        PERCEPTRON,
        gpumc.Gibbs(gpumc.CrossEntropy([0.3, 1.0, 5.0]), np.inf),
        alpha=0.4,
        distance=[0.1, 0.3],
    )
    assert found.converged.all()
    assert np.all(found.quadrature_error < 1e-7)
    np.testing.assert_allclose(found.entropy, COLD, atol=2e-8)


def sampled(loss, beta, n, instances, burn_in):
    """Configurations of the measure, one of each instance, and their patterns."""
    machine = gpumc.Perceptron(n)
    patterns = gpumc.random_patterns(machine, 0.4, instances, seed=1)
    data = gpumc.sample(
        machine, patterns, gpumc.Gibbs(loss, beta), chains=1, burn_in=burn_in, sweeps=1, every=1, seed=2, device="auto"
    )
    return machine, patterns, data.weights.values[:, 0, 0]


#: What n = 1001 and 4001 are allowed to differ from the limit beside the scatter of instances: a shift of the order of 1/n.
SHIFT = 2.0


@pytest.mark.parametrize(
    ("loss", "beta", "n", "instances"),
    [
        (gpumc.ErrorCount(), 1.0, 1001, 24),
        (gpumc.CrossEntropy(1.0), 5.0, 1001, 32),
        pytest.param(gpumc.ErrorCount(), 1.0, 4001, 24, marks=pytest.mark.long),
        pytest.param(gpumc.CrossEntropy(1.0), 5.0, 4001, 24, marks=pytest.mark.long),
    ],
)
def test_belief_propagation_around_samples(loss, beta, n, instances):
    """Its local entropies around configurations that were sampled lie on the curve: within 3 standard errors over instances and
    2 / n. Each comparison fails by chance in 0.3 % of seeds, which are fixed."""
    machine, patterns, references = sampled(loss, beta, n, instances, burn_in=300)
    distance = [0.2, 0.3, 0.4] if loss.counts else [0.1, 0.2, 0.3]
    found = gpumc.local_entropy(machine, patterns, references, distance=distance, device="auto")
    assert found.converged.mean() > 0.95
    expected = theory.franz_parisi(
        PERCEPTRON, gpumc.Gibbs(loss, beta), alpha=patterns.count / n, distance=distance
    ).entropy.values
    values = found.entropy.values.reshape(instances, len(distance))
    error = np.nanstd(values, axis=0, ddof=1) / np.sqrt(instances)
    for row in zip(distance, np.nanmean(values, axis=0), error, expected, strict=True):
        print(f"{loss} beta = {beta:g} n = {n}: D = {row[0]:.2f}: {row[1]:.5f} +- {row[2]:.5f}, theory {row[3]:.5f}")
    assert np.all(error < 0.005)
    assert np.all(np.abs(np.nanmean(values, axis=0) - expected) < 3 * error + SHIFT / n)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"alpha": -0.1, "distance": 0.1}, "alpha"),
        ({"alpha": 0.4, "distance": 0.6}, "distance"),
        ({"alpha": 0.4, "distance": 0.0}, "distance"),
        ({"alpha": 0.4, "distance": 0.1, "machine": theory.Limit("perceptron", "spherical")}, "binary perceptron"),
        ({"alpha": 0.4, "distance": 0.1, "reference": gpumc.ErrorCount()}, "reference = "),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ConfigError, match=words):
        theory.franz_parisi(**({"machine": PERCEPTRON} | call))


def test_no_reference_no_answer():
    """Above the capacity there is no typical solution."""
    beyond = theory.franz_parisi(PERCEPTRON, alpha=3.0, distance=[0.1])
    assert not beyond.converged.any()
    assert np.isnan(beyond.entropy).all()
    frozen = theory.franz_parisi(
        PERCEPTRON, gpumc.Gibbs(gpumc.CrossEntropy(1.0), 1000.0), alpha=0.4, distance=[0.1, 0.2]
    )
    assert not frozen.converged.any()
