"""Samplers are objects: their settings change the trajectory, they say what they cannot do, and results say what they were."""

import numpy as np
import pytest

import gpumc
from gpumc.errors import ConfigError
from gpumc.sampling.samplers import SAMPLERS
from gpumc.sweeps import read_config

TANH = gpumc.TreeCommittee(21, k=3, weights="spherical", activation="tanh")
SIGNS = gpumc.TreeCommittee(21, k=3, weights="spherical")


def sample(machine, loss, sampler, **changes):
    settings = {"chains": 4, "burn_in": 5, "sweeps": 2, "seed": 3, "device": "numpy"} | changes
    patterns = gpumc.random_patterns(machine, 0.6, seed=1)
    return gpumc.sample(machine, patterns, gpumc.Gibbs(loss, 2.0), sampler=sampler, **settings)


@pytest.mark.parametrize(
    ("machine", "loss", "usual", "others"),
    [
        (TANH, gpumc.CrossEntropy(1.0), gpumc.HMC(), [gpumc.HMC(steps=11), gpumc.HMC(acceptance=0.7)]),
        (SIGNS, gpumc.ErrorCount(), gpumc.Rotations(), [gpumc.Rotations(moves=9), gpumc.Rotations(acceptance=0.4)]),
        (SIGNS, gpumc.ErrorCount(), gpumc.HitAndRun(), [gpumc.HitAndRun(moves=9)]),
    ],
    ids=["hmc", "rotations", "hit-and-run"],
)
def test_settings_change_the_trajectory_and_are_recorded(machine, loss, usual, others):
    data = sample(machine, loss, usual)
    for other in others:
        found = sample(machine, loss, other)
        assert not np.array_equal(found.weights, data.weights)
        assert found.attrs["sampler"] == other.kind
        for name in other.settings():
            assert found.attrs[f"sampler_{name}"] == getattr(other, name)


def test_steps_are_tuned_to_the_acceptance_that_is_asked_for():
    """200 sweeps of 8 chains: the mean acceptance is within 0.06 of it, four times its spread over seeds."""
    data = sample(TANH, gpumc.CrossEntropy(1.0), gpumc.HMC(steps=3, acceptance=0.6), chains=8, burn_in=400, sweeps=200)
    assert abs(float(data.acceptance.mean()) - 0.6) < 0.06


@pytest.mark.parametrize("steps", [3, 30])
def test_trajectories_of_any_length_sample_the_same_measure(steps):
    """The mean energy of a perceptron on the circle, against quadrature: within 4.5 standard errors over 1000 chains, 1 seed in 10^5."""
    machine, loss = gpumc.Perceptron(2, weights="spherical"), gpumc.CrossEntropy(1.0)
    patterns = gpumc.Patterns(np.random.default_rng(7).normal(size=(5, 2)), [1, -1, 1, 1, -1])
    data = gpumc.sample(
        machine, patterns, gpumc.Gibbs(loss, 3.0), chains=1000, burn_in=60, sweeps=1, sampler=gpumc.HMC(steps), device="numpy"
    )  # fmt: skip
    angle = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    circle = 2**0.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    energy = loss.values(machine.stabilities(circle, patterns.xi[0], patterns.labels[0])).sum(axis=1)
    weight = np.exp(-3.0 * energy)
    found = data.energy.values.ravel()
    assert abs(found.mean() - (energy * weight).sum() / weight.sum()) < 4.5 * found.std(ddof=1) / 1000**0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gpumc.HMC(steps=0), "steps = 0: a whole number from 1"),
        (lambda: gpumc.HMC(steps=1.5), "steps = 1.5"),
        (lambda: gpumc.HMC(acceptance=1.0), "acceptance = 1.0: a number between 0 and 1"),
        (lambda: gpumc.Rotations(moves=256), "moves = 256"),
        (lambda: gpumc.Rotations(acceptance="a"), "acceptance = 'a'"),
        (lambda: gpumc.HitAndRun(moves=True), "moves = True"),
        (lambda: sample(TANH, gpumc.CrossEntropy(1.0), "hmc"), r"sampler = 'hmc': an object is needed, write gpumc.HMC\(\)"),
        (lambda: sample(TANH, gpumc.CrossEntropy(1.0), 3), r"gpumc.HMC\(\), gpumc.Rotations\(\) or gpumc.HitAndRun\(\)"),
        (lambda: sample(TANH, gpumc.CrossEntropy(1.0), gpumc.HMC), r"is the class HMC .* write HMC\(\)"),
        (lambda: sample(SIGNS, gpumc.CrossEntropy(1.0), gpumc.HMC()), "needs a gradient, which a tree-committee of hidden signs"),
        (lambda: sample(TANH, gpumc.ErrorCount(), gpumc.HMC()), "needs a gradient, which the loss 'error-count'"),
        (lambda: sample(TANH, gpumc.ErrorCount(), gpumc.HitAndRun()), "for the error count of hidden signs: use HMC"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


CONFIG = """
name = "test"
[machine]
kind = "tree-committee"
weights = "spherical"
activation = "tanh"
n = 21
k = 3
[patterns]
kind = "random"
alpha = 0.5
[loss]
kind = "cross-entropy"
gamma = 1.0
[measure]
beta = 2.0
[sampler]
kind = "hmc"
chains = 4
burn_in = 5
sweeps = 10
"""


def test_a_config_has_their_settings():
    assert read_config(CONFIG).sampler.sampler == gpumc.HMC()
    assert read_config(CONFIG, ["sampler.steps=25", "sampler.acceptance=0.7"]).sampler.sampler == gpumc.HMC(25, 0.7)
    assert read_config(CONFIG.replace('kind = "hmc"\n', "")).sampler.sampler is None
    rotations = read_config(CONFIG.replace('kind = "hmc"', 'kind = "rotations"\nmoves = 4'))
    assert rotations.sampler.sampler == gpumc.Rotations(moves=4)
    assert {kind.kind for kind in SAMPLERS.values()} == set(SAMPLERS)


def test_a_config_with_wrong_settings_tells_each():
    text = CONFIG.replace('kind = "hmc"', 'kind = "hmc"\nsteps = 0\nmoves = 5\nacceptance = "a"').replace(
        "chains", "chainz"
    )
    with pytest.raises(ConfigError) as caught:
        read_config(text)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("the config has 5 mistakes")
    for words in (
        "[sampler] steps = 0: a whole number from 1",
        "[sampler] moves: no meaning for the sampler 'hmc', leave it out",
        "[sampler] acceptance = 'a': a number between 0 and 1",
        "[sampler] chainz: unknown key; did you mean 'chains'",
        "[sampler] chains: missing",
    ):
        assert any(words in line for line in lines), (words, lines)
    with pytest.raises(ConfigError, match=r"\[sampler\] steps: a kind is needed beside it, 'hmc'"):
        read_config(CONFIG.replace('kind = "hmc"', "steps = 5"))
