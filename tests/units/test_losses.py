"""Losses of a pattern as tables of integers, against their formulas."""

import numpy as np
import pytest

import gpumc
from gpumc.errors import ConfigError
from gpumc.losses import FIXED_POINT
from tests.variants import TINY, by_machine

by_name = by_machine(TINY)
#: A table is rounded to the nearest multiple of the fixed point.
ROUNDING = FIXED_POINT / 2


def stabilities(machine) -> np.ndarray:
    return np.arange(-machine.readout.largest, machine.readout.largest + 1, 2) * machine.readout.scale


def cross_entropy(machine, gamma: float) -> np.ndarray:
    return gpumc.CrossEntropy(gamma).tables(machine)[0] * FIXED_POINT


@by_name
def test_error_count(machine):
    assert np.array_equal(gpumc.ErrorCount().tables(machine), [stabilities(machine) <= 0])


@by_name
@pytest.mark.parametrize("gamma", [0.2, 1.0, 7.0])
def test_cross_entropy_is_its_formula(machine, gamma):
    x = stabilities(machine)
    formula = -x / 2 + np.log(2 * np.cosh(gamma * x)) / (2 * gamma)
    np.testing.assert_allclose(cross_entropy(machine, gamma), formula, rtol=0, atol=ROUNDING * (1 + 1e-6))


@by_name
def test_large_gamma_is_the_perceptron_rule(machine):
    """f tends to max(0, -x); the difference is at most log 2 / (2 gamma)."""
    x, gamma = stabilities(machine), 1e4
    np.testing.assert_allclose(
        cross_entropy(machine, gamma), np.maximum(0, -x), atol=np.log(2) / (2 * gamma) + ROUNDING
    )


@by_name
def test_small_gamma_is_a_straight_line(machine):
    """f = log 2 / (2 gamma) - x / 2 + gamma x^2 / 4 + O(gamma^3 x^4)."""
    x, gamma = stabilities(machine), 1e-3
    line = np.log(2) / (2 * gamma) - x / 2
    np.testing.assert_allclose(cross_entropy(machine, gamma), line + gamma * x**2 / 4, rtol=0, atol=2 * ROUNDING)


@by_name
@pytest.mark.parametrize("gamma", [0.3, 5.0])
def test_both_signs(machine, gamma):
    """f(-x) - f(x) = x, and f falls with x."""
    f, x = cross_entropy(machine, gamma), stabilities(machine)
    np.testing.assert_allclose(f[::-1] - f, x, rtol=0, atol=2 * ROUNDING)
    assert np.all(np.diff(f) <= 0)
    assert f[0] > f[-1]


@by_name
@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_squared_hinge(machine, margin):
    x, loss = stabilities(machine), gpumc.SquaredHinge(margin)
    formula = np.where(x < margin, (x - margin) ** 2 / 2, 0)
    np.testing.assert_allclose(loss.tables(machine)[0] * FIXED_POINT, formula, rtol=0, atol=ROUNDING * (1 + 1e-6))
    np.testing.assert_allclose(loss.values(x), formula, rtol=1e-14)
    slopes = (loss.values(x + 1e-6) - loss.values(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(loss.slopes(x), slopes, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda: gpumc.SquaredHinge(np.nan), "margin"),
        (lambda: gpumc.SquaredHinge().tables(gpumc.Perceptron(5001)), "2048"),
        (lambda: gpumc.SquaredHinge(3).tables(gpumc.Perceptron(7)), "at most 2.646"),
    ],
)
def test_squared_hinges_that_make_no_sense(loss, words):
    with pytest.raises(ConfigError, match=words):
        loss()


def test_several_gammas_are_rows():
    machine, gammas = TINY[0], [0.5, 1, 2]
    loss = gpumc.CrossEntropy(gamma=gammas)
    assert loss.gamma == (0.5, 1.0, 2.0)
    assert np.array_equal(loss.tables(machine), [gpumc.CrossEntropy(g).tables(machine)[0] for g in gammas])
    assert loss.tables(machine).dtype == np.int64


@pytest.mark.parametrize("gamma", [0.0, -1.0, np.nan, np.inf, [], [1.0, 0.0], [[1.0]]])
def test_gammas_that_make_no_sense(gamma):
    with pytest.raises(ConfigError, match="gamma"):
        gpumc.CrossEntropy(gamma)


def test_a_loss_beyond_the_table():
    with pytest.raises(ConfigError, match=r"gamma = 0\.0001 .* less than 2048"):
        gpumc.CrossEntropy(1e-4).tables(TINY[0])


@pytest.mark.parametrize("make", [lambda: gpumc.CrossEntropy("a"), lambda: gpumc.SquaredHinge("a")])
def test_text_is_no_parameter(make):
    with pytest.raises(ConfigError, match="'a'"):
        make()
