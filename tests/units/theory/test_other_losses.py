"""Margins, bands, barriers and losses of one's own: closed forms, limits, and what is refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr
from scipy.stats import norm

import gpumc
from gpumc import theory
from gpumc.errors import ConfigError
from gpumc.losses import BandCount, LogBarrier, Loss
from tests.units.theory.test_replica_symmetric import Hinge


@dataclass(frozen=True)
class Cost(Loss):
    """A price for every error; where it jumps is said only on request."""

    price: float = 2.0
    kind = "cost"
    axes = ("price",)

    def values(self, stability):
        return self.price * (stability < 0)


class Kinked(Cost):
    kinks = (0.0,)


class Forgetful(gpumc.ErrorCount):
    """Counts what is beyond a band, and says that it jumps at the margin alone."""

    kind = "forgetful"

    def values(self, stability):
        return (abs(stability) > 1) * 1.0


class Saturated(Loss):
    kind = "saturated"
    kinks = (0.0, 1.0)

    def values(self, stability):
        return np.clip(1 - stability, 0, 1)


class Named(Cost):
    axes = ("beta",)
    beta = 1.0


@pytest.mark.parametrize("kappa", [0.5, -0.5])
def test_margins_of_the_sphere(kappa):
    """Gardner's integral, its stationary point in q being found by itself."""
    alpha = 0.5

    def slope(q):
        def squared(z):
            x = (kappa - np.sqrt(q) * z) / np.sqrt(1 - q)
            return norm.pdf(z) * np.exp(2 * (norm.logpdf(x) - log_ndtr(-x))) / (1 - q)

        return q / (1 - q) ** 2 - alpha * quad(squared, -9, 9, epsabs=1e-12)[0]

    q = brentq(slope, 1e-3, 0.95, xtol=1e-13)
    energetic = quad(lambda z: norm.pdf(z) * log_ndtr((np.sqrt(q) * z - kappa) / np.sqrt(1 - q)), -9, 9, epsabs=1e-12)
    entropy = (np.log(1 - q) + q / (1 - q)) / 2 + alpha * energetic[0]
    found = theory.replica_symmetric(
        theory.Limit("perceptron", "spherical"), gpumc.Gibbs(gpumc.ErrorCount(kappa), np.inf), alpha=alpha
    )
    assert found.stable
    assert found.overlap.item() == pytest.approx(q, abs=1e-9)
    assert found.entropy.item() == pytest.approx(entropy, abs=1e-9)
    assert found.attrs["margin"] == kappa


def test_margins_are_a_dimension():
    """In the place of gamma; the larger, the fewer weights, and none beyond a capacity."""
    loss = gpumc.ErrorCount([0.0, 0.5, 3.0])
    found = theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(loss, np.inf), alpha=[0.2, 0.3])
    assert found.entropy.dims == ("alpha", "margin")
    assert found.margin.attrs["long_name"] == "margin of the loss"
    assert found.converged.values.tolist() == [[True, True, False]] * 2
    assert found.stable.values[:, :2].all()
    assert np.all(np.diff(found.entropy.values[:, :2], axis=1) < 0)
    none = theory.replica_symmetric(theory.Limit("perceptron"), alpha=[0.2, 0.3])
    np.testing.assert_allclose(found.entropy[:, 0], none.entropy, atol=1e-12)


def test_bands_have_no_overlap():
    """log 2 + alpha log P(|z| < width) at q = 0, up to its zero (B. Aubin, W. Perkins, L. Zdeborova, J. Phys. A 52, 294003 (2019))."""
    log_chance = np.log(1 - 2 * ndtr(-1.0))
    capacity = -np.log(2) / log_chance
    alpha = np.array([0.3, 1.0, 0.999 * capacity, 1.001 * capacity])
    found = theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(BandCount(1.0), np.inf), alpha=alpha)
    assert found.converged.values.tolist() == [True, True, True, False]
    np.testing.assert_array_equal(found.overlap[:3], 0)
    assert found.stable[:3].all()
    np.testing.assert_allclose(found.entropy[:3], np.log(2) + alpha[:3] * log_chance, atol=1e-9)
    np.testing.assert_array_equal(found.error_rate[:3], 0)
    density = found.stability_density[0]
    assert density.integrate("stability").item() == pytest.approx(1, abs=0.03)
    assert np.all(density.where(abs(density.stability) > 1.01, 0) == 0)


