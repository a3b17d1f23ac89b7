"""Belief propagation of ReLU committees: exact cases, splitting, integration, and its own derivatives."""

import numpy as np
import pytest

import gpumc
from gpumc import exact
from gpumc.errors import ConfigError

NUMPY = {"device": "numpy"}
BINARY = (
    gpumc.TreeCommittee(6, k=2, activation="relu"),
    gpumc.FullCommittee(3, k=4, activation="relu"),
    gpumc.TreeCommittee(9, k=3, activation="relu", output=(2, -1, 1)),
)
TREE = gpumc.TreeCommittee(40, k=4, weights="spherical", activation="relu")
FULL = gpumc.FullCommittee(20, k=4, weights="spherical", activation="relu")
#: Their instance 0 is of +-1 inputs, instance 1 of real ones that are correlated.
SEED = 5


def problem(machine, alpha):
    """+-1 inputs, and real inputs that are correlated, with solutions of both."""
    patterns, rng = gpumc.random_patterns(machine, alpha, seed=SEED), np.random.default_rng(SEED)
    common = rng.normal(size=(patterns.count, 4)) @ rng.normal(size=(4, machine.n))
    real = 0.5 * common + rng.normal(size=(patterns.count, machine.n))
    both = gpumc.Patterns(np.concatenate([patterns.xi, real[None]]), np.concatenate([patterns.labels] * 2))
    annealed = gpumc.Gibbs(gpumc.CrossEntropy(1.0), beta=gpumc.Ramp(1, 50))
    data = gpumc.sample(machine, both, annealed, chains=1, burn_in=300, sweeps=10, every=10, seed=1, device="numpy")
    weights = data.weights.isel(chain=0).squeeze(drop=True)
    for i in range(2):
        assert (machine.stabilities(weights.values[i : i + 1], both.xi[i], both.labels[i]) > 0).all()
    return both, weights


@pytest.mark.parametrize("machine", BINARY, ids=lambda m: f"{m.kind}-{m.k}")
@pytest.mark.parametrize(
    "loss", [gpumc.ErrorCount([0.0, 0.4]), gpumc.CrossEntropy([0.5, 2.0])], ids=lambda loss: loss.kind
)
def test_a_tree_is_solved_exactly(machine, loss):
    patterns = gpumc.random_patterns(machine, 1.0, 4, seed=2)
    patterns = gpumc.Patterns(patterns.xi[:, :1], patterns.labels[:, :1])
    assert set(patterns.labels.ravel()) == {1, -1}
    measure = gpumc.Gibbs(loss, [0.7, 3.0])
    truth = exact.averages(machine, patterns, measure)
    found = gpumc.entropy(machine, patterns, measure, method=gpumc.BeliefPropagation("exact"), **NUMPY)
    tolerance = 1e-9 if loss.counts else 1e-5  # the enumerated loss is a multiple of 2^-20
    assert abs(found.free_entropy - truth.log_partition / machine.weight_count).max() < tolerance
    assert abs(found.energy - truth.energy).max() < tolerance


@pytest.mark.parametrize("form", ["exact", "relaxed", "amp"])
def test_forms_agree_where_units_are_wide(form):
    """Beside integration over temperatures, to 3 standard errors (a false alarm in 370) and a nat of all weights."""
    machine = gpumc.TreeCommittee(100, k=4, activation="relu")
    patterns = gpumc.random_patterns(machine, 0.3, 1, seed=5)
    found = gpumc.entropy(machine, patterns, method=gpumc.BeliefPropagation(form), **NUMPY)
    assert abs(found.entropy.item() - 0.4329) < 3 * 0.0012 + 0.01  # test_integration_says_so


@pytest.mark.long
def test_integration_says_so():
    machine = gpumc.TreeCommittee(100, k=4, activation="relu")
    patterns = gpumc.random_patterns(machine, 0.3, 1, seed=5)
    sampled = gpumc.entropy(
        machine, patterns, method=gpumc.ThermodynamicIntegration(burn_in=500, sweeps=1500), device="cpu"
    )
    assert abs(sampled.entropy.item() - 0.4329) < 3 * np.hypot(sampled.entropy_error.item(), 0.0012)


def beside_splitting(machine, found, sampled, relative):
    """Within 3 standard errors (false alarms 0.3 % each) beside a nat in all, that is belief propagation's to have at so small a size."""
    assert found.converged.all()
    apart = abs(found.entropy - sampled.entropy)
    size = abs(sampled.get("log_volume", sampled.entropy))
    print(found.entropy.values, sampled.entropy.values, sampled.entropy_error.values)
    assert (sampled.entropy_error < relative * size).all()
    assert (apart < 3 * sampled.entropy_error + 1 / machine.weight_count).all(), apart.values


