"""Spherical weights: samplers against quadrature on small spheres, and the steps that they are made of."""

from functools import cache

import numpy as np
import pytest
from scipy.special import gammaln, ive

import gpumc
from gpumc.device import choose, to_host
from gpumc.device.constants import Stream
from gpumc.device.philox import philox, uniform
from gpumc.errors import ConfigError, RunError
from gpumc.parts import Part
from gpumc.sampling.spheres.centre import draw_below_one, draw_centre
from gpumc.sampling.spheres.geometry import geodesic, kicked, log_mean_exp, normalised, norms, tangent
from gpumc.sampling.spheres.hit_and_run import errors_along
from gpumc.sampling.spheres.hmc import Potential, leapfrog
from gpumc.sampling.spheres.loss_gradient import slopes
from gpumc.sampling.spheres.target import Pull, Target, traced_pull

RNG = np.random.default_rng
#: Chains of a comparison with quadrature, which start independently and are looked at once: errors are over them.
CHAINS = 2500
#: Standard errors allowed: with about a hundred comparisons a false alarm in 10^4 runs.
ALLOWED = 4.9

CIRCLE = gpumc.Perceptron(2, weights="spherical")
GLOBE = gpumc.Perceptron(3, weights="spherical")
SIGNS = gpumc.TreeCommittee(6, k=3, weights="spherical")
WEIGHTED = gpumc.TreeCommittee(6, k=3, weights="spherical", output=[2, -2, 1])
PARITY = gpumc.TreeParity(6, k=3, weights="spherical")
RELU = gpumc.TreeCommittee(4, k=2, weights="spherical", activation="relu")
TANH = gpumc.FullCommittee(2, k=3, weights="spherical", activation="tanh", slope=1.5)
ERF = gpumc.TreeParity(4, k=2, weights="spherical", activation="erf")
HMC, ROTATIONS, HIT_AND_RUN = gpumc.HMC(), gpumc.Rotations(), gpumc.HitAndRun()


def patterns_of(machine, count=5):
    rng = RNG(7)
    return gpumc.Patterns(rng.normal(size=(count, machine.n)), rng.choice([-1, 1], count))


@cache
def points(machine, circle=48):
    """Weights that cover the spheres evenly, (points, weights): circles by equal angles, the globe by Fibonacci's spiral, and three
    circles, where hidden signs cut small cells, at random: a hundred for each chain, which widens no error by more than 1 %."""
    if machine.fan_in == 3:
        count = 20_000
        height = 1 - 2 * (np.arange(count) + 0.5) / count
        angle = np.pi * (1 + 5**0.5) * np.arange(count)
        across = np.sqrt(1 - height**2)
        return 3**0.5 * np.stack([across * np.cos(angle), across * np.sin(angle), height], axis=1)
    if machine.k == 3 and machine.activation == "sign":
        return normalised(RNG(11).normal(size=(100 * CHAINS, 3, 2))).reshape(-1, 6)
    angle = 2 * np.pi * (np.arange(circle) + 0.5) / circle
    unit = 2**0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    index = np.stack(np.meshgrid(*[np.arange(circle)] * machine.k, indexing="ij"), axis=-1).reshape(-1, machine.k)
    return unit[index].reshape(len(index), -1)


def losses(machine, patterns, loss, weights):
    stability = machine.stabilities(weights, patterns.xi[0], patterns.labels[0])
    return loss.values(stability).sum(axis=1), (stability <= 0).mean(axis=1)


def close(values, expected):
    """The mean over chains, within its error."""
    per_chain = values.mean([d for d in values.dims if d != "chain"]).values
    error = max(per_chain.std(ddof=1) / len(per_chain) ** 0.5, 1e-12)
    assert abs(per_chain.mean() - expected) < ALLOWED * error, (per_chain.mean(), expected, error)


def weighted(weight, loss, beta):
    cost = np.where(loss == 0, 0, beta * np.where(loss == 0, 1, loss))
    weight = weight * np.exp(-(cost - cost.min()))
    return weight / weight.sum()


