"""Gradient learners of weights of free norm and of units that are no signs: what they minimise, what they record, and how they diverge."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize

import gpumc
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.learning.gradient import gradients
from gpumc.learning.problems import LearningProblem

CONVEX = gpumc.Perceptron(12, weights="gaussian", decay=0.3)
SIGNS = gpumc.TreeCommittee(45, k=3, weights="gaussian", decay=0.2)
RELU = gpumc.TreeCommittee(40, k=4, weights="gaussian", activation="relu", decay=0.1)
PARITY = gpumc.TreeParity(30, k=2, weights="gaussian", activation="tanh", decay=0.1)
SPHERICAL = gpumc.FullCommittee(11, k=4, weights="spherical", activation="relu")
LEARNERS = (gpumc.CrossEntropySGD(), gpumc.ReplicatedSGD(), gpumc.EntropySGD())


def problem_of(machine, starts=2, alpha=0.5):
    patterns = gpumc.random_patterns(machine, alpha, instances=2, seed=1, inputs="gaussian")
    return LearningProblem(machine, patterns, starts, 3, choose("numpy"))


@pytest.mark.parametrize("machine", [CONVEX, SIGNS, RELU, PARITY, SPHERICAL], ids=lambda m: f"{m.kind}-{m.activation}")
def test_gradients(machine):
    """Of the mean loss of some of M patterns and (decay / M) |W|^2, against differences of 1e-5 to either side."""
    problem, learner = problem_of(machine), gpumc.CrossEntropySGD(slope=1.7, gamma=0.8)
    softened, loss = learner.softened(machine, 0)
    assert softened.activation == ("sign" if machine is CONVEX else "tanh" if machine is SIGNS else machine.activation)
    weights, rng = learner.init(problem).states[:, :, 0], np.random.default_rng(1)
    chosen = np.array([3, 0, 5])
    value, gradient = gradients(problem, softened, loss, weights, chosen)
    patterns = problem.patterns
    stabilities = [
        softened.stabilities(w, x[chosen], s[chosen])
        for w, x, s in zip(weights, patterns.xi, patterns.labels, strict=True)
    ]
    held = (machine.decay or 0) / patterns.count * (weights**2).sum(axis=-1)
    np.testing.assert_allclose(value, loss.values(np.array(stabilities)).mean(axis=-1) + held, rtol=1e-12)
    for _ in range(5):
        step = rng.normal(size=weights.shape) * 1e-5
        ahead, behind = (gradients(problem, softened, loss, weights + sign * step, chosen)[0] for sign in (1, -1))
        np.testing.assert_allclose((ahead - behind) / 2, (gradient * step).sum(axis=-1), rtol=1e-6, atol=1e-12)


def test_the_minimum_of_a_convex_loss():
    """L + decay |W|^2 of a perceptron, L being the sum over patterns, has one minimum: gradient 0 there, and scipy finds the same."""
    patterns = gpumc.random_patterns(CONVEX, 3.0, instances=2, seed=1, inputs="gaussian")
    loss = gpumc.CrossEntropy(0.5)
    learner = gpumc.CrossEntropySGD(rate=1.0, gamma=0.5, batch=10**6, epochs=800, until="end")
    data = gpumc.learn(CONVEX, patterns, learner, starts=2, device="numpy")
    for i in range(2):
        xi, labels = patterns.xi[i], patterns.labels[i]

        def total(w, xi=xi, labels=labels):
            stability = CONVEX.stabilities(w[None], xi, labels)
            slope = (loss.slopes(stability) * labels) @ xi / 12**0.5
            return loss.values(stability).sum() + 0.3 * (w**2).sum(), slope[0] + 0.6 * w

        best = minimize(total, np.zeros(12), jac=True, options={"gtol": 1e-10})
        np.testing.assert_allclose(data.weights[i], np.stack([best.x, best.x]), atol=1e-8)
        stability = CONVEX.stabilities(best.x[None], xi, labels)
        np.testing.assert_allclose(data.loss[i, :, -1], loss.values(stability).mean(), rtol=1e-9)
        np.testing.assert_allclose(data.norm[i, :, -1], (best.x**2).mean() ** 0.5, rtol=1e-7)
    problem = LearningProblem(CONVEX, patterns, 2, 3, choose("numpy"))
    _, gradient = gradients(problem, CONVEX, loss, data.weights.values, slice(None))
    assert np.abs(gradient).max() < 1e-9


def test_the_mode_is_where_a_cold_measure_is():
    """Sampled at beta and beta decay, the mean weights tend to the learners' minimum as 1 / beta: 4.9 errors, and 0.02 for beta = 400."""
    patterns = gpumc.random_patterns(CONVEX, 3.0, seed=1, inputs="gaussian")
    learner = gpumc.CrossEntropySGD(rate=1.0, gamma=0.5, batch=10**6, epochs=800, until="end")
    best = gpumc.learn(CONVEX, patterns, learner, device="numpy").weights[0, 0]
    cold = gpumc.Perceptron(12, weights="gaussian", decay=0.3 * 400)
    measure = gpumc.Gibbs(gpumc.CrossEntropy(0.5), 400.0)
    data = gpumc.sample(cold, patterns, measure, chains=200, burn_in=100, sweeps=1, device="cpu").weights
    mean, error = data.mean("chain").values[0, 0], data.std("chain").values[0, 0] / 200**0.5
    assert np.all(np.abs(mean - best.values) < 4.9 * error + 0.02)


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.kind)
@pytest.mark.parametrize("machine", [SIGNS, RELU, SPHERICAL], ids=lambda m: f"{m.weights}-{m.activation}")
def test_what_is_recorded(learner, machine):
    """The loss of the softened machine and the norm after the last epoch are those of the last weights."""
    settings = {"epochs": 7, "until": "end", "gamma": gpumc.Ramp(0.5, 2.0, "geometric"), "rate": 0.1, "batch": 9}
    own = type(learner)(**settings)
    patterns = gpumc.random_patterns(machine, 0.8, instances=2, seed=1)
    data = gpumc.learn(machine, patterns, own, starts=2, device="numpy")
    softened, loss = own.softened(machine, 6)
    assert loss.gamma == pytest.approx(2.0)
    assert data.loss.dims == data.error_rate.dims
    for i in range(2):
        weights = data.weights[i].values
        stability = softened.stabilities(weights.reshape(-1, machine.weight_count), patterns.xi[i], patterns.labels[i])
        mean = loss.values(stability).mean(axis=-1).reshape(weights.shape[:-1])
        np.testing.assert_allclose(data.loss[i].isel(epoch=-1), mean, rtol=1e-10)
        if machine is SPHERICAL:
            np.testing.assert_allclose((weights.reshape(-1, 11) ** 2).sum(axis=-1), 11, rtol=1e-12)
        else:
            np.testing.assert_allclose(data.norm[i].isel(epoch=-1), (weights**2).mean(axis=-1) ** 0.5, rtol=1e-12)
    assert ("norm" in data) == (machine is not SPHERICAL)


