"""Sampling where errors are never made again says which replicas have not reached a solution."""

import warnings

import numpy as np
import pytest

import gpumc

SHORT = {"chains": 2, "burn_in": 0, "sweeps": 2, "device": "numpy"}
SPHERICAL, BINARY = gpumc.Perceptron(40, weights="spherical"), gpumc.Perceptron(41)


@pytest.mark.parametrize("machine", [SPHERICAL, BINARY], ids=["spherical", "binary"])
@pytest.mark.parametrize("beta", [np.inf, 30.0, (1.0, np.inf)])
def test_descents_that_end_above_0_are_said(machine, beta):
    patterns = gpumc.random_patterns(machine, 3.0, 1, seed=1)
    with pytest.warns(UserWarning, match="2 of 2 replicas still have errors at the last draw.*only descends.*Ramp"):
        gpumc.sample(machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(), beta), **SHORT)


@pytest.mark.parametrize("beta", [1.0, gpumc.Ramp(0.5, 30.0, over="run")])
def test_what_can_rise_or_is_annealed_is_not(beta):
    patterns = gpumc.random_patterns(BINARY, 3.0, 1, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = gpumc.sample(BINARY, patterns, gpumc.Gibbs(gpumc.ErrorCount(), beta), **SHORT)
    assert (data.energy.isel(draw=-1) > 0).all(), "there are errors to be silent about"


@pytest.mark.parametrize("machine", [SPHERICAL, BINARY], ids=["spherical", "binary"])
def test_a_start_from_a_solution_is_not(machine):
    """One pattern, which itself is a solution."""
    patterns = gpumc.random_patterns(machine, 1 / machine.n, 1, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = gpumc.sample(
            machine,
            patterns,
            gpumc.Gibbs(gpumc.ErrorCount(), np.inf),
            init=patterns.xi[0, 0] * patterns.labels[0, 0],
            **SHORT,
        )
    assert (data.energy == 0).all()
