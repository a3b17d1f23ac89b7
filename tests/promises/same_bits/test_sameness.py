"""One run gives the same bits however it is cut up, and rejects what makes no sense."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc.errors import ConfigError
from gpumc.sampling import Part, binary
from tests.variants import same_bits

MACHINE = gpumc.TreeCommittee(27, k=3)
PATTERNS = gpumc.random_patterns(MACHINE, alpha=0.7, instances=3, seed=4)
MEASURE = gpumc.LocalEntropy(gpumc.CrossEntropy(gamma=[0.5, 2.0]), beta=2.0, coupling=0.3, replicas=3)
SETTINGS = {"chains": 7, "burn_in": 4, "sweeps": 6, "every": 3, "seed": 9, "device": "cpu"}


def sample(**changes):
    return gpumc.sample(MACHINE, PATTERNS, MEASURE, **(SETTINGS | changes))


def test_parts_are_the_whole():
    whole = sample()
    rows = []
    for instances in ((0, 1), (1, 3)):
        parts = [sample(part=Part(instances, chains)) for chains in ((0, 2), (2, 3), (3, 7))]
        row = xr.concat([p.drop_vars("stability_count") for p in parts], "chain", data_vars="minimal")
        rows.append(row.assign(stability_count=sum(p.stability_count for p in parts)))
    joined = xr.concat(rows, "instance", data_vars="minimal")
    assert same_bits(joined, whole)
    assert np.array_equal(joined.chain, np.arange(7))
    assert np.array_equal(joined.instance, np.arange(3))


@pytest.mark.parametrize("room", [1, 3, 15])
def test_batches_of_as_many_chains_as_fit_change_nothing(monkeypatch, room):
    whole = sample()
    monkeypatch.setattr(binary, "fitting", lambda *sizes: room)
    assert same_bits(sample(), whole)


def test_threads_change_nothing(monkeypatch):
    whole = sample()
    for threads in ("1", "3"):
        monkeypatch.setenv("GPUMC_THREADS", threads)
        assert same_bits(sample(), whole)


def test_numpy_blocks_change_nothing(monkeypatch):
    whole = sample(device="numpy")
    monkeypatch.setattr("gpumc.sampling.sweep.BLOCK", {False: 11, True: 5})
    assert same_bits(sample(device="numpy"), whole)


def test_more_chains_and_instances_leave_the_first_as_they_were():
    few = gpumc.sample(MACHINE, gpumc.Patterns(PATTERNS.xi[:1], PATTERNS.labels[:1]), MEASURE, **SETTINGS)
    assert np.array_equal(few.energy[0], sample().energy[0])


def test_continuing_from_weights_at_infinite_beta():
    """A solution stays a solution at beta = infinity, and moves."""
    patterns = gpumc.random_patterns(gpumc.Perceptron(101), alpha=0.2, seed=1)
    machine, errors = gpumc.Perceptron(101), gpumc.ErrorCount()
    found = gpumc.sample(
        machine, patterns, gpumc.Gibbs(errors, gpumc.Ramp(0.5, 8.0)), chains=4, burn_in=200, sweeps=1, device="cpu"
    )
    assert float(found.energy[..., -1].max()) == 0
    weights = found.weights.values[:, None]
    walk = gpumc.sample(
        machine, patterns, gpumc.Gibbs(errors, np.inf), chains=4, burn_in=0, sweeps=50, init=weights, device="cpu"
    )
    assert float(walk.energy.max()) == 0
    assert not np.array_equal(walk.weights.values, found.weights.values)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"chains": 0}, "chains"),
        ({"burn_in": -1}, "burn_in"),
        ({"every": 7}, "every"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**48}, "seed"),
        ({"sampler": "metropolis"}, r"sampler = 'metropolis': an object is needed, write gpumc.Metropolis\(\)"),
        ({"sampler": "metropolys"}, r"write gpumc.Metropolis\(\) or gpumc.HeatBath\(\)"),
        ({"sampler": gpumc.Metropolis}, r"sampler is the class Metropolis and no object of it: write Metropolis\(\)"),
        (
            {"sampler": gpumc.HMC()},
            "'hmc' moves spherical or gaussian weights, and the .* has binary weights: use Metropolis.*'heat-bath'",
        ),
        ({"init": "cold"}, "init"),
        ({"init": np.ones(5)}, "shape"),
        ({"init": np.zeros(27)}, r"\+1 or -1"),
        ({"device": "gpu"}, "device"),
    ],
)
def test_bad_arguments(changes, word):
    with pytest.raises(ConfigError, match=word):
        sample(**changes)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: gpumc.Gibbs(gpumc.ErrorCount(), beta=-1.0), "beta"),
        (lambda: gpumc.Gibbs(gpumc.ErrorCount(), beta=np.nan), "beta"),
        (lambda: gpumc.Gibbs(gpumc.ErrorCount(), beta=[]), "beta"),
        (lambda: gpumc.Gibbs(gpumc.ErrorCount(), beta="a"), "beta: numbers are needed, found 'a'"),
        (lambda: gpumc.Gibbs(gpumc.ErrorCount(), beta=None), "beta: numbers are needed, found None"),
        (lambda: gpumc.Gibbs("error-count", 1.0), "loss = 'error-count'"),
        (lambda: gpumc.LocalEntropy(gpumc.ErrorCount, 1.0, 0.1, 3), r"write ErrorCount\(\.\.\.\)"),
        (lambda: gpumc.Ramp("a", 1.0), "start = 'a'"),
        (lambda: gpumc.LocalEntropy(gpumc.ErrorCount(), 1.0, np.inf, 3), "coupling"),
        (lambda: gpumc.LocalEntropy(gpumc.ErrorCount(), 1.0, 0.1, 0), "replicas"),
        (lambda: gpumc.LocalEntropy(gpumc.ErrorCount(), 1.0, 0.1, 3, centre="tracd"), "traced"),
        (lambda: gpumc.LocalEntropy(gpumc.ErrorCount(), 1.0, 0.1, 3, centre=[1, np.nan, 1]), "centre"),
        (lambda: gpumc.Ramp(0.0, 1.0, scale="geometric"), "start"),
        (lambda: gpumc.Ramp(0.0, 1.0, over="all"), "over"),
        (lambda: gpumc.CrossEntropy(gamma=0.0), "gamma"),
    ],
)
def test_bad_measures(make, word):
    with pytest.raises(ConfigError, match=word):
        make()


def test_metropolis_needs_something_to_reject():
    still = gpumc.Gibbs(gpumc.ErrorCount(), beta=0.0)
    with pytest.raises(ConfigError, match="heat-bath"):
        gpumc.sample(MACHINE, PATTERNS, still, **SETTINGS)
    free = gpumc.sample(MACHINE, PATTERNS, still, **(SETTINGS | {"sampler": gpumc.HeatBath(), "chains": 2000}))
    # Free weights: each pattern is wrong half of the time. 6000 x 19 draws, correlated within a chain: 6 standard errors.
    assert abs(float(free.error_rate[..., -1].mean()) - 0.5) < 6 * 0.5 / np.sqrt(6000)


def test_infinite_beta_is_for_error_counts():
    with pytest.raises(ConfigError, match="finite"):
        gpumc.sample(MACHINE, PATTERNS, gpumc.Gibbs(gpumc.CrossEntropy(), beta=np.inf), **SETTINGS)


@pytest.mark.parametrize("centre", ["explicit", "traced"])
def test_the_strongest_coupling_holds(centre):
    """Nothing overflows: replicas that start in one place stay there, and a stronger coupling is refused."""
    strong = gpumc.LocalEntropy(gpumc.CrossEntropy(), 2047.0, coupling=1.99e6, replicas=3, centre=centre)
    start = np.ones(27, np.int8)
    found = gpumc.sample(MACHINE, PATTERNS, strong, init=start, **SETTINGS)
    assert (found.weights == 1).all()
    assert (found.overlap_centre == 1).all()
    stronger = dataclasses.replace(strong, coupling=2.0**22)
    with pytest.raises(ConfigError, match=r"coupling = 4\.1943e\+06.*below 2e\+06"):
        gpumc.sample(MACHINE, PATTERNS, stronger, **SETTINGS)
    counted = dataclasses.replace(stronger, loss=gpumc.ErrorCount())
    assert (gpumc.sample(MACHINE, PATTERNS, counted, init=start, **SETTINGS).weights == 1).all()


def test_patterns_of_another_size():
    with pytest.raises(ConfigError, match="27"):
        gpumc.sample(gpumc.Perceptron(29), PATTERNS, gpumc.Gibbs(gpumc.ErrorCount(), 1.0), **SETTINGS)
