"""Gaussian messages on the sphere, and focusing with them."""

import numpy as np
import pytest

import gpumc
from gpumc.messages.spherical_priors import SphericalDistance, SphericalPull, SphericalReplicas

INCOMING = np.stack(
    [np.random.default_rng(1).normal(size=(3, 2, 8)), np.random.default_rng(2).uniform(-0.3, 2, (3, 2, 8))], axis=1
)
REFERENCE = np.random.default_rng(3).normal(size=(3, 2, 8))
REFERENCE /= np.sqrt((REFERENCE**2).mean(axis=2, keepdims=True))


def moments(fields):
    return fields[:, 0] / fields[:, 1], 1 / fields[:, 1]


def test_the_norm_is_held():
    pull = SphericalPull(REFERENCE, np.array([0.0, 1.0, -3.0]))
    mean, variance = moments(pull.fields(INCOMING))
    np.testing.assert_allclose((mean**2 + variance).sum(axis=(1, 2)), 16, rtol=1e-12)
    nothing = SphericalPull(REFERENCE, np.zeros(3))
    np.testing.assert_allclose(nothing.log_partition(np.zeros_like(INCOMING)), 0, atol=1e-12)


def test_a_distance_is_held():
    wanted = np.array([0.1, 0.3, 0.5])
    pull = SphericalDistance(REFERENCE, wanted).pull(INCOMING)
    np.testing.assert_allclose(pull.distance(INCOMING), wanted, atol=1e-10)
    step = 1e-5
    up, down = (SphericalPull(REFERENCE, pull.h + s).log_partition(INCOMING) for s in (step, -step))
    np.testing.assert_allclose((down - up) / (2 * step) / 16, wanted, atol=1e-8)


def test_the_pseudo_node():
    """Its message is the one of the docstring; one replica hears nothing; without a limit to the coupling y - 1 copies are added."""
    y, c = np.array([1.0, 4.0, 4.0]), np.array([2.0, 2.0, np.inf])
    prior = SphericalReplicas(y, c)
    mean, variance = moments(prior.fields(INCOMING))
    cavity = INCOMING[:, 0] / mean
    for row in range(3):
        v = 1 / cavity[row]
        others = 0 if y[row] == 1 else 1 / (1 / c[row] + (v + 1 / c[row]) / (y[row] - 1))
        np.testing.assert_allclose(1 / variance[row], cavity[row] + others, rtol=1e-10)
    np.testing.assert_allclose(variance[2], 1 / (4 * cavity[2]))
    np.testing.assert_allclose((mean**2 + variance).sum(axis=(1, 2)), 16, rtol=1e-12)


def test_overlap_with_the_centre():
    """Against the covariance of the Gaussian of all replicas' and the centre's copies of one weight."""
    y, c = 3, 0.7
    prior = SphericalReplicas(np.full(3, float(y)), np.full(3, c))
    mean, _ = moments(prior.fields(INCOMING))
    cavity = INCOMING[:, 0] / mean
    found = 0.0
    for a, m in zip(cavity[0].ravel(), mean[0].ravel(), strict=True):
        precision = np.diag([a + c] * y + [y * c])
        precision[-1, :-1] = precision[:-1, -1] = -c
        found += m**2 + np.linalg.inv(precision)[0, -1]
    assert prior.overlap_centre(INCOMING)[0] == pytest.approx(found / 16)


@pytest.mark.parametrize("protocol", ["standard-reinforcement", "scoping", "pseudo-reinforcement"])
def test_focusing_solves_perceptrons(protocol):
    machine = gpumc.Perceptron(501, weights="spherical")
    patterns = gpumc.random_patterns(machine, 1.5, 10, seed=1)
    found = gpumc.focusing_bp(machine, patterns, protocol=protocol, device="cpu")
    assert found.solved.mean() >= 0.9
    for i in range(10):
        weights = found.weights.values[i]
        np.testing.assert_allclose((weights**2).sum(axis=1), 501)
        stability = machine.stabilities(weights, patterns.xi[i], patterns.labels[i])
        assert (stability < 0).sum() == found.errors.values[i, 0]


def test_focusing_solves_committees():
    machine = gpumc.TreeCommittee(333, k=3, weights="spherical")
    patterns = gpumc.random_patterns(machine, 1.0, 4, seed=1)
    found = gpumc.focusing_bp(machine, patterns, protocol="scoping", starts=2, device="cpu")
    assert found.solved.any("start").all()
    curve = gpumc.local_entropy(machine, patterns, found.weights, distance=[0.05, 0.1, 0.2, 0.4], device="cpu")
    solved = curve.log_volume.where(found.solved)
    assert (solved.diff("distance").fillna(-1) < 0).all()
    assert float(solved.isel(distance=0).max()) < 0
