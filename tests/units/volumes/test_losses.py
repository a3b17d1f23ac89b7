"""Entropies of losses with parameters: closed forms, enumeration, Gardner's integral, and what datasets say of them."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_ndtr
from scipy.stats import binom

import gpumc
from gpumc import exact
from gpumc.errors import ConfigError
from tests.units.messages.losses import Hidden, Hinge

BP = gpumc.BeliefPropagation


@pytest.mark.parametrize("form", ["amp", "relaxed"])
def test_the_symmetric_perceptron(form):
    """Where solutions exist their entropy is the annealed one: of random signs none but the number of patterns matters."""
    n, alpha = (1001, 0.8) if form == "amp" else (201, 0.6)
    machine = gpumc.Perceptron(n)
    patterns, ends = gpumc.random_patterns(machine, alpha, 1, seed=1), 2 * round(n**0.5 / 2)
    found = gpumc.entropy(
        machine, patterns, gpumc.Gibbs(gpumc.BandCount(ends / n**0.5), np.inf), method=BP(form), device="numpy"
    )
    inside = binom.cdf((n + ends) // 2, n, 0.5) - binom.cdf((n - ends) // 2, n, 0.5)
    assert found.entropy.item() == pytest.approx(np.log(2) + patterns.count / n * np.log(inside), abs=2e-3)
    assert found.attrs["width"] == ends / n**0.5


def test_a_margin_leaves_fewer_solutions():
    machine, margins = gpumc.Perceptron(1001), np.array([-16.0, 0.0, 16.0]) / 1001**0.5
    patterns = gpumc.random_patterns(machine, 0.2, 1, seed=2)
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(margins), np.inf), device="numpy")
    assert found.entropy.dims == ("instance", "margin")
    assert found.converged.all()
    assert (found.entropy.diff("margin") < -0.03).all()
    plain = gpumc.entropy(machine, patterns, device="numpy")
    np.testing.assert_allclose(found.entropy.values[:, 1], plain.entropy, atol=1e-9)
    assert plain.attrs["margin"] == 0


MARGIN, WIDTH = gpumc.ErrorCount([-0.6, 0.4]), gpumc.BandCount([1.0, 1.5])


@pytest.mark.parametrize(
    "loss", [MARGIN, WIDTH, Hinge(), gpumc.SquaredHinge(0.5), gpumc.LogBarrier(0.3)], ids=lambda loss: loss.kind
)
def test_small_perceptrons_are_near_enumeration(loss):
    """Medians over instances of |error| per weight, at finite beta."""
    machine, beta = gpumc.Perceptron(15), [1.0, 4.0]
    patterns = gpumc.random_patterns(machine, 0.4, 8, seed=3)
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, beta))
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, beta), device="numpy")
    expected = (truth.log_partition + truth.beta * truth.energy) / 15
    error = abs(found.entropy - expected.transpose(*found.entropy.dims))
    assert found.converged.mean() > 0.9
    print(f"{loss.kind}: median {float(error.median()):.4f}, worst {float(error.max()):.4f}")
    assert float(error.median()) < 0.01


@pytest.mark.parametrize("loss", [gpumc.ErrorCount(0.4), gpumc.ErrorCount(-0.6), gpumc.BandCount(1.5)], ids=str)
def test_solutions_of_small_perceptrons_are_near_enumeration(loss):
    machine = gpumc.Perceptron(15)
    patterns = gpumc.random_patterns(machine, 0.25, 12, seed=3)
    energy = exact.enumerate_states(machine, patterns, loss).energy.values
    solutions = (energy == 0).sum(axis=1)
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, np.inf), device="numpy")
    good = (solutions > 20) & found.converged.values
    assert good.sum() >= 8
    error = np.abs(found.entropy.values - np.log(np.maximum(solutions, 1)) / 15)[good]
    print(f"{loss}: median {np.median(error):.4f}, worst {error.max():.4f}")
    assert np.median(error) < 0.015


TREES = [MARGIN, WIDTH, gpumc.SquaredHinge([0.2, 0.9]), gpumc.LogBarrier([0.1, 0.4]), Hinge()]


@pytest.mark.parametrize("machine", [gpumc.Perceptron(9), gpumc.TreeCommittee(9, 3), gpumc.TreeParity(6, 2)], ids=str)
@pytest.mark.parametrize("loss", TREES, ids=lambda loss: loss.kind)
def test_a_tree_is_solved_exactly(machine, loss):
    patterns, beta = gpumc.random_patterns(machine, 1.0, 2, seed=2), [0.7, 3.0]
    patterns = gpumc.Patterns(patterns.xi[:, :1], patterns.labels[:, :1])
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, beta))
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, beta), method=BP("exact"), device="numpy")
    allowed = 1e-9 if loss.counts else 2e3 * loss.unit / 100
    assert abs(found.free_entropy - truth.log_partition / machine.weight_count).max() < allowed
    assert abs(found.energy - truth.energy).max() < allowed


def gardner(alpha, margin):
    """The replica-symmetric entropy of a spherical perceptron with a margin (E. Gardner, J. Phys. A 21, 257 (1988), eq. 17)."""
    z, weight = np.polynomial.hermite_e.hermegauss(80)

    def free(q):
        ways = log_ndtr((q**0.5 * z - margin) / (1 - q) ** 0.5)
        return (np.log(1 - q) + q / (1 - q)) / 2 + alpha * (weight @ ways) / weight.sum()

    return minimize_scalar(free, bounds=(1e-6, 0.999), method="bounded", options={"xatol": 1e-9}).fun


@pytest.mark.parametrize(
    ("n", "margin", "alpha", "instances"),
    [
        (500, 0.5, 0.3, 12),
        (500, -0.5, 1.0, 12),
        pytest.param(2000, 0.5, 0.5, 16, marks=pytest.mark.long),
        pytest.param(2000, -0.5, 2.0, 16, marks=pytest.mark.long),
    ],
)
def test_gardners_volume_with_a_margin(n, margin, alpha, instances):
    """Within 3 standard errors over instances: fails by chance for 0.3 % of seeds, which are fixed."""
    machine = gpumc.Perceptron(n, weights="spherical")
    patterns = gpumc.random_patterns(machine, alpha, instances, seed=1)
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(margin), np.inf), device="cpu").entropy.values
    error, expected = found.std(ddof=1) / instances**0.5, gardner(alpha, margin)
    print(f"{found.mean():.5f} +- {error:.5f}, theory {expected:.5f}")
    assert error < 0.01
    assert abs(found.mean() - expected) < 3 * error


@pytest.mark.parametrize("loss", [gpumc.ErrorCount(0.3), gpumc.BandCount(0.9), gpumc.SquaredHinge(0.4)], ids=str)
def test_derivatives(loss):
    """The energy is what the free entropy loses with beta, and the field the slope of S - beta E: by finite differences."""
    machine = gpumc.Perceptron(100, weights="spherical")
    patterns, step = gpumc.random_patterns(machine, 0.5, 1, seed=3), 1e-3
    how = BP(tolerance=1e-10)
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, [2 - step, 2, 2 + step]), method=how, device="numpy")
    low, _, high = found.free_entropy.values[0]
    assert (low - high) / (2 * step) * 100 == pytest.approx(found.energy.values[0, 1], rel=1e-5)
    reference = np.random.default_rng(1).normal(size=100)
    curve = gpumc.local_entropy(
        machine,
        patterns,
        reference,
        gpumc.Gibbs(loss, 2.0),
        distance=[0.3 - step, 0.3, 0.3 + step],
        method=how,
        device="numpy",
    )
    low, _, high = (curve.entropy - 2 * curve.energy / 100).values[0]
    assert (high - low) / (2 * step) == pytest.approx(curve.field.values[0, 1], rel=1e-3)


def test_a_pattern_with_both_labels_is_no_contradiction_in_a_band():
    machine = gpumc.Perceptron(11)
    xi = np.random.default_rng(2).choice([-1, 1], (1, 2, 11))
    xi[0, 1] = xi[0, 0]
    both = gpumc.Patterns(xi, [[1, -1]])
    loss = gpumc.ErrorCount([-0.7, 0.3])
    with pytest.warns(UserWarning, match="instance 0 contradict"):
        found = gpumc.entropy(machine, both, gpumc.Gibbs(loss, np.inf), device="numpy")
    assert found.converged.values.tolist() == [[True, False]]
    fields = machine.possible_stabilities
    chances = binom.pmf(np.arange(12), 11, 0.5)[abs(fields) <= 0.7].sum()
    assert found.entropy.values[0, 0] == pytest.approx(np.log(2) + np.log(chances) / 11)
    for method in ("bp", gpumc.ThermodynamicIntegration(8, 6, 4, 20, 400, 10)):
        band = gpumc.entropy(machine, both, gpumc.Gibbs(gpumc.BandCount(0.7), np.inf), method=method, device="numpy")
        assert band.entropy.values[0] == pytest.approx(np.log(2) + np.log(chances) / 11, abs=0.01)


def test_a_single_number_is_an_attribute():
    machine = gpumc.Perceptron(21)
    patterns = gpumc.random_patterns(machine, 0.2, 2, seed=1)
    curve = gpumc.local_entropy(
        machine,
        patterns,
        np.ones(21),
        gpumc.Gibbs(gpumc.LogBarrier([0.5, 0.2]), [1.0, 2.0]),
        distance=[0.3, 0.4],
        device="numpy",
    )
    assert dict(curve.entropy.sizes) == {"instance": 2, "beta": 2, "cut": 2, "distance": 2}
    assert curve.cut.values.tolist() == [0.5, 0.2]
    assert curve.cut.attrs["long_name"] == "cut of the logarithmic barrier"
    one = gpumc.local_entropy(
        machine, patterns, np.ones(21), gpumc.Gibbs(gpumc.LogBarrier(0.2), 2.0), distance=0.4, device="numpy"
    )
    assert (one.attrs["cut"], one.attrs["beta"]) == (0.2, 2.0)
    np.testing.assert_allclose(one.entropy[:, 0], curve.entropy[:, 1, 1, 1], atol=1e-9)


GLOBE = gpumc.Perceptron(9, weights="spherical")


def entropy_of(machine, loss, beta=np.inf, **settings):
    patterns = gpumc.random_patterns(machine, 0.5)
    return gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, beta), device="numpy", **settings)


@pytest.mark.parametrize(
    ("machine", "arguments", "said"),
    [
        (GLOBE, {"loss": gpumc.ErrorCount(gpumc.Ramp(0.1, 1.0))}, "margin is a ramp"),
        (GLOBE, {"loss": gpumc.LogBarrier()}, "losses that count errors: the loss 'log-barrier' needs a finite beta"),
        (GLOBE, {"loss": Hidden()}, "it has no kink"),
        (GLOBE, {"loss": gpumc.LogBarrier(), "beta": 1.0, "method": "splitting"}, "for the error count, and others"),
        (GLOBE, {"loss": gpumc.BandCount(), "beta": 1.0, "method": "splitting"}, "without error: use beta = inf"),
    ],
)
def test_bad_input_is_said(machine, arguments, said):
    with pytest.raises(ConfigError, match=said):
        entropy_of(machine, **arguments)
