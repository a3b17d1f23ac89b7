"""Focusing belief propagation as a learner: what `focusing_bp` finds, also of a part of a run."""

import numpy as np
import pytest

import gpumc
from gpumc.errors import ConfigError
from gpumc.parts import Part

MACHINE = gpumc.Perceptron(51)
PATTERNS = gpumc.random_patterns(MACHINE, 0.3, instances=2, seed=1)


def test_it_is_focusing_bp():
    test = gpumc.random_patterns(MACHINE, 0.2, instances=2, seed=2)
    patterns = gpumc.Patterns(PATTERNS.xi, PATTERNS.labels, test)
    told = []
    data = gpumc.learn(
        MACHINE,
        patterns,
        gpumc.FocusingBP(),
        starts=2,
        seed=3,
        device="numpy",
        progress=lambda *done: told.append(done),
    )
    plain = gpumc.focusing_bp(MACHINE, PATTERNS, starts=2, seed=3, device="numpy")
    for name in ("weights", "errors", "solved", "steps"):
        assert data[name].identical(plain[name]), name
    assert told == [(100, 100, "learning")]
    assert data.attrs["learner_protocol"] == "PseudoReinforcement"
    stabilities = [
        MACHINE.stabilities(w, x, s) for w, x, s in zip(data.weights.values, test.xi, test.labels, strict=True)
    ]
    np.testing.assert_allclose(data.test_error, (np.array(stabilities) < 0).mean(axis=-1))
    part = gpumc.learn(
        MACHINE, patterns, gpumc.FocusingBP(), starts=2, seed=3, device="numpy", part=Part((1, 2), (1, 2))
    )
    assert np.array_equal(part.weights, data.weights.sel(instance=[1], start=[1]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"protocol": "fast"}, "protocol = 'fast'"), ({"damping": 1.0}, "damping = 1"), ({"iterations": 0}, "iterations")],
)
def test_bad_settings(settings, words):
    with pytest.raises(ConfigError, match=words):
        gpumc.FocusingBP(**settings)
