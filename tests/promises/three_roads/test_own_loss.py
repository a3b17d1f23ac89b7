"""A loss of a user's own, of a few lines in a file of the user's, is sampled, enumerated, passed as messages and solved in theory."""

import importlib
import textwrap

import numpy as np
import pytest

import gpumc
from gpumc import exact
from gpumc.errors import ConfigError

#: What a user writes.
HINGE = textwrap.dedent('''
    """max(0, margin - Delta), the loss of support vector machines."""
    from dataclasses import dataclass

    import numpy as np

    import gpumc


    @dataclass(frozen=True)
    class Hinge(gpumc.Loss):
        margin: float = 0.0
        kind = "hinge"
        axes = ("margin",)

        def values(self, stability):
            return (self.margin - stability) * (stability < self.margin)

        @property
        def kinks(self):
            return (self.margin,)
    ''')


@pytest.fixture
def hinge(tmp_path, monkeypatch):
    """The class, imported from the user's folder, which is the current one."""
    (tmp_path / "own_hinge.py").write_text(HINGE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("own_hinge")
    return importlib.reload(module).Hinge


DEVICES = ["numpy", "cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("machine", [gpumc.Perceptron(9), gpumc.TreeCommittee(9, k=3)], ids=lambda m: m.kind)
def test_sampled_energies_are_those_of_enumeration(machine, device, hinge):
    """Within 4 standard errors over 64 chains, at two margins: fails by chance for 1 seed in 4000."""
    patterns, loss = gpumc.random_patterns(machine, 0.8, seed=3), hinge((0.0, 0.7))
    data = gpumc.sample(
        machine, patterns, gpumc.Gibbs(loss, 1.3), chains=64, burn_in=40, sweeps=120, seed=5, device=device
    )
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, 1.3))
    assert data.energy.dims == ("instance", "margin", "chain", "replica", "draw")
    for name in ("energy", "error_rate"):
        chains = data[name].mean(["replica", "draw"])
        error = chains.std("chain", ddof=1) / 8
        assert float(error.max()) < 0.2
        assert float(abs((chains.mean("chain") - truth[name]) / error).max()) < 4


@pytest.mark.parametrize("device", DEVICES)
def test_sampled_on_a_sphere(device, hinge):
    """By rotations, since it has no slope; two seeds in the same distribution as a plain Metropolis sampler's energies."""
    machine = gpumc.Perceptron(5, weights="spherical")
    patterns, loss = gpumc.random_patterns(machine, 1.0, seed=2), hinge(0.5)
    data = gpumc.sample(
        machine, patterns, gpumc.Gibbs(loss, 2.0), chains=64, burn_in=60, sweeps=100, every=2, device=device
    )
    assert data.attrs["sampler"] == "rotations"
    assert data.attrs["margin"] == 0.5
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400_000, 5))
    x *= 5**0.5 / np.linalg.norm(x, axis=1, keepdims=True)
    losses = loss.values(machine.stabilities(x, patterns.xi[0], patterns.labels[0])).sum(axis=1)
    weight = np.exp(-2.0 * losses)
    expected = (losses * weight).sum() / weight.sum()
    chains = data.energy.mean(["replica", "draw"]).values.ravel()
    assert abs(chains.mean() - expected) < 4 * np.hypot(chains.std(ddof=1) / 8, 0.005)


@pytest.mark.parametrize("form", ["exact", "relaxed"])
def test_belief_propagation(form, hinge):
    """Of a perceptron whose patterns are few, against enumeration: the mean over instances of what is off is below 0.01 per weight."""
    machine = gpumc.Perceptron(11)
    patterns, loss = gpumc.random_patterns(machine, 0.3, instances=6, seed=4), hinge((0.0, 0.5))
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, 1.5), method=gpumc.BeliefPropagation(form))
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, 1.5))
    assert found.converged.all()
    off = found.free_entropy - truth.log_partition / 11
    assert float(abs(off.mean("instance")).max()) < 0.01
    local = gpumc.local_entropy(machine, patterns, np.ones(11), gpumc.Gibbs(loss, 1.5), distance=[0.2])
    assert set(local.dims) >= {"margin", "distance"}


@pytest.mark.long
def test_theory(hinge):
    """n = 1001: within 3 standard errors over instances of the replica-symmetric energy."""
    machine, loss = gpumc.Perceptron(1001), hinge(0.5)
    patterns = gpumc.random_patterns(machine, 0.4, instances=32, seed=1)
    measure = gpumc.Gibbs(loss, 2.0)
    data = gpumc.sample(machine, patterns, measure, chains=2, burn_in=200, sweeps=200, every=5)
    found = data.energy.mean(["chain", "replica", "draw"]).values / patterns.count
    expected = gpumc.theory.replica_symmetric(machine, measure, alpha=patterns.count / 1001)
    error = found.std(ddof=1) / 32**0.5
    print(found.mean(), error, expected.energy_per_pattern.item())
    assert error < 0.01 * found.mean()
    assert abs(found.mean() - expected.energy_per_pattern.item()) < 3 * error