def test_the_entropy_of_a_tree_against_splitting():
    patterns, _ = problem(TREE, 0.4)
    how = gpumc.Splitting(particles=128, populations=4)
    found = gpumc.entropy(TREE, patterns, **NUMPY)
    beside_splitting(TREE, found, gpumc.entropy(TREE, patterns, method=how, device="cpu"), 0.05)
    assert float(found.norm_spread.max()) < 1e-9  # every unit has its sphere


@pytest.mark.parametrize(("machine", "alpha"), [(TREE, 0.4), (FULL, 0.3)], ids=lambda v: getattr(v, "kind", v))
def test_local_volumes_against_splitting(machine, alpha):
    patterns, weights = problem(machine, alpha)
    how = gpumc.Splitting(particles=64, populations=4)
    found, sampled = (
        gpumc.local_entropy(machine, patterns, weights, distance=[0.2], method=method, device=device)
        for method, device in (("bp", "numpy"), (how, "cpu"))
    )
    beside_splitting(machine, found, sampled, 0.06)


def test_derivatives():
    """The field is d(S - beta E)/dD, and the energy what the free entropy loses with beta: by finite differences."""
    patterns, weights = problem(TREE, 0.4)
    step, count = 1e-3, TREE.weight_count
    for beta in (np.inf, 2.0):
        measure = gpumc.Gibbs(gpumc.ErrorCount(), beta)
        curve = gpumc.local_entropy(TREE, patterns, weights, measure, distance=[0.2 - step, 0.2, 0.2 + step], **NUMPY)
        heat = 0 if np.isinf(beta) else beta * curve.energy / count
        slope = (curve.entropy - heat).diff("distance").sum("distance") / (2 * step)
        np.testing.assert_allclose(slope, curve.field[:, 1], rtol=1e-4)
    found = gpumc.entropy(TREE, patterns, gpumc.Gibbs(gpumc.ErrorCount(), [1.999, 2.0, 2.001]), **NUMPY)
    np.testing.assert_allclose(
        (found.free_entropy[:, 0] - found.free_entropy[:, 2]) / 0.002, found.energy[:, 1] / count, atol=1e-6
    )


def test_an_answer_does_not_depend_on_its_batch():
    for machine in (TREE, gpumc.TreeCommittee(100, k=4, activation="relu")):
        patterns = gpumc.random_patterns(machine, 0.3, 3, seed=9)
        whole = gpumc.entropy(machine, patterns, **NUMPY)
        alone = gpumc.entropy(machine, gpumc.Patterns(patterns.xi[1], patterns.labels[1]), **NUMPY)
        np.testing.assert_allclose(alone.entropy[0], whole.entropy[1], rtol=0, atol=1e-12)
        assert np.array_equal(alone.iterations[0], whole.iterations[1])


def test_real_patterns_of_any_size():
    """One factor for all units changes no sign."""
    patterns, _ = problem(TREE, 0.4)
    scale = np.random.default_rng(1).uniform(0.2, 5, (2, patterns.count, 1))
    scaled = gpumc.Patterns(patterns.xi * scale, patterns.labels)
    a, b = (gpumc.entropy(TREE, p, **NUMPY).entropy for p in (patterns, scaled))
    np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.parametrize(
    "measure", [gpumc.Gibbs(gpumc.ErrorCount(0.3), np.inf), gpumc.Gibbs(gpumc.CrossEntropy(), 2.0)]
)
def test_losses_of_the_output_s_size_are_refused(measure):
    patterns = gpumc.random_patterns(TREE, 0.3, seed=1)
    with pytest.raises(ConfigError, match=r"spherical weights is for losses of the output's sign"):
        gpumc.entropy(TREE, patterns, measure, **NUMPY)


def test_focusing_is_refused():
    for machine in (TREE, gpumc.TreeCommittee(20, k=4, activation="relu")):
        with pytest.raises(ConfigError, match="focusing: this tree-committee has relu units"):
            gpumc.focusing_bp(machine, gpumc.random_patterns(machine, 0.3, seed=1), **NUMPY)


@pytest.mark.gpu
@pytest.mark.parametrize("machine", [TREE, FULL, gpumc.TreeCommittee(100, k=4, activation="relu")], ids=str)
def test_a_gpu_gives_the_same(machine):
    patterns = gpumc.random_patterns(machine, 0.2, seed=1)
    host, device = (
        gpumc.entropy(machine, patterns, method=gpumc.BeliefPropagation(tolerance=1e-6), device=d)
        for d in ("numpy", "cuda")
    )
    assert host.converged.all()
    np.testing.assert_allclose(device.entropy, host.entropy, rtol=1e-9)
