"""Spherical weights of units that share inputs: correlated fields, a sphere for each unit, and volumes against splitting."""

import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import gpumc
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.messages.correlated import common_points
from gpumc.messages.likelihoods import channel
from gpumc.messages.unit_spheres import UnitSpheresDistance, UnitSpheresPull

NUMPY = {"device": "numpy"}
UNITS = 3


def _node(machine, mean, covariance, loss=None, beta=np.inf):
    """The factor node of one pattern."""
    counts = np.array([[[1.0]], [[0.0]]])
    factors = channel(choose("numpy"), machine, (loss or gpumc.ErrorCount()).rows(1), np.array([beta]), counts, float)
    return factors.gaussian(mean[None, :, None], covariance[None, ..., None])


def _covariance(strength, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(UNITS, UNITS))
    correlation = np.eye(UNITS) + strength * (noise + noise.T) / 2
    np.fill_diagonal(correlation, 1)
    sizes = rng.uniform(0.5, 2, UNITS)
    return correlation * np.outer(sizes, sizes)


def _orthants(mean, covariance):
    """The probability that most of correlated normal variables are positive."""
    total = 0.0
    for signs in itertools.product((1, -1), repeat=len(mean)):
        if sum(signs) > 0:
            turned = np.diag(signs)
            total += multivariate_normal(-turned @ mean, turned @ covariance @ turned).cdf(np.zeros(len(mean)))
    return total


@pytest.mark.parametrize(("strength", "tolerance"), [(0.0, 1e-9), (0.1, 2e-3), (0.3, 2e-2)])
def test_correlated_signs_against_orthants(strength, tolerance):
    """The average of a pattern, to what the points of the common part leave: nothing where units are independent."""
    machine = gpumc.FullCommittee(21, k=UNITS, weights="spherical")
    mean, covariance = np.array([0.7, -0.4, 1.1]), _covariance(strength)
    found = _node(machine, mean, covariance)
    assert abs(found.log_z[0, 0] - np.log(_orthants(mean, covariance))) < tolerance


@pytest.mark.parametrize("output", [None, (3, -1, 1)])
@pytest.mark.parametrize(("loss", "beta"), [(gpumc.ErrorCount(), np.inf), (gpumc.CrossEntropy(1.0), 2.0)])
def test_slopes_and_curvatures(output, loss, beta):
    machine = gpumc.FullCommittee(21, k=UNITS, weights="spherical", output=output)
    mean, covariance, step = np.array([0.7, -0.4, 1.1]), _covariance(0.3), 1e-5
    found = _node(machine, mean, covariance, loss, beta)
    up, down = (
        [_node(machine, mean + s * move, covariance, loss, beta) for move in np.eye(UNITS)] for s in (step, -step)
    )
    slope = [(a.log_z - b.log_z)[0, 0] / (2 * step) for a, b in zip(up, down, strict=True)]
    curvature = [(a.slope - b.slope)[0, :, 0] / (2 * step) for a, b in zip(up, down, strict=True)]
    np.testing.assert_allclose(found.slope[0, :, 0], slope, atol=1e-9)
    np.testing.assert_allclose(found.curvature[0, ..., 0], curvature, atol=1e-9)


def test_points_are_symmetric_and_white():
    points = common_points(9)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(points.T @ points / len(points), np.eye(9), atol=1e-12)


def _messages(uniform):
    rng = np.random.default_rng(1)
    rows, inputs = 2, 8
    matrices = rng.normal(size=(rows, UNITS, UNITS, 1 if uniform else inputs)) * 0.4
    matrices = matrices + matrices.swapaxes(1, 2)
    messages = np.empty((rows, 1 + UNITS, UNITS, inputs))
    messages[:, 0], messages[:, 1:] = rng.normal(size=(rows, UNITS, inputs)), matrices
    reference = rng.normal(size=(rows, UNITS, inputs))
    return messages, reference / np.sqrt((reference**2).mean(axis=2, keepdims=True))


def _moments(fields):
    precision = np.moveaxis(fields[:, 1:], 3, 1)
    covariance = np.linalg.inv(precision)
    mean = (covariance @ np.moveaxis(fields[:, 0], 2, 1)[..., None])[..., 0]
    return mean, covariance


@pytest.mark.parametrize("uniform", [True, False])
def test_every_unit_has_its_norm_and_all_the_distance(uniform):
    """Also where matrices have negative eigenvalues; the derivative of log Z by the field is minus the distance."""
    messages, reference = _messages(uniform)
    assert np.linalg.eigvalsh(np.moveaxis(messages[:, 1:], 3, 1)).min() < -0.5
    wanted = np.array([0.05, 0.3])
    prior = UnitSpheresDistance(reference, wanted, uniform)
    mean, covariance = _moments(prior.fields(messages))
    norms = (mean**2 + np.einsum("rill->ril", covariance)).sum(axis=1)
    np.testing.assert_allclose(norms, 8, rtol=1e-8)
    overlap = (mean * np.moveaxis(reference, 2, 1)).mean(axis=(1, 2))
    np.testing.assert_allclose((1 - overlap) / 2, wanted, atol=1e-9)
    pull, step, count = prior.pull(messages), 1e-5, 8 * UNITS
    np.testing.assert_allclose(pull.distance(messages), wanted, atol=1e-9)
    up, down = (UnitSpheresPull(reference, pull.h + s, uniform).log_partition(messages) for s in (step, -step))
    np.testing.assert_allclose((down - up) / (2 * step * count), wanted, atol=1e-7)
    nothing = UnitSpheresPull(reference, np.zeros(2), uniform).log_partition(np.zeros_like(messages))
    np.testing.assert_allclose(nothing, 0, atol=1e-10)


