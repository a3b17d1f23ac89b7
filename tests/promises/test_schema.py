"""One schema: every variable of the datasets of all public functions is described, their roots say what was asked, and dimensions have one
order."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc import exact, flatness, schema, theory
from gpumc._version import __version__
from gpumc.device import Device
from gpumc.errors import ConfigError

MACHINE, SPHERE = gpumc.Perceptron(11), gpumc.Perceptron(12, weights="spherical")
FREE = gpumc.Perceptron(12, weights="gaussian")
PATTERNS, REAL = (gpumc.random_patterns(machine, 0.3, 2, seed=1) for machine in (MACHINE, SPHERE))
ROWS = SPHERE.normalised(np.random.default_rng(1).normal(size=(2, 3, 12)))
LOSS = gpumc.CrossEntropy([0.5, 2.0])
GIBBS = gpumc.Gibbs(LOSS, [0.5, 1.0])
LOCAL = gpumc.LocalEntropy(LOSS, [0.5, 1.0], [0.1, 0.5], 2)
COUPLED = gpumc.LocalEntropy(gpumc.ErrorCount(), 1.0, [0.1, 0.5], 2)
SHORT = {"chains": 2, "burn_in": 1, "sweeps": 2, "seed": 3, "device": Device("numpy")}
INTEGRATION = gpumc.ThermodynamicIntegration(4, 6, 2, burn_in=2, sweeps=4, every=2)
PERCEPTRON = theory.Limit("perceptron")
NUMPY = {"device": Device("numpy")}


@dataclass(frozen=True)
class Priced(gpumc.Loss):
    """A user's loss, whose parameter no table has."""

    price: float = 1.0
    kind = "priced"
    axes = ("price",)

    def values(self, stability):
        return self.price * (stability < 0)


def run(measure, machine=MACHINE, patterns=PATTERNS):
    return gpumc.sample(machine, patterns, measure, **SHORT)


def around(measure, **settings):
    centres = run(LOCAL).centre
    return gpumc.local_entropy(MACHINE, PATTERNS, centres, measure, **(NUMPY | settings))


SOLUTIONS = gpumc.Gibbs(gpumc.ErrorCount(), np.inf)
#: Calls, the dimensions of a variable, and what the root says beside the machine.
DATASETS = {
    "sample": (lambda: run(LOCAL), "energy", "instance beta gamma coupling chain replica draw", "patterns seed"),
    "sample a centre": (lambda: run(LOCAL), "centre", "instance beta gamma coupling chain weight", "patterns seed"),
    "sample spheres": (lambda: run(GIBBS, SPHERE, REAL), "energy", "instance beta gamma chain replica draw", "seed"),
    "sample free norms": (
        lambda: run(LOCAL, FREE, REAL),
        "norm",
        "instance beta gamma coupling chain replica draw",
        "seed",
    ),
    "sample a centre of free norm": (
        lambda: run(LOCAL, FREE, REAL),
        "distance_centre",
        "instance beta gamma coupling chain replica draw",
        "seed",
    ),
    "sample a user's loss": (
        lambda: run(gpumc.Gibbs(Priced((1.0, 2.0)), 1.0)),
        "stability_count",
        "instance price stability",
        "",
    ),
    "sample a ramp": (lambda: run(gpumc.Gibbs(LOSS, gpumc.Ramp(0.1, 1.0))), "beta", "draw", "patterns seed"),
    "entropy": (
        lambda: gpumc.entropy(MACHINE, PATTERNS, GIBBS, **NUMPY),
        "magnetisation",
        "instance beta gamma weight",
        "patterns",
    ),
    "entropy by ti": (
        lambda: gpumc.entropy(MACHINE, PATTERNS, GIBBS, method=INTEGRATION, **NUMPY),
        "entropy_error",
        "instance beta gamma",
        "seed",
    ),
    "entropy by splitting": (
        lambda: gpumc.entropy(SPHERE, REAL, method=gpumc.Splitting(32, 2, 2), **NUMPY),
        "overlap",
        "instance",
        "seed",
    ),
    "local_entropy": (
        lambda: around(SOLUTIONS, distance=[0.2, 0.4]),
        "entropy",
        "instance beta gamma coupling chain distance",
        "patterns",
    ),
    "local_entropy in a field": (
        lambda: around(GIBBS, field=[0.2, 0.4]),
        "distance",
        "instance beta gamma coupling chain field",
        "patterns",
    ),
    "focusing_bp": (
        lambda: gpumc.focusing_bp(MACHINE, PATTERNS, starts=2, **NUMPY),
        "local_entropy",
        "instance start step",
        "patterns seed",
    ),
    "learn": (
        lambda: gpumc.learn(SPHERE, REAL, gpumc.LeastAction(), starts=2, **NUMPY),
        "error_rate",
        "instance start epoch",
        "patterns seed",
    ),
    "learn by replicas": (
        lambda: gpumc.learn(SPHERE, REAL, gpumc.ReplicatedSGD(epochs=3), starts=2, **NUMPY),
        "weights",
        "instance start replica weight",
        "patterns seed",
    ),
    "learn free norms": (
        lambda: gpumc.learn(FREE, REAL, gpumc.CrossEntropySGD(epochs=3), starts=2, **NUMPY),
        "norm",
        "instance start epoch",
        "patterns seed",
    ),
    "loss of learners": (
        lambda: gpumc.learn(SPHERE, REAL, gpumc.EntropySGD(epochs=3), starts=2, **NUMPY),
        "loss",
        "instance start epoch",
        "patterns seed",
    ),
    "hessian": (
        lambda: flatness.hessian(SPHERE, REAL, ROWS, gpumc.CrossEntropy(1.0), **NUMPY),
        "eigenvalue",
        "instance reference probe mode",
        "patterns seed",
    ),
    "local_energy": (
        lambda: flatness.local_energy(SPHERE, REAL, ROWS, strength=[0.1], draws=2, **NUMPY),
        "local_energy_quantile",
        "instance reference strength quantile",
        "patterns seed",
    ),
    "robustness": (
        lambda: flatness.robustness(SPHERE, REAL, ROWS, eta=[0.5, 1.0], draws=2, **NUMPY),
        "noisy_error_rate",
        "instance reference eta",
        "patterns seed",
    ),
    "spectral_density": (
        lambda: flatness.spectral_density(
            flatness.hessian(SPHERE, REAL, ROWS, gpumc.CrossEntropy(1.0), **NUMPY), [0.0, 0.1], width=0.1
        ),
        "spectral_density",
        "instance reference at",
        None,
    ),
    "summary": (
        lambda: flatness.summary(SPHERE, REAL, ROWS, **NUMPY),
        "log_volume",
        "instance reference distance",
        "patterns seed",
    ),
    "learn by focusing": (
        lambda: gpumc.learn(MACHINE, PATTERNS, gpumc.FocusingBP(), **NUMPY),
        "error_rate",
        "instance start",
        "patterns seed",
    ),
    "enumerate_states": (
        lambda: exact.enumerate_states(MACHINE, PATTERNS, LOSS),
        "errors",
        "instance gamma state",
        "patterns",
    ),
    "averages": (lambda: exact.averages(MACHINE, PATTERNS, GIBBS), "log_partition", "instance beta gamma", "patterns"),
    "averages of replicas": (
        lambda: exact.averages(gpumc.Perceptron(5), gpumc.random_patterns(gpumc.Perceptron(5), 0.6, 2), LOCAL),
        "overlap_replicas",
        "instance beta gamma coupling",
        "patterns",
    ),
    "replica_symmetric": (
        lambda: theory.replica_symmetric(MACHINE, GIBBS, alpha=[0.2, 0.4]),
        "stability_density",
        "alpha beta gamma stability",
        "",
    ),
    "replica_symmetric of replicas": (
        lambda: theory.replica_symmetric(MACHINE, COUPLED, alpha=[0.2, 0.4]),
        "overlap_others",
        "alpha coupling",
        "",
    ),
    "zero_entropy": (
        lambda: theory.zero_entropy(MACHINE, alpha=[0.9, 1.0]).to_dataset(),
        "beta_frozen",
        "alpha",
        None,
    ),
    "franz_parisi": (
        lambda: theory.franz_parisi(MACHINE, GIBBS, alpha=0.4, distance=[0.2]),
        "field",
        "gamma reference_beta distance",
        "",
    ),
    "dense_clusters": (
        lambda: theory.dense_clusters(PERCEPTRON, alpha=[0.4], distance=[0.1], replicas=[2]),
        "external_entropy",
        "alpha replicas distance",
        "",
    ),
}


