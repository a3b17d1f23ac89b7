"""Priors against enumeration: replicas around a centre, and the search for a field."""

from itertools import product

import numpy as np
import pytest

from gpumc.messages.priors import Distance, Replicas


def joint(incoming, coupling, replicas):
    """Every (replicas..., centre) of one weight with its probability."""
    states = np.array(list(product((1, -1), repeat=replicas + 1)))
    weight = np.exp(incoming * states[:, :-1].sum(axis=1) + coupling * states[:, -1] * states[:, :-1].sum(axis=1))
    return states, weight / weight.sum()


@pytest.mark.parametrize("replicas", [1, 3, 5])
@pytest.mark.parametrize(("incoming", "coupling"), [(0.3, 0.2), (-1.5, 0.7), (2.0, 3.0)])
def test_replicas_are_those_of_enumeration(replicas, incoming, coupling):
    states, weight = joint(incoming, coupling, replicas)
    prior = Replicas(np.array([float(replicas)]), np.array([coupling]))
    fields = np.full((1, 1, 1), incoming)
    assert np.tanh(prior.fields(fields)).item() == pytest.approx((weight * states[:, 0]).sum(), abs=1e-12)
    assert np.tanh(prior.centre(fields)).item() == pytest.approx((weight * states[:, -1]).sum(), abs=1e-12)
    assert prior.overlap_centre(fields).item() == pytest.approx(
        (weight * states[:, 0] * states[:, -1]).sum(), abs=1e-12
    )
    around = [np.log(2 * np.cosh(incoming + coupling * centre)) for centre in states[:, -1]]
    assert prior.local_partition(fields).item() == pytest.approx((weight * around).sum(), abs=1e-12)


def test_an_infinite_coupling_moves_all_as_one():
    prior = Replicas(np.array([4.0]), np.array([np.inf]))
    incoming = np.linspace(-3, 3, 7).reshape(1, 1, 7)
    assert np.allclose(prior.fields(incoming), 4 * incoming)


def test_one_replica_hears_nothing():
    prior = Replicas(np.ones(1), np.array([0.8]))
    incoming = np.linspace(-3, 3, 7).reshape(1, 1, 7)
    assert np.allclose(prior.fields(incoming), incoming, atol=1e-15)


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 300.0])
def test_the_field_gives_the_wanted_distance(spread):
    rng = np.random.default_rng(4)
    wanted = np.array([1e-4, 0.02, 0.3, 0.5])
    reference = rng.choice([-1.0, 1.0], (4, 1, 1001))
    incoming = spread * rng.standard_normal((4, 1, 1001))
    prior = Distance(reference, wanted)
    assert np.allclose(prior.pull(incoming).distance(incoming), wanted, atol=1e-12, rtol=1e-8)


def test_a_weight_that_no_pattern_touches_follows_the_bound():
    wanted = np.array([0.1, 0.25])
    prior, incoming = Distance(np.ones((2, 1, 50)), wanted), np.zeros((2, 1, 50))
    pull = prior.pull(incoming)
    entropy = pull.log_partition(incoming) / 50 + pull.h * wanted
    assert np.allclose(entropy, -wanted * np.log(wanted) - (1 - wanted) * np.log1p(-wanted), atol=1e-13)