def test_a_hinge_is_steep_cross_entropy():
    """At gamma = 200, finite beta."""
    hinge, steep = (
        theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(loss, 5.0), alpha=0.4)
        for loss in (Hinge(0.0), gpumc.CrossEntropy(200.0))
    )
    for name in ("free_entropy", "entropy", "energy_per_pattern", "error_rate", "overlap", "replicon"):
        assert hinge[name].item() == pytest.approx(steep[name].item(), abs=1e-3), name
    assert hinge.quadrature_error < 1e-8


@pytest.mark.parametrize(
    "machine", [theory.Limit("perceptron"), theory.Limit("tree-committee", "spherical", k=3)], ids=str
)
def test_priced_errors_are_colder(machine):
    """A price of 2 at beta is the error count at 2 beta: in integrals, as among units, errors are counted too."""
    priced = theory.replica_symmetric(machine, gpumc.Gibbs(Kinked(2.0), 0.5), alpha=0.4)
    count = theory.replica_symmetric(machine, gpumc.Gibbs(gpumc.ErrorCount(), 1.0), alpha=0.4)
    for name in ("free_entropy", "entropy", "overlap", "error_rate", "replicon"):
        assert priced[name].item() == pytest.approx(count[name].item(), abs=1e-9), name
    assert priced.energy_per_pattern.item() == pytest.approx(2 * count.energy_per_pattern.item(), abs=1e-9)


def test_unsaid_jumps_are_noticed():
    """As an error by quadrature that is too large, or, of what counts, at once."""
    assert not theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(Cost(), 0.5), alpha=0.4).converged
    with pytest.raises(ConfigError, match="its kinks must have every jump"):
        theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(Forgetful(0.5), np.inf), alpha=0.4)


ANY = [gpumc.ErrorCount(0.3), BandCount(0.8), LogBarrier(0.2), Hinge(0.4), Saturated()]


@pytest.mark.parametrize("loss", ANY, ids=lambda loss: loss.kind)
def test_energy_is_the_derivative_of_the_free_entropy(loss):
    alpha, beta, step = 0.3, 1.5, 1e-3
    data = theory.replica_symmetric(
        theory.Limit("perceptron"), gpumc.Gibbs(loss, [beta - step, beta, beta + step]), alpha=alpha
    )
    assert data.converged.all()
    down, _, up = data.free_entropy.values
    assert data.energy_per_pattern[1] == pytest.approx(-(up - down) / (2 * step) / alpha, rel=1e-5)


@pytest.mark.parametrize("loss", [LogBarrier(0.2), Hinge(0.4)], ids=repr)
def test_one_replica_is_a_machine(loss):
    """Averages within a group take the factor from a table."""
    one = theory.replica_symmetric(theory.Limit("perceptron"), gpumc.LocalEntropy(loss, 1.0, 0.5, 1), alpha=0.4)
    alone = theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(loss, 1.0), alpha=0.4)
    free = np.log(2 * np.cosh(0.5)) - 0.5
    assert one.free_entropy.item() - free == pytest.approx(alone.free_entropy.item(), abs=1e-8)
    assert one.overlap_others.item() == pytest.approx(alone.overlap.item(), abs=1e-7)


def test_the_barrier_of_spheres():
    """Its lowest value is what finite beta tend to, with corrections of order 1 / beta; its error rate is negligible."""
    data = theory.replica_symmetric(
        theory.Limit("perceptron", "spherical"), gpumc.Gibbs(LogBarrier(0.1), [2e3, 4e3, np.inf]), alpha=0.5
    )
    one, two, limit = data.energy_per_pattern.values
    assert data.converged.all()
    assert 2 * two - one == pytest.approx(limit, abs=5e-6)
    assert data.replicon[1].item() == pytest.approx(data.replicon[2].item(), abs=5e-3)
    assert data.stability_density[2].integrate("stability").item() == pytest.approx(1, abs=1e-3)


def test_the_coldest_barrier_of_binary_weights():
    """Zero entropy; energies may be negative."""
    cold = theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(LogBarrier(0.1), np.inf), alpha=0.2)
    assert abs(cold.entropy) < 1e-6
    assert cold.energy_per_pattern < 0
    assert cold.beta_frozen > 1


