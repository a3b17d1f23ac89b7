"""What a machine computes of a pattern, against a loop that follows the definitions word for word."""

from math import erf, prod, sqrt, tanh

import numpy as np
import pytest

import gpumc
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.machines import MACHINES
from gpumc.readouts import Readout
from gpumc.sampling.spheres.slopes import has_kernel

SMALL = [
    gpumc.Perceptron(7),
    gpumc.TreeCommittee(15, k=3),
    gpumc.FullCommittee(5, k=3),
    gpumc.TreeParity(9, k=3),
    gpumc.TreeParity(10, k=2),
    gpumc.TreeParity(5, k=1),
]
RECTIFIED = [gpumc.TreeCommittee(20, k=4, activation="relu"), gpumc.FullCommittee(5, k=2, activation="relu")]
by_name = pytest.mark.parametrize("machine", SMALL, ids=lambda m: f"{m.kind}-{m.n}-{m.k}")


def stability(machine, weights, pattern, label) -> float:
    """Delta of one pattern in plain Python."""
    if machine.kind == "perceptron":
        return label * sum(int(w) * int(x) for w, x in zip(weights, pattern, strict=True)) / sqrt(machine.n)
    inputs = machine.n if machine.kind == "full-committee" else machine.n // machine.k
    signs, rectified = [], 0
    for unit in range(machine.k):
        first = 0 if machine.kind == "full-committee" else unit * inputs
        total = 0
        for j in range(inputs):
            total += int(weights[unit * inputs + j]) * int(pattern[first + j])
        signs.append(1 if total > 0 else -1)
        rectified += (1 if unit < machine.k / 2 else -1) * max(0, total)
    if machine.activation == "relu":
        return label * rectified / sqrt(inputs * machine.k)
    return label * (prod(signs) if machine.kind == "tree-parity" else sum(signs) / sqrt(machine.k))


def draw(machine, count=20, patterns=30):
    rng = np.random.default_rng(1)
    shapes = (count, machine.weight_count), (patterns, machine.n), (patterns,)
    return tuple(rng.choice(np.array([-1, 1], np.int8), shape) for shape in shapes)


@pytest.mark.parametrize("machine", SMALL + RECTIFIED, ids=lambda m: f"{m.kind}-{m.n}-{m.k}-{m.activation}")
def test_stabilities(machine):
    weights, xi, labels = draw(machine)
    expected = [[stability(machine, w, x, s) for x, s in zip(xi, labels, strict=True)] for w in weights]
    np.testing.assert_allclose(machine.stabilities(weights, xi, labels), expected, rtol=1e-13)


@by_name
def test_labels_fold_into_the_patterns(machine):
    weights, xi, labels = draw(machine)
    readout = machine.readout.of(machine.fields(weights, xi))
    assert np.array_equal(
        machine.readout.of(machine.fields(weights, machine.readout.gauge(xi, labels))), labels * readout
    )


@by_name
def test_readouts_are_odd_and_bounded(machine):
    weights, xi, _ = draw(machine, count=200)
    fields = machine.fields(weights, xi)
    readout = machine.readout.of(fields)
    assert np.all(fields % 2 == 1)
    assert np.all((readout + machine.readout.largest) % 2 == 0)
    assert np.all(readout != 0)
    assert np.abs(readout).max() == machine.readout.largest


@by_name
def test_opposite_weights(machine):
    """-W turns every hidden sign, and the output of an odd number of them."""
    weights, xi, labels = draw(machine)
    sign = (-1) ** machine.k if machine.kind == "tree-parity" else -1
    assert np.array_equal(machine.stabilities(-weights, xi, labels), sign * machine.stabilities(weights, xi, labels))


def test_weight_counts():
    assert [m.weight_count for m in SMALL] == [7, 15, 15, 9, 10, 5]
    assert [m.fan_in for m in SMALL] == [7, 5, 5, 3, 5, 5]


def test_fields_of_many_inputs_are_exact():
    machine = gpumc.Perceptron(200_001)
    weights = np.ones((2, machine.n), np.int8)
    weights[1, 0] = -1
    assert machine.fields(weights, np.ones((1, machine.n), np.int8)).ravel().tolist() == [200_001, 199_999]


def test_pattern_counts():
    assert gpumc.Perceptron(1001).pattern_count(0.4) == 400
    assert gpumc.FullCommittee(5, k=3).pattern_count(2.0) == 30


