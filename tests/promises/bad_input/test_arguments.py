"""Numbers of any type mean the same; what is masked, too large or too small is refused, and never used as if it were not."""

import dataclasses
import warnings
from fractions import Fraction

import numpy as np
import pytest

import gpumc
from gpumc import theory
from gpumc.checks import real, shown, whole
from gpumc.errors import ConfigError, DeviceError

MACHINE = gpumc.Perceptron(9)
PATTERNS = gpumc.random_patterns(MACHINE, 0.5, 2, seed=1)
ERRORS = gpumc.ErrorCount()
SETTINGS = {"chains": 4, "burn_in": 3, "sweeps": 6, "seed": 5, "device": "numpy"}
INTEGERS = (np.uint8, np.uint64, np.array)


@pytest.mark.parametrize("integer", INTEGERS)
@pytest.mark.parametrize("centre", ["explicit", "traced"])
def test_numpy_integers_are_integers(integer, centre):
    """The same bits as with Python's own, for all that a run counts."""

    def run(number):
        measure = gpumc.LocalEntropy(ERRORS, number(1), number(2), number(5), centre)
        settings = {name: number(v) if isinstance(v, int) else v for name, v in SETTINGS.items()}
        machine = gpumc.TreeCommittee(number(9), k=number(3))
        patterns = gpumc.random_patterns(machine, number(2), number(2), number(7))
        return gpumc.sample(machine, patterns, measure, every=number(2), **settings)

    assert run(int).drop_attrs().equals(run(integer).drop_attrs())
    assert {type(run(integer).attrs[name]) for name in ("n", "k", "seed", "replicas", "burn_in")} == {int}


def test_fields_are_pythons_own():
    described = [
        gpumc.TreeCommittee(np.uint8(9), np.int8(3), weights="spherical", activation="erf", slope=np.float32(0.5)),
        gpumc.TreeCommittee(9, 3, output=np.array([3, 2, 2], np.int8)),
        gpumc.Ramp(np.float32(0.5), Fraction(3, 2)),
        gpumc.SquaredHinge(np.float16(0.5)),
        gpumc.LocalEntropy(gpumc.CrossEntropy(np.float32(0.5)), np.array(1), np.array([1, 2], np.uint8), np.uint64(3)),
        gpumc.BeliefPropagation(tolerance=np.float32(0.5), iterations=np.uint8(9)),
        gpumc.ThermodynamicIntegration(*map(np.uint8, (5, 6, 7, 8, 9, 2, 1))),
        gpumc.Splitting(*map(np.int16, (20, 3, 2, 1))),
        theory.Limit("tree-committee", "binary", np.uint8(3)),
    ]
    for one in described:
        for field in dataclasses.fields(one):
            value = getattr(one, field.name)
            for part in value if isinstance(value, tuple) else (value,):
                assert type(part) in (int, float, str, type, type(None), gpumc.CrossEntropy), (one, field.name)


def test_seeds_and_counts_of_searches():
    small = gpumc.Perceptron(9)
    one, other = (
        gpumc.focusing_bp(small, PATTERNS, seed=i(3), starts=i(2), iterations=i(5), device="numpy")
        for i in (int, np.int32)
    )
    assert one.drop_attrs().equals(other.drop_attrs())
    assert theory.capacity(theory.Limit("tree-committee", "spherical", k=np.uint8(3))) == theory.capacity(
        theory.Limit("tree-committee", "spherical", k=3)
    )


@pytest.mark.parametrize(
    "value", [True, np.bool_(True), 2.0, np.float64(2), "2", None, np.timedelta64(2), np.array([2]), Fraction(2)]
)
def test_what_is_no_whole_number(value):
    with pytest.raises(ConfigError, match="x = "):
        whole("x", value, 0)


@pytest.mark.parametrize(
    "value", [True, "2", None, 2j, np.timedelta64(2), np.array([2.0]), 10**400, Fraction(10**400), np.nan]
)
def test_what_is_no_number(value):
    with pytest.raises(ConfigError, match="x = "):
        real("x", value, np.isfinite, "a finite number")


def test_messages_are_short():
    class Odd:
        def __repr__(self):
            raise RuntimeError

    for value in ("a" * 10**6, [0] * 10**6, 10**5000, np.zeros((100, 100)), Odd()):
        assert len(shown(value)) < 200
        assert "\n" not in shown(value)


MASK = [False, True]
MASKED = np.ma.masked_array([0.2, 0.4], MASK)


