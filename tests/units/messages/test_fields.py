"""Nodes of perceptrons whose losses depend on the value of a field: against sums over fine pieces, and over the values of a field."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import logsumexp

import gpumc
from gpumc.channels.formulae import Formula, both_labels, check_values
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.messages.fields import Linear, Steps
from gpumc.messages.likelihoods import channel, takes_fields
from tests.units.messages.losses import Exponential, Hidden, Hinge, Ramp, Silent, Window

REAL, BINARY = gpumc.Perceptron(101, weights="spherical"), gpumc.Perceptron(101)
SCALE = REAL.readout.scale
BOTH = [(1.0, 0.0), (2.0, 1.0)]
POINTS, WEIGHTS = np.polynomial.legendre.leggauss(40)


def node(machine, loss, beta, right=1.0, opposite=0.0):
    counts = np.array([[[right]], [[opposite]]])
    return channel(choose("numpy"), machine, loss.rows(1), np.array([beta]), counts, np.float64)


def by_pieces(formula, beta, mean, spread):
    """log Z, and the mean and the variance of z and the mean loss, of x = mean + spread z."""

    def exponent(z):
        losses = formula.values(mean + spread * z)
        return -(z**2) / 2 - (beta * losses if np.isfinite(beta) else np.where(losses > 0, np.inf, 0)), losses

    low, high = -500.0, 500.0
    for _ in range(4):
        z = np.linspace(low, high, 20_001)
        values = exponent(z)[0]
        left = z[values > values.max() - 45]
        low, high = left.min() - 2 * (z[1] - z[0]), left.max() + 2 * (z[1] - z[0])
    kinks = [(kink - mean) / spread for kink in (-1.0, *formula.kinks)]
    ends = np.unique([*np.linspace(low, high, 101), *(kink for kink in kinks if low < kink < high)])
    z = np.concatenate([(a + b) / 2 + (b - a) / 2 * POINTS for a, b in pairwise(ends)])
    share = np.concatenate([(b - a) / 2 * WEIGHTS for a, b in pairwise(ends)])
    values, losses = exponent(z)
    weight = share * np.exp(values - values.max())
    total = weight.sum()
    first, second, energy = (weight @ of / total for of in (z, z**2, losses))
    return np.log(total) + values.max() - np.log(2 * np.pi) / 2, first, second - first**2, energy


LOSSES = [
    (gpumc.SquaredHinge(0.5), 1e-9),
    (gpumc.LogBarrier(0.1), 1e-8),
    (gpumc.CrossEntropy(2.0), 1e-7),
    (gpumc.ErrorCount(0.5), 1e-9),
    (gpumc.ErrorCount(-0.5), 1e-9),
    (gpumc.BandCount(0.8), 1e-9),
    (Window(), 1e-9),
    (Hinge(), 1e-9),
    (Ramp(), 1e-9),
    (Exponential(), 1e-9),
    (Silent(), 1e-3),
    (gpumc.CrossEntropy(1e30), 1e-3),
]


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(("loss", "most"), LOSSES, ids=lambda v: getattr(v, "kind", ""))
@pytest.mark.parametrize(("right", "opposite"), BOTH)
def test_averages_are_sums_over_pieces(loss, most, right, opposite):
    formula = Formula(loss, right, opposite)
    for beta in (0.5, 5.0, *([np.inf] if loss.counts and not opposite else [60.0])):
        found = node(REAL, loss, beta, right, opposite)
        assert type(found) is (Steps if loss.counts else Linear)
        for mean, spread in ((-3.0, 1.0), (-0.4, 0.6), (0.1, 0.05), (2.5, 1.0)):
            field = np.full((1, 1, 1), mean / SCALE), np.full((1, 1, 1), (spread / SCALE) ** 2)
            got = found.gaussian(*field)
            log_z, first, variance, energy = by_pieces(formula, beta, mean, spread)
            assert got.log_z.item() == pytest.approx(log_z, abs=most * max(1, abs(log_z)))
            assert got.slope.item() * spread / SCALE == pytest.approx(first, abs=10 * most * max(1, abs(first)))
            assert got.curvature.item() * (spread / SCALE) ** 2 + 1 == pytest.approx(variance, abs=1e3 * most)
            assert found.energy(*field).item() == pytest.approx(energy, abs=10 * most)


def test_a_wide_field_has_more_nodes():
    """Of real inputs of any size."""
    formula, field = Formula(gpumc.CrossEntropy(2.0)), np.full((1, 1, 1), -1 / SCALE)
    with np.errstate(invalid="ignore"):  # rows are given up that are no numbers any more
        assert np.isnan(node(REAL, gpumc.CrossEntropy(2.0), 5.0).gaussian(np.nan * field, np.nan * field).log_z)
    for spread in (3.0, 20.0):
        found = node(REAL, gpumc.CrossEntropy(2.0), 5.0).gaussian(field, np.full((1, 1, 1), (spread / SCALE) ** 2))
        assert found.log_z.item() == pytest.approx(by_pieces(formula, 5.0, -1.0, spread)[0], abs=1e-8)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES], ids=lambda loss: loss.kind)
@pytest.mark.parametrize(("right", "opposite"), BOTH)
def test_counts_are_summed(loss, right, opposite):
    machine, formula = gpumc.Perceptron(9), Formula(loss, right, opposite)
    log_p = np.log(np.random.default_rng(1).dirichlet(np.ones(10)))
    losses = formula.values(machine.possible_stabilities)
    for beta in (0.7, 6.0):
        found = node(machine, loss, beta, right, opposite).counted(log_p[None, None, None])
        log_z = logsumexp(log_p - beta * losses)
        assert found.log_z.item() == pytest.approx(log_z, abs=1e-12)
        assert found.energy.item() == pytest.approx(np.exp(log_p - beta * losses - log_z) @ losses, abs=1e-12)
        np.testing.assert_allclose(found.log_factor[0, 0, 0], -beta * losses, atol=1e-12)


@pytest.mark.parametrize("margin", [0.3, -0.3])
def test_of_signs_a_margin_lies_between_two_values_of_the_field(margin):
    """A Gaussian of the variance of 101 signs gives the binomial probability to 5e-4; an edge at the margin itself would be 0.01 off."""
    found = node(BINARY, gpumc.ErrorCount(margin), np.inf)
    got = found.gaussian(np.zeros((1, 1, 1)), np.full((1, 1, 1), 101.0)).log_z.item()
    rng = np.cumsum(np.ones(101))
    log_binomial = np.concatenate([[0.0], np.cumsum(np.log((102 - rng) / rng))]) - 101 * np.log(2)
    right = BINARY.possible_stabilities >= margin
    assert got == pytest.approx(logsumexp(log_binomial[right]), abs=5e-4)


def test_which_losses_depend_on_signs_alone():
    for loss in (gpumc.ErrorCount(0.5), gpumc.BandCount(1.0), gpumc.CrossEntropy(1.0), Hinge()):
        assert takes_fields(REAL, loss.rows(2))
        assert not takes_fields(gpumc.TreeCommittee(9, 3), loss.rows(2))
    assert not takes_fields(REAL, gpumc.ErrorCount().rows(2))


@pytest.mark.parametrize("machine", [REAL, BINARY, gpumc.TreeCommittee(9, 3)], ids=lambda m: m.kind)
def test_what_both_labels_allow(machine):
    assert both_labels(machine, gpumc.BandCount(0.9))
    assert both_labels(machine, gpumc.ErrorCount(-0.7))
    assert not both_labels(machine, gpumc.ErrorCount())
    assert not both_labels(machine, gpumc.ErrorCount(0.3))


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES], ids=lambda loss: loss.kind)
def test_right_losses_pass(loss):
    for machine in (REAL, BINARY, gpumc.TreeCommittee(9, 3)):
        check_values(machine, loss)
    assert np.isfinite(loss.values(np.linspace(-3, 3, 61))).all()


def test_a_count_without_kinks_is_refused_where_stabilities_are_real():
    check_values(BINARY, Hidden())
    with pytest.raises(ConfigError, match=r"'window' counts errors, and changes near the stability -0\.49 where"):
        check_values(REAL, Hidden())
