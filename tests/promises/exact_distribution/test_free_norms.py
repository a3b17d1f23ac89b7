"""Gaussian weights, whose norms are free: Hamiltonian Monte Carlo against closed forms and quadrature, and the steps that it is made of."""

import numpy as np
import pytest
from scipy.stats import chi2, kstest

import gpumc
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.parts import Part
from gpumc.sampling.spheres.hmc import Potential
from gpumc.sampling.spheres.spaces import FreeSpace
from gpumc.sampling.spheres.target import FreePull, Target
from tests.promises.exact_distribution.test_spheres import runs_back_and_keeps_the_energy

RNG = np.random.default_rng
#: Chains of a comparison, which start independently and are looked at once: errors are over them.
CHAINS = 2500
#: Standard errors allowed: with forty comparisons a false alarm in 10^4 runs.
ALLOWED = 4.8

LINE = gpumc.Perceptron(1, weights="gaussian", decay=0.3)
PLANE = gpumc.Perceptron(2, weights="gaussian", decay=0.2)
RELU = gpumc.TreeCommittee(4, k=2, weights="gaussian", activation="relu", decay=0.1)
SMALL = gpumc.TreeCommittee(2, k=2, weights="gaussian", activation="relu", decay=0.1)
TANH = gpumc.FullCommittee(2, k=1, weights="gaussian", activation="tanh", slope=1.5, decay=0.4)
SETTINGS = {"chains": CHAINS, "burn_in": 60, "sweeps": 1, "device": "cpu", "seed": 5}
BETA = 2.0


def patterns_of(machine, count=4):
    rng = RNG(7)
    return gpumc.Patterns(rng.normal(size=(count, machine.n)), rng.choice([-1, 1], count))


def grid_of(machine, reach=12.0, points=401):
    """Weights (points^n, n) on a square grid, whose sums are integrals: the densities vanish at its ends."""
    axis = np.linspace(-reach, reach, points)
    return np.stack(np.meshgrid(*[axis] * machine.weight_count, indexing="ij"), axis=-1).reshape(
        -1, machine.weight_count
    )


def energies(machine, patterns, loss, weights):
    return loss.values(machine.stabilities(weights, patterns.xi[0], patterns.labels[0])).sum(axis=1)


def close(values, expected):
    """The mean over chains, within its error."""
    per_chain = values.mean([d for d in values.dims if d != "chain"]).values
    error = per_chain.std(ddof=1) / len(per_chain) ** 0.5
    assert abs(per_chain.mean() - expected) < ALLOWED * error, (per_chain.mean(), expected, error)


@pytest.mark.parametrize("decay", [1e-7, 0.5, 1e6])
def test_without_patterns_weights_are_normal(decay):
    """At beta = 0: every weight is normal of variance 1 / (2 decay), and 2 decay |W|^2 chi-squared of as many degrees of freedom. Two
    tests by Kolmogorov and Smirnov at a false-alarm rate of 1e-4 each, from a start that is far from the distribution."""
    machine = gpumc.TreeCommittee(6, k=2, weights="gaussian", activation="relu", decay=decay)
    measure = gpumc.Gibbs(gpumc.CrossEntropy(1.0), 0.0)
    start = np.full(6, 3 * machine.spread)
    settings = SETTINGS | {"init": start, "burn_in": 200, "sampler": gpumc.HMC(steps=12)}
    data = gpumc.sample(machine, patterns_of(machine), measure, **settings)
    weights = data.weights.values.reshape(CHAINS, 6) / machine.spread
    assert kstest((weights**2).sum(axis=1), chi2(6).cdf).pvalue > 1e-4
    assert kstest(weights[:, 2], "norm").pvalue > 1e-4
    norm = (data.weights.values**2).mean(axis=-1) ** 0.5
    np.testing.assert_allclose(data.norm.isel(draw=-1), norm, rtol=1e-12)


@pytest.mark.parametrize(
    ("machine", "loss"),
    [
        (PLANE, gpumc.CrossEntropy(0.5)),
        (PLANE, gpumc.SquaredHinge(0.5)),
        (SMALL, gpumc.CrossEntropy(1.0)),
        (TANH, gpumc.CrossEntropy(1.0)),
    ],
    ids=["perceptron", "hinge", "relu", "tanh"],
)
def test_two_weights(machine, loss):
    """Means of the loss, the errors, the squared norm and a weight, against integrals over the plane."""
    patterns = patterns_of(machine)
    weights = grid_of(machine)
    energy = energies(machine, patterns, loss, weights)
    weight = np.exp(-BETA * energy - machine.decay * (weights**2).sum(axis=1))
    weight /= weight.sum()
    data = gpumc.sample(machine, patterns, gpumc.Gibbs(loss, BETA), **SETTINGS)
    close(data.energy, weight @ energy)
    wrong = (machine.stabilities(weights, patterns.xi[0], patterns.labels[0]) <= 0).mean(axis=1)
    close(data.error_rate, weight @ wrong)
    close(data.norm**2, weight @ (weights**2).mean(axis=1))
    close(data.weights.isel(weight=0), weight @ weights[:, 0])


