"""R-hat and effective numbers of draws: against processes whose correlations are known."""

import numpy as np
import pytest
from scipy.signal import lfilter

from gpumc.results.convergence import rhat_and_ess


def autoregressive(rho: float, shape: tuple, seed: int) -> np.ndarray:
    """Chains whose draws have the correlation rho^lag, from their stationary distribution."""
    noise = np.random.default_rng(seed).normal(size=shape) * np.sqrt(1 - rho**2)
    noise[..., 0] /= np.sqrt(1 - rho**2)
    return lfilter([1.0], [1.0, -rho], noise, axis=-1)


@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.5, 0.9])
def test_the_effective_number_of_an_autoregressive_process(rho):
    """It is n (1 - rho) / (1 + rho): the mean over 50 groups of chains, whose own spread is at most 10 %, within 5 %."""
    chains, draws = 4, 4000
    rhat, ess = rhat_and_ess(autoregressive(rho, (50, chains, draws), seed=3))
    assert ess.mean() == pytest.approx(chains * draws * (1 - rho) / (1 + rho), rel=0.05)
    assert np.all(abs(rhat - 1) < 0.02)


def test_the_spread_of_means_is_what_the_effective_number_says():
    """The variance of a mean is the variance over the effective number: 400 means tell it to 7 %, tested to 4 deviations."""
    series = autoregressive(0.8, (400, 2, 1000), seed=4)
    _, ess = rhat_and_ess(series)
    assert series.mean(axis=(1, 2)).var() * ess.mean() / series.var() == pytest.approx(1.0, abs=0.28)


def test_chains_at_different_places():
    """Of two constants apart by 2 d with noise of variance 1: B = n d^2 m/(m - 1) over m halves, by the formula."""
    series = np.random.default_rng(5).normal(size=(2, 10_000)) + np.array([[-1.0], [1.0]])
    rhat, ess = rhat_and_ess(series)
    assert rhat == pytest.approx(np.sqrt(1 + 4 / 3), rel=0.02)
    assert ess < 10


def test_a_drift_is_seen_in_one_chain():
    drift = np.linspace(0.0, 3.0, 1000) + np.random.default_rng(6).normal(size=1000) * 0.1
    rhat, ess = rhat_and_ess(drift[None])
    assert rhat > 1.5
    assert ess < 5


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_equal_draws_have_no_answer(value):
    assert np.isnan(rhat_and_ess(np.full((3, 2, 50), value))).all()


def test_too_few_draws_and_holes_have_no_answer():
    series = np.random.default_rng(7).normal(size=(2, 3, 20))
    assert np.isnan(rhat_and_ess(series[..., :3])).all()
    series[0, 1, 4] = np.nan
    assert np.isnan(rhat_and_ess(series)).tolist() == [[True, False], [True, False]]
