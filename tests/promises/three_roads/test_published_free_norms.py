"""A ReLU tree committee of free norm with Gaussian inputs, learned and sampled, beside the published numbers.

A. Zambon, E. M. Malatesta, G. Tiana, R. Zecchina, Phys. Rev. E 112 (2025), arXiv:2503.08266, figure 2 and its data: 50 units of 20 inputs,
U = mean of log(1 + exp(-Delta)) + 1e-7 |W|^2, sampled with the density exp(-U / T). Theirs are means over runs on one set of patterns, ours
over sets: they agree within three standard deviations of one set, which are measured here, and of their runs. About an hour on one core.
"""

import numpy as np
import pytest

import gpumc

pytestmark = pytest.mark.long
LAMBDA, SETS = 1e-7, 3
LOSS = gpumc.CrossEntropy(0.5)


def machine_of(decay):
    return gpumc.TreeCommittee(1000, k=50, weights="gaussian", activation="relu", decay=decay)


def patterns_of(alpha):
    return gpumc.random_patterns(machine_of(1.0), alpha, instances=SETS, seed=5, inputs="gaussian")


def agree(found, published, spread):
    """Means of sets ``found`` (instances,) with a published one whose runs have a ``spread``."""
    own = found.std(ddof=1) * (1 + 1 / len(found)) ** 0.5
    assert abs(found.mean() - published) < 3 * np.hypot(own, spread), (found, published)


#: alpha: U, its error over trainings, the fraction of errors, |W|.
TRAINED = {
    0.2: (0.00374, 0.00004, 0.0, 170.7),
    1.0: (0.0200, 0.0002, 0.0, 373.6),
    1.8: (0.0849, 0.0044, 0.0, 663.1),
    2.0: (0.1208, 0.0027, 0.0012, 714.7),
}


@pytest.mark.parametrize("alpha", TRAINED)
def test_gradient_descent(alpha):
    """From weights of standard deviation 1/sqrt(60), for a time (epochs rate / (1 - momentum)) of 1e7."""
    u, error, wrong, norm = TRAINED[alpha]
    patterns = patterns_of(alpha)
    learner = gpumc.CrossEntropySGD(
        rate=100.0, gamma=0.5, batch=10**6, momentum=0.9, epochs=10_000, until="end", initial_norm=60**-0.5
    )
    data = gpumc.learn(machine_of(LAMBDA * patterns.count), patterns, learner, seed=1).isel(start=0, epoch=-1)
    squared = 1000 * data.norm.values**2
    agree(data.loss.values + LAMBDA * squared, u, error)
    agree(squared**0.5, norm, 0.01 * norm)
    agree(data.error_rate.values, wrong, 0.0004)


#: T x M at alpha = 1.8: U and its standard deviation along a run, the fraction of errors and its, |W|^2.
SAMPLED = {
    0.0054: (0.0651, 0.0001, 0.0, 1e-4, 3.82e5),
    0.18: (0.1195, 0.0024, 0.0028, 0.0012, 8.01e5),
    1.8: (0.635, 0.026, 0.0696, 0.0058, 4.41e6),
    18.0: (6.82, 0.25, 0.181, 0.0079, 3.22e7),
}


@pytest.mark.parametrize("heat", SAMPLED)
def test_sampling(heat):
    """beta is 1 / (T M), and decay lambda / T; colder measures are annealed in burn-in."""
    u, spread, wrong, of_wrong, squared = SAMPLED[heat]
    beta = 1 / heat
    cold = heat < 10
    ramp = gpumc.Ramp(beta * min(1.0, heat / 18), beta, "geometric") if cold else beta
    data = gpumc.sample(
        machine_of(LAMBDA * 1800 / heat),
        patterns_of(1.8),
        gpumc.Gibbs(LOSS, ramp),
        sampler=gpumc.HMC(steps=20),
        chains=2,
        burn_in=1500 if heat < 0.1 else 600 if cold else 200,
        sweeps=200,
        every=4,
        seed=1,
    )
    mean = data.mean(["chain", "replica", "draw"])
    norms = (1000 * data.norm**2).mean(["chain", "replica", "draw"]).values
    agree(mean.energy_per_pattern.values + LAMBDA * norms, u, spread)
    agree(mean.error_rate.values, wrong, of_wrong)
    agree(norms, squared, 0.06 * squared)


def overlap(one, other):
    return (one * other).sum(axis=-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


def test_cold_chains_stay_near_the_solutions_that_they_begin_at():
    """The published overlap of two solutions is that of two by gradient descent, near which chains at T M = 0.0054 stay."""
    patterns, heat = patterns_of(1.8), 0.0054
    learner = gpumc.CrossEntropySGD(
        rate=100.0, gamma=0.5, batch=10**6, momentum=0.9, epochs=6000, until="end", initial_norm=60**-0.5
    )
    start = gpumc.learn(machine_of(LAMBDA * 1800), patterns, learner, starts=2, seed=1).weights.values
    data = gpumc.sample(
        machine_of(LAMBDA * 1800 / heat),
        patterns,
        gpumc.Gibbs(LOSS, 1 / heat),
        sampler=gpumc.HMC(steps=20),
        chains=2,
        burn_in=600,
        sweeps=300,
        every=6,
        seed=1,
        init=start[:, None, :, None],
    )
    weights = data.weights.values.reshape(start.shape)
    assert data.error_rate.max() == 0
    assert overlap(weights, start).min() > 0.9
    agree(overlap(weights[:, 0], weights[:, 1]), 0.628, 0.009)
