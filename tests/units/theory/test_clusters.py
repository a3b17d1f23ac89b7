"""Groups of replicas: exact derivatives, limits of few and many replicas and of typical distances, parities in closed form."""

import numpy as np
import pytest

from gpumc import theory
from gpumc.errors import ConfigError

PERCEPTRON, SPHERE = theory.Limit("perceptron"), theory.Limit("perceptron", "spherical")
SIGNS = theory.Limit("tree-committee", "spherical", np.inf)
RELU = theory.Limit("tree-committee", "spherical", np.inf, "relu")
GAUSSIAN = [
    (PERCEPTRON, 0.4),
    (SPHERE, 1.0),
    (SIGNS, 1.0),
    (RELU, 1.0),
]
by_machine = pytest.mark.parametrize(("machine", "alpha"), GAUSSIAN, ids=str)


@by_machine
def test_typical_distances_are_typical(machine, alpha):
    """Where replicas are as far as typical configurations from one another, F is their entropy and groups overlap no less."""
    expected = theory.replica_symmetric(machine, alpha=alpha)
    distance = (1 - expected.overlap.item()) / 2 - 1e-5
    found = theory.dense_clusters(machine, alpha=alpha, distance=[distance], replicas=[2, 5, np.inf])
    assert found.converged.all()
    np.testing.assert_allclose(found.entropy.sel(replicas=[2.0, 5.0])[:, 0], expected.entropy, atol=1e-5)
    np.testing.assert_allclose(found.overlap_others[:, 0], expected.overlap, atol=1e-3)


@by_machine
def test_local_entropy_is_the_derivative(machine, alpha):
    """d(y F)/dy at a fixed distance; the external entropy is y (F - local)."""
    y = np.array([3 - 1e-3, 3, 3 + 1e-3])
    found = theory.dense_clusters(machine, alpha=alpha, distance=[0.1], replicas=y)
    whole = y * found.entropy.values[:, 0]
    assert found.local_entropy[1, 0] == pytest.approx((whole[2] - whole[0]) / 2e-3, rel=1e-5)
    assert found.external_entropy[1, 0] == pytest.approx(3 * float((found.entropy - found.local_entropy)[1, 0]))


@by_machine
def test_no_patterns_no_loss(machine, alpha):
    found = theory.dense_clusters(machine, alpha=1e-8, distance=[0.02, 0.3], replicas=[2, 10, np.inf])
    assert found.converged.all()
    np.testing.assert_allclose(found.log_volume, 0, atol=1e-6)


@pytest.mark.parametrize(("machine", "alpha"), GAUSSIAN[1:], ids=str)
def test_volumes_shrink_with_more_patterns(machine, alpha):
    """And every volume fills its bound as D -> 0 around the best centres: wide flat minima."""
    found = theory.dense_clusters(machine, alpha=[0.2, alpha], distance=[0.001, 0.02, 0.1]).log_volume
    assert np.all(found < 1e-6)
    assert np.all(found[1, 1:] < found[0, 1:])
    assert found[1, 2] < found[1, 1] < -1e-4
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-3)


def test_more_replicas_find_denser_places():
    """F less its bound rises with y toward the limit of infinitely many, by terms of order 1 / y. Beyond some y it is only an upper
    bound: the external entropy is negative."""
    data = theory.dense_clusters(PERCEPTRON, alpha=0.4, distance=[0.1], replicas=[3, 20, 100, np.inf])
    volume, local = data.log_volume.values[:, 0], data.local_entropy.values[:, 0]
    assert np.all(np.diff(volume[:3]) > 0)
    assert np.all(np.diff(local[:3]) > 0)
    far = theory.dense_clusters(PERCEPTRON, alpha=0.4, distance=[0.02], replicas=[3, 100])
    assert far.external_entropy[0, 0] > far.external_entropy[1, 0]


@pytest.mark.parametrize("machine", [SPHERE, PERCEPTRON], ids=str)
def test_many_replicas_tend_to_the_limit(machine):
    """F of 25, 50 and 100 replicas, continued by a parabola in 1/y to 0."""
    y = np.array([25.0, 50.0, 100.0])
    found = theory.dense_clusters(machine, alpha=0.5, distance=[0.1], replicas=[*y, np.inf]).entropy[:, 0]
    continued = np.polyfit(1 / y, found[:3], 2)[-1]
    assert continued == pytest.approx(found[3].item(), abs=6e-4)
    assert abs(found[0] - found[3]) > 1e-3


