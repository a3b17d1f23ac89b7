"""Least action learning against a plain loop, with the same bits from kernel and arrays, and what its solutions are like."""

import numpy as np
import pytest

import gpumc
from gpumc.device import choose
from gpumc.device.philox import site_orders
from gpumc.errors import ConfigError
from gpumc.learning.problems import LearningProblem, pairwise_sum

MACHINES = [
    gpumc.TreeCommittee(45, k=3, weights="spherical"),
    gpumc.FullCommittee(37, k=3, weights="spherical"),
    gpumc.Perceptron(67, weights="spherical"),
    gpumc.TreeCommittee(45, k=3),
    gpumc.FullCommittee(37, k=3),
]
by_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda m: f"{m.kind}-{m.weights}")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def learners(machine, epochs=12):
    rate = 0.1 if machine.spherical else 1.0
    return (
        gpumc.LeastAction(rate=rate, epochs=epochs),
        gpumc.EntropicLeastAction(rate=rate, replicas=3, epochs=epochs),
    )


def same(left, right):
    for name in left.variables:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("device", DEVICES)
@by_machine
def test_the_same_bits(machine, device):
    patterns = gpumc.random_patterns(machine, 0.6, instances=2, seed=1)
    for learner in learners(machine):
        settings = {"starts": 3, "seed": 4}
        same(*(gpumc.learn(machine, patterns, learner, device=name, **settings) for name in ("numpy", device)))


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_bits_of_real_patterns(device):
    machine, rng = MACHINES[0], np.random.default_rng(1)
    patterns = gpumc.Patterns(rng.normal(size=(20, 45)), rng.choice([-1, 1], 20))
    same(*(gpumc.learn(machine, patterns, gpumc.LeastAction(epochs=9), device=name) for name in ("numpy", device)))


def test_votes():
    """Each replica, the centre and the vote on test patterns, counted one by one; two replicas tie."""
    machine, rng = gpumc.TreeCommittee(45, k=3, weights="spherical"), np.random.default_rng(2)
    test = gpumc.Patterns(rng.choice([-1, 1], (50, 45)), rng.choice([-1, 1], 50))
    train = gpumc.random_patterns(machine, 0.3, seed=1)
    patterns = gpumc.Patterns(train.xi, train.labels, test=test)
    for replicas in (2, 3):
        learner = gpumc.EntropicLeastAction(replicas=replicas, epochs=3)
        data = gpumc.learn(machine, patterns, learner, starts=2, device="numpy")
        for start in range(2):
            right = machine.stabilities(data.weights.values[0, start], test.xi[0], test.labels[0]) > 0
            np.testing.assert_allclose(data.test_error[0, start], 1 - right.mean(axis=1))
            half = (right.sum(axis=0) * 2 == replicas).mean() / 2
            expected = (right.sum(axis=0) * 2 < replicas).mean() + half
            np.testing.assert_allclose(data.vote_test_error[0, start], expected)
            assert (half > 0) == (replicas == 2)
            centre = machine.stabilities(data.centre.values[0, start][None], test.xi[0], test.labels[0]) <= 0
            np.testing.assert_allclose(data.centre_test_error[0, start], centre.mean())


def test_a_start_does_not_depend_on_the_others():
    machine = MACHINES[0]
    patterns = gpumc.random_patterns(machine, 0.6, seed=1)
    for learner in learners(machine):
        one, four = (gpumc.learn(machine, patterns, learner, starts=starts, device="numpy") for starts in (1, 4))
        np.testing.assert_array_equal(one.weights, four.weights[:, :1])


@by_machine
def test_against_a_plain_loop(machine):
    """One epoch, pattern by pattern, to rounding."""
    patterns = gpumc.random_patterns(machine, 1.0, seed=2)
    learner = learners(machine)[0]
    problem = LearningProblem(machine, patterns, 1, 3, choose("numpy"))
    state = learner.init(problem)
    w = state.states[0, 0, 0].reshape(machine.k, -1).copy()
    order = site_orders(problem.seed, np.array([0]), patterns.count)[0]
    learner.step(problem, state)
    updates = 0
    for m in order:
        x, label = machine.unit_inputs(patterns.xi[0])[:, m].astype(float), int(patterns.labels[0, m])
        values = w if machine.spherical else np.where(w > 0, 1.0, -1.0)
        field = (values * x).sum(axis=1)
        tau = np.where(field > 0, 1, -1)
        if label * tau.sum() > 0:
            continue
        wrong = [unit for unit in np.argsort(abs(field), kind="stable") if tau[unit] != label]
        for unit in wrong[: (1 - label * tau.sum()) // 2]:
            if machine.spherical:
                w[unit] += learner.rate * label * x[unit]
                w[unit] *= np.sqrt(machine.fan_in / (w[unit] ** 2).sum())
            else:
                w[unit] = np.clip(w[unit] + 2 * learner.rate * label * x[unit], -learner.limit, learner.limit)
        updates += 1
    assert updates > 5
    np.testing.assert_allclose(state.states[0, 0, 0], w.ravel(), rtol=1e-12)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1001])
