"""Local energies and robustness against what is known of them."""

import numpy as np
import pytest
from scipy.special import ndtr

import gpumc
from gpumc import flatness
from gpumc.errors import ConfigError

NUMPY = {"device": "numpy"}


def test_flips_of_a_perceptron():
    """Of one pattern with the field h of n: h less twice the sum of flipped products; at p = 1/2 every sign is a coin."""
    machine = gpumc.Perceptron(1001)
    patterns = gpumc.Patterns(np.ones((1, 1001), np.int8), [1])
    found = flatness.local_energy(
        machine, patterns, np.ones(1001), strength=[0.0, 0.35, 0.5], perturbation="flip", draws=400, **NUMPY
    )
    assert float(found.error_rate[0]) == 0
    np.testing.assert_array_equal(found.local_energy[0, :2], 0)
    half = float(found.local_energy[0, 2])
    assert abs(half - 0.5) < 4 * 0.5 / 20  # false alarms 6e-5
    np.testing.assert_array_equal(found.local_energy_quantile[0, 2, [0, -1]], [0, 1])


@pytest.mark.parametrize("perturbation", ["multiplicative", "additive"])
def test_noise_of_a_perceptron(perturbation):
    """The preactivation of a pattern with stability Delta has normal noise of the standard deviation s: an error with the probability
    Phi(-Delta / s); of weights that are +-1 both noises are one."""
    machine = gpumc.Perceptron(400, weights="spherical")
    xi = np.ones((1, 400))
    weights = np.ones(400)
    weights[:180] = -1
    found = flatness.local_energy(
        machine, gpumc.Patterns(xi, [1]), weights, strength=[1.0, 4.0], perturbation=perturbation, draws=1000, **NUMPY
    )
    expected = ndtr(-2 / np.array([1.0, 4.0]))
    error = np.sqrt(expected * (1 - expected) / 1000)
    assert (abs(found.local_energy[0] - expected) < 4 * error).all()  # false alarms 1e-4
    np.testing.assert_allclose(found.local_energy_error[0], error, rtol=0.3)


def test_sizes_of_units_matter_to_multiplicative_noise_alone():
    """An error changes with no unit's length under multiplicative noise, and additive noise is relative to it, too."""
    machine = gpumc.TreeCommittee(33, k=3, weights="spherical")
    patterns = gpumc.random_patterns(machine, 1.0, seed=1)
    weights = machine.normalised(np.random.default_rng(1).normal(size=33))
    for perturbation in ("multiplicative", "additive"):
        one, other = (
            flatness.local_energy(machine, patterns, w, strength=0.5, perturbation=perturbation, draws=5, **NUMPY)
            for w in (weights, 3 * weights)
        )
        assert one.equals(other.assign_attrs(one.attrs))
        assert float(one.local_energy[0, 0]) != 0


def test_robustness_of_a_perceptron():
    """A weight vector along one input: its sign errs with the probability Phi(-1 / eta), of real and of signed inputs; a constant input,
    and eta = 0, have no noise."""
    machine = gpumc.Perceptron(3, weights="spherical")
    xi = np.ones((2000, 3))
    xi[::2, :2] = -1
    weights = np.array([3**0.5, 0.0, 0.0])
    found = flatness.robustness(machine, gpumc.Patterns(xi, xi[:, 0]), weights, eta=[0.0, 1.0, 2.0], draws=5, **NUMPY)
    expected = ndtr([-np.inf, -1.0, -0.5])
    error = np.sqrt(expected * (1 - expected) / 10000)
    for name in ("noisy_error_rate", "signed_error_rate"):
        assert (abs(found[name][0] - expected) <= 4 * error).all(), name  # false alarms 3e-4
    constant = flatness.robustness(
        machine, gpumc.Patterns(xi, np.ones(2000)), np.array([0, 0, 3**0.5]), eta=5.0, draws=2, **NUMPY
    )
    assert float(constant.noisy_error_rate[0, 0]) == 0


def test_rows_keep_their_dimensions():
    machine = gpumc.FullCommittee(11, k=3)
    patterns = gpumc.random_patterns(machine, 0.3, instances=2, seed=1)
    data = gpumc.learn(machine, patterns, gpumc.EntropicLeastAction(rate=0.5, epochs=2), starts=3, **NUMPY)
    found = flatness.local_energy(machine, patterns, data.weights, strength=0.1, perturbation="flip", draws=2, **NUMPY)
    assert dict(found.error_rate.sizes) == {"instance": 2, "start": 3, "replica": data.sizes["replica"]}
    last = data.error_rate.isel(epoch=-1)
    np.testing.assert_allclose(found.error_rate, last)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": -0.1}, "strength"),
        ({"strength": 0.6}, "from 0 to 0.5"),
        ({"strength": 0.1, "perturbation": "additive"}, "binary weights are flipped"),
        ({"strength": 0.1, "perturbation": "shake"}, "perturbation"),
        ({"strength": 0.1, "draws": 0}, "draws"),
    ],
)
def test_what_is_refused(settings, message):
    machine = gpumc.Perceptron(11)
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    with pytest.raises(ConfigError, match=message):
        flatness.local_energy(machine, patterns, np.ones(11), **{"perturbation": "flip", **settings})
    with pytest.raises(ConfigError, match="13"):
        flatness.robustness(gpumc.Perceptron(13), gpumc.random_patterns(gpumc.Perceptron(13), 0.5), np.ones(11), eta=1)