@pytest.mark.parametrize("centre", ["explicit", "traced", "fixed"])
def test_replicas_on_a_line(centre):
    """Two replicas of one weight and their centre, against sums over a grid of all three."""
    coupling, patterns, loss = 0.6, patterns_of(LINE, 3), gpumc.CrossEntropy(1.0)
    axis = grid_of(LINE, 15.0, 301)
    weights = axis[:, 0]
    energy = energies(LINE, patterns, loss, axis)
    centres = np.array([0.7]) if centre == "fixed" else weights
    alone = np.exp(-BETA * energy - LINE.decay * weights**2)
    one = alone * np.exp(-0.5 * coupling * (centres[:, None] - weights) ** 2)
    z = one.sum(axis=1)
    of_centre, mean = z**2 / (z**2).sum(), one / z[:, None]
    measure = gpumc.LocalEntropy(loss, BETA, coupling, 2, centres if centre == "fixed" else centre)
    data = gpumc.sample(LINE, patterns, measure, **SETTINGS)
    close(data.energy, of_centre @ mean @ energy)
    close(data.norm**2, of_centre @ mean @ weights**2)
    close(data.distance_centre, of_centre @ (mean * (centres[:, None] - weights) ** 2).sum(axis=1) / 4)
    signs = np.sign(weights)
    close(data.overlap_centre, of_centre @ (mean * np.sign(centres[:, None]) * signs).sum(axis=1))
    close(data.overlap_replicas, of_centre @ (mean @ signs) ** 2)
    if centre != "fixed":
        close(data.centre**2, of_centre @ centres**2)


def potential_of(machine, centre):
    patterns, loss = patterns_of(machine, 7), gpumc.CrossEntropy(1.3).at(gamma=np.full(6, 1.3))
    target = Target.of(choose("numpy"), machine, loss, patterns.xi[0], patterns.labels[0])
    x = RNG(3).normal(size=(6, machine.k, machine.fan_in))
    coupling = RNG(4).uniform(0.2, 1, 2)
    pull = FreePull(np.repeat(coupling, 3), RNG(5).normal(size=x.shape)) if centre == "explicit" else None
    return Potential(target, RNG(6).uniform(1, 3, 6), 3, pull, coupling if centre == "traced" else None), x


machines = pytest.mark.parametrize("machine", [PLANE, RELU, TANH], ids=["perceptron", "relu", "tanh"])
around = pytest.mark.parametrize("centre", ["none", "explicit", "traced"])


@machines
@around
def test_gradients(machine, centre):
    """With the decay and the coupling, against finite differences of the potential, 1e-6 to either side."""
    potential, x = potential_of(machine, centre)
    gradient = potential.gradient(x, potential.target.fields(x))

    def total(x):
        return potential.value(x, potential.target.fields(x)).sum()

    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        assert abs((total(x + step) - total(x - step)) / 2e-6 - gradient[place]) < 1e-6


@machines
@around
def test_trajectories_run_back_and_keep_the_energy(machine, centre):
    potential, x = potential_of(machine, centre)
    runs_back_and_keeps_the_energy(machine, potential, x, RNG(8).normal(size=x.shape))


def test_traced_is_explicit_integrated_out():
    """The log weight of replicas less the log of the integral over centres, which is known, is the same for all replicas."""
    space, coupling = FreeSpace(0.3), np.array([0.4])
    centres = np.linspace(-40, 40, 4001)
    found = []
    for replicas in RNG(2).normal(size=(4, 1, 3, 1, 1)) * 3:
        integral = np.exp(-0.5 * 0.4 * ((replicas.ravel()[:, None] - centres) ** 2).sum(axis=0)).sum()
        found.append(space.traced(coupling, replicas)[0][0] - np.log(integral))
    np.testing.assert_allclose(found, found[0], atol=1e-9)


