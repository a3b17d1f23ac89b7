"""Factor nodes against brute force: enumeration of hidden signs, adaptive quadrature, finite differences."""

from itertools import product

import numpy as np
import pytest
from scipy import integrate, stats

import gpumc
from gpumc.device import choose
from gpumc.messages.likelihoods import Linear, channel
from gpumc.messages.votes import Signs

NUMPY = choose("numpy")
COMMITTEES = (gpumc.TreeCommittee(15, 5), gpumc.FullCommittee(5, 3), gpumc.TreeParity(15, 3), gpumc.TreeParity(6, 2))


#: Every factor of four patterns, or of one, is one pattern.
FOUR, ONE = (np.array([np.ones((1, count)), np.zeros((1, count))]) for count in (4, 1))


def node(machine, loss, beta, counts=FOUR):
    return channel(NUMPY, machine, loss.rows(1), np.array([beta]), counts, np.float64)


def loss_of(machine, loss, signs):
    """A pattern's loss where the hidden units have these signs, from the sampler's own table."""
    readout = machine.readout.of(np.array(signs)[:, None])[0]
    return loss.tables(machine)[0][(readout + machine.readout.largest) // 2] * loss.unit


@pytest.mark.parametrize("machine", COMMITTEES, ids=str)
@pytest.mark.parametrize(
    ("loss", "beta"), [(gpumc.ErrorCount(), 1.5), (gpumc.ErrorCount(), np.inf), (gpumc.CrossEntropy(2.0), 3.0)]
)
def test_units_are_summed_as_by_enumeration(machine, loss, beta):
    p = np.random.default_rng(1).uniform(0.1, 0.9, machine.k)
    found = node(machine, loss, beta, ONE)
    log_z, up, down = found.units(np.log(p)[None, :, None], np.log1p(-p)[None, :, None])
    total, given = 0.0, np.zeros((machine.k, 2))
    for signs in product((1, -1), repeat=machine.k):
        energy = loss_of(machine, loss, signs)
        factor = np.exp(-beta * energy) if energy else 1.0
        chances = np.where(np.array(signs) > 0, p, 1 - p)
        total += factor * chances.prod()
        for unit, sign in enumerate(signs):
            given[unit, int(sign < 0)] += factor * chances.prod() / chances[unit]
    allowed = 1e-12 if loss.counts else 1e-4 if loss.unit > 1e-5 else 1e-5  # tables are in such units
    assert log_z.item() == pytest.approx(np.log(total), abs=allowed)
    assert np.allclose(np.exp([up[0, :, 0], down[0, :, 0]]), given.T, atol=allowed)


@pytest.mark.parametrize("mean", [-3.0, 0.2, 2.5])
@pytest.mark.parametrize(("beta", "gamma"), [(0.5, 0.3), (5.0, 1.0), (5.0, 5.0), (20.0, 40.0)])
def test_cross_entropy_quadrature(mean, beta, gamma):
    machine, variance = gpumc.Perceptron(101), 0.6
    scale = machine.readout.scale
    found = node(machine, gpumc.CrossEntropy(gamma), beta, ONE)
    assert isinstance(found, Linear)

    def integrand(x):
        return stats.norm.pdf(x, mean, np.sqrt(variance)) * np.exp(
            -beta * np.logaddexp(0, -2 * gamma * x) / (2 * gamma)
        )

    mode = mean + beta * variance * (mean < 0)
    total = integrate.quad(integrand, mean - 9, mode + 9, points=[0.0, mean, mode], epsabs=0, epsrel=1e-11, limit=500)[
        0
    ]
    got = found.gaussian(np.array([[[mean / scale]]]), np.array([[[variance / scale**2]]]))
    assert got.log_z.item() == pytest.approx(np.log(total), abs=1e-8)


@pytest.mark.parametrize(("right", "opposite"), [(3, 0), (0, 2), (3, 1)])
def test_losses_of_a_constraint_are_summed_by_quadrature(right, opposite):
    machine, variance, gamma, beta, mean = gpumc.Perceptron(101), 0.6, 1.5, 2.0, 0.4
    counts = np.array([[[float(right)]], [[float(opposite)]]])
    scale = machine.readout.scale
    loss = gpumc.CrossEntropy(gamma)

    def summed(x):
        return right * loss.values(np.float64(x)) + opposite * loss.values(np.float64(-x))

    def weight(x):
        return stats.norm.pdf(x, mean, np.sqrt(variance)) * np.exp(-beta * summed(x))

    total, energy = (
        integrate.quad(f, mean - 12, mean + 12, points=[0.0, mean], epsabs=0, epsrel=1e-11, limit=500)[0]
        for f in (weight, lambda x: weight(x) * summed(x))
    )
    found = node(machine, loss, beta, counts)
    field = np.array([[[mean / scale]]]), np.array([[[variance / scale**2]]])
    assert found.gaussian(*field).log_z.item() == pytest.approx(np.log(total), abs=1e-8)
    assert found.energy(*field).item() == pytest.approx(energy / total, abs=1e-7)


CHANNELS = [
    *[
        (m, loss, beta)
        for m in COMMITTEES
        for loss, beta in ((gpumc.ErrorCount(), np.inf), (gpumc.CrossEntropy(1.0), 4.0))
    ],
    (gpumc.Perceptron(9), gpumc.ErrorCount(), np.inf),
    (gpumc.Perceptron(9), gpumc.ErrorCount(), 2.0),
    (gpumc.Perceptron(9), gpumc.CrossEntropy(2.0), 5.0),
]


@pytest.mark.parametrize(("machine", "loss", "beta"), CHANNELS, ids=str)
def test_slopes_are_derivatives(machine, loss, beta):
    found = node(machine, loss, beta)
    mean = np.random.default_rng(2).normal(0, 2, (1, machine.k, 4))
    variance, step = np.full((1, machine.k, 1), 3.0), 1e-4
    here = found.gaussian(mean, variance)
    for unit in range(machine.k):
        shift = np.zeros((1, machine.k, 1))
        shift[0, unit] = step
        above, below = found.gaussian(mean + shift, variance), found.gaussian(mean - shift, variance)
        assert np.allclose((above.log_z - below.log_z) / 2 / step, here.slope[:, unit], atol=1e-6)
        assert np.allclose((above.slope - below.slope)[:, unit] / 2 / step, here.curvature[:, unit], atol=1e-6)


@pytest.mark.parametrize(("machine", "loss", "beta"), [c for c in CHANNELS if np.isfinite(c[2])], ids=str)
def test_energy_is_a_derivative(machine, loss, beta):
    mean, variance, step = (
        np.random.default_rng(3).normal(0, 2, (1, machine.k, 4)),
        np.full((1, machine.k, 1), 3.0),
        1e-5,
    )
    log_z = [node(machine, loss, b).gaussian(mean, variance).log_z.sum() for b in (beta + step, beta - step)]
    energy = node(machine, loss, beta).energy(mean, variance)
    assert energy.item() == pytest.approx(-(log_z[0] - log_z[1]) / 2 / step, rel=1e-6)


@pytest.mark.parametrize("x", [-1e3, -40.0, 40.0, 1e3])
def test_far_tails_are_numbers(x):
    found = node(gpumc.Perceptron(9), gpumc.ErrorCount(), np.inf, counts=ONE)
    assert isinstance(found, Signs)
    got = found.gaussian(np.array([[[x]]]), np.ones((1, 1, 1)))
    assert np.isfinite([got.log_z.item(), got.slope.item(), got.curvature.item()]).all()
    if x < 0:  # Mills' ratio: log Phi(x) ~ -x^2/2 - log(-x sqrt(2 pi)), slope ~ -x
        assert got.log_z.item() == pytest.approx(-(x**2) / 2 - np.log(-x * np.sqrt(2 * np.pi)), abs=2 / x**2)
        assert got.slope.item() == pytest.approx(-x, rel=2 / x**2)
    else:
        assert got.log_z.item() == pytest.approx(0, abs=1e-300)