GIBBS = [
    *((machine, gpumc.CrossEntropy(1.0), 3.0, HMC) for machine in (CIRCLE, GLOBE, RELU, TANH, ERF)),
    *((machine, gpumc.SquaredHinge(0.5), 3.0, HMC) for machine in (GLOBE, RELU)),
    *((machine, gpumc.CrossEntropy(1.0), 3.0, ROTATIONS) for machine in (GLOBE, RELU, SIGNS, PARITY)),
    *((machine, gpumc.ErrorCount(), 1.5, ROTATIONS) for machine in (CIRCLE, GLOBE, SIGNS, PARITY, TANH)),
    *((machine, gpumc.ErrorCount(), 1.5, HIT_AND_RUN) for machine in (CIRCLE, GLOBE, SIGNS, WEIGHTED, PARITY)),
    *((machine, gpumc.ErrorCount(), np.inf, HIT_AND_RUN) for machine in (GLOBE, SIGNS, PARITY)),
]


@pytest.mark.parametrize(
    ("machine", "loss", "beta", "sampler"), GIBBS, ids=lambda v: getattr(v, "kind", str(v)).replace(" ", "")
)
def test_small_spheres(machine, loss, beta, sampler):
    patterns = patterns_of(machine, 4)
    weights = points(machine, 360 if machine.weight_count == 2 else 60)
    energy, wrong = losses(machine, patterns, loss, weights)
    assert np.isfinite(beta) or energy.min() == 0
    weight = weighted(np.ones(len(weights)), energy, beta)
    # At beta = inf chains fall into cells that few great circles lead out of.
    settings = {"chains": CHAINS, "burn_in": 30} if np.isfinite(beta) else {"chains": CHAINS // 4, "burn_in": 300}
    measure = gpumc.Gibbs(loss, beta)
    data = gpumc.sample(machine, patterns, measure, sweeps=1, sampler=sampler, device="cpu", **settings)
    if np.isfinite(beta):
        close(data.energy, weight @ energy)
        close(data.error_rate, weight @ wrong)
    else:
        assert data.energy.max() == 0
    # An odd function of the weights, and an even one.
    axis = RNG(1).normal(size=machine.weight_count)
    for power in (1, 2):
        close((data.weights * axis).sum("weight") ** power, weight @ (weights @ axis) ** power)


@pytest.mark.parametrize("centre", ["explicit", "traced", "fixed"])
@pytest.mark.parametrize(
    ("loss", "beta", "sampler"),
    [
        (gpumc.CrossEntropy(1.0), 2.0, HMC),
        (gpumc.CrossEntropy(1.0), 2.0, ROTATIONS),
        (gpumc.ErrorCount(), 1.0, ROTATIONS),
        (gpumc.ErrorCount(), 1.0, HIT_AND_RUN),
    ],
    ids=lambda v: getattr(v, "kind", str(v)),
)
def test_replicas_on_a_circle(loss, beta, sampler, centre):
    """Three replicas on a circle, around a centre, against quadrature of the joint measure."""
    coupling, patterns = 0.7, patterns_of(CIRCLE, 3)
    weights = points(CIRCLE, 60)
    given = np.array([1.0, 1.0])
    energy, _ = losses(CIRCLE, patterns, loss, weights)
    centres = given[None] if centre == "fixed" else weights
    # Of each centre, a replica's weights; then those of three of them.
    one = np.exp(coupling * centres @ weights.T - beta * energy)
    z = one.sum(axis=1)
    of_centre = z**3 / (z**3).sum()
    mean = one / z[:, None]
    measure = gpumc.LocalEntropy(loss, beta, coupling, 3, given if centre == "fixed" else centre)
    data = gpumc.sample(
        CIRCLE, patterns, measure, chains=CHAINS, burn_in=30, sweeps=1, sampler=sampler, device="cpu", seed=3
    )
    close(data.energy, of_centre @ mean @ energy)
    close(data.overlap_centre, of_centre @ (mean * (centres @ weights.T)).sum(axis=1) / 2)
    first = mean @ weights
    close(data.overlap_replicas, of_centre @ (first**2).sum(axis=1) / 2)
    if centre != "fixed":
        close((data.centre**3).sum("weight"), of_centre @ (centres**3).sum(axis=1))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_kernels_of_trajectories_equal_numpy(device):
    rng, target = RNG(3), choose(device)
    rows, units, fan_in = 6, 2, 71
    x = normalised(rng.normal(size=(rows, units, fan_in)))
    force, time, coupling = rng.normal(size=x.shape), rng.uniform(0, 2, rows), np.array([1e-6, 0.3, 40.0])
    v = tangent(x, rng.normal(size=x.shape))

    def found(on):
        here = [on.asarray(a) for a in (x, v, force, time)]
        chains = here[0].reshape(3, 2, units, fan_in)
        moves = kicked(on, *here), *geodesic(on, here[0], here[1], here[3])
        return [to_host(a) for a in (*moves, *traced_pull(on, on.asarray(coupling), chains))]

    for ours, theirs in zip(found(target), found(choose("numpy")), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_mean_over_a_sphere():
    """log of the mean of exp(kappa cos), and the mean cosine, against Bessel functions."""
    kappa = np.array([1e-3, 0.1, 1, 5, 30, 200, 1000.0])
    for dimension in (2, 3, 10, 33, 100):
        nu = dimension / 2 - 1
        value, slope = log_mean_exp(kappa, dimension)
        expected = gammaln(nu + 1) + nu * np.log(2 / kappa) + np.log(ive(nu, kappa)) + kappa
        np.testing.assert_allclose(value, expected, atol=2e-8)
        np.testing.assert_allclose(slope, ive(nu + 1, kappa) / ive(nu, kappa), rtol=1e-11)


@pytest.mark.parametrize("dimension", [2, 3, 50])
def test_centres_follow_their_distribution(dimension):
    """The mean cosine to the pole, and its square by the second derivative; 4.9 standard errors."""
    kappa = np.array([0.01, 2.0, 60.0])
    walkers = np.arange(20_000, dtype=np.uint64)
    cos = 1 - draw_below_one(1, 5, walkers, np.broadcast_to(kappa, (len(walkers), 3)), dimension)
    h = 1e-3 * kappa
    mean = log_mean_exp(kappa, dimension)[1]
    variance = (log_mean_exp(kappa + h, dimension)[1] - log_mean_exp(kappa - h, dimension)[1]) / (2 * h)
    error = np.sqrt(variance / len(walkers))
    assert np.all(np.abs(cos.mean(axis=0) - mean) < ALLOWED * error)
    assert np.all(np.abs(cos.var(axis=0) / variance - 1) < 0.08)
    total = normalised(RNG(2).normal(size=(20_000, 2, dimension))) * 3
    centre = draw_centre(1, 5, walkers, total, np.full(len(walkers), 0.2))
    np.testing.assert_allclose(norms(centre)[..., 0], dimension**0.5)
    cos = (centre * total).sum(axis=-1) / (3 * dimension)
    expected, slope = log_mean_exp(np.array([0.6 * dimension]), dimension)[1], 0.05
    assert np.all(np.abs(cos.mean(axis=0) - expected) < max(ALLOWED * cos.std() / len(walkers) ** 0.5, slope * 1e-3))


@pytest.mark.parametrize("kappa", [1e6, 1e12, 1e20, 9e99])
def test_a_strong_coupling_leaves_the_centre_at_its_pole(kappa):
    """1 - cos has the gamma distribution of shape (dimension - 1)/2 and scale 1/kappa; 4.9 standard errors."""
    dimension, walkers = 5, np.arange(20_000, dtype=np.uint64)
    below = draw_below_one(1, 5, walkers, np.full((len(walkers), 1), kappa), dimension) * kappa
    assert abs(below.mean() - 2) < ALLOWED * (2 / len(walkers)) ** 0.5
    assert abs(below.var() - 2) < ALLOWED * (20 / len(walkers)) ** 0.5
    measure = gpumc.LocalEntropy(gpumc.ErrorCount(), beta=1.0, coupling=kappa, replicas=2)
    data = gpumc.sample(
        SIGNS, patterns_of(SIGNS), measure, chains=2, burn_in=0, sweeps=2, sampler=HIT_AND_RUN, device="numpy"
    )
    assert np.isfinite(data.centre).all()


def test_a_centre_of_replicas_that_cancel_is_anywhere():
    centre = draw_centre(1, 5, np.arange(20_000, dtype=np.uint64), np.zeros((20_000, 2, 3)), np.ones(20_000))
    np.testing.assert_allclose(norms(centre)[..., 0], 3**0.5)
    assert np.all(np.abs(centre.mean(axis=0)) < ALLOWED / 20_000**0.5)


CROSS_ENTROPY = gpumc.CrossEntropy(1.3)


def potential_of(machine, centre, loss=CROSS_ENTROPY):
    patterns = patterns_of(machine, 7)
    loss = loss.at(gamma=np.full(6, 1.3)) if "gamma" in loss.axes else loss
    target = Target.of(choose("numpy"), machine, loss, patterns.xi[0], patterns.labels[0])
    x = normalised(RNG(3).normal(size=(6, machine.k, machine.fan_in)))
    coupling = RNG(4).uniform(0.2, 1, 2)
    pull = Pull(np.repeat(coupling, 3), normalised(RNG(5).normal(size=x.shape))) if centre == "explicit" else None
    traced = coupling if centre == "traced" else None
    return Potential(target, RNG(6).uniform(1, 3, 6), 3, pull, traced), x


differentiable = pytest.mark.parametrize("machine", [GLOBE, RELU, TANH, ERF], ids=lambda m: f"{m.kind}-{m.activation}")
centres = pytest.mark.parametrize("centre", ["none", "explicit", "traced"])


@differentiable
@centres
@pytest.mark.parametrize("loss", [CROSS_ENTROPY, gpumc.SquaredHinge(0.5)], ids=lambda loss: loss.kind)
def test_gradients(machine, centre, loss):
    """Against finite differences of the potential, 1e-6 to either side."""
    potential, x = potential_of(machine, centre, loss)
    gradient = potential.gradient(x, potential.target.fields(x))

    def total(x):
        return potential.value(x, potential.target.fields(x)).sum()

    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        assert abs((total(x + step) - total(x - step)) / 2e-6 - gradient[place]) < 1e-6


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@differentiable
def test_slopes_of_the_kernel(machine, device):
    """Against the array form, also far out and where a chunk of patterns is not full."""
    rng = RNG(12)
    fields = rng.normal(size=(machine.k, 5, 77)) * 10.0 ** rng.integers(-3, 3, (machine.k, 5, 77))
    labels, beta, gamma = rng.choice([-1.0, 1.0], 77), rng.uniform(0, 5, 5), rng.uniform(0.1, 30, 5)
    loss, target = gpumc.CrossEntropy(), choose(device)
    expected = slopes(choose("numpy"), machine, loss.at(gamma=gamma), fields.copy(), labels, beta)
    own = loss.at(gamma=target.asarray(gamma))
    found = to_host(slopes(target, machine, own, *(target.asarray(a) for a in (fields, labels, beta))))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


def runs_back_and_keeps_the_energy(machine, potential, x, v):
    """Reversed momenta lead back; the energy's error is of second order in the step. The end of a trajectory."""
    there, after, _ = leapfrog(potential, x, v, np.full(6, 0.05), 12)
    back, before, _ = leapfrog(potential, there, -after, np.full(6, 0.05), 12)
    np.testing.assert_allclose(back, x, atol=1e-10)
    np.testing.assert_allclose(-before, v, atol=1e-10)

    def whole(x, v):
        kinetic = 0.5 * (v * v).sum(axis=(1, 2)).reshape(-1, potential.together).sum(axis=1)
        return potential.value(x, potential.target.fields(x)) + kinetic

    if machine.activation != "relu":  # whose gradient jumps
        errors = []
        for size in (0.04, 0.02):
            end, velocity, _ = leapfrog(potential, x, v, np.full(6, size), round(0.4 / size))
            errors.append(np.linalg.norm(whole(end, velocity) - whole(x, v)))
        assert 3.2 < errors[0] / errors[1] < 5
    return there


@differentiable
@centres
def test_trajectories_run_back_and_keep_the_energy(machine, centre):
    """Norms stay, too."""
    potential, x = potential_of(machine, centre)
    there = runs_back_and_keeps_the_energy(machine, potential, x, tangent(x, RNG(8).normal(size=x.shape)))
    np.testing.assert_allclose(norms(there)[..., 0], machine.fan_in**0.5)


@pytest.mark.parametrize("machine", [GLOBE, SIGNS, PARITY], ids=lambda m: m.kind)
def test_errors_along_a_circle(machine):
    """Against counting them at angles in between."""
    patterns = patterns_of(machine, 9)
    target = Target.of(choose("numpy"), machine, gpumc.ErrorCount(), patterns.xi[0], patterns.labels[0])
    here, ahead = RNG(9).normal(size=(2, 5, machine.k, 9))
    angles, errors = errors_along(machine, target.labels, here, ahead)
    for angle in np.linspace(0.01, 6.28, 200):
        counted = target.errors(np.cos(angle) * here + np.sin(angle) * ahead)
        assert np.array_equal(counted, errors[np.arange(5), (angles < angle).sum(axis=1)])


SETTINGS = {"chains": 6, "burn_in": 5, "sweeps": 6, "every": 2, "seed": 4, "device": "cpu"}


def local(sampler, centre="explicit"):
    loss = gpumc.CrossEntropy([0.5, 2.0]) if sampler == HMC else gpumc.ErrorCount()
    return gpumc.LocalEntropy(loss, 2.0, 0.1, 3, centre)


@pytest.mark.parametrize("centre", ["explicit", "traced"])
@pytest.mark.parametrize("sampler", [HMC, ROTATIONS, HIT_AND_RUN], ids=lambda sampler: sampler.kind)
def test_parts_are_those_of_the_whole(sampler, centre):
    machine = gpumc.TreeParity(21, k=3, weights="spherical", activation="tanh" if sampler == HMC else "sign")
    patterns = gpumc.random_patterns(machine, 0.5, 2, seed=1)
    settings = SETTINGS | {"sampler": sampler}
    whole = gpumc.sample(machine, patterns, local(sampler, centre), **settings)
    again = gpumc.sample(machine, patterns, local(sampler, centre), **(settings | {"device": "numpy"}))
    part = gpumc.sample(machine, patterns, local(sampler, centre), part=Part((1, 2), (2, 5)), **settings)
    expected = whole.isel(instance=[1], chain=slice(2, 5)).drop_vars("stability_count")
    rounding = 1e-9 if sampler == HMC else 0  # the kernels of trajectories add in another order than NumPy
    for name in expected.data_vars:
        np.testing.assert_allclose(whole[name], again[name], rtol=rounding, atol=rounding, err_msg=name)
        assert np.array_equal(part[name], expected[name]), name


def test_what_is_recorded():
    """Energies, errors and overlaps of the last draw are those of the last configurations."""
    machine = gpumc.TreeCommittee(20, k=4, weights="spherical", activation="relu")
    patterns = gpumc.random_patterns(machine, 0.8, 2, seed=1)
    data = gpumc.sample(machine, patterns, local(HMC), **SETTINGS)
    assert data.weights.dtype == data.centre.dtype == np.float64
    for i in range(2):
        weights = data.weights.isel(instance=i).values
        stability = machine.stabilities(weights.reshape(-1, 20), patterns.xi[i], patterns.labels[i])
        stability = stability.reshape(*weights.shape[:-1], -1)
        last = data.isel(instance=i, draw=-1)
        np.testing.assert_allclose(last.error_rate, (stability <= 0).mean(axis=-1))
        gamma = np.array([0.5, 2.0])[:, None, None, None]
        np.testing.assert_allclose(last.energy, gpumc.CrossEntropy().at(gamma=gamma).values(stability).sum(axis=-1))
        centre = data.centre.isel(instance=i).values[:, :, None]
        np.testing.assert_allclose(last.overlap_centre, (weights * centre).mean(axis=-1))
        pairs = np.einsum("gcaw,gcbw->gcab", weights, weights) / 20
        mean = (pairs.sum(axis=(-2, -1)) - 3) / 6
        np.testing.assert_allclose(last.overlap_replicas, mean)
    np.testing.assert_allclose((data.weights.values.reshape(-1, 4, 5) ** 2).sum(axis=-1), 5)
    every = patterns.count * data.sizes["chain"] * data.sizes["replica"] * data.sizes["draw"]
    assert np.all(data.stability_count.sum("stability") == every)


def test_steps_are_tuned_in_burn_in():
    machine = gpumc.TreeCommittee(60, k=3, weights="spherical", activation="tanh")
    patterns = gpumc.random_patterns(machine, 1.0, 1, seed=1)
    for sampler, wanted in ((HMC, 0.8), (ROTATIONS, 0.3)):
        measure = gpumc.Gibbs(gpumc.CrossEntropy(1.0), 4.0)
        data = gpumc.sample(
            machine, patterns, measure, **(SETTINGS | {"burn_in": 400, "sweeps": 100, "sampler": sampler})
        )
        assert abs(float(data.acceptance.mean()) - wanted) < 0.06


def test_normals_and_their_counters():
    """Normals are what their docstring says of the words at their place."""
    from gpumc.device.normals import normals

    walkers = np.array([3, 2**33], np.uint64)
    drawn = normals(choose("cpu"), 5, Stream.MOMENTA, 7, walkers, 2, 6)
    words = philox(5, Stream.MOMENTA, 7, 3, 2**33)
    radius, angle = np.sqrt(-2 * np.log(uniform(words[0]))), 2 * np.pi * uniform(words[1])
    np.testing.assert_allclose(drawn[1, 1, 4:], [radius * np.cos(angle), radius * np.sin(angle)])
    many = normals(choose("numpy"), 5, Stream.MOMENTA, 7, np.arange(500, dtype=np.uint64), 1, 200)
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        assert abs((many**power).mean() - moment) < ALLOWED * (spread / many.size) ** 0.5


def change(**changes):
    machine = changes.pop("machine", gpumc.Perceptron(9, weights="spherical"))
    measure = changes.pop("measure", gpumc.Gibbs(gpumc.CrossEntropy(1.0), 1.0))
    return gpumc.sample(machine, gpumc.random_patterns(machine, 1.0), measure, **(SETTINGS | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"init": np.zeros(9)}, "unit 0 has the zero vector"),
        ({"init": np.full(9, np.nan)}, "finite"),
        ({"init": np.ones(8)}, "9 weights"),
        ({"init": "cold"}, "'random'"),
        (
            {"sampler": gpumc.Metropolis()},
            "'metropolis' moves binary weights, and the perceptron has spherical weights: use HMC",
        ),
        ({"sampler": HMC, "measure": gpumc.Gibbs(gpumc.ErrorCount(), 1.0)}, "needs a gradient"),
        ({"sampler": HMC, "machine": SIGNS}, "needs a gradient"),
        ({"sampler": HIT_AND_RUN}, "error count of hidden signs"),
        ({"measure": gpumc.Gibbs(gpumc.CrossEntropy(1.0), np.inf)}, "finite beta"),
        ({"measure": gpumc.LocalEntropy(gpumc.CrossEntropy(1.0), 1.0, 0.1, 2, np.zeros(9))}, "zero vector"),
        ({"measure": gpumc.LocalEntropy(gpumc.CrossEntropy(1.0), 1.0, 1e101, 2)}, r"below 1e\+100"),
        ({"machine": gpumc.Perceptron(1, weights="spherical")}, "cannot move"),
        ({"machine": gpumc.Perceptron(9), "sampler": gpumc.HMC()}, "'hmc' moves spherical or gaussian weights"),
    ],
)
def test_bad_input(changes, words):
    with pytest.raises(ConfigError, match=words):
        change(**changes)


def test_a_step_that_collapses_says_so():
    with pytest.raises(RunError, match=r"collapsed.*smaller beta"):
        change(measure=gpumc.Gibbs(gpumc.CrossEntropy(1.0), 1e22), burn_in=2000)


def test_nothing_accepted_says_so():
    machine = gpumc.Perceptron(9, weights="spherical")
    drawn = gpumc.random_patterns(machine, 1.0)
    huge = gpumc.Patterns(drawn.xi * 1e50 / abs(drawn.xi).max(), drawn.labels)
    with pytest.raises(RunError, match="collapsed"):
        gpumc.sample(machine, huge, gpumc.Gibbs(gpumc.CrossEntropy(1.0), 1.0), **(SETTINGS | {"burn_in": 30}))