def test_scales():
    """beta L of ReLU units with scaled weights: decay / s^2 and weights s times as large give the same accepted moves, to rounding."""
    machine = gpumc.TreeCommittee(8, k=2, weights="gaussian", activation="relu", decay=0.5)
    wide = gpumc.TreeCommittee(8, k=2, weights="gaussian", activation="relu", decay=0.5 / 16)
    patterns = patterns_of(machine, 6)
    near = gpumc.Patterns(patterns.xi / 4, patterns.labels)
    settings = {"chains": 5, "burn_in": 30, "sweeps": 10, "device": "numpy", "seed": 2}
    measure = gpumc.Gibbs(gpumc.CrossEntropy(1.0), 3.0)
    one, four = (gpumc.sample(m, p, measure, **settings) for m, p in ((machine, patterns), (wide, near)))
    np.testing.assert_allclose(4 * one.weights, four.weights, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(one.acceptance, four.acceptance, rtol=1e-6)


@pytest.mark.parametrize("centre", ["explicit", "traced"])
def test_parts_and_states(centre, tmp_path):
    """A part has the bits of the whole, and a state that was saved goes on with them."""
    patterns = gpumc.random_patterns(RELU, 2.0, 2, seed=1, inputs="gaussian")
    measure = gpumc.LocalEntropy(gpumc.CrossEntropy([0.5, 2.0]), 2.0, 0.3, 3, centre)
    settings = {"chains": 6, "burn_in": 5, "sweeps": 6, "every": 2, "seed": 4, "device": "cpu"}
    whole = gpumc.sample(RELU, patterns, measure, **settings)
    part = gpumc.sample(RELU, patterns, measure, part=Part((1, 2), (2, 5)), **settings)
    expected = whole.isel(instance=[1], chain=slice(2, 5)).drop_vars("stability_count")
    for name in expected.data_vars:
        assert np.array_equal(part[name], expected[name]), name
    walk = gpumc.dynamics(RELU, patterns, measure, seed=4, device="cpu", burn_in=5)
    state = walk.init(6)
    walk.step(state, 7)
    state.save(tmp_path / "state.npz")
    again = walk.load(tmp_path / "state.npz")
    walk.step(again, 4)
    for name, values in walk.observe(again).data_vars.items():
        if name != "stability_count":
            last = whole[name].isel(draw=-1) if "draw" in whole[name].dims else whole[name]
            assert np.array_equal(values, last), name


@pytest.mark.parametrize(
    ("machine", "call", "words"),
    [
        ({"decay": -1.0}, {}, "decay = -1"),
        ({"decay": np.inf}, {}, "decay = inf"),
        ({"weights": "spherical", "decay": 1.0}, {}, "decay is of gaussian weights"),
        ({"decay": 0.0}, {}, "decay = 0: .* a positive one"),
        ({}, {"sampler": gpumc.Rotations()}, "'rotations' moves spherical weights, .* gaussian weights: use HMC"),
        ({}, {"measure": gpumc.Gibbs(gpumc.ErrorCount(), 1.0)}, "a loss and hidden units that have one"),
        ({}, {"measure": gpumc.LocalEntropy(gpumc.CrossEntropy(1.0), 1.0, 0.0, 2)}, "anywhere in space"),
        ({}, {"init": np.full(4, 1e60)}, r"1e\+50 at most"),
        ({}, {"init": np.ones(3)}, "the 4 weights"),
    ],
)
def test_bad_input(machine, call, words):
    settings = {"measure": gpumc.Gibbs(gpumc.CrossEntropy(1.0), 1.0), "chains": 2, "burn_in": 1, "sweeps": 1} | call

    def sampled():
        own = gpumc.Perceptron(4, **({"weights": "gaussian"} | machine))
        return gpumc.sample(own, patterns_of(own), **settings)

    with pytest.raises(ConfigError, match=words):
        sampled()


@pytest.mark.parametrize("method", ["bp", "ti", "splitting"])
def test_volumes_are_refused(method):
    machine = gpumc.Perceptron(4, weights="gaussian")
    with pytest.raises(ConfigError, match="gaussian"):
        gpumc.entropy(machine, patterns_of(machine), method=method, device="numpy")


def test_theory_and_enumeration_are_refused():
    machine, measure = gpumc.Perceptron(4, weights="gaussian"), gpumc.Gibbs(gpumc.CrossEntropy(1.0), 1.0)
    with pytest.raises(ConfigError, match="gaussian"):
        gpumc.theory.replica_symmetric(machine, measure, alpha=0.4)
    with pytest.raises(ConfigError, match="gaussian"):
        gpumc.exact.averages(machine, patterns_of(machine), measure)
    with pytest.raises(ConfigError, match="gaussian"):
        gpumc.focusing_bp(machine, patterns_of(machine))
    with pytest.raises(ConfigError, match="gaussian"):
        gpumc.flatness.hessian(machine, patterns_of(machine), np.ones(4), gpumc.CrossEntropy(1.0))
    with pytest.raises(ConfigError, match="gaussian"):
        gpumc.learn(machine, patterns_of(machine), gpumc.LeastAction())
