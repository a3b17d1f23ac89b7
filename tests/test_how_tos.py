"""The Python of docs/sampling.md and docs/extending.md runs, and so do the examples in docstrings of what they are about."""

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.special import erf

import gpumc

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


SAMPLING, EXTENDING = blocks("sampling.md"), blocks("extending.md")


def run(code: str) -> dict:
    names = {"__name__": "__main__"}
    exec(code, names)
    return names


def test_settings():
    data = run(SAMPLING[0])["data"]
    assert data.attrs["sampler_steps"] == 20


def test_step_by_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(SAMPLING[1])
    assert names["state"].sweep == 60
    assert names["later"].sweep == 80


def test_a_sampler_of_ones_own():
    """On a globe, against quadrature by 4e5 uniform points (1 % of the error bars): within 4.5 standard errors over 1000 chains."""
    names = run(SAMPLING[2])
    assert names["data"].attrs["sampler"] == "independent"
    assert names["data"].attrs["sampler_moves"] == 3
    machine, patterns, measure = (names[name] for name in ("machine", "patterns", "measure"))
    data = gpumc.sample(
        machine, patterns, measure, chains=1000, burn_in=20, sweeps=1, sampler=names["Independent"](), device="numpy"
    )  # fmt: skip
    points = np.random.default_rng(1).normal(size=(400_000, 3))
    points *= 3**0.5 / np.linalg.norm(points, axis=1, keepdims=True)
    energy = measure.loss.values(machine.stabilities(points, patterns.xi[0], patterns.labels[0])).sum(axis=1)
    weight = np.exp(-measure.beta * energy)
    found = data.energy.values.ravel()
    assert abs(found.mean() - (energy * weight).sum() / weight.sum()) < 4.5 * found.std(ddof=1) / 1000**0.5


def test_a_machine_of_ones_own():
    """Two units on circles, against quadrature over their angles (to 1e-4 where two units are equal): within 4.5 standard errors over
    1000 chains, which a right sampler fails for 7e-6 of seeds."""
    names = run(EXTENDING[0])
    assert names["data"].attrs["machine"] == "tree-maximum"
    machine = names["TreeMaximum"](4, k=2, weights="spherical", activation="erf")
    patterns = gpumc.random_patterns(machine, alpha=1.0, seed=3)
    measure = gpumc.Gibbs(gpumc.CrossEntropy(1.0), beta=2.0)
    data = gpumc.sample(machine, patterns, measure, chains=1000, burn_in=40, sweeps=1, device="numpy")
    angle = 2 * np.pi * np.arange(200) / 200
    first, second = (each.ravel() for each in np.meshgrid(angle, angle))
    points = 2**0.5 * np.stack([np.cos(first), np.sin(first), np.cos(second), np.sin(second)], axis=1)
    fields = np.stack([points[:, :2] @ patterns.xi[0, :, :2].T, points[:, 2:] @ patterns.xi[0, :, 2:].T]) / 2**0.5
    stability = patterns.labels[0] * erf(fields).max(axis=0)
    energy = measure.loss.values(stability).sum(axis=1)
    weight = np.exp(-measure.beta * energy)
    found = data.energy.values.ravel()
    assert abs(found.mean() - (energy * weight).sum() / weight.sum()) < 4.5 * found.std(ddof=1) / 1000**0.5


def test_an_observable_of_ones_own():
    """The mean stability is that of the histogram, in which each bin is one stability."""
    names = run(EXTENDING[1])
    assert names["stability"].dims == ("draw", "instance", "gamma", "chain", "replica")
    dynamics, state = names["dynamics"], names["state"]
    data = dynamics.observe(state)
    counts = data.stability_count
    last = names["stability"].isel(draw=-1).mean(["chain", "replica"])
    np.testing.assert_allclose((counts * data.stability).sum("stability") / counts.sum("stability"), last, rtol=1e-12)


@pytest.mark.parametrize("name", ["samplers", "stepping", "run"])
def test_examples_in_docstrings(name):
    module = importlib.import_module(f"gpumc.sampling.{name}")
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried > 0
