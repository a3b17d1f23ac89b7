"""Replica-symmetric theory against its own identities, limits, and values of the literature."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr

import gpumc
from gpumc import theory
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.losses import BandCount, LogBarrier
from gpumc.theory.entropic import WEIGHTS
from gpumc.theory.factors import Factor
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.saddle_points import GaussianOutput, TreeOutput
from gpumc.theory.units import Units


@dataclass(frozen=True)
class Hinge(gpumc.losses.Loss):
    """max(0, margin - Delta), as a user would write it."""

    margin: float = 0.0
    kind = "hinge"
    axes = ("margin",)

    def values(self, stability):
        return np.maximum(0.0, self.margin - stability)

    @property
    def kinks(self):
        return (self.margin,)


LOSSES = [gpumc.ErrorCount(), gpumc.CrossEntropy(0.5), gpumc.CrossEntropy(5.0), gpumc.SquaredHinge(0.4)]
OTHERS = [gpumc.ErrorCount(0.3), BandCount(0.8), LogBarrier(0.2), Hinge(0.4)]
LIMITS = [
    Limit("perceptron", "binary"),
    Limit("perceptron", "spherical"),
    Limit("tree-committee", "spherical", np.inf),
    Limit("tree-committee", "spherical", np.inf, "relu"),
    Limit("tree-committee", "binary", 3),
    Limit("tree-committee", "spherical", 5),
    Limit("tree-parity", "spherical", 2),
    Limit("tree-parity", "binary", 3),
]
by_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)
by_any_loss = pytest.mark.parametrize("loss", LOSSES + OTHERS, ids=repr)
by_limit = pytest.mark.parametrize("limit", LIMITS, ids=lambda x: f"{x.weights}-{x.kind}-{x.k:g}-{x.activation}")


def derivative(function, x, step=1e-4):
    return (function(x + step) - function(x - step)) / (2 * step)


def output_of(limit, loss, beta=1.5, rows=2):
    factor = Factor(loss.rows(rows), np.full(rows, beta), limit.kernel.scale)
    return GaussianOutput(limit, factor) if limit.gaussian else TreeOutput(limit, factor, choose("numpy"))


@by_any_loss
@pytest.mark.parametrize("beta", [0.3, 6.0])
def test_moments_are_derivatives(loss, beta):
    """Of log g by u, and by beta, from -4 to 4."""
    u, v = np.linspace(-4, 4, 9)[None], np.array([0.4])

    def moments(u, beta=beta):
        return Factor(loss.rows(1), np.array([beta])).moments(u, v)

    def log_g(u, beta=beta):
        return moments(u, beta).log_z

    found = moments(u)
    np.testing.assert_allclose(found.slope, derivative(log_g, u), rtol=1e-5, atol=1e-7)
    slope = derivative(lambda u: moments(u).slope, u)
    np.testing.assert_allclose(found.curvature, slope, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.energy, -derivative(lambda b: log_g(u, b), beta), rtol=1e-5, atol=1e-8)


def test_large_gamma_is_the_perceptron_rule():
    """g of max(0, -x) in closed form; losses differ by at most log 2 / (2 gamma)."""
    u, v, beta, gamma = np.linspace(-3, 3, 7)[None], 0.6, 3.0, 400.0
    found = Factor(gpumc.CrossEntropy(gamma).rows(1), np.array([beta])).moments(u, np.array([v]))
    hinge = Factor(Hinge().rows(1), np.array([beta])).moments(u, np.array([v]))
    spread = np.sqrt(v)
    exact = np.logaddexp(log_ndtr(u / spread), beta * u + beta**2 * v / 2 + log_ndtr(-(u + beta * v) / spread))
    np.testing.assert_allclose(found.log_z, exact, atol=beta * np.log(2) / (2 * gamma))
    np.testing.assert_allclose(hinge.log_z, exact, atol=1e-12)


@by_limit
@by_loss
def test_saddle_points_are_stationary(limit, loss):
    """r = -2 alpha dG_E/dq, as the action is to be stationary in q."""
    output, q = output_of(limit, loss), np.array([0.2, 0.6])
    found = output.energetic(q)
    np.testing.assert_allclose(
        found.field, -2 * derivative(lambda q: output.energetic(q).free_entropy, q), rtol=1e-4, atol=1e-8
    )
    np.testing.assert_allclose(found.field, output.field(q, np.arange(2)), rtol=1e-12)


def log_z(u, signs, boltzmann, spread):
    """log of the sum over all hidden signs, at means u (..., k)."""
    up = ndtr(u / spread)[..., None, :]
    return np.log((boltzmann * np.where(signs > 0, up, 1 - up).prod(axis=-1)).sum(axis=-1))


@pytest.mark.parametrize(("kind", "k"), [("tree-committee", 3), ("tree-parity", 2), ("tree-parity", 3)])
@pytest.mark.parametrize(
    "loss", [gpumc.ErrorCount(), gpumc.CrossEntropy(0.8), LogBarrier(0.7)], ids=lambda loss: loss.kind
)
def test_units_against_all_hidden_signs(kind, k, loss):
    """Averages over all products of 41 points; derivatives of log Z by differences."""
    q, beta = 0.5, 1.3
    signs = np.array(list(product((-1, 1), repeat=k)))
    stability = signs.prod(axis=1) if kind == "tree-parity" else signs.sum(axis=1) / np.sqrt(k)
    losses = loss.values(stability)
    z, weight = np.polynomial.hermite_e.hermegauss(41)
    u = np.sqrt(q) * np.stack(np.meshgrid(*[z] * k, indexing="ij"), axis=-1).reshape(-1, k)
    weight = np.stack(np.meshgrid(*[weight / weight.sum()] * k, indexing="ij")).reshape(k, -1).prod(axis=0)

    def value(u, beta=beta):
        return log_z(u, signs, np.exp(-beta * losses), np.sqrt(1 - q))

    found = Units(Limit(kind, "spherical", k), choose("numpy")).averages(q, beta, loss)
    step = 1e-4 * np.eye(k)
    slope = np.stack([(value(u + e) - value(u - e)) / 2e-4 for e in step])
    bend = np.array(
        [
            [(value(u + a + b) - value(u + a - b) - value(u - a + b) + value(u - a - b)) / 4e-8 for a in step]
            for b in step
        ]
    )
    assert found.log_z == pytest.approx(weight @ value(u), abs=1e-8)
    assert found.slope == pytest.approx((weight @ (slope**2).T).sum(), rel=1e-6)
    assert found.curvature == pytest.approx((bend**2 @ weight).sum(), rel=1e-4)
    assert found.loss == pytest.approx(-derivative(lambda b: weight @ value(u, b), beta), rel=1e-6)


@pytest.mark.parametrize("name", ["binary", "spherical"])
def test_overlaps_make_the_action_stationary(name):
    """In r, or, on spheres, where r is eliminated, in q."""
    weights, r = WEIGHTS[name], np.array([0.3, 2.0])
    q = weights.overlap(r)
    if name == "binary":
        assert np.all(np.abs(derivative(lambda r: weights.free_entropy(q, r), r)) < 1e-8)
    else:
        np.testing.assert_allclose(derivative(lambda q: weights.free_entropy(q, r), q), r / 2, rtol=1e-5)


@by_limit
@by_loss
def test_energy_is_the_derivative_of_the_free_entropy(limit, loss):
    alpha, beta, step = 0.4, 1.5, 1e-3
    data = theory.replica_symmetric(limit, gpumc.Gibbs(loss, [beta - step, beta, beta + step]), alpha=alpha)
    assert data.converged.all()
    down, _, up = data.free_entropy.values
    assert data.energy_per_pattern[1] == pytest.approx(-(up - down) / (2 * step) / alpha, rel=1e-5)
    assert np.all(data.quadrature_error < 1e-6)
    assert data.entropy[1] == pytest.approx(float(data.free_entropy[1] + alpha * beta * data.energy_per_pattern[1]))


@by_loss
@pytest.mark.parametrize("machine", LIMITS[:2], ids=str)
def test_stabilities(machine, loss):
    """Their distribution is normalised, and gives the mean loss and the errors."""
    data = theory.replica_symmetric(machine, gpumc.Gibbs(loss, 2.0), alpha=0.7)
    x, density = data.stability.values, data.stability_density.values
    wrong, right = density[x <= 1e-9], density[x >= -1e-9].copy()
    right[0] = 2 * right[1] - right[2]  # beyond a step at 0
    errors = np.trapezoid(wrong, dx=x[1] - x[0])
    energy = errors if loss.counts else np.trapezoid(density * loss.values(x), x)
    assert errors + np.trapezoid(right, dx=x[1] - x[0]) == pytest.approx(1, abs=1e-3)
    assert errors == pytest.approx(float(data.error_rate), abs=1e-3)
    assert energy == pytest.approx(float(data.energy_per_pattern), abs=1e-3)


def test_hot_and_cold_limits():
    """Free weights at beta -> 0: log 2 of entropy, half of the patterns wrong. At low temperature the entropy of solutions."""
    hot = theory.replica_symmetric(Limit("perceptron"), gpumc.Gibbs(gpumc.ErrorCount(), 1e-6), alpha=0.4)
    assert hot.free_entropy == pytest.approx(np.log(2), abs=1e-6)
    assert hot.error_rate == pytest.approx(0.5, abs=1e-6)
    cold = theory.replica_symmetric(Limit("perceptron"), gpumc.Gibbs(gpumc.ErrorCount(), [20.0, np.inf]), alpha=0.4)
    assert cold.entropy[0] == pytest.approx(float(cold.entropy[1]), abs=1e-5)


def test_few_patterns_halve_the_sphere():
    few = theory.replica_symmetric(Limit("perceptron", "spherical"), alpha=1e-4)
    assert few.entropy == pytest.approx(-1e-4 * np.log(2), rel=1e-3)


@pytest.mark.parametrize("kind", ["tree-committee", "tree-parity"])
def test_one_unit_is_a_perceptron(kind):
    one = theory.replica_symmetric(Limit(kind, "spherical", k=1), alpha=[0.5, 1.0])
    perceptron = theory.replica_symmetric(Limit("perceptron", "spherical"), alpha=[0.5, 1.0])
    for name in ("entropy", "overlap", "replicon"):
        np.testing.assert_allclose(one[name], perceptron[name], rtol=1e-6)


def test_many_units():
    """Finite committees tend to the effective kernel: differences fall as 1 / (k - 1), and of the replicon, too."""
    alpha = 1.0
    limit = theory.replica_symmetric(Limit("tree-committee", "spherical", k=np.inf), alpha=alpha)
    finite = [theory.replica_symmetric(Limit("tree-committee", "spherical", k=k), alpha=alpha) for k in (3, 5, 7)]
    for name, allowed in (("entropy", 0.05), ("overlap", 0.2), ("replicon", 0.2)):
        scaled = np.array([float(one[name] - limit[name]) for one in finite]) * [2, 4, 6]
        assert np.all(np.abs(scaled / scaled.mean() - 1) < allowed), (name, scaled)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_parities_have_no_overlap(k):
    """Entropy log 2 (1 - alpha) for binary weights (E. Barkai, D. Hansel, I. Kanter 1990), all patterns being independent."""
    data = theory.replica_symmetric(Limit("tree-parity", k=k), alpha=[0.3, 0.6])
    assert np.all(data.overlap == 0)
    np.testing.assert_allclose(data.entropy, np.log(2) * (1 - data.alpha), rtol=1e-12)


def test_capacities():
    """Krauth and Mezard 1989; Gardner 1988; Barkai, Hansel and Sompolinsky 1992; Baldassi, Malatesta and Zecchina 2019."""
    assert theory.capacity(Limit("perceptron")) == pytest.approx(0.8331, abs=1e-4)
    assert theory.capacity(Limit("perceptron", "spherical")) == pytest.approx(2, abs=1e-5)
    assert theory.capacity(Limit("tree-committee", "spherical", k=3)) == pytest.approx(4.02, abs=0.01)
    assert theory.capacity(Limit("tree-committee", "spherical", k=np.inf)) == np.inf
    assert theory.capacity(Limit("tree-committee", "spherical", k=np.inf, activation="relu")) == pytest.approx(
        2.934, abs=1e-3
    )
    assert theory.capacity(Limit("tree-parity", "spherical", k=2)) == pytest.approx(5.5, abs=0.01)
    assert theory.capacity(Limit("tree-parity", k=3)) == pytest.approx(1, abs=1e-6)
    growth = [theory.capacity(Limit("tree-committee", "spherical", k=k)) / np.sqrt(72 * k / np.pi) for k in (101, 1001)]
    assert growth[0] < growth[1] == pytest.approx(1, abs=0.1)


def test_nothing_beyond_the_capacity():
    """NaN and a flag."""
    beyond = theory.replica_symmetric(Limit("perceptron", "spherical"), alpha=[1.9, 2.1])
    assert beyond.converged.values.tolist() == [True, False]
    assert np.isnan(beyond.entropy[1])
    assert not beyond.stable[1]


def test_where_symmetry_breaks():
    """The committee of 3 from alpha = 1.76 on (A. Engel et al., Phys. Rev. A 45, 7590 (1992)); the spherical perceptron never below 2."""
    committee = theory.replica_symmetric(Limit("tree-committee", "spherical", k=3), alpha=[1.7, 1.82])
    assert committee.stable.values.tolist() == [True, False]
    assert theory.replica_symmetric(Limit("perceptron", "spherical"), alpha=[0.5, 1.0, 1.9]).stable.all()


def test_lowest_losses():
    """beta = inf: on the sphere what finite beta tend to, with corrections of order 1 / beta; of binary weights, zero entropy."""
    loss = gpumc.CrossEntropy([0.5, 1.0])
    data = theory.replica_symmetric(Limit("perceptron", "spherical"), gpumc.Gibbs(loss, [4e3, 8e3, np.inf]), alpha=0.5)
    one, two, limit = data.energy_per_pattern.values
    np.testing.assert_allclose(2 * two - one, limit, atol=2e-6)
    np.testing.assert_allclose(data.replicon[1], data.replicon[2], atol=3e-3)
    np.testing.assert_allclose(data.error_rate[1], data.error_rate[2], atol=1e-4)
    density = data.stability_density.sel(beta=np.inf)
    np.testing.assert_allclose(density.integrate("stability"), 1, atol=1e-3)
    binary = theory.replica_symmetric(Limit("perceptron"), gpumc.Gibbs(gpumc.CrossEntropy(1.0), np.inf), alpha=0.4)
    assert abs(binary.entropy) < 1e-6
    assert np.isneginf(binary.free_entropy)
    at_that = theory.replica_symmetric(
        Limit("perceptron"), gpumc.Gibbs(gpumc.CrossEntropy(1.0), binary.beta_frozen), alpha=0.4
    )
    assert at_that.energy_per_pattern == pytest.approx(float(binary.energy_per_pattern), rel=1e-9)


#: Loss, alpha: energy, error rate and replicon by other rules.
LOWEST = [
    (gpumc.SquaredHinge(0.0), 3.0, (None, None, 0.0)),
    (gpumc.SquaredHinge(1.0), 3.0, (0.32802648, None, 0.56286)),
    (gpumc.CrossEntropy(1.0), 1.5, (0.1598989, 0.0874175, None)),
    (gpumc.CrossEntropy(10.0), 3.0, (None, None, 0.08099)),
    (gpumc.CrossEntropy(100.0), 1.5, (1.504e-19, 0.0, 0.156)),
]


@pytest.mark.parametrize(("loss", "alpha", "expected"), LOWEST)
def test_lowest_losses_of_spheres(loss, alpha, expected):
    data = theory.replica_symmetric(Limit("perceptron", "spherical"), gpumc.Gibbs(loss, np.inf), alpha=alpha)
    assert data.stable
    for name, value in zip(("energy_per_pattern", "error_rate", "replicon"), expected, strict=True):
        assert value is None or data[name].item() == pytest.approx(value, rel=2e-3, abs=1e-25), name


def test_cold_overlaps_are_resolved():
    """q -> 1: the entropy of binary weights in strong fields, and the errors of a sphere's cold configurations, by other rules."""
    loss = gpumc.CrossEntropy(0.01)
    cold = theory.replica_symmetric(Limit("perceptron"), gpumc.Gibbs(loss, [3e3, 1e4]), alpha=0.4)
    np.testing.assert_allclose(cold.entropy, [6.84e-4, 1.9e-4], atol=1e-5)
    np.testing.assert_allclose(cold.error_rate, 0.10069, atol=1e-5)
    loss = gpumc.CrossEntropy(0.1)
    sphere = theory.replica_symmetric(
        Limit("perceptron", "spherical"), gpumc.Gibbs(loss, [1e4, 1e5, np.inf]), alpha=1.5
    )
    np.testing.assert_allclose(sphere.error_rate[:2], sphere.error_rate[2], atol=5e-5)


