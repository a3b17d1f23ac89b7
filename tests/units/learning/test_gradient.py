"""Gradient descent: gradients against finite differences, the attraction of replicas, and machines that are taught."""

import numpy as np
import pytest

import gpumc
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.learning.gradient import gradients
from gpumc.learning.problems import LearningProblem

MACHINES = [
    gpumc.Perceptron(41, weights="spherical"),
    gpumc.TreeCommittee(45, k=3, weights="spherical"),
    gpumc.FullCommittee(21, k=3, weights="spherical"),
    gpumc.TreeCommittee(45, k=3, weights="spherical", output=[2, -2, 1]),
    gpumc.TreeParity(30, k=2, weights="spherical"),
]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: f"{m.kind}-{m.readout.plain}")
def test_gradients(machine):
    """Of the mean loss of some of the patterns, against differences of 1e-5 to either side."""
    patterns = gpumc.random_patterns(machine, 0.5, instances=2, seed=1)
    problem = LearningProblem(machine, patterns, 2, 3, choose("numpy"))
    learner = gpumc.CrossEntropySGD(slope=1.7, gamma=0.8)
    softened, loss = learner.softened(machine, 0)
    weights, rng = learner.init(problem).states[:, :, 0], np.random.default_rng(1)
    chosen = np.array([3, 0, 7])
    mean, gradient = gradients(problem, softened, loss, weights, chosen)
    stabilities = [
        softened.stabilities(w, x[chosen], s[chosen])
        for w, x, s in zip(weights, patterns.xi, patterns.labels, strict=True)
    ]
    np.testing.assert_allclose(mean, loss.values(np.array(stabilities)).mean(axis=-1), rtol=1e-12)
    for _ in range(5):
        step = rng.normal(size=weights.shape) * 1e-5
        ahead, behind = (gradients(problem, softened, loss, weights + sign * step, chosen)[0] for sign in (1, -1))
        np.testing.assert_allclose((ahead - behind) / 2, (gradient * step).sum(axis=-1), rtol=1e-6, atol=1e-12)


def test_batched_runs_equal_single_ones():
    """To 1e-12 over the first steps, which round otherwise in a product of other shape."""
    machine = MACHINES[1]
    patterns = gpumc.random_patterns(machine, 1.0, seed=1)
    learner = gpumc.CrossEntropySGD(rate=1.0, batch=9, epochs=4, until="end")
    one, four = (gpumc.learn(machine, patterns, learner, starts=starts, device="numpy") for starts in (1, 4))
    np.testing.assert_allclose(one.weights[0, 0], four.weights[0, 0], atol=1e-12)


def test_norms_and_momentum():
    """Units stay on their spheres; without momentum a step of one batch is the projected gradient's."""
    machine = MACHINES[2]
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    problem = LearningProblem(machine, patterns, 2, 3, choose("numpy"))
    learner = gpumc.CrossEntropySGD(rate=0.3, batch=10**6, momentum=0.0)
    state = learner.init(problem)
    softened, loss = learner.softened(machine, 0)
    before = state.states.copy()
    gradient = gradients(problem, softened, loss, before[:, :, 0], np.arange(patterns.count))[1]
    learner.step(problem, state)
    np.testing.assert_allclose(state.states[:, :, 0], machine.normalised(before[:, :, 0] - 0.3 * gradient), rtol=1e-10)
    np.testing.assert_allclose((state.states.reshape(-1, 3, 21) ** 2).sum(axis=-1), 21, rtol=1e-12)


def test_ramps_reach_their_ends():
    learner = gpumc.CrossEntropySGD(gamma=gpumc.Ramp(0.5, 8.0, "geometric"), slope=2.0, epochs=5)
    found = [learner.softened(MACHINES[1], epoch) for epoch in (0, 2, 4, 9)]
    np.testing.assert_allclose([loss.gamma for _, loss in found], [0.5, 2.0, 8.0, 8.0])
    assert {machine.slope for machine, _ in found} == {2.0}


@pytest.mark.parametrize("growth", ["exponential", "linear", "cosine"])
def test_replicas_are_attracted(growth):
    """Where the loss has no slope any more, the coupling alone shrinks the distance to the mean, however large it has become."""
    machine = MACHINES[1]
    patterns = gpumc.random_patterns(machine, 0.2, seed=1)
    problem = LearningProblem(machine, patterns, 2, 1, choose("numpy"))
    learner = gpumc.ReplicatedSGD(rate=1e-9, growth=growth, epochs=6, total=1e12)
    assert learner.grown(0) == 1
    assert learner.grown(5) == pytest.approx(1e12)
    state = learner.init(problem)
    spread = []
    for _ in range(6):
        spread.append(np.var(state.states, axis=2).sum())
        learner.step(problem, state)
    spread.append(np.var(state.states, axis=2).sum())
    assert np.all(np.diff(spread) <= 1e-12 * spread[0])
    assert spread[-1] < 1e-6 * spread[0]


def test_the_first_attraction():
    """Both parts of the loss are equal."""
    machine = MACHINES[1]
    problem = LearningProblem(machine, gpumc.random_patterns(machine, 0.5, seed=1), 2, 1, choose("numpy"))
    learner = gpumc.ReplicatedSGD()
    state = learner.init(problem)
    softened, loss = learner.softened(machine, 0)
    everything = np.arange(problem.patterns.count)
    losses = np.mean(
        [gradients(problem, softened, loss, state.states[:, :, a], everything)[0] for a in range(3)], axis=0
    )
    apart = ((state.states - state.states.mean(axis=2, keepdims=True)) ** 2).sum(axis=-1).mean(axis=-1)
    np.testing.assert_allclose(state.attraction[..., 0, 0] * apart, losses, rtol=1e-12)


@pytest.mark.parametrize(
    "learner", [gpumc.CrossEntropySGD(rate=10.0, slope=2.0, gamma=2.0), gpumc.ReplicatedSGD(rate=3.0, total=10.0)]
)
def test_solutions(learner):
    machine = gpumc.TreeCommittee(495, k=9, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.4, seed=1)
    data = gpumc.learn(machine, patterns, learner, starts=2)
    assert data.solved.all()
    weights = data.weights if learner.replicas == 1 else data.centre
    assert np.all(machine.stabilities(weights.values[0], patterns.xi[0], patterns.labels[0]) > 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rate": 0}, "rate = 0"),
        ({"gamma": [1.0, 2.0]}, "gamma"),
        ({"gamma": -1.0}, "gamma"),
        ({"slope": gpumc.Ramp(0.0, 1.0)}, "slope"),
        ({"batch": 0}, "batch"),
        ({"momentum": 1.0}, "momentum"),
        ({"epochs": 0}, "epochs"),
        ({"until": "never"}, "until"),
        ({"total": 0.5}, "total"),
        ({"growth": "fast"}, "growth"),
        ({"replicas": 1}, "replicas"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ConfigError, match=words):
        gpumc.ReplicatedSGD(**settings)


def test_binary_weights_are_refused():
    machine = gpumc.TreeCommittee(45, k=3)
    with pytest.raises(ConfigError, match="spherical or gaussian weights are needed"):
        gpumc.learn(machine, gpumc.random_patterns(machine, 0.5), gpumc.CrossEntropySGD(), device="numpy")
