"""The sampled distribution against enumeration, for the combinations in the table.

Chains are independent, so that their last configurations are independent draws and a plain chi-square applies. Each of the cases
fails by chance with probability 1e-6, all of them together with less than 1e-4; seeds are fixed.
"""

from itertools import product

import numpy as np
import pytest
from scipy import stats

import gpumc
from tests.variants import TINY, by_case

CHAINS = 6000
BURN_IN = 40
FALSE_ALARM = 1e-6


def configurations(count: int) -> np.ndarray:
    return np.array(list(product((-1, 1), repeat=count)), np.int8)


def losses_of(case, weights: np.ndarray, patterns) -> np.ndarray:
    """The loss of each configuration, in integer units, from the stabilities alone."""
    stability = case.machine.stabilities(weights, patterns.xi[0], patterns.labels[0])
    if case.loss.counts:
        return (stability <= 0).sum(axis=1)
    losses = case.loss.values(stability)
    return np.rint(losses / case.loss.unit).astype(np.int64).sum(axis=1)


def pair_probabilities(case, loss: np.ndarray, weights: np.ndarray, beta: float, coupling: float):
    """P(W^1, W^2) with the centre given or summed out: (states, states), and the pairs' overlaps."""
    boltzmann = -beta * loss * case.loss.unit
    overlap = weights.astype(int) @ weights.T
    if case.centre == "fixed":
        field = coupling * weights @ case.measure().centre
        log_p = (boltzmann + field)[:, None] + (boltzmann + field)[None, :]
    else:
        same = (weights.shape[1] + overlap) / 2
        log_p = boltzmann[:, None] + boltzmann[None, :] + same * np.log(np.cosh(2 * coupling))
    probability = np.exp(log_p - log_p.max())
    return probability / probability.sum(), overlap


def centre_given_pair(count: int, overlap: int, coupling: float) -> np.ndarray:
    """P(number of weights where the centre agrees with W^1 | overlap of W^1 and W^2): (count + 1,)."""
    same = (count + overlap) // 2
    agrees = stats.binom.pmf(np.arange(same + 1), same, 1 / (1 + np.exp(-4 * coupling)))
    return np.convolve(agrees, stats.binom.pmf(np.arange(count - same + 1), count - same, 0.5))


def chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    """The p-value of counts, classes of fewer than 8 expected being pooled."""
    rare = expected < 8
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    if expected[-1] < 8:
        smallest = np.argmin(expected[:-1])
        observed[smallest] += observed[-1]
        expected[smallest] += expected[-1]
        observed, expected = observed[:-1], expected[:-1]
    return stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue


@by_case(TINY)
def test_sampled_distribution(case):
    beta, coupling = 1.2, 0.4
    patterns = case.patterns(alpha=0.8)
    data = gpumc.sample(
        case.machine,
        patterns,
        case.measure(beta, coupling),
        chains=CHAINS,
        burn_in=BURN_IN,
        sweeps=1,
        seed=2,
        sampler=case.sampler,
        device="cpu",
    )
    count = case.machine.weight_count
    weights = configurations(count)
    loss = losses_of(case, weights, patterns)
    rank = (data.weights.values[0].astype(int) + 1) // 2 @ (2 ** np.arange(count)[::-1])
    if case.centre is None:
        probability = np.exp(-beta * case.loss.unit * (loss - loss.min()))
        expected = CHAINS * probability / probability.sum()
        assert chi_square(np.bincount(rank[:, 0], minlength=2**count).astype(float), expected) > FALSE_ALARM
        return
    probability, overlap = pair_probabilities(case, loss, weights, beta, coupling)
    # Classes: the two losses and the overlap of the replicas; with a sampled centre, how it agrees with the first one, too.
    levels, level = np.unique(loss, return_inverse=True)
    classes = (level[:, None] * len(levels) + level[None, :]) * (count + 1) + (count + overlap) // 2
    seen = classes[rank[:, 0], rank[:, 1]]
    expected = np.bincount(classes.ravel(), probability.ravel(), minlength=len(levels) ** 2 * (count + 1))
    if case.centre != "fixed":
        agrees = np.array([centre_given_pair(count, 2 * same - count, coupling) for same in range(count + 1)])
        expected = (expected.reshape(-1, count + 1, 1) * agrees).ravel()
        centre_overlap = (data.weights.values[0, :, 0].astype(int) * data.centre.values[0]).sum(axis=-1)
        seen = seen * (count + 1) + (count + centre_overlap) // 2
    observed = np.bincount(seen, minlength=len(expected)).astype(float)
    assert not observed[expected == 0].any()
    assert chi_square(observed, CHAINS * expected) > FALSE_ALARM


@pytest.mark.parametrize("centre", ["explicit", "traced"])
def test_joint_states_of_three_replicas(centre):
    """n = 5, 3 patterns, 3 replicas and a centre: all 2^20 joint states, by gpumc.exact; 4 standard errors, 8 comparisons."""
    machine = gpumc.Perceptron(5)
    patterns = gpumc.random_patterns(machine, alpha=0.6, seed=3)
    for loss in (gpumc.ErrorCount(), gpumc.CrossEntropy(gamma=1.0)):
        measure = gpumc.LocalEntropy(loss, beta=1.0, coupling=0.3, replicas=3, centre=centre)
        data = gpumc.sample(machine, patterns, measure, chains=20_000, burn_in=40, sweeps=1, seed=5, device="cpu")
        exact = gpumc.exact.averages(machine, patterns, measure)
        for name in ("energy", "overlap_centre", "overlap_replicas"):
            values = (
                data[name].isel(draw=-1).mean("replica") if "replica" in data[name].dims else data[name].isel(draw=-1)
            )
            error = float(values.std()) / np.sqrt(values.size)
            assert abs(float(values.mean()) - float(exact[name].squeeze())) < 4 * error, name
