"""The symmetric binary perceptron: its first moment is tight, and its typical solutions are like planted ones.

B. Aubin, W. Perkins, L. Zdeborova, J. Phys. A 52, 294003 (2019); E. Abbe, S. Li, A. Sly, FOCS 2021. Widths are even multiples of
1/sqrt(n), between two possible stabilities.
"""

import numpy as np
import pytest
from scipy.stats import binom, norm

import gpumc
from gpumc import theory

N = 1001
WIDTH = 32 / N**0.5
MEASURE = gpumc.Gibbs(gpumc.BandCount(WIDTH), np.inf)
LOG_INSIDE = np.log(2 * norm.cdf(WIDTH) - 1)


def planted(machine: gpumc.Perceptron, count: int, seed: int) -> tuple[gpumc.Patterns, np.ndarray]:
    """So many patterns drawn given that random weights are a solution, and these weights."""
    rng = np.random.default_rng(seed)
    weights = rng.choice(np.array([-1, 1], np.int8), machine.n)
    xi = np.empty((0, machine.n), np.int8)
    while len(xi) < count:
        drawn = rng.choice(np.array([-1, 1], np.int8), (count, machine.n))
        inside = np.abs(drawn @ weights.astype(int)) <= round(WIDTH * machine.n**0.5)
        xi = np.concatenate([xi, drawn[inside]])
    return gpumc.Patterns(xi[:count], np.ones(count, np.int8)), weights


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("n", [N, pytest.param(10_001, marks=pytest.mark.long)])
def test_messages_give_the_first_moment(n, alpha):
    """log 2 + alpha log P(|z| < width), to rounding: no message prefers a sign."""
    machine = gpumc.Perceptron(n)
    patterns = gpumc.random_patterns(machine, alpha, seed=1)
    data = gpumc.entropy(machine, patterns, MEASURE)
    expected = np.log(2) + patterns.count / n * LOG_INSIDE
    assert data.converged.all()
    assert data.entropy.item() == pytest.approx(expected, abs=1e-9)
    typical = theory.replica_symmetric(theory.Limit("perceptron"), MEASURE, alpha=patterns.count / n)
    assert typical.entropy.item() == pytest.approx(expected, abs=1e-6)


def test_above_the_capacity_there_is_no_answer():
    machine = gpumc.Perceptron(N)
    above = 1.01 * -np.log(2) / LOG_INSIDE
    data = gpumc.entropy(machine, gpumc.random_patterns(machine, above, seed=1), MEASURE)
    assert not data.converged.any()
    assert np.isnan(data.entropy).all()


def test_around_typical_solutions():
    """No solution is near; farther away there are as many as theory says: means over 6 instances within 4 standard errors and 1/n, so that
    one seed in 60 fails, errors being estimated from 6."""
    machine, alpha, distance = gpumc.Perceptron(N), 1.0, [0.01, 0.1, 0.3]
    curves = []
    for seed in range(6):
        patterns, weights = planted(machine, N, seed)
        assert np.all(
            MEASURE.loss.values(machine.stabilities(weights[None], *(a[0] for a in (patterns.xi, patterns.labels))))
            == 0
        )
        curves.append(
            gpumc.local_entropy(machine, patterns, weights, MEASURE, distance=distance).entropy.values.ravel()
        )
    expected = theory.franz_parisi(machine, MEASURE, MEASURE, alpha=alpha, distance=distance)
    assert np.isnan(expected.entropy[0])
    assert np.isnan(curves).all(axis=0).tolist() == [True, False, False]
    found, error = np.mean(curves, axis=0)[1:], np.std(curves, axis=0, ddof=1)[1:] / len(curves) ** 0.5
    assert np.all(error < 0.004)
    assert np.all(np.abs(found - expected.entropy.values[1:]) < 4 * error + 1 / N)


@pytest.mark.parametrize(
    "measure",
    [
        gpumc.Gibbs(gpumc.CrossEntropy(1.0), 2.0),
        gpumc.Gibbs(gpumc.BandCount(WIDTH), 2.0),
        gpumc.Gibbs(gpumc.BandCount((0.5, 1.0)), np.inf),
    ],
)
def test_measures_that_count_no_solutions_are_refused(measure):
    with pytest.raises(gpumc.errors.ConfigError, match="counts configurations without error"):
        theory.franz_parisi(gpumc.Perceptron(N), measure=measure, alpha=0.3, distance=0.2)


def inside(n: int, edge: int) -> float:
    """The probability that a sum of n random signs is below ``edge`` in absolute value."""
    sums = 2 * np.arange(n + 1) - n
    return float(binom.pmf(np.arange(n + 1), n, 0.5)[np.abs(sums) < edge].sum())


def test_sampling_gives_the_first_moment():
    """By integration over temperatures: log Z is that of its mean within a few nats, 3 being allowed, and 4 standard errors."""
    machine = gpumc.Perceptron(N)
    patterns = gpumc.random_patterns(machine, 0.25, seed=1)
    method = gpumc.ThermodynamicIntegration(temperatures=16, burn_in=300, sweeps=900)
    data = gpumc.entropy(machine, patterns, MEASURE, method=method)
    expected = np.log(2) + patterns.count / N * np.log(inside(N, 32))
    print(data.entropy.values, data.entropy_error.values, expected)
    assert data.converged.all()
    assert np.all(data.entropy_error < 0.001)
    assert np.all(np.abs(data.entropy - expected) < 3 / N + 4 * data.entropy_error)


def test_around_solutions_of_a_high_margin():
    """Hot starts reach zero errors in a narrower band; around these nearly all configurations at a small distance are solutions, and of
    planted ones' fewer."""
    machine, distance = gpumc.Perceptron(N), [0.01, 0.05, 0.1]
    patterns = gpumc.random_patterns(machine, 0.1, seed=1)
    narrow = gpumc.Gibbs(gpumc.BandCount(16 / N**0.5), gpumc.Ramp(0.5, 8.0))
    data = gpumc.sample(machine, patterns, narrow, chains=4, burn_in=2000, sweeps=1, seed=2)
    best = data.isel(chain=int(data.energy.argmin("chain").item()), replica=0, draw=-1)
    assert best.energy.item() == 0
    found = gpumc.local_entropy(machine, patterns, best.weights, MEASURE, distance=distance)
    assert found.converged.all()
    assert np.all(found.entropy > 0.95 * found.entropy_bound)
    typical, weights = planted(machine, patterns.count, 3)
    around = gpumc.local_entropy(machine, typical, weights, MEASURE, distance=distance)
    ratio = (around.log_volume / found.log_volume).values.ravel()
    assert ratio[0] > 20  # 109
    assert np.all(ratio > 1.3)  # 1.6 at the largest