def test_steep_losses_are_resolved():
    """gamma = 10: between the error count without a finite beta and gamma = 5, and as near to it as 1 / gamma suggests."""
    data = theory.replica_symmetric(
        Limit("perceptron"), gpumc.Gibbs(gpumc.CrossEntropy([10.0, 100.0]), 100.0), alpha=0.4
    )
    assert np.all(data.quadrature_error < 1e-5)
    assert data.energy_per_pattern[1].item() == pytest.approx(1.18674e-4, rel=1e-4)  # by another rule
    assert data.entropy[1].item() == pytest.approx(0.4038835, abs=1e-6)


def test_committees_near_their_capacity():
    """The replica-symmetric curve of k = 3 goes on where it is unstable, to the capacity of 4.02; before that averages get too inexact."""
    data = theory.replica_symmetric(Limit("tree-committee", "spherical", k=3), alpha=[3.0, 3.5, 3.6, 4.0])
    assert data.converged.values.tolist() == [True, True, True, False]
    assert not data.stable.any()
    assert np.isnan(data.entropy[3])
    q = data.overlap.values
    capacity = 3.6 + (1 - q[2]) * 0.1 / (q[2] - q[1])
    assert capacity == pytest.approx(theory.capacity(Limit("tree-committee", "spherical", k=3)), abs=0.1)