def _problem():
    """+-1 inputs, and real inputs that are correlated, both solved."""
    machine = gpumc.FullCommittee(21, k=UNITS, weights="spherical")
    patterns, rng = gpumc.random_patterns(machine, 0.5, seed=1), np.random.default_rng(5)
    common = rng.normal(size=(patterns.count, 4)) @ rng.normal(size=(4, 21))
    real = 0.5 * common + rng.normal(size=(patterns.count, 21))
    both = gpumc.Patterns(np.concatenate([patterns.xi, real[None]]), np.concatenate([patterns.labels] * 2))
    found = gpumc.learn(machine, both, gpumc.LeastAction(rate=0.1), seed=2, **NUMPY)
    assert found.solved.all()
    return machine, both, found.weights.isel(start=0)


def test_energies_are_derivatives():
    """Of the free entropy by beta, and the distance by the field: the fixed point is stationary but for the points' error."""
    machine, patterns, weights = _problem()
    beta = 1.0 + np.array([-1e-3, 0, 1e-3])
    measure = gpumc.Gibbs(gpumc.ErrorCount(), beta=beta)
    found = gpumc.local_entropy(machine, patterns, weights, measure, field=2.0, method="bp", **NUMPY)
    assert found.converged.all()
    free = found.free_entropy.values.reshape(2, 3)
    energy = found.energy.values.reshape(2, 3)[:, 1] / machine.weight_count
    np.testing.assert_allclose(-(free[:, 2] - free[:, 0]) / 2e-3, energy, rtol=2e-3)


@pytest.mark.parametrize(
    ("distance", "how"),
    [
        ([0.2], gpumc.Splitting(particles=64, populations=4)),
        pytest.param([0.05, 0.1, 0.2], gpumc.Splitting(particles=256, populations=8), marks=pytest.mark.long),
    ],
    ids=["few", "many"],
)
def test_volumes_against_splitting(distance, how):
    """Within three standard errors (false alarms 0.3 % each) beside the shift of a nat in all, of 63 weights, that is belief
    propagation's to have at so small a size."""
    machine, patterns, weights = _problem()
    found = gpumc.local_entropy(machine, patterns, weights, distance=distance, method="bp", **NUMPY)
    assert found.converged.all()
    sampled = gpumc.local_entropy(machine, patterns, weights, distance=distance, method=how, device="cpu")
    assert (sampled.entropy_error < 0.05 * abs(sampled.log_volume)).all()
    apart = abs(found.log_volume - sampled.log_volume)
    assert (apart < 3 * sampled.entropy_error + 1 / machine.weight_count).all(), apart.values


@pytest.mark.gpu
def test_a_gpu_gives_the_same():
    machine, patterns, weights = _problem()
    settings = {"distance": [0.1], "method": gpumc.BeliefPropagation(tolerance=1e-4)}
    host, device = (gpumc.local_entropy(machine, patterns, weights, device=d, **settings) for d in ("numpy", "cuda"))
    assert host.converged.all()
    np.testing.assert_allclose(device.log_volume, host.log_volume, rtol=1e-9)


def test_the_entropy_of_all_configurations():
    """Without a reference, where all permutations of units count: within three standard errors and half a nat in all of splitting."""
    machine = gpumc.FullCommittee(21, k=UNITS, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.3, seed=1)
    found = gpumc.entropy(machine, patterns, method="bp", **NUMPY)
    how = gpumc.Splitting(particles=64, populations=4)
    sampled = gpumc.entropy(machine, patterns, method=how, device="cpu")
    apart = abs(found.entropy - sampled.entropy)
    assert (apart < 3 * sampled.entropy_error + 0.5 / machine.weight_count).all()
    assert (sampled.entropy_error < 0.05 * abs(sampled.entropy)).all()


def test_unsolved_references_are_none():
    """A reference with errors has no solution near it."""
    machine, patterns, weights = _problem()
    found = gpumc.local_entropy(machine, patterns, -weights, distance=[0.001], method="bp", **NUMPY)
    assert not found.converged.any()
    assert np.isnan(found.log_volume).all()


def test_focusing_is_refused():
    machine, patterns, _ = _problem()
    with pytest.raises(ConfigError, match="share inputs"):
        gpumc.focusing_bp(machine, patterns, **NUMPY)
