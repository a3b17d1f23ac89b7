"""Belief propagation of spherical weights: against Gardner's volume, exact cases, and its own derivatives.

Comparisons with theory are at 3 standard errors over instances: each fails for 0.3 % of seeds, which are fixed.
"""

import numpy as np
import pytest

import gpumc
from gpumc import theory
from gpumc.device.constants import Stream
from gpumc.device.philox import random_normals
from gpumc.errors import ConfigError

CPU = {"device": "cpu"}


def spherical(n):
    return gpumc.Perceptron(n, weights="spherical")


def near(values, expected, most):
    """Within 3 standard errors over instances, each of at most ``most``."""
    error = values.std(ddof=1) / len(values) ** 0.5
    print(
        f"{values.mean():.5f} +- {error:.5f}, theory {expected:.5f}, {(values.mean() - expected) / error:+.1f} standard errors"
    )
    assert error <= most
    assert abs(values.mean() - expected) < 3 * error


@pytest.mark.parametrize(
    ("n", "alpha", "instances"),
    [
        (1000, 0.5, 12),
        (1000, 1.0, 16),
        pytest.param(1000, 1.5, 64, marks=pytest.mark.long),
        pytest.param(2000, 0.5, 16, marks=pytest.mark.long),
        pytest.param(2000, 1.0, 16, marks=pytest.mark.long),
        pytest.param(2000, 1.5, 40, marks=pytest.mark.long),
    ],
)
def test_the_volume_of_solutions(n, alpha, instances):
    patterns = gpumc.random_patterns(spherical(n), alpha, instances, seed=1)
    found = gpumc.entropy(spherical(n), patterns, **CPU)
    expected = theory.replica_symmetric(spherical(n), alpha=alpha)
    near(found.entropy.values, expected.entropy.item(), 0.01)
    assert abs(float((found.magnetisation**2).mean() - expected.overlap)) < 0.02
    assert float(found.norm_spread.max()) == 0


@pytest.mark.parametrize(
    ("loss", "beta"),
    [(gpumc.ErrorCount(), 1.0), (gpumc.ErrorCount(), 2.0), (gpumc.CrossEntropy(1.0), 5.0)],
    ids=["error-count-1", "error-count-2", "cross-entropy"],
)
def test_energies(loss, beta):
    patterns = gpumc.random_patterns(spherical(1000), 0.5, 16, seed=2)
    found = gpumc.entropy(spherical(1000), patterns, gpumc.Gibbs(loss, beta), **CPU)
    expected = theory.replica_symmetric(spherical(1000), gpumc.Gibbs(loss, beta), alpha=0.5)
    near(found.energy.values / patterns.count, expected.energy_per_pattern.item(), 0.002)
    near(found.entropy.values, expected.entropy.item(), 0.001)


def test_one_pattern_leaves_half():
    """A central limit is exact where the field's distribution is symmetric: half of the sphere, whatever n."""
    for n in (5, 50):
        found = gpumc.entropy(spherical(n), gpumc.random_patterns(spherical(n), 1 / n, 3, seed=1), **CPU)
        np.testing.assert_allclose(found.entropy * n, -np.log(2), atol=0.6 / n)


@pytest.mark.parametrize("alpha", [0.3, 0.6])
def test_parity(alpha):
    """-alpha log 2; and around a typical solution, a teacher, alpha log[(1 + s^k)/2] with s = (2/pi) arcsin(1 - 2 D)."""
    machine = gpumc.TreeParity(999, k=3, weights="spherical")
    found = gpumc.entropy(machine, gpumc.random_patterns(machine, alpha, 2, seed=1), **CPU)
    np.testing.assert_allclose(found.entropy, -alpha * np.log(2), atol=0.01)
    taught = gpumc.teacher_patterns(machine, alpha, 2, seed=1)
    teacher = random_normals(1, Stream.TEACHER, 0, np.arange(2), 999)
    distance = np.array([0.2, 0.3, 0.4])
    curve = gpumc.local_entropy(machine, taught, teacher, distance=distance, **CPU)
    s = 2 / np.pi * np.arcsin(1 - 2 * distance)
    # Patterns and teacher scatter by 1/sqrt(n), and the entropy of what is typical lies below the annealed one.
    np.testing.assert_allclose(curve.log_volume, np.broadcast_to(alpha * np.log((1 + s**3) / 2), (2, 3)), atol=0.006)


@pytest.mark.parametrize(
    "machine", [spherical(300), gpumc.TreeCommittee(300, k=3, weights="spherical")], ids=lambda m: m.kind
)
def test_derivatives(machine):
    """The field is d(S - beta E)/dD, and the energy what the free entropy loses with beta: by finite differences, to 1e-5."""
    patterns = gpumc.teacher_patterns(machine, 0.5, 1, seed=3)
    teacher = random_normals(3, Stream.TEACHER, 0, np.arange(1), 300)
    for beta in (np.inf, 2.0):
        step, measure = 1e-3, gpumc.Gibbs(gpumc.ErrorCount(), beta)
        curve = gpumc.local_entropy(machine, patterns, teacher, measure, distance=[0.2 - step, 0.2, 0.2 + step], **CPU)
        heat = 0 if np.isinf(beta) else beta * curve.energy / 300
        low, _, high = (curve.entropy - heat).values[0]
        assert abs((high - low) / (2 * step) - float(curve.field[0, 1])) < 1e-4 * abs(float(curve.field[0, 1]))
    beta = np.array([1.999, 2.0, 2.001])
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(), beta), **CPU)
    low, _, high = found.free_entropy.values[0]
    assert abs((low - high) / 0.002 - float(found.energy[0, 1]) / 300) < 1e-6