def test_units_with_margins_and_bands():
    """A committee of 3 has stabilities of 1 and 3 over sqrt(3): a margin of 1 needs all units, a band of 1 allows the two inner ones."""
    margin = theory.replica_symmetric(
        theory.Limit("tree-committee", k=3), gpumc.Gibbs(gpumc.ErrorCount(1.0), np.inf), alpha=1e-4
    )
    band = theory.replica_symmetric(
        theory.Limit("tree-committee", k=3), gpumc.Gibbs(BandCount(1.0), np.inf), alpha=[1e-4, 0.3]
    )
    assert (margin.entropy.item() - np.log(2)) / 1e-4 == pytest.approx(-np.log(8), rel=1e-3)
    np.testing.assert_allclose(band.entropy, np.log(2) + band.alpha * np.log(3 / 4), atol=1e-9)
    np.testing.assert_array_equal(band.overlap, 0)
    beyond = theory.replica_symmetric(
        theory.Limit("tree-parity", k=2), gpumc.Gibbs(gpumc.ErrorCount([0.5, 1.5]), np.inf), alpha=0.3
    )
    assert beyond.entropy[0].item() == pytest.approx(0.7 * np.log(2), abs=1e-9)
    assert not beyond.converged[1]


@pytest.mark.parametrize(
    ("loss", "beta", "alpha"),
    [(gpumc.ErrorCount(0.5), 1.0, 0.2), (BandCount(1.0), np.inf, 0.2), (Hinge(0.5), 5.0, 0.4)],
)
def test_references_of_any_count_and_of_convex_losses(loss, beta, alpha):
    """The field is the derivative of the local entropy around them."""
    places = [0.3 - 1e-4, 0.3, 0.3 + 1e-4]
    found = theory.franz_parisi(theory.Limit("perceptron"), gpumc.Gibbs(loss, beta), alpha=alpha, distance=places)
    assert found.converged.all()
    s = found.entropy.values
    assert found.field[1] == pytest.approx((s[2] - s[0]) / 2e-4, rel=1e-4)


@pytest.mark.parametrize(("loss", "beta"), [(gpumc.ErrorCount(0.5), np.inf), (BandCount(1.0), np.inf)])
def test_few_patterns_around_a_reference(loss, beta):
    """Each by itself: alpha times the mean of log H(-s x / sqrt(1 - s^2)) over stabilities x that the reference may have."""
    s = 0.6
    low, high = (0.5, 9.0) if loss.kind == "error-count" else (-1.0, 1.0)
    chance = ndtr(high) - ndtr(low)
    by_itself = quad(lambda x: norm.pdf(x) / chance * log_ndtr(s * x / np.sqrt(1 - s**2)), low, high)[0]
    found = theory.franz_parisi(theory.Limit("perceptron"), gpumc.Gibbs(loss, beta), alpha=1e-5, distance=0.2)
    assert found.log_volume.item() == pytest.approx(1e-5 * by_itself, rel=2e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: theory.replica_symmetric(
                theory.Limit("perceptron"), gpumc.Gibbs(LogBarrier(gpumc.Ramp(1.0, 0.1)), 1.0), alpha=0.4
            ),
            "cut is a ramp",
        ),
        (
            lambda: theory.replica_symmetric(
                theory.Limit("perceptron", "spherical"), gpumc.Gibbs(Hinge(), np.inf), alpha=0.4
            ),
            "continuous slope",
        ),
        (
            lambda: theory.replica_symmetric(
                theory.Limit("perceptron", "spherical"), gpumc.Gibbs(Saturated(), np.inf), alpha=0.4
            ),
            "continuous slope",
        ),
        (
            lambda: theory.replica_symmetric(
                theory.Limit("perceptron"), gpumc.LocalEntropy(Hinge(), np.inf, 1, 3), alpha=0.4
            ),
            "finite beta",
        ),
        (
            lambda: theory.franz_parisi(
                theory.Limit("perceptron"), gpumc.Gibbs(Saturated(), 1), alpha=0.4, distance=0.1
            ),
            "convex",
        ),
        (lambda: theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(Named(), 1.0), alpha=0.4), "rename"),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(ConfigError, match=words):
        call()
