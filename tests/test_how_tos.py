"""The Python of docs/sampling.md runs, and so do the examples in docstrings of what it is about."""

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import gpumc

PAGE = (Path(__file__).parents[1] / "docs" / "sampling.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def run(code: str) -> dict:
    names = {"__name__": "__main__"}
    exec(code, names)
    return names


def test_settings():
    data = run(BLOCKS[0])["data"]
    assert data.attrs["sampler_steps"] == 20


def test_step_by_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(BLOCKS[1])
    assert names["state"].sweep == 60
    assert names["later"].sweep == 80


def test_a_sampler_of_ones_own():
    """On a globe, against quadrature by 4e5 uniform points (1 % of the error bars): within 4.5 standard errors over 1000 chains."""
    names = run(BLOCKS[2])
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


@pytest.mark.parametrize("name", ["samplers", "stepping", "run"])
def test_examples_in_docstrings(name):
    module = importlib.import_module(f"gpumc.sampling.{name}")
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried > 0