def test_sums(count):
    terms = np.random.default_rng(1).normal(size=(3, count))
    np.testing.assert_allclose(pairwise_sum(terms), terms.sum(axis=1), rtol=1e-12)


def test_solutions():
    """Runs end at their first epoch without error, which the dataset tells as the machine itself does."""
    machine = gpumc.TreeCommittee(495, k=9, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.8, instances=2, seed=1)
    data = gpumc.learn(machine, patterns, gpumc.LeastAction(), starts=3)
    assert data.solved.all()
    for instance in range(2):
        weights = data.weights.values[instance]
        assert np.all(machine.stabilities(weights, patterns.xi[instance], patterns.labels[instance]) > 0)
        norms = (weights.reshape(3, 9, 55) ** 2).sum(axis=2)
        np.testing.assert_allclose(norms, 55, rtol=1e-12)
        for start in range(3):
            curve, steps = data.error_rate.values[instance, start], int(data.steps[instance, start])
            assert np.all(curve[: steps - 1] > 0)
            assert curve[steps - 1] == 0
            assert np.isnan(curve[steps:]).all()


def test_attraction():
    """The pull shrinks the distance to the mean, of weights on planes by its part exactly, and leaves the mean there."""
    machine = gpumc.Perceptron(67)
    problem = LearningProblem(machine, gpumc.random_patterns(machine, 0.5, seed=1), 2, 1, choose("numpy"))
    state = gpumc.EntropicLeastAction(replicas=5).init(problem)
    before = state.states.copy()
    state.active[0, 1] = False
    state.attract(problem, 0.25)
    mean = before.mean(axis=2, keepdims=True)
    np.testing.assert_allclose((state.states - mean)[0, 0], 0.75 * (before - mean)[0, 0], atol=1e-12)
    np.testing.assert_array_equal(state.states[0, 1], before[0, 1])
    spherical = gpumc.Perceptron(67, weights="spherical")
    problem = LearningProblem(spherical, problem.patterns, 2, 1, choose("numpy"))
    state = gpumc.EntropicLeastAction(replicas=5).init(problem)
    spread = [np.var(state.states, axis=2).sum()]
    for pull in (0.1, 1.0):
        state.attract(problem, pull)
        spread.append(np.var(state.states, axis=2).sum())
    assert spread[1] < spread[0]
    assert spread[2] < 1e-20


def test_replicas_that_begin_together():
    machine = gpumc.FullCommittee(37, k=3, weights="spherical")
    problem = LearningProblem(machine, gpumc.random_patterns(machine, 0.5, seed=1), 2, 1, choose("numpy"))
    together, apart = (gpumc.EntropicLeastAction(start=start).init(problem).states for start in ("auto", "independent"))
    overlaps = [np.einsum("srn,stn->srt", x[0], x[0])[:, 0, 1:] / machine.weight_count for x in (together, apart)]
    assert overlaps[0].min() > 0.95
    assert abs(overlaps[1]).max() < 0.5


@pytest.mark.long
def test_centres_of_replicas_are_flatter():
    """Local volumes at alpha = 1, n = 999, k = 9 (a plain program has -0.39 to -0.50, -0.55 to -0.63 and -0.63 to -0.68 of single machines,
    -0.08, -0.20 and -0.34 of replicas)."""
    machine = gpumc.TreeCommittee(999, k=9, weights="spherical")
    patterns = gpumc.random_patterns(machine, 1.0, instances=4, seed=1)
    alone, together = (
        gpumc.learn(machine, patterns, learner) for learner in (gpumc.LeastAction(), gpumc.EntropicLeastAction())
    )
    assert alone.solved.all()
    assert together.solved.all()
    for weights, expected in ((alone.weights, (-0.46, -0.60, -0.66)), (together.centre, (-0.08, -0.20, -0.34))):
        found = gpumc.local_entropy(machine, patterns, weights.isel(start=0), distance=[0.02, 0.05, 0.1])
        assert found.converged.all()
        np.testing.assert_allclose(found.log_volume.mean("instance").values.ravel(), expected, atol=0.05)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 0.0}, "rate = 0"),
        ({"rate": np.inf}, "rate"),
        ({"epochs": 0}, "epochs = 0"),
        ({"pull": -0.1}, "pull"),
        ({"growth": 0.5}, "growth"),
        ({"replicas": 1}, "replicas = 1"),
        ({"start": "near"}, "start"),
        ({"limit": 0.5}, "limit"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ConfigError, match=words):
        gpumc.EntropicLeastAction(**settings)


@pytest.mark.parametrize(
    "machine",
    [
        gpumc.TreeParity(9, k=3),
        gpumc.TreeCommittee(6, k=2, activation="relu"),
        gpumc.TreeCommittee(9, k=3, weights="spherical", activation="tanh"),
        gpumc.TreeCommittee(9, k=3, output=[3, -1, 1]),
    ],
)
def test_machines_that_it_is_not_for(machine):
    with pytest.raises(ConfigError, match="least-action"):
        gpumc.learn(machine, gpumc.random_patterns(machine, 0.5, seed=1), gpumc.LeastAction(), device="numpy")
