"""The kernels of an iteration against their NumPy twins: each piece, and whole problems."""

import numpy as np
import pytest

import gpumc
from gpumc.device import choose, to_host
from gpumc.messages.constraints import Constraints
from gpumc.messages.graph import Graph
from gpumc.messages.marginals import Stops, combined, damp, marginals
from gpumc.messages.priors import Distance, Pull, Replicas
from gpumc.messages.spherical_priors import SphericalDistance, SphericalPull, SphericalReplicas

COMPILED = pytest.mark.parametrize("name", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
BOTH = pytest.mark.parametrize(("dtype", "rounding"), [(np.float64, 1e-11), (np.float32, 2e-4)])
RNG = np.random.default_rng
ROWS = 4
BINARY, SPHERICAL = gpumc.TreeCommittee(51, k=3), gpumc.TreeCommittee(51, k=3, weights="spherical")
HARD, SOFT = gpumc.Gibbs(gpumc.ErrorCount(), np.inf), gpumc.Gibbs(gpumc.CrossEntropy([0.3, 2.0]), [0.5, 3.0])


def graph_of(device, machine, inputs, dtype) -> Graph:
    patterns = gpumc.random_patterns(machine, 0.2, 2, seed=1, inputs=inputs)
    both = [Constraints.of(machine, xi, labels) for xi, labels in zip(patterns.xi, patterns.labels, strict=True)]
    return Graph.of(device, machine, both, np.array([0, 0, 0, 1]), dtype)


def priors(device, dtype):
    """Each kind: of a binary weight, and of a spherical one."""
    rng = RNG(2)
    reference, first, second = rng.choice([-1.0, 1.0], (ROWS, 3, 17)), [0.02, 0.1, 0.3, 0.5], [0.3, 2.0, 40.0, np.inf]
    reference, first, second, y = (device.asarray(np.array(a, dtype)) for a in (reference, first, second, [1, 2, 3, 9]))
    return {
        BINARY: (Pull(reference, 3 * first), Distance(reference, first), Replicas(y, second)),
        SPHERICAL: (
            SphericalPull(reference, 3 * first),
            SphericalDistance(reference, first),
            SphericalReplicas(y, second),
        ),
    }


@COMPILED
@BOTH
@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("machine", [BINARY, SPHERICAL], ids=["binary", "spherical"])
def test_marginals(machine, kind, dtype, rounding, name):
    shape = (ROWS, 3, 17) if machine is BINARY else (ROWS, 2, 3, 17)
    rng = RNG(3)
    old, new = rng.normal(size=(2, *shape))
    if machine is SPHERICAL:
        old[:, 1], new[:, 1] = rng.uniform(-0.3, 2, (2, ROWS, 3, 17))
    before = rng.uniform(-1, 1, (ROWS, 3, 17))
    found, residuals = [], []
    for device in (choose("numpy"), choose(name)):
        graph = graph_of(device, machine, "binary", dtype)
        incoming, undamped, last = (device.asarray(a.astype(dtype)) for a in (old, new, before))
        stops = Stops.start(device, ROWS, 0.0)
        now = marginals(graph, priors(device, dtype)[machine][kind], incoming, undamped, 0.4, last, stops, 1)
        found.append([to_host(a) for a in (incoming, *now)])
        residuals.append(to_host(stops.known))
    for expected, ours in zip(*found, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, expected, rtol=rounding, atol=rounding)
    np.testing.assert_allclose(*residuals, rtol=2 * rounding, atol=2 * rounding)


@COMPILED
@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("machine", [BINARY, SPHERICAL], ids=["binary", "spherical"])
def test_rows_stop(machine, kind, name):
    """Those whose damped step is small enough; their residual is that of the whole step. On a device they then stay as they are."""
    shape = (ROWS, 3, 17) if machine is BINARY else (ROWS, 2, 3, 17)
    rng, known = RNG(6), []
    old = rng.normal(size=shape) if machine is BINARY else rng.uniform(0.5, 1.5, shape)
    new = old + np.array([1e-9, 1e-3, 1e-8, 0.1]).reshape(-1, *[1] * (len(shape) - 1)) * rng.uniform(size=shape)
    for device in (choose("numpy"), choose(name)):
        graph = graph_of(device, machine, "binary", np.float64)
        prior, stops = priors(device, np.float64)[machine][kind], Stops.start(device, ROWS, 1e-6)
        incoming, undamped = device.asarray(old.copy()), device.asarray(new)
        before = graph.moments(prior.fields(incoming))[0]
        memory = device.asarray(old.copy())
        for iteration in (1, 2):
            marginals(graph, prior, incoming, undamped, 0.5, before, stops, iteration)
            damp(device, memory, undamped, 0.5, stops, iteration)
            known.append(to_host(stops.known).copy())
            if device.kind == "numpy":
                break
        assert np.array_equal(to_host(memory), to_host(incoming))
        frozen = to_host(stops.known)[:, 0] == 1
        assert np.array_equal(frozen, [True, False, True, False])
        if device.kind != "numpy":
            once = new + 0.5 * (old - new)
            assert np.array_equal(to_host(incoming)[frozen], once[frozen])
            assert not np.array_equal(to_host(incoming)[~frozen], once[~frozen])
    np.testing.assert_allclose(known[1], known[0], rtol=1e-4, atol=1e-13)
    assert np.array_equal(known[2][frozen], known[1][frozen])


@COMPILED
def test_a_row_that_is_no_number_says_so(name):
    device = choose(name)
    incoming = np.zeros((ROWS, 3, 17))
    incoming[1, 2, 3] = np.nan
    incoming, before = device.asarray(incoming), device.asarray(np.zeros((ROWS, 3, 17)))
    for prior in priors(device, np.float64)[BINARY]:
        stops, graph = Stops.start(device, ROWS, -1.0), graph_of(device, BINARY, "binary", np.float64)
        marginals(graph, prior, incoming, incoming, 0.0, before, stops, 7)
        stopped, residual = to_host(stops.known).T
        assert np.array_equal(stopped, [0, 7, 0, 0])
        assert np.array_equal(np.isnan(residual), [False, True, False, False])


@COMPILED
@BOTH
@pytest.mark.parametrize(
    ("machine", "inputs"),
    [(BINARY, "binary"), (SPHERICAL, "binary"), (SPHERICAL, "gaussian")],
    ids=["binary", "spherical", "gaussian inputs"],
)
def test_messages_and_their_damping(machine, inputs, dtype, rounding, name):
    rng = RNG(4)
    linear, mean = rng.normal(size=(2, ROWS, 3, 17))
    found = []
    for device in (choose("numpy"), choose(name)):
        graph = graph_of(device, machine, inputs, dtype)
        bend = RNG(5).normal(size=(ROWS, 3, graph.pattern_count))
        messages = combined(graph, *(device.asarray(a.astype(dtype)) for a in (linear, mean, bend)))
        kept = device.asarray(np.ones(messages.shape, dtype))
        damp(device, kept, messages, 0.3, Stops.start(device, ROWS, 0.0), 1)
        found.append((to_host(messages), to_host(kept)))
    for expected, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=rounding, atol=rounding)