@pytest.mark.parametrize(
    "machine",
    [
        gpumc.TreeCommittee(200, k=10, weights="gaussian", activation="relu", decay=0.001),
        gpumc.TreeCommittee(200, k=10, weights="spherical", activation="relu"),
    ],
    ids=["gaussian", "spherical"],
)
def test_relu_units_are_taught(machine):
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    for learner in (gpumc.CrossEntropySGD(rate=1.0, batch=20), gpumc.ReplicatedSGD(rate=0.5, batch=20, total=10.0)):
        data = gpumc.learn(machine, patterns, learner, starts=2, device="numpy")
        assert data.solved.all()
        weights = data.weights if learner.replicas == 1 else data.centre
        assert np.all(machine.stabilities(weights.values[0], patterns.xi[0], patterns.labels[0]) > 0)


def test_starts_have_their_norm():
    problem = problem_of(RELU, starts=200)
    for norm in (0.1, 3.0):
        states = gpumc.CrossEntropySGD(initial_norm=norm).init(problem).states
        assert states.std() == pytest.approx(norm, rel=4.9 / (2 * states.size) ** 0.5)


@dataclass(frozen=True)
class Torn(gpumc.CrossEntropySGD):
    """Whose start 1 of instance 0 is beyond all numbers from the third epoch on."""

    kind = "torn"

    def step(self, problem, state):
        if state.epoch == 2:
            state.velocity[0, 1] = 1e308
        super().step(problem, state)


@pytest.mark.parametrize("until", ["solved", "end"])
def test_one_run_that_diverges_leaves_the_others(until):
    patterns = gpumc.random_patterns(RELU, 2.0, instances=2, seed=1)
    patterns = gpumc.Patterns(patterns.xi, patterns.labels, test=patterns)
    settings = {"rate": 0.5, "gamma": 0.5, "batch": 8, "epochs": 6, "until": until}
    with pytest.warns(UserWarning, match=r"1 of 6 runs diverged.*smaller rate"):
        torn = gpumc.learn(RELU, patterns, Torn(**settings), starts=3, device="numpy")
    whole = gpumc.learn(RELU, patterns, gpumc.CrossEntropySGD(**settings), starts=3, device="numpy")
    lost = np.zeros((2, 3), bool)
    lost[0, 1] = True
    for name in ("weights", "errors", "steps", "error_rate", "loss", "norm", "test_error", "solved"):
        assert np.array_equal(torn[name].values[~lost], whole[name].values[~lost], equal_nan=True), name
    gone = torn.isel(instance=0, start=1)
    assert np.isnan(gone.weights).all()
    assert np.isnan(gone.test_error)
    assert not gone.solved
    assert gone.errors == patterns.count
    assert gone.steps == 3
    assert np.isfinite(gone.loss.values[:2]).all()
    for name in ("error_rate", "loss", "norm"):
        assert np.isnan(gone[name].values[int(gone.steps) - 1 :]).all()


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.kind)
def test_all_runs_that_diverge_end(learner):
    settings = {"rate": 1e200} if learner.kind != "entropy-sgd" else {"walk_rate": 1e200, "walk": 1, "scope": 0.0}
    with pytest.warns(UserWarning, match="2 of 2 runs diverged, the first in epoch"):
        data = gpumc.learn(
            RELU, gpumc.random_patterns(RELU, 0.5, seed=1), type(learner)(**settings), starts=2, device="numpy"
        )
    assert data.sizes["epoch"] < 20
    assert not data.solved.any()
    assert np.isnan(data.weights).all()


@pytest.mark.parametrize(
    ("machine", "settings", "words"),
    [
        (RELU, {"initial_norm": 0.0}, "initial_norm = 0"),
        (RELU, {"initial_norm": [1.0, 2.0]}, "initial_norm"),
        (SPHERICAL, {"initial_norm": 2.0}, "initial_norm is of gaussian weights"),
    ],
)
def test_bad_settings(machine, settings, words):
    with pytest.raises(ConfigError, match=words):
        gpumc.learn(machine, gpumc.random_patterns(machine, 0.5), gpumc.CrossEntropySGD(**settings), device="numpy")