@pytest.mark.parametrize(
    "call",
    [
        lambda: gpumc.Patterns(np.ma.masked_array([[1, -1], [1, 1]], [MASK, MASK]), [1, 1]),
        lambda: gpumc.Patterns([[1, -1], [1, 1]], np.ma.masked_array([1, -1], MASK)),
        lambda: gpumc.Patterns([np.ma.masked_array([1, -1], MASK), [1, 1]], [1, 1]),
        lambda: gpumc.Gibbs(ERRORS, MASKED),
        lambda: gpumc.Gibbs(ERRORS, np.ma.masked),
        lambda: gpumc.CrossEntropy(MASKED),
        lambda: gpumc.SquaredHinge(MASKED[1]),
        lambda: gpumc.LocalEntropy(ERRORS, 1.0, MASKED, 3),
        lambda: gpumc.LocalEntropy(ERRORS, 1.0, 1.0, 3, np.ma.masked_equal([1, -1, 1], -1)),
        lambda: gpumc.LocalEntropy(ERRORS, 1.0, 1.0, np.ma.masked_array(3, True)),
        lambda: gpumc.sample(
            MACHINE, PATTERNS, gpumc.Gibbs(ERRORS, 1.0), init=np.ma.masked_equal(PATTERNS.xi[0, 0], -1), **SETTINGS
        ),
        lambda: gpumc.local_entropy(MACHINE, PATTERNS, np.ones(9), distance=MASKED),
        lambda: gpumc.local_entropy(MACHINE, PATTERNS, np.ones(9), field=MASKED),
        lambda: gpumc.local_entropy(MACHINE, PATTERNS, np.ma.masked_equal(PATTERNS.xi[0, 0], -1), distance=0.2),
        lambda: gpumc.entropy(MACHINE, PATTERNS, gpumc.Gibbs(gpumc.ErrorCount(), MASKED)),
        lambda: gpumc.focusing_bp(MACHINE, PATTERNS, protocol=gpumc.StandardReinforcement(MASKED)),
        lambda: gpumc.exact.averages(MACHINE, PATTERNS, gpumc.LocalEntropy(ERRORS, 1.0, MASKED, 2)),
        lambda: gpumc.exact.solutions_by_distance(MACHINE, PATTERNS, np.ma.masked_equal(PATTERNS.xi[0, 0], -1)),
        lambda: theory.replica_symmetric(theory.Limit("perceptron"), alpha=MASKED),
    ],
)
def test_masked_numbers_are_refused(call):
    with pytest.raises(ConfigError, match=r"masked|is needed"):
        call()


def test_a_mask_of_nothing_is_none():
    xi = np.ma.masked_array(PATTERNS.xi, np.zeros(PATTERNS.xi.shape, bool))
    assert gpumc.Patterns(xi, PATTERNS.labels).digest == PATTERNS.digest


@pytest.mark.parametrize(
    "arrays",
    [
        {"xi": np.array([[1, None]], object), "labels": [1]},
        {"xi": [["a", "b"]], "labels": [1]},
        {"xi": [[1j, 1]], "labels": [1]},
        {"xi": [[1, 1]], "labels": np.array([1], object)},
        {"xi": np.zeros(2, [("a", float)]), "labels": [1, 1]},
        {"xi": [[True, False]], "labels": [1]},
    ],
)
def test_archives_of_what_is_no_number(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ConfigError, match=r"a\.npz"):
        gpumc.load_patterns(tmp_path / "a.npz")


SPHERE = gpumc.TreeCommittee(9, k=3, weights="spherical")
ON_SPHERE = gpumc.random_patterns(SPHERE, 0.5, 1, seed=1)


@pytest.mark.parametrize("scale", [2.0**600, 2.0**-1040])
def test_norms_of_any_size_are_scaled(scale):
    """Powers of two change no bit."""
    vector = np.linspace(1, 2, 9)

    def run(x):
        measure = gpumc.LocalEntropy(ERRORS, 1.0, 0.5, 2, x)
        data = gpumc.sample(SPHERE, ON_SPHERE, measure, init=x, **SETTINGS)
        volume = gpumc.local_entropy(SPHERE, ON_SPHERE, x, distance=0.3, device="numpy")
        return data.drop_attrs(), volume.drop_attrs()

    for one, other in zip(run(np.ldexp(np.round(vector * 8), 0)), run(np.round(vector * 8) * scale), strict=True):
        assert one.equals(other)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gpumc.Patterns([[1e300, 1.0]], [1]), r"xi\[0, 0\] has 1e\+300"),
        (lambda: gpumc.Patterns([[1e-310, 0.0]], [1]), r"xi\[0, 0\] has 1e-310"),
        (
            lambda: gpumc.entropy(SPHERE, gpumc.Patterns([[1.0] * 6 + [1e-310] * 3], [1]), device="numpy"),
            "hidden unit 2: multiply",
        ),
        (lambda: gpumc.CrossEntropy(1e-300), "gamma = 1e-300"),
        (lambda: gpumc.CrossEntropy([1.0, 1e300]), r"gamma = 1e\+300"),
        (lambda: gpumc.SquaredHinge(1e300), r"margin = 1e\+300"),
        (lambda: gpumc.Perceptron(10**400 + 1), "from 1 to"),
        (lambda: gpumc.random_patterns(MACHINE, 1e300), "alpha"),
        (lambda: gpumc.random_patterns(gpumc.Perceptron(10**6 + 1), 1000.0), "GiB"),
        (
            lambda: gpumc.sample(MACHINE, PATTERNS, gpumc.Gibbs(ERRORS, 1.0), **(SETTINGS | {"sweeps": 10**15})),
            "sweeps",
        ),
        (
            lambda: gpumc.sample(MACHINE, PATTERNS, gpumc.Gibbs(ERRORS, 1.0), **(SETTINGS | {"chains": 10**30})),
            "chains",
        ),
    ],
)
def test_what_is_too_large_or_too_small_is_refused(call, said):
    with pytest.raises((ConfigError, DeviceError), match=said):
        call()


