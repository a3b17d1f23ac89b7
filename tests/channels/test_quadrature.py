"""Averages by quadrature against closed forms; their error estimate; and that points do not know one another."""

import numpy as np
import pytest
from scipy.special import log_ndtr

import gpumc
from gpumc.channels import COARSE, FINE, Formula, tilted_average
from gpumc.device import choose
from tests.messages.losses import Exponential, Hinge, Silent

MEAN, SPREAD = np.linspace(-4, 4, 41), np.linspace(0.05, 1, 41)
LOSSES = [gpumc.CrossEntropy(2.0), gpumc.CrossEntropy(300.0), gpumc.LogBarrier(0.1), Silent(), Exponential()]


def test_the_hinge_in_closed_form():
    beta = 7.0
    found = tilted_average(Formula(Hinge()), beta, MEAN, SPREAD, FINE, 1.0)
    steep = beta * MEAN + beta**2 * SPREAD**2 / 2 + log_ndtr(-(MEAN + beta * SPREAD**2) / SPREAD)
    exact = np.logaddexp(log_ndtr(MEAN / SPREAD), steep)
    np.testing.assert_allclose(found.log_z, exact, atol=1e-12)
    np.testing.assert_allclose(found.slope, beta * np.exp(steep - exact), atol=1e-11)


def test_the_squared_hinge_in_closed_form():
    loss, beta = gpumc.SquaredHinge(0.5), 3.0
    found = tilted_average(Formula(loss), beta, MEAN, SPREAD, FINE, 1.0)
    for value, exact in zip(found, loss.gaussian(MEAN, SPREAD, beta, 1.0), strict=True):
        np.testing.assert_allclose(value, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("loss", [gpumc.CrossEntropy(2.0), gpumc.LogBarrier(0.1), Hinge()], ids=lambda loss: loss.kind)
def test_half_of_the_points_tell_the_error(loss):
    coarse, fine = (tilted_average(Formula(loss), 5.0, MEAN, SPREAD, rule, 1.0) for rule in (FINE.coarser(), FINE))
    assert 1e-15 < np.abs(coarse.log_z - fine.log_z).max() < 1e-6
    rough = tilted_average(Formula(loss), 5.0, MEAN, SPREAD, COARSE, 1.0)
    np.testing.assert_allclose(rough.log_z, fine.log_z, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
def test_a_point_has_the_same_bits_among_others(loss):
    among = tilted_average(Formula(loss), 2.0, MEAN, SPREAD, COARSE, 1.0)
    for i in (0, 17, 40):
        alone = tilted_average(Formula(loss), 2.0, MEAN[i : i + 1], SPREAD[i : i + 1], COARSE, 1.0)
        assert [value[i] for value in among] == [value.item() for value in alone]


@pytest.mark.gpu
@pytest.mark.parametrize("loss", [gpumc.CrossEntropy(2.0), gpumc.LogBarrier(0.1)], ids=lambda loss: loss.kind)
def test_a_gpu_gives_the_same(loss):
    device = choose("cuda")
    here = tilted_average(Formula(loss), 2.0, MEAN, SPREAD, COARSE, 1.0)
    there = tilted_average(Formula(loss), 2.0, device.asarray(MEAN), device.asarray(SPREAD), COARSE, 1.0)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(other.get(), one, rtol=1e-9, atol=1e-12)