@pytest.mark.parametrize("k", [2, 3])
def test_pairs_of_a_parity(k):
    """(alpha / 2) log[(1 + s^k) / 4], s = (2/pi) arcsin(1 - 2 D); flat at -alpha log 2 for many units, as long as there are groups."""
    distance = np.array([0.05, 0.2, 0.4])
    found = theory.dense_clusters(
        theory.Limit("tree-parity", "spherical", k=k), alpha=0.6, distance=distance, replicas=2
    )
    s = 2 / np.pi * np.arcsin(1 - 2 * distance)
    np.testing.assert_allclose(found.log_volume, 0.3 * np.log((1 + s**k) / 4), rtol=1e-8)
    for y in (2, 7, np.inf):
        flat = theory.dense_clusters(theory.Limit("tree-parity", k=np.inf), alpha=0.15, distance=distance, replicas=y)
        np.testing.assert_allclose(flat.log_volume, -0.15 * np.log(2), rtol=1e-12)


def test_groups_of_a_parity():
    """Three replicas of a binary parity, by drawing their fields: 4.9 standard errors."""
    q1, k = 0.6, 3
    rng = np.random.default_rng(1)
    common = rng.normal(size=(200_000, k, 1))
    fields = np.sqrt(q1) * common + np.sqrt(1 - q1) * rng.normal(size=(200_000, k, 3))
    right = (fields > 0).sum(axis=1) % 2 == 1
    share = right.all(axis=1).mean()
    found = theory.dense_clusters(theory.Limit("tree-parity", k=k), alpha=0.5, distance=[(1 - q1) / 2], replicas=3)
    assert np.exp(3 * found.log_volume.item() / 0.5) == pytest.approx(share, abs=4.9 * np.sqrt(share / 200_000))


#: machine, alpha, D, y: q0 and F by dense trapezoids, whose doubling changes no digit.
CLOSE = [
    (PERCEPTRON, 0.4, 1e-3, 2, 0.26594, 0.1972294),
    (SPHERE, 1.0, 1e-3, 20, 0.65169, -2.926665),
    (RELU, 1.0, 5e-3, 10, 0.57268, -2.058543),
    (RELU, 1.0, 1e-3, 3, 0.48181, -2.163243),
]


@pytest.mark.parametrize(("machine", "alpha", "distance", "y", "q0", "entropy"), CLOSE)
def test_close_replicas_are_resolved(machine, alpha, distance, y, q0, entropy):
    """Their factor bends within sqrt(1 - Q1)."""
    found = theory.dense_clusters(machine, alpha=alpha, distance=distance, replicas=y)
    assert found.overlap_others.item() == pytest.approx(q0, abs=1e-5)
    assert found.entropy.item() == pytest.approx(entropy, abs=1e-6)


def test_close_replicas_are_one():
    """As D -> 0 a group is one configuration: y F tends to the typical entropy, smoothly."""
    typical = theory.replica_symmetric(PERCEPTRON, alpha=0.4).entropy.item()
    found = theory.dense_clusters(PERCEPTRON, alpha=0.4, distance=[1e-4, 2e-4, 4e-4], replicas=3)
    assert found.converged.all()
    distance = 3 * (found.entropy - found.entropy_bound).values
    expected = typical - np.log(2)
    assert np.all(np.abs(distance - expected) < 0.02)
    assert np.all(np.diff(np.abs(distance - expected)) > 0)


@pytest.mark.parametrize(("activation", "alpha", "k"), [("sign", 2.01, 1), ("sign", 2.5, 1), ("relu", 3.0, np.inf)])
def test_no_group_beyond_the_capacity(activation, alpha, k):
    machine = SPHERE if k == 1 else theory.Limit("tree-committee", "spherical", k, activation)
    found = theory.dense_clusters(machine, alpha=alpha, distance=[0.05, 0.2])
    assert not found.converged.any()
    assert np.isnan(found.entropy).all()


def test_farther_than_typical_there_is_no_group():
    """NaN where typical configurations are closer to one another."""
    found = theory.dense_clusters(PERCEPTRON, alpha=0.4, distance=[0.3, 0.45], replicas=3)
    assert found.converged.values.tolist() == [True, False]
    assert np.isnan(found.entropy[1])


@pytest.mark.parametrize(
    ("machine", "call", "words"),
    [
        (PERCEPTRON, {"replicas": 1.5}, "from 2 to 100"),
        (PERCEPTRON, {"replicas": 101}, "from 2 to 100"),
        (PERCEPTRON, {"distance": 0.5}, "distance = 0.5"),
        (theory.Limit("tree-committee", k=3), {}, "spherical committees"),
        (theory.Limit("tree-committee", k=np.inf), {}, "spherical committees"),
        (theory.Limit("tree-parity", "spherical", k=3), {"replicas": 2.5}, "whole numbers"),
        ("binary-perceptron", {}, "theory.Limit"),
    ],
)
def test_bad_input(machine, call, words):
    with pytest.raises(ConfigError, match=words):
        theory.dense_clusters(machine, **({"alpha": 0.4, "distance": 0.1} | call))