@pytest.mark.parametrize("every", [0, -1, 1.5, True, None])
def test_watching_takes_whole_numbers(every):
    with pytest.raises(ConfigError, match="watch_every"):
        gpumc.sample(MACHINE, PATTERNS, gpumc.Gibbs(ERRORS, 1.0), watch=lambda *_: None, watch_every=every, **SETTINGS)


def test_measures_are_equal_and_hashable():
    def measure(centre=None, **changes):
        return gpumc.LocalEntropy(
            **({"loss": ERRORS, "beta": 1.0, "coupling": 0.1, "replicas": 2, "centre": centre} | changes)
        )

    one, same, other = (measure(np.ones(9) * sign) for sign in (1, 1, -1))
    assert one == same
    assert hash(one) == hash(same)
    assert len({one, same, other, measure("explicit"), measure("traced"), measure(np.ones((1, 9)))}) == 5
    assert measure("traced") == measure("traced")
    assert measure("traced", beta=2.0) != measure("traced")
    assert one != gpumc.Gibbs(ERRORS, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        one.centre[0] = -1


def test_the_centre_is_kept_as_it_was():
    centre = np.ones(9)
    measure = gpumc.LocalEntropy(ERRORS, 1.0, 0.1, 2, centre)
    centre[:] = -1
    assert (measure.centre == 1).all()


def test_nothing_harmless_is_raised():
    """Where NumPy is told to raise at everything, underflow and the like are none of the user's business."""
    patterns = gpumc.random_patterns(SPHERE, 0.5, seed=1)
    found = []
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.append(
            gpumc.sample(
                MACHINE,
                PATTERNS,
                gpumc.Gibbs(ERRORS, [0.0, 1000.0, np.inf]),
                **(SETTINGS | {"sampler": gpumc.HeatBath()}),
            )
        )
        found.append(gpumc.sample(MACHINE, PATTERNS, gpumc.Gibbs(gpumc.CrossEntropy([400.0, 1e50]), 1.0), **SETTINGS))
        found.append(gpumc.sample(MACHINE, PATTERNS, gpumc.LocalEntropy(ERRORS, 1e300, 1e5, 3), **SETTINGS))
        found.append(gpumc.sample(MACHINE, PATTERNS, gpumc.LocalEntropy(ERRORS, 1.0, 800.0, 3, "traced"), **SETTINGS))
        found.append(
            gpumc.sample(
                SPHERE, patterns, gpumc.LocalEntropy(gpumc.CrossEntropy(1e3), 1.0, 1e3, 3, "traced"), **SETTINGS
            )
        )
        found.append(gpumc.exact.averages(MACHINE, PATTERNS, gpumc.Gibbs(ERRORS, [0.0, 1000.0])))
        found.append(gpumc.exact.averages(MACHINE, PATTERNS, gpumc.LocalEntropy(ERRORS, 1000.0, 10.0, 30)))
        found.append(gpumc.entropy(MACHINE, PATTERNS, gpumc.Gibbs(gpumc.ErrorCount(), [0.0, 1000.0]), device="numpy"))
        found.append(gpumc.local_entropy(MACHINE, PATTERNS, np.ones(9), field=[-1e3, 0.0, 1e3], device="numpy"))
        theory.replica_symmetric(theory.Limit("perceptron"), gpumc.Gibbs(gpumc.ErrorCount(), [1e3, np.inf]), alpha=0.4)
    assert all(np.isfinite(data.energy).all() for data in found[:7])