@pytest.mark.parametrize("name", DATASETS)
def test_datasets_are_described(name):
    call, variable, dims, said = DATASETS[name]
    data = call()
    assert data[variable].dims == tuple(dims.split())
    for label, array in data.variables.items():
        assert list(array.dims) == schema.dims_in_order(array.dims), label
        if label in schema.QUANTITIES:
            assert array.attrs == schema.attributes(label), label
        else:
            assert label == "price"
            assert array.attrs == {"long_name": "price", "units": "1"}
    if "energy" in data:
        assert "energy_per_pattern" in data
    if said is None:
        return  # of one array
    facts = data.attrs
    assert facts["gpumc_version"] == __version__
    assert (facts["machine"], facts["weights"], facts["device"]) == ("perceptron", data.attrs["weights"], "numpy")
    assert {"learner", "loss", "draws"} & set(facts), "what was done"
    assert facts["duration_s"] >= 0
    assert facts["started"].endswith("+00:00")
    if "patterns" in said:
        assert facts["patterns_digest"]
    if "seed" in said:
        assert "seed" in facts


def test_a_name_that_is_not_in_the_table_is_refused():
    with pytest.raises(KeyError, match="nonsense"):
        schema.described(xr.Dataset({"nonsense": 1.0}))


def test_errors_are_known_where_they_are_counted():
    count = gpumc.entropy(MACHINE, PATTERNS, gpumc.Gibbs(gpumc.ErrorCount(), 1.0), **NUMPY)
    assert np.array_equal(count.error_rate, count.energy / PATTERNS.count)
    assert "error_rate" not in gpumc.entropy(MACHINE, PATTERNS, GIBBS, **NUMPY)


def test_results_are_saved_with_their_names(tmp_path):
    data = gpumc.entropy(MACHINE, PATTERNS, GIBBS, **NUMPY)
    gpumc.save(data, tmp_path / "entropy.h5")
    again = gpumc.open_run(tmp_path / "entropy.h5")
    assert again.attrs == data.attrs
    assert all(again[name].attrs == data[name].attrs for name in data.variables)


def test_parameters_of_a_loss_have_names_of_their_own():
    @dataclass(frozen=True)
    class Confusing(gpumc.Loss):
        energy: float = 1.0
        kind = "confusing"
        axes = ("energy",)

    with pytest.raises(ConfigError, match=r"'energy'.*rename it"):
        gpumc.Gibbs(Confusing(), 1.0)


def test_volumes_are_of_one_machine():
    with pytest.raises(ConfigError, match=r"LocalEntropy.*Gibbs"):
        gpumc.entropy(MACHINE, PATTERNS, LOCAL, **NUMPY)
