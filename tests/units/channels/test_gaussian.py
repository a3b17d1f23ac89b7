"""Averages over a Gaussian variable of functions that are constant between edges."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import log_ndtr, ndtr

from gpumc.channels import piecewise

LOG_2PI = np.log(2 * np.pi)


def by_quadrature(mean, spread, beta, edges, energies):
    """log Z and the mean energy."""
    ends = [-40.0, *((np.array(edges) - mean) / spread), 40.0]
    shares = np.array(
        [
            quad(lambda z: np.exp(-(z**2) / 2 - LOG_2PI / 2), low, high, epsabs=0, epsrel=1e-12)[0]
            for low, high in pairwise(ends)
        ]
    )
    weights = np.exp(-beta * np.array(energies)) * shares
    return np.log(weights.sum()), weights @ energies / weights.sum()


CASES = [
    ([0.0], [1.0, 0.0]),
    ([-1.0, 1.0], [1.0, 0.0, 1.0]),
    ([-0.5, 0.1, 2.0], [2.0, 0.0, 0.5, 1.5]),
    ([0.3], [0.0, -1.0]),
]


@pytest.mark.parametrize(("edges", "energies"), CASES)
@pytest.mark.parametrize("beta", [1e-6, 0.7, 5.0])
def test_averages_are_those_of_quadrature(edges, energies, beta):
    for mean, spread in ((0.2, 1.0), (-1.5, 0.6), (2.0, 3.0)):
        found = piecewise(np.array([mean]), np.array([spread]), np.array([beta]), edges, energies, log_ndtr)
        log_z, energy = by_quadrature(mean, spread, beta, edges, energies)
        np.testing.assert_allclose([found.log_z[0], found.energy[0]], [log_z, energy], rtol=1e-10, atol=1e-13)
        step = 1e-4
        moved = np.array([mean - step, mean, mean + step])
        low, middle, high = piecewise(moved, np.array([spread]), beta, edges, energies, log_ndtr).log_z
        np.testing.assert_allclose(found.slope, (high - low) / (2 * step), rtol=1e-5, atol=1e-11)
        np.testing.assert_allclose(found.curvature, (high - 2 * middle + low) / step**2, rtol=1e-4, atol=1e-6)


def test_error_counts_have_their_closed_form():
    mean, spread, beta = np.linspace(-30, 30, 121), 0.8, 2.0
    x = mean / spread
    log_g = np.logaddexp(log_ndtr(x), log_ndtr(-x) - beta)
    slope = -np.expm1(-beta) * np.exp(-(x**2 + LOG_2PI) / 2 - log_g) / spread
    found = piecewise(mean, spread, beta, [0.0], [1.0, 0.0], log_ndtr)
    np.testing.assert_allclose(found.log_z, log_g, rtol=1e-14)
    np.testing.assert_allclose(found.slope, slope, rtol=1e-13)
    np.testing.assert_allclose(found.curvature, -x / spread * slope - slope**2, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found.energy, np.exp(log_ndtr(-x) - beta - log_g), rtol=1e-13)


def test_bands_are_exact_far_out():
    """P(-1 < mean + z < 1) falls as exp(-(mean - 1)^2 / 2) / (mean - 1): Mills' ratio by its continued fraction."""
    mean = np.array([50.0, 200.0, 1000.0])
    near = mean - 1
    mills = 1 / (near + 1 / (near + 2 / (near + 3 / (near + 4 / near))))
    for side in (1, -1):
        found = piecewise(side * mean, 1.0, np.inf, [-1.0, 1.0], [1.0, 0.0, 1.0], log_ndtr)
        np.testing.assert_allclose(found.log_z, -(near**2 + LOG_2PI) / 2 + np.log(mills), rtol=1e-13)
        np.testing.assert_allclose(found.slope, -side / mills, rtol=1e-10)
        # Of numbers of order mean^2, whose logs are of order mean^2.
        assert (abs(found.curvature - (near - 1 / mills) / mills) < 2e-16 * mean**4).all()
        assert (found.energy == 0).all()
    # What is nearly certain, to all digits of what is missing.
    found = piecewise(np.zeros(1), 0.1, np.inf, [-1.0, 1.0], [1.0, 0.0, 1.0], log_ndtr)
    np.testing.assert_allclose(found.log_z, -2 * ndtr(-10.0), rtol=1e-12)
    # A narrow band.
    found = piecewise(np.array([0.3]), 1.0, np.inf, [-1e-5, 1e-5], [1.0, 0.0, 1.0], log_ndtr)
    np.testing.assert_allclose(found.log_z, np.log(2e-5) - (0.3**2 + LOG_2PI) / 2, rtol=1e-10)


def test_nothing_is_allowed_without_a_zero():
    found = piecewise(np.array([0.0, 3.0]), 1.0, np.inf, [0.0], [1.0, 2.0], log_ndtr)
    assert (found.log_z == -np.inf).all()
    assert not np.isnan(np.array(found)).any()


def test_without_edges_the_energy_is_everything():
    found = piecewise(np.array([0.5, 3.0]), 1.0, 2.0, [], [0.25], log_ndtr)
    np.testing.assert_array_equal(np.array(found), [[-0.5] * 2, [0] * 2, [0] * 2, [0.25] * 2])


def test_arguments_broadcast():
    mean = np.linspace(-2, 2, 12).reshape(3, 4)
    spread, beta, edge = np.array([0.5, 1.0, 2.0])[:, None], np.array([1.0, np.inf, 3.0])[:, None], np.zeros((3, 1))
    found = piecewise(mean, spread, beta, [edge - 0.5, edge + 0.5], [1.0, 0.0, 1.0], log_ndtr)
    for row in range(3):
        one = piecewise(mean[row], spread[row], beta[row], [-0.5, 0.5], [1.0, 0.0, 1.0], log_ndtr)
        for part, whole in zip(one, found, strict=True):
            np.testing.assert_array_equal(part, whole[row])
