"""Entropy-SGD: its limits, its walk, and what it solves."""

import numpy as np
import pytest

import gpumc
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.learning.problems import LearningProblem

MACHINE = gpumc.TreeCommittee(45, k=3, weights="spherical")
PATTERNS = gpumc.random_patterns(MACHINE, 0.5, instances=2, seed=1)
PROBLEM = LearningProblem(MACHINE, PATTERNS, 2, 3, choose("numpy"))


def test_a_walk_of_one_step_is_gradient_descent():
    """Without noise, scope and momentum; x goes all the way to the walker."""
    entropic = gpumc.EntropySGD(walk=1, walk_rate=0.3, averaging=1.0, noise=0.0, scope=0.0, batch=7)
    plain = gpumc.CrossEntropySGD(rate=0.3, momentum=0.0, batch=7)
    states = []
    for learner in (entropic, plain):
        state = learner.init(PROBLEM)
        for _ in range(3):
            learner.step(PROBLEM, state)
        states.append(state.states)
    np.testing.assert_allclose(*states, rtol=1e-12)


def test_noise_and_scope_of_the_walk():
    """Without a gradient: kicks of variance noise^2 rate, and distances from the weights that shrink by exp(-rate scope)."""
    machine = gpumc.Perceptron(4001, weights="spherical")
    problem = LearningProblem(machine, gpumc.random_patterns(machine, 0.001, seed=1), 3, 3, choose("numpy"))
    learner = gpumc.EntropySGD(walk_rate=0.25, noise=0.02, scope=0.4, total=16.0, epochs=3)
    state = learner.init(problem)
    state.walker = state.states
    nothing = np.zeros((1, 3, 4001))
    kick = learner.walked(problem, state, nothing) - state.states
    np.testing.assert_allclose(kick.std(), np.exp(-0.1) * 0.01, rtol=0.03)
    quiet = gpumc.EntropySGD(walk_rate=0.25, noise=0.0, scope=0.4, total=16.0, epochs=3)
    state.walker = state.states + kick
    nearer = machine.normalised(state.states + np.exp(-0.1) * kick)
    np.testing.assert_allclose(quiet.walked(problem, state, nothing), nearer, rtol=1e-12)
    np.testing.assert_allclose([quiet.held(epoch) for epoch in range(3)], [0.4, 1.6, 6.4])


def test_weights_move_at_the_end_of_a_walk():
    learner = gpumc.EntropySGD(walk=5, batch=10, rate=0.5)
    state = learner.init(PROBLEM)
    before = state.states.copy()
    learner.step(PROBLEM, state)  # three minibatches of 22 patterns
    assert state.made == 3
    np.testing.assert_array_equal(state.states, before)
    learner.step(PROBLEM, state)
    assert state.made == 6
    assert abs(state.states - before).max() > 1e-4
    np.testing.assert_allclose((state.states.reshape(-1, 15) ** 2).sum(axis=-1), 15, rtol=1e-12)


def test_solutions():
    machine = gpumc.TreeCommittee(99, k=3, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.4, seed=1)
    learner = gpumc.EntropySGD(walk_rate=10.0, scope=0.01, total=1.0, slope=2.0, gamma=2.0, batch=10)
    data = gpumc.learn(machine, patterns, learner, starts=2, device="numpy")
    assert data.solved.all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"walk": 0}, "walk = 0"),
        ({"walk_rate": 0}, "walk_rate = 0"),
        ({"averaging": 0}, "averaging = 0"),
        ({"noise": -1}, "noise = -1"),
        ({"scope": -1}, "scope = -1"),
        ({"total": 0.5}, "total = 0.5"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ConfigError, match=words):
        gpumc.EntropySGD(**settings)