def test_curves_and_fields_say_the_same():
    machine = gpumc.TreeCommittee(99, k=3, weights="spherical")
    patterns = gpumc.teacher_patterns(machine, 0.5, 2, seed=3)
    teacher = random_normals(3, Stream.TEACHER, 0, np.arange(2), 99)
    curve = gpumc.local_entropy(machine, patterns, teacher, distance=[0.1, 0.3], **CPU)
    again = gpumc.local_entropy(machine, patterns, 7 * teacher[0], field=curve.field.values[0], **CPU)
    np.testing.assert_allclose(again.entropy[0], curve.entropy[0], atol=1e-7)
    np.testing.assert_allclose(again.distance[0], [0.1, 0.3], atol=1e-7)
    assert (curve.log_volume < 0).all()
    np.testing.assert_allclose(curve.entropy_bound, 0.5 * np.log([0.36, 0.84]))
    # The field that holds a distance also holds the norm.
    assert float(curve.norm_spread.max()) < 0.2


def test_real_patterns():
    """Scaling a pattern changes no volume; patterns of +-1 given as reals are the same as signs."""
    machine = spherical(200)
    patterns = gpumc.random_patterns(machine, 0.6, 1, seed=4)
    scale = np.random.default_rng(1).uniform(0.2, 5, (1, patterns.count, 1))
    scaled = gpumc.Patterns(patterns.xi * scale, patterns.labels)
    assert scaled.xi.dtype == np.float64
    a, b = (gpumc.entropy(machine, p, **CPU).entropy for p in (patterns, scaled))
    np.testing.assert_allclose(a, b, atol=1e-9)


def test_one_unit_is_a_perceptron():
    patterns = gpumc.random_patterns(spherical(200), 0.6, 2, seed=4)
    committee = gpumc.TreeCommittee(200, k=1, weights="spherical")
    a, b = (gpumc.entropy(machine, patterns, **CPU).entropy for machine in (spherical(200), committee))
    np.testing.assert_allclose(a, b, atol=1e-10)


def test_an_answer_does_not_depend_on_its_batch():
    machine = gpumc.TreeCommittee(99, k=3, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.5, 3, seed=9)
    references = np.random.default_rng(1).normal(size=(3, 4, 99))
    distance = np.linspace(0.2, 0.5, 5)
    whole = gpumc.local_entropy(machine, patterns, references, distance=distance, device="numpy")
    own = gpumc.Patterns(patterns.xi[1], patterns.labels[1])
    alone = gpumc.local_entropy(machine, own, references[1, 3], distance=distance[2], device="numpy")
    among = whole.isel(instance=[1], reference=3, distance=[2])
    np.testing.assert_allclose(alone.entropy, among.entropy, rtol=0, atol=1e-12)
    assert np.array_equal(alone.converged, among.converged)


def test_where_there_is_no_volume():
    """Beyond capacity, close to what is no solution, and for a pattern whose multiple wants the other label, the answer is NaN."""
    patterns = gpumc.random_patterns(spherical(50), 3.0, 2)
    assert not gpumc.entropy(spherical(50), patterns, **CPU).converged.any()
    patterns = gpumc.random_patterns(spherical(50), 1.0, 1)
    found = gpumc.local_entropy(spherical(50), patterns, np.ones(50), distance=[0.01, 0.1], **CPU)
    assert np.isnan(found.entropy).all()
    assert not found.converged.any()
    xi = np.random.default_rng(1).normal(size=(1, 5))
    with pytest.warns(UserWarning, match="contradict"):
        assert np.isnan(
            gpumc.entropy(spherical(5), gpumc.Patterns(np.concatenate([xi, 3 * xi]), [1, -1]), **CPU).entropy
        )


def test_bad_references_leave_the_good_ones():
    machine, patterns = spherical(50), gpumc.random_patterns(spherical(50), 0.2, 1, seed=1)
    references = np.random.default_rng(1).normal(size=(1, 3, 50))
    references[0, 1] = np.nan
    references[0, 2] = 0
    found = gpumc.local_entropy(machine, patterns, references, distance=[0.4], **CPU)
    assert found.converged.values.ravel().tolist() == [True, False, False]
    with pytest.raises(ConfigError, match="no unit's all 0"):
        gpumc.local_entropy(machine, patterns, references[:, 1:], distance=[0.4], **CPU)


@pytest.mark.parametrize(
    ("machine", "call", "words"),
    [
        (
            gpumc.TreeCommittee(8, k=2, weights="spherical", activation="tanh"),
            {},
            "for sign and relu units, and .* has tanh units",
        ),
        (spherical(9), {"method": "ti"}, "thermodynamic integration needs binary weights"),
    ],
)
def test_bad_input(machine, call, words):
    with pytest.raises(ConfigError, match=words):
        gpumc.entropy(machine, gpumc.random_patterns(machine, 0.5), **call)