#: Of each kind of node: votes of one unit and of several, steps, and quadratures.
PROBLEMS = {
    "perceptron": (gpumc.Perceptron(31), HARD),
    "perceptron, cross-entropies": (gpumc.Perceptron(31), SOFT),
    "perceptron, margin": (gpumc.Perceptron(31), gpumc.Gibbs(gpumc.ErrorCount(0.3), 2.0)),
    "full committee": (gpumc.FullCommittee(21, k=3), gpumc.Gibbs(gpumc.CrossEntropy(1.0), 2.0)),
    "parity": (gpumc.TreeParity(22, k=2), gpumc.Gibbs(gpumc.ErrorCount(), 1.0)),
}


def equal(machine, measure, method, name):
    """Volumes at distances by device ``name`` and by NumPy."""
    patterns = gpumc.random_patterns(machine, 0.3, 2, seed=1)
    reference = np.ones(machine.weight_count)
    expected, ours = (
        gpumc.local_entropy(machine, patterns, reference, measure, distance=[0.1, 0.3], method=method, device=on)
        for on in ("numpy", name)
    )
    assert expected.converged.any()
    assert np.array_equal(ours.converged, expected.converged)
    for variable in ("entropy", "field"):
        np.testing.assert_allclose(ours[variable], expected[variable], atol=1e-10)


@COMPILED
@pytest.mark.filterwarnings("ignore:patterns with an overlap")
@pytest.mark.parametrize("form", ["amp", "relaxed", "exact"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_volumes(problem, form, name):
    equal(*PROBLEMS[problem], gpumc.BeliefPropagation(form, tolerance=1e-12), name)


@COMPILED
@pytest.mark.parametrize("measure", [HARD, SOFT], ids=["hard", "soft"])
def test_volumes_on_spheres(measure, name):
    machine = gpumc.Perceptron(20, weights="spherical")
    equal(machine, measure, gpumc.BeliefPropagation(tolerance=1e-12), name)
