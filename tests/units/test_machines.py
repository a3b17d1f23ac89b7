"""What a machine computes of a pattern, against a loop that follows the definitions word for word."""

from math import erf, prod, sqrt, tanh

import numpy as np
import pytest

import gpumc
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.readouts import Majority
from gpumc.sampling.spheres.loss_gradient import has_kernel
from tests.variants import SIGNS, SMALL, SPHERICAL, TINY, by_machine

by_name = by_machine(SIGNS)


def stability(machine, weights, pattern, label) -> float:
    """Delta of one pattern in plain Python."""
    if machine.kind == "perceptron":
        return label * sum(int(w) * int(x) for w, x in zip(weights, pattern, strict=True)) / sqrt(machine.n)
    inputs = machine.n if machine.kind == "full-committee" else machine.n // machine.k
    signs, values = [], []
    for unit in range(machine.k):
        first = 0 if machine.kind == "full-committee" else unit * inputs
        total = 0
        for j in range(inputs):
            total += int(weights[unit * inputs + j]) * int(pattern[first + j])
        signs.append(1 if total > 0 else -1)
        values.append(max(0, total) if machine.activation == "relu" else signs[-1])
    if machine.kind == "tree-parity":
        return label * prod(signs)
    return label * weighted_sum(machine, values) / (sqrt(inputs) if machine.activation == "relu" else 1)


def weighted_sum(machine, values) -> float:
    """A committee's output in plain Python."""
    c = machine.output
    if c is None:
        c = [-1 if machine.activation == "relu" and unit >= machine.k / 2 else 1 for unit in range(machine.k)]
    return sum(a * b for a, b in zip(c, values, strict=True)) / sqrt(sum(a * a for a in c))


def draw(machine, count=20, patterns=30):
    rng = np.random.default_rng(1)
    shapes = (count, machine.weight_count), (patterns, machine.n), (patterns,)
    return tuple(rng.choice(np.array([-1, 1], np.int8), shape) for shape in shapes)


@by_machine(TINY + SMALL)
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


def test_given_output_weights():
    """Those of +-1 are a gauge: a unit with -1 is one with opposite weights. Weights of 1 are the default."""
    given, default = gpumc.TreeCommittee(15, k=3, output=[1, -1, -1]), gpumc.TreeCommittee(15, k=3)
    weights, xi, labels = draw(default)
    opposite = weights * np.repeat([1, -1, -1], 5).astype(np.int8)
    assert np.array_equal(given.stabilities(weights, xi, labels), default.stabilities(opposite, xi, labels))
    assert gpumc.TreeCommittee(15, k=3, output=[1, 1, 1]).readout == default.readout
    assert given.attributes["output"] == [1.0, -1.0, -1.0]


def test_the_margin_of_a_weighted_majority():
    """It is above 0 exactly where the pattern is right, and is the threshold of all units at which that turns."""
    machine = gpumc.TreeCommittee(25, k=5, weights="spherical", output=[3, -1, 2, 4, -3])
    fields, labels = np.random.default_rng(1).normal(size=(40, 5, 6)), np.array([1, -1, 1, 1, -1, -1])
    margin = machine.readout.margin(fields, labels)
    assert np.array_equal(margin > 0, machine.outputs(np.sign(fields)) * labels > 0)
    turned = np.sign(machine.output)[:, None] * labels
    for shift in (-1e-9, 1e-9):
        rightness = machine.outputs(np.sign(fields * turned - margin[:, None] - shift) * turned) * labels
        assert np.all((rightness > 0) == (shift < 0))


@by_name
def test_opposite_weights(machine):
    """-W turns every hidden sign, and the output of an odd number of them."""
    weights, xi, labels = draw(machine)
    sign = (-1) ** machine.k if machine.kind == "tree-parity" else -1
    assert np.array_equal(machine.stabilities(-weights, xi, labels), sign * machine.stabilities(weights, xi, labels))


def test_weight_counts():
    assert [m.weight_count for m in SMALL] == [131, 99, 105, 75, 66, 33, 33, 66, 70, 66]
    assert [m.fan_in for m in SMALL] == [131, 11, 35, 25, 33, 33, 33, 11, 35, 11]


def test_fields_of_many_inputs_are_exact():
    machine = gpumc.Perceptron(200_001)
    weights = np.ones((2, machine.n), np.int8)
    weights[1, 0] = -1
    assert machine.fields(weights, np.ones((1, machine.n), np.int8)).ravel().tolist() == [200_001, 199_999]


def test_pattern_counts():
    assert gpumc.Perceptron(1001).pattern_count(0.4) == 400
    assert gpumc.FullCommittee(5, k=3).pattern_count(2.0) == 30


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
        (lambda: gpumc.TreeCommittee(15, k=3, output=[1, 2]), "output has 2 numbers.* 3 hidden units"),
        (lambda: gpumc.TreeCommittee(15, k=3, output=[1, 2, 3]), "even sum 6"),
        (lambda: gpumc.TreeCommittee(15, k=3, output=[1, 0.5, 1]), "whole numbers"),
        (lambda: gpumc.TreeCommittee(15, k=3, output=[1, 0, 2]), "output"),
        (lambda: gpumc.TreeCommittee(15, k=3, output=[1, "a", 2]), "output"),
        (lambda: gpumc.TreeCommittee(15, k=3, output=[1, 1, 2**23 + 1]), "sum of absolute values"),
        (lambda: gpumc.Perceptron(7).pattern_count(0.01), "no pattern.*0.14"),
        (lambda: gpumc.Perceptron(7).pattern_count(float("nan")), "alpha"),
        (lambda: gpumc.Perceptron(7).pattern_count(-0.4), "alpha"),
    ],
)
def test_machines_that_make_no_sense(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


spherical = by_machine(SPHERICAL)


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
        outputs.append(value[machine.activation](x))
    return label * (prod(outputs) if machine.kind == "tree-parity" else weighted_sum(machine, outputs))


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
    np.testing.assert_allclose(output, machine.outputs(fields), atol=1e-14)
    for unit in range(machine.k):
        step = np.zeros_like(fields)
        step[:, unit] = 1e-6
        differences = (machine.outputs(fields + step) - machine.outputs(fields - step)) / 2e-6
        np.testing.assert_allclose(slopes[:, unit], differences, atol=1e-8)
    assert machine.differentiable == bool(np.any(slopes != 0))


def test_output_weights_that_kernels_do_not_know():
    """They take the way over arrays."""
    host = choose("cpu")
    plain = gpumc.TreeCommittee(21, k=3, weights="spherical", activation="tanh")
    assert host.kind == "numpy" or has_kernel(host, plain, gpumc.CrossEntropy(1.0))
    assert Majority(3, 21).plain
    given = gpumc.TreeCommittee(21, k=3, weights="spherical", activation="tanh", output=[1.0, 2.0, -1.0])
    assert not has_kernel(host, given, gpumc.CrossEntropy(1.0))