def test_lowest_losses_of_nothing():
    """A squared hinge that separable patterns make 0 has no lowest configuration."""
    data = theory.replica_symmetric(
        Limit("perceptron", "spherical"), gpumc.Gibbs(gpumc.SquaredHinge(), np.inf), alpha=[0.5, 3.0]
    )
    assert data.converged.values.tolist() == [False, True]
    assert np.isnan(data.energy_per_pattern[0])


def test_dimensions_are_those_of_a_simulation():
    loss = gpumc.CrossEntropy([0.5, 1.0])
    data = theory.replica_symmetric(gpumc.Perceptron(1001), gpumc.Gibbs(loss, [1.0, 2.0]), alpha=[0.2, 0.4, 0.6])
    assert data.energy_per_pattern.dims == ("alpha", "beta", "gamma")
    single = theory.replica_symmetric(Limit("perceptron"), gpumc.Gibbs(gpumc.CrossEntropy(0.5), 2.0), alpha=0.4)
    assert data.sel(alpha=0.4, beta=2.0, gamma=0.5).entropy == pytest.approx(float(single.entropy), abs=1e-12)
    assert all("long_name" in variable.attrs and "units" in variable.attrs for variable in data.variables.values())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: theory.replica_symmetric("perceptron", alpha=0.4), "theory.Limit"),
        (lambda: theory.replica_symmetric(Limit("perceptron"), alpha=-0.4), "alpha"),
        (lambda: theory.replica_symmetric(Limit("perceptron"), alpha=[]), "alpha"),
        (lambda: theory.replica_symmetric(Limit("perceptron"), alpha="high"), "alpha"),
        (
            lambda: theory.replica_symmetric(Limit("perceptron"), gpumc.Gibbs("error-count", np.inf), alpha=0.4),
            "loss",
        ),
        (lambda: theory.replica_symmetric(Limit("tree-parity", k="3"), alpha=0.4), "k = '3'"),
        (
            lambda: theory.replica_symmetric(Limit("perceptron"), gpumc.Gibbs(gpumc.ErrorCount(), -1.0), alpha=0.4),
            "beta",
        ),
        (lambda: theory.replica_symmetric(Limit("tree-committee", k=4), alpha=0.4), "k = 4 is even"),
        (lambda: theory.replica_symmetric(Limit("tree-committee", k=11), alpha=0.4), "at most 9"),
        (lambda: theory.replica_symmetric(Limit("tree-committee", k=2.5), alpha=0.4), "a whole number"),
        (
            lambda: theory.replica_symmetric(Limit("tree-committee", k=3, activation="relu"), alpha=0.4),
            "k = inf",
        ),
        (lambda: theory.replica_symmetric(Limit("tree-parity", k=np.inf), alpha=0.4), "finite k"),
        (lambda: theory.replica_symmetric(Limit("perceptron", k=3), alpha=0.4), "one unit"),
        (lambda: theory.replica_symmetric(gpumc.FullCommittee(9, k=3), alpha=0.4), "full-committee"),
        (
            lambda: theory.replica_symmetric(
                Limit("tree-committee", "spherical", k=3), gpumc.Gibbs(gpumc.CrossEntropy(), np.inf), alpha=0.4
            ),
            "beta = inf",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ConfigError, match=words):
        call()