CONFIG = """
name = "own"
[machine]
kind = "perceptron"
n = 31
[patterns]
kind = "random"
alpha = 0.5
[loss]
kind = "own_hinge:Hinge"
margin = [0.0, 0.5]
[measure]
beta = 1.0
[sampler]
chains = 2
burn_in = 5
sweeps = 10
"""


def test_from_a_config(hinge, tmp_path, within):
    (tmp_path / "own.toml").write_text(CONFIG)
    done = within("run", "own.toml", "--out", "out", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    data = gpumc.open_run("out")
    assert data.attrs["loss"] == "hinge"
    assert data.margin.values.tolist() == [0.0, 0.5]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("own_hinge:Hinge", "own_hinge:Hing"), "cannot be imported"),
        (("own_hinge:Hinge", "no_module:Hinge"), "cannot be imported"),
        (("own_hinge:Hinge", "math:sqrt"), "inherits from gpumc.Loss"),
        (("own_hinge:Hinge", "hinge"), "'module:Class'"),
        (("margin = [0.0, 0.5]", "margni = 0.5"), "did you mean 'margin'"),
        (("margin = [0.0, 0.5]", "width = 0.5"), "width has no meaning"),
    ],
)
def test_wrong_configs_are_one_sentence(change, words, hinge, tmp_path, within):
    (tmp_path / "own.toml").write_text(CONFIG.replace(*change))
    done = within("run", "own.toml", "--out", "out", "--device", "cpu")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


class Bad(gpumc.Loss):
    """Values that ``wanted`` makes."""

    kind = "bad"

    def __init__(self, wanted):
        self.wanted = wanted

    def values(self, stability):
        return self.wanted(stability)


class Counting(Bad):
    kind, counts = "counting", True


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (Bad(lambda x: np.full(x.shape, np.nan)), "no number"),
        (Bad(lambda x: x[:3]), "shape"),
        (Bad(lambda x: 1 / 0), "ZeroDivisionError"),
        (Bad(lambda x: 1e9 * x**2), "less than 2048"),
        (Counting(lambda x: 2.0 * (x < 0)), "other values than 0 and 1"),
    ],
)
def test_bad_losses_are_one_sentence(loss, words):
    machine = gpumc.Perceptron(31)
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    with pytest.raises(ConfigError, match=words):
        gpumc.sample(machine, patterns, gpumc.Gibbs(loss, 1.0), chains=2, burn_in=0, sweeps=1, device="numpy")
    with pytest.raises(ConfigError, match=words):
        exact.averages(gpumc.Perceptron(5), gpumc.random_patterns(gpumc.Perceptron(5), 0.6), gpumc.Gibbs(loss, 1.0))


def test_a_formula_that_is_overridden_is_the_one_that_counts():
    """A subclass of the cross-entropy with values of its own has neither its kernel nor its slope."""

    class Shifted(gpumc.CrossEntropy):
        kind = "shifted"

        def values(self, stability):
            return super().values(stability - 0.5)

    loss, machine = Shifted(1.0), gpumc.Perceptron(7)
    assert not loss.has_slope
    assert not loss.fused
    expected = gpumc.CrossEntropy(1.0).values(machine.possible_stabilities - 0.5)
    np.testing.assert_allclose(loss.tables(machine)[0] * loss.unit, expected, rtol=0, atol=loss.unit)


def test_a_ramp_of_a_losses_own_parameter():
    """The barrier's cut falls in burn-in: what is recorded is the loss at the last cut, of the final weights."""
    machine = gpumc.Perceptron(101)
    patterns = gpumc.random_patterns(machine, 0.3, seed=2)
    loss = gpumc.LogBarrier(gpumc.Ramp(1.0, 0.1, scale="geometric"))
    runs = [
        gpumc.sample(machine, patterns, gpumc.Gibbs(loss, 2.0), chains=3, burn_in=20, sweeps=4, seed=1, device=device)
        for device in ("numpy", "cpu")
    ]
    assert all(np.array_equal(runs[0][name], runs[1][name]) for name in ("energy", "weights", "error_rate"))
    weights = runs[0].weights.values.reshape(3, 101)
    stability = machine.stabilities(weights, patterns.xi[0], patterns.labels[0])
    expected = gpumc.LogBarrier(0.1).values(stability).sum(axis=1)
    np.testing.assert_allclose(runs[0].energy[..., -1].values.ravel(), expected, atol=patterns.count * loss.unit)
    np.testing.assert_allclose(runs[0].cut, 0.1)