def test_kinds():
    assert set(MACHINES) == {"perceptron", "tree-committee", "full-committee", "tree-parity"}
    assert all(MACHINES[m.kind] is type(m) for m in SMALL)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gpumc.Perceptron(1000), "n = 1000 is even.*999 or 1001"),
        (lambda: gpumc.Perceptron(7, k=3), "k = 3"),
        (lambda: gpumc.Perceptron(0), "n = 0"),
        (lambda: gpumc.Perceptron(True), "n = True"),
        (lambda: gpumc.Perceptron(7.0), r"n = 7\.0"),
        (lambda: gpumc.Perceptron(7, weights="sphere"), "'spherical'"),
        (lambda: gpumc.Perceptron(7, weights="spherical", activation="tanh"), "allowed: sign"),
        (lambda: gpumc.TreeCommittee(15, k=3, activation="tanh"), "binary weights"),
        (lambda: gpumc.TreeCommittee(15, k=3, weights="spherical", activation="relu"), "k = 3 is odd"),
        (lambda: gpumc.TreeCommittee(16, k=4, weights="spherical"), "k = 4 is even"),
        (lambda: gpumc.TreeCommittee(15, k=3, weights="spherical", activation="tanh", slope=0), "slope = 0"),
        (lambda: gpumc.TreeCommittee(15, k=3, weights="spherical", activation="tanh", slope="a"), "slope = 'a'"),
        (lambda: gpumc.TreeCommittee(15, k=3, weights="spherical", activation="tanh", slope=None), "slope = None"),
        (lambda: gpumc.TreeParity(16, k=4, weights="spherical", activation="relu"), "activation"),
        (lambda: gpumc.TreeCommittee(12, k=4), "k = 4 is even.*3 or 5"),
        (lambda: gpumc.TreeCommittee(10, k=3), "k = 3 does not divide n = 10"),
        (lambda: gpumc.TreeCommittee(12, k=3), "n/k = 4 is even"),
        (lambda: gpumc.FullCommittee(8, k=3), "n = 8 is even"),
        (lambda: gpumc.FullCommittee(9, k=2), "k = 2 is even"),
        (lambda: gpumc.TreeParity(8, k=2), "n/k = 4 is even"),
        (lambda: gpumc.TreeParity(9, k=0), "k = 0"),
        (lambda: gpumc.Perceptron(7).pattern_count(0.01), "no pattern.*0.14"),
        (lambda: gpumc.Perceptron(7).pattern_count(float("nan")), "alpha"),
        (lambda: gpumc.Perceptron(7).pattern_count(-0.4), "alpha"),
    ],
)
def test_machines_that_make_no_sense(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


SPHERICAL = [
    gpumc.Perceptron(6, weights="spherical"),
    gpumc.TreeCommittee(12, k=3, weights="spherical"),
    gpumc.TreeCommittee(12, k=4, weights="spherical", activation="relu"),
    gpumc.TreeCommittee(12, k=3, weights="spherical", activation="erf", slope=0.7),
    gpumc.FullCommittee(6, k=3, weights="spherical", activation="tanh", slope=2.0),
    gpumc.FullCommittee(6, k=2, weights="spherical", activation="relu"),
    gpumc.TreeParity(12, k=3, weights="spherical"),
    gpumc.TreeParity(12, k=4, weights="spherical", activation="tanh"),
]
spherical = pytest.mark.parametrize("machine", SPHERICAL, ids=lambda m: f"{m.kind}-{m.activation}")


def real_stability(machine, weights, pattern, label) -> float:
    """Delta of one pattern of real numbers in plain Python."""
    inputs = machine.weight_count // machine.k
    outputs = []
    for unit in range(machine.k):
        first = 0 if machine.kind == "full-committee" else unit * inputs
        x = sum(weights[unit * inputs + j] * pattern[first + j] for j in range(inputs)) / sqrt(inputs)
        if machine.kind == "perceptron":
            return label * x
        b = machine.slope
        value = {"sign": lambda x: 1 if x > 0 else -1, "relu": lambda x: max(0, x)}
        value |= {"erf": lambda x, b=b: erf(b * x), "tanh": lambda x, b=b: tanh(b * x)}
        output = value[machine.activation](x)
        outputs.append(-output if machine.activation == "relu" and 2 * unit >= machine.k else output)
    return label * (prod(outputs) if machine.kind == "tree-parity" else sum(outputs) / sqrt(machine.k))


def draw_real(machine, count=5, patterns=8):
    rng = np.random.default_rng(2)
    shapes = (count, machine.weight_count), (patterns, machine.n)
    return *(rng.normal(size=shape) for shape in shapes), rng.choice([-1, 1], patterns)


@spherical
def test_real_stabilities(machine):
    weights, xi, labels = draw_real(machine)
    expected = [[real_stability(machine, w, x, s) for x, s in zip(xi, labels, strict=True)] for w in weights]
    np.testing.assert_allclose(machine.stabilities(weights, xi, labels), expected, rtol=1e-12)


@spherical
def test_slopes_of_the_output(machine):
    """Against finite differences, 1e-6 to either side."""
    fields = np.random.default_rng(3).normal(size=(4, machine.k, 10))
    output, slopes = machine.differentiated(fields)
    np.testing.assert_allclose(output, machine.output(fields), atol=1e-14)
    for unit in range(machine.k):
        step = np.zeros_like(fields)
        step[:, unit] = 1e-6
        differences = (machine.output(fields + step) - machine.output(fields - step)) / 2e-6
        np.testing.assert_allclose(slopes[:, unit], differences, atol=1e-8)
    assert machine.differentiable == bool(np.any(slopes != 0))


class Given(Readout):
    """The sum of units with output weights of its own."""

    output_weights = np.array([1.0, 2.0, -1.0])


def test_output_weights_that_kernels_do_not_know():
    """They take the way over arrays, whose derivatives are those of finite differences."""
    host = choose("cpu")
    plain = gpumc.TreeCommittee(21, k=3, weights="spherical", activation="tanh")
    assert host.kind == "numpy" or has_kernel(host, plain, gpumc.CrossEntropy(1.0))
    assert Readout(3, 21).plain
    assert not Given(3, 21).plain
    values, steps = np.random.default_rng(1).normal(size=(2, 3, 5))
    slopes = 1 - np.tanh(values) ** 2
    output, derivatives = Given(3, 21).differentiated(np.tanh(values), slopes.copy())
    moved = Given(3, 21).output(np.tanh(values + 1e-6 * steps))
    np.testing.assert_allclose((moved - output) / 1e-6, (derivatives * steps).sum(axis=0), atol=1e-5)
