"""Patterns: what is drawn, what a file gives back, and what is said of wrong ones."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import gpumc
from gpumc.device.constants import Stream
from gpumc.device.philox import philox, random_bits, random_normals
from gpumc.errors import ConfigError, RunError

MACHINE = gpumc.TreeCommittee(135, k=3)
TEACHERS = [
    gpumc.Perceptron(135),
    gpumc.TreeCommittee(135, k=9),
    gpumc.FullCommittee(135, k=3),
    gpumc.TreeParity(135, k=3),
]


def test_one_instance_without_its_axis():
    patterns = gpumc.Patterns([[1, -1, 1], [1, 1, 1]], [1, -1])
    assert (patterns.instances, patterns.count, patterns.n) == (1, 2, 3)
    assert (patterns.xi.dtype, patterns.labels.dtype) == (np.int8, np.int8)
    assert patterns.labels.tolist() == [[1, -1]]
    assert repr(patterns) == "Patterns(instances=1, count=2, n=3)"


def test_arrays_are_copied():
    xi = np.ones((2, 3), np.int8)
    patterns = gpumc.Patterns(xi, [1, 1])
    xi[:] = -1
    assert np.all(patterns.xi == 1)


def test_digest():
    first, again = (gpumc.random_patterns(MACHINE, 0.5, instances=2, seed=3) for _ in range(2))
    assert first.digest == again.digest
    for name in ("xi", "labels"):
        changed = {"xi": first.xi.copy(), "labels": first.labels.copy()}
        changed[name].flat[-1] *= -1
        assert gpumc.Patterns(**changed).digest != first.digest
    reshaped = gpumc.Patterns(first.xi.reshape(1, -1, MACHINE.n), first.labels.reshape(1, -1))
    assert reshaped.digest != first.digest


@pytest.mark.parametrize("flip", [None, 0.3])
def test_instances_do_not_depend_on_their_number(flip):
    def draw(instances):
        if flip is None:
            return gpumc.random_patterns(MACHINE, 0.9, instances, seed=8)
        return gpumc.teacher_patterns(MACHINE, 0.9, instances, seed=8, flip=flip)

    few, many = draw(2), draw(5)
    assert np.array_equal(few.xi, many.xi[:2])
    assert np.array_equal(few.labels, many.labels[:2])
    assert len({row.tobytes() for row in many.xi}) == 5


def test_random_numbers_are_those_documented():
    """Pattern p reads bits of counter (PATTERNS, p, input // 128, instance); labels those of (LABELS, 0, pattern // 128, instance)."""
    patterns = gpumc.random_patterns(MACHINE, 1.5, instances=3, seed=21)

    def sign(stream, sweep, place, instance):
        word = philox(21, stream, sweep, place // 128, instance)[place % 128 // 32]
        return 1 if word >> np.uint32(place % 32) & np.uint32(1) else -1

    for instance, pattern, site in ((0, 0, 0), (1, 7, 31), (2, 201, 32), (2, 5, 127), (1, 100, 134)):
        assert patterns.xi[instance, pattern, site] == sign(Stream.PATTERNS, pattern, site, instance)
        assert patterns.labels[instance, pattern] == sign(Stream.LABELS, 0, pattern, instance)


def test_random_patterns_are_balanced():
    """Means, and overlaps of neighbouring patterns and instances, within 5 standard errors: false alarms below 1e-5."""
    patterns = gpumc.random_patterns(gpumc.Perceptron(501), 1.0, instances=8, seed=1)
    xi = patterns.xi.astype(int)
    for values in (xi, patterns.labels, xi[:, 1:] * xi[:, :-1], xi[1:] * xi[:-1], xi[..., 1:] * xi[..., :-1]):
        assert abs(np.mean(values)) < 5 / np.sqrt(values.size)


def test_the_seed_matters():
    first, other = (gpumc.random_patterns(MACHINE, 1.0, seed=seed) for seed in (1, 2**32 + 1))
    assert not np.array_equal(first.xi, other.xi)


@pytest.mark.parametrize("teacher", TEACHERS, ids=lambda m: m.kind)
def test_teacher_solves_its_patterns(teacher):
    patterns = gpumc.teacher_patterns(MACHINE, 1.0, instances=3, seed=5, teacher=teacher)
    weights = random_bits(5, Stream.TEACHER, 0, np.arange(3), teacher.weight_count)
    for w, xi, labels in zip(weights, patterns.xi, patterns.labels, strict=True):
        assert np.all(teacher.stabilities(w[None], xi, labels) > 0)
    assert patterns.count == MACHINE.pattern_count(1.0)
    assert -1 in patterns.labels
    assert 1 in patterns.labels
    assert np.array_equal(patterns.xi, gpumc.random_patterns(MACHINE, 1.0, instances=3, seed=5).xi)


@pytest.mark.parametrize("weights", ["binary", "spherical"])
@pytest.mark.parametrize("kind", [gpumc.TreeCommittee, gpumc.FullCommittee], ids=lambda k: k.kind)
def test_a_relu_teacher_has_a_label_for_every_input(kind, weights):
    """A quarter of all inputs leaves both units silent, and binary units may cancel: these alone are drawn again, the same however many
    patterns there are."""
    teacher = kind(30 if kind is gpumc.TreeCommittee else 15, k=2, weights=weights, activation="relu")
    patterns = gpumc.teacher_patterns(teacher, 4.0, instances=2, seed=5)
    again = (patterns.xi != gpumc.random_patterns(teacher, 4.0, instances=2, seed=5).xi).any(axis=-1)
    assert 0.15 < again.mean() < 0.5
    fewer = gpumc.teacher_patterns(teacher, 2.0, instances=1, seed=5)
    assert np.array_equal(fewer.xi[0], patterns.xi[0, : fewer.count])
    assert np.array_equal(fewer.labels[0], patterns.labels[0, : fewer.count])
    draw = random_normals if weights == "spherical" else random_bits
    drawn = draw(5, Stream.TEACHER, 0, np.arange(2), teacher.weight_count)
    for w, xi, labels in zip(drawn, patterns.xi, patterns.labels, strict=True):
        own = teacher.normalised(w)
        assert np.all(teacher.stabilities(own[None], xi, labels) > 0)


def test_a_teacher_without_labels_is_refused():
    teacher = gpumc.FullCommittee(1, k=2, activation="relu")
    with pytest.raises(ConfigError, match=r"output 0 for \d+ of 8 inputs.*larger n than 1"):
        gpumc.teacher_patterns(teacher, 4.0, instances=8)


def test_spherical_teachers_are_on_their_spheres():
    """Units of tanh far from their spheres would weigh otherwise against each other: there the labels are not the sphere's."""
    teacher = gpumc.TreeCommittee(6, k=3, weights="spherical", activation="tanh", slope=3.0)
    patterns = gpumc.teacher_patterns(teacher, 50.0, instances=8, seed=1)
    for w, xi, labels in zip(
        random_normals(1, Stream.TEACHER, 0, np.arange(8), 6), patterns.xi, patterns.labels, strict=True
    ):
        own = w.reshape(3, 2)
        own = own * np.sqrt(2 / (own**2).sum(axis=1, keepdims=True))
        assert np.all(teacher.stabilities(own.reshape(1, 6), xi, labels) > 0)


def test_the_teacher_is_like_the_machine_unless_given():
    default, given_one = (gpumc.teacher_patterns(MACHINE, 1.0, seed=5, teacher=t) for t in (None, MACHINE))
    assert default.digest == given_one.digest


def test_flipped_labels():
    """Within 5 standard errors of the rate: false alarms below 1e-6."""
    machine, rate = gpumc.Perceptron(501), 0.1
    clean, noisy, opposite = (gpumc.teacher_patterns(machine, 4.0, 5, seed=2, flip=f) for f in (0.0, rate, 1.0))
    turned = clean.labels != noisy.labels
    assert abs(turned.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / turned.size)
    assert np.array_equal(opposite.labels, -clean.labels)
    more = gpumc.teacher_patterns(machine, 4.0, 5, seed=2, flip=0.2)
    assert np.all((more.labels != clean.labels)[turned]), "what a small rate turns, a larger one turns, too"


tables = st.tuples(st.integers(1, 6), st.integers(2, 9)).flatmap(
    lambda shape: arrays(np.int8, shape, elements=st.sampled_from([-1, 1]))
)
spellings = st.fixed_dictionaries(
    {
        "one": st.sampled_from(["1", "+1", "1.0"]),
        "minus": st.sampled_from(["-1", "-1.0"]),
        "separator": st.sampled_from([" ", "\t", ",", ", ", "  "]),
        "end": st.sampled_from(["\n", "\r\n", "  \n\n", " # a comment\n"]),
        "head": st.sampled_from(["", "# inputs, label\n", "\n\n"]),
        "zipped": st.booleans(),
    }
)


@settings(deadline=None, max_examples=60)
@given(tables, spellings)
def test_text_gives_back_what_was_written(tmp_path_factory, table, how):
    path = tmp_path_factory.mktemp("patterns") / ("set.txt.gz" if how["zipped"] else "set.txt")
    lines = (how["separator"].join(how["one"] if v > 0 else how["minus"] for v in row) for row in table)
    text = (how["head"] + "".join(line + how["end"] for line in lines)).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if how["zipped"] else text)
    read = gpumc.load_patterns(path)
    assert np.array_equal(read.xi, table[None, :, :-1])
    assert np.array_equal(read.labels, table[None, :, -1])


def test_npz_gives_back_what_was_written(tmp_path):
    patterns = gpumc.random_patterns(MACHINE, 0.5, instances=3, seed=6)
    np.savez(tmp_path / "set.npz", xi=patterns.xi, labels=patterns.labels)
    assert gpumc.load_patterns(tmp_path / "set.npz").digest == patterns.digest


@pytest.mark.parametrize(
    ("xi", "labels", "words"),
    [
        ([[0, 0]], [1], r"xi\[0, 0\] is 0 throughout"),
        ([[1, np.inf]], [1], r"xi\[0, 1\] = inf"),
        ([[1, np.nan]], [1], r"xi\[0, 1\] = nan"),
        ([[1, 1]], [0.5], r"labels\[0\] = 0.5"),
        ([["a", "b"]], [1], "numbers"),
        ([[1, 1], [1]], [1, 1], "one length"),
        ([[1, 1]], [1, 1], "one label a pattern"),
        ([[1, 1]], 1, "one label a pattern"),
        ([1, 1], [1], "shape"),
        (np.ones((0, 5)), np.ones(0), "shape"),
        (np.ones((1, 2, 0)), np.ones((1, 2)), "shape"),
    ],
)
def test_arrays_that_are_no_patterns(xi, labels, words):
    with pytest.raises(ConfigError, match=words):
        gpumc.Patterns(xi, labels)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no pattern"),
        ("# nothing\n", "no pattern"),
        ("1 1 -1\n1 1 0\n", "line 2, column 3: '0'"),
        ("1 1 -1\n\n1 x 1\n", "line 3, column 2: 'x'"),
        ("1 nan 1\n", "line 1, column 2: 'nan'"),
        ("1 1 -1\n1 1\n", "line 2: 2 numbers.*has 3"),
        ("1\n1\n", "line 1: 1 numbers"),
    ],
)
def test_text_that_is_wrong_says_where(tmp_path, text, words):
    path = tmp_path / "set.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        gpumc.load_patterns(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.txt.gz", gzip.compress(b"1 1 1\n" * 500, mtime=0)[:20]),
        ("wrong.txt.gz", b"1 1 1\n"),
        ("bits.txt.gz", gzip.compress(b"", mtime=0)[:10] + b"\xff" * 30),
        ("cut.npz", b"PK\x03\x04 and no more"),
        ("other.npz", b"1 1 1\n"),
        ("binary.txt", b"\xff\xfe\x00\x01"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        gpumc.load_patterns(tmp_path / name)


@pytest.mark.parametrize("name", ["nowhere.txt", "nowhere.txt.gz", "nowhere.npz"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(RunError, match=rf"{name} cannot be read: No such file"):
        gpumc.load_patterns(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"x": np.ones((2, 3))}, "no array labels and xi: found x"),
        ({"xi": np.ones((2, 3)), "labels": np.ones(3)}, r"set\.npz: labels"),
        ({"xi": np.array([None, 1]), "labels": np.ones(2)}, r"set\.npz: "),
    ],
)
def test_archives_that_are_wrong(tmp_path, content, words):
    np.savez(tmp_path / "set.npz", **content)
    with pytest.raises(ConfigError, match=words):
        gpumc.load_patterns(tmp_path / "set.npz")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gpumc.random_patterns(MACHINE, 0.001), "no pattern"),
        (lambda: gpumc.random_patterns(MACHINE, 1.0, instances=0), "instances = 0"),
        (lambda: gpumc.random_patterns(MACHINE, 1.0, instances=1.5), r"instances = 1\.5"),
        (lambda: gpumc.random_patterns(MACHINE, 1.0, seed=-1), "seed = -1"),
        (lambda: gpumc.random_patterns(MACHINE, 1.0, seed=2**48), "seed"),
        (lambda: gpumc.teacher_patterns(MACHINE, 1.0, flip=1.5), r"flip = 1\.5"),
        (lambda: gpumc.teacher_patterns(MACHINE, 1.0, flip=np.nan), "flip = nan"),
        (lambda: gpumc.teacher_patterns(MACHINE, 1.0, teacher=gpumc.Perceptron(133)), "133.*135"),
        (lambda: gpumc.random_patterns(MACHINE, 1.0).check(gpumc.Perceptron(137)), "135.*137"),
        (lambda: gpumc.Patterns([[1, 0.5, 1]], [1]).check(gpumc.Perceptron(3)), r"xi\[0, 0, 1\] = 0.5.*\+1 or -1"),
    ],
)
def test_arguments_that_make_no_sense(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def machine(kind, activation="sign", **more):
    return kind(6, weights="spherical", activation=activation, **more)


A, B = np.array([0.3, -1.0, 2.0]), np.array([1.5, 0.2, -0.7])
SIGNS, PARITY = machine(gpumc.TreeCommittee, k=3), machine(gpumc.TreeParity, k=2)
TANH, RELU = machine(gpumc.TreeCommittee, "tanh", k=3), machine(gpumc.FullCommittee, "relu", k=4)
FULL = machine(gpumc.FullCommittee, k=3)
ONCE = np.concatenate([A, B])


@pytest.mark.parametrize(
    ("machine", "other", "same", "opposite"),
    [
        (SIGNS, ONCE, False, True),
        (SIGNS, ONCE * [2, 2, 3, 3, 5, 5], False, True),
        (SIGNS, -ONCE, True, False),
        (SIGNS, ONCE * [1, 1, 1, 1, -1, -1], False, False),
        (FULL, 3 * ONCE, False, True),
        (FULL, ONCE * [2, 2, 3, 3, 5, 5], False, False),
        (PARITY, ONCE * [2, 2, 2, 7, 7, 7], False, True),
        (PARITY, -ONCE, False, True),
        (PARITY, ONCE * [1, 1, 1, -1, -1, -1], True, False),
        (machine(gpumc.TreeParity, "erf", k=2), ONCE * [2, 2, 2, -7, -7, -7], True, False),
        (TANH, ONCE, False, True),
        (TANH, 2 * ONCE, False, False),
        (TANH, -ONCE, True, False),
        (RELU, ONCE, False, True),
        (RELU, 3 * ONCE, False, True),
        (RELU, -ONCE, False, False),
        (RELU, ONCE * [2, 2, 2, 7, 7, 7], False, False),
    ],
)
def test_contradictions(machine, other, same, opposite):
    """Whether ``other`` with the same and with the opposite label contradicts an input; where not, some weights give both labels."""
    right = {}
    weights = np.random.default_rng(1).normal(size=(4000, machine.weight_count))
    for label, expected in ((1, same), (-1, opposite)):
        patterns = gpumc.Patterns([ONCE, other], [1, label])
        assert patterns.contradictions(machine).tolist() == [expected]
        stabilities = machine.stabilities(weights, patterns.xi[0], patterns.labels[0])
        right[label] = (stabilities > 0).all(axis=1).any()
    assert (right[1], right[-1]) == (not same, not opposite)


def test_a_hidden_sign_without_inputs_is_refused():
    patterns = gpumc.Patterns([ONCE, ONCE * [1, 1, 1, 0, 0, 0]], [1, -1])
    for wrong in (PARITY, machine(gpumc.TreeCommittee, k=3)):
        with pytest.raises(ConfigError, match=r"xi\[0, 1\] is 0 on all inputs of hidden unit [12].*leave"):
            patterns.check(wrong)
    with pytest.raises(ConfigError, match="hidden unit 1"):
        gpumc.entropy(PARITY, patterns, method="splitting", device="numpy")
    for right in (TANH, RELU, FULL, machine(gpumc.Perceptron)):
        patterns.check(right)
    measure = gpumc.Gibbs(gpumc.CrossEntropy(), 2.0)
    found = gpumc.sample(TANH, patterns, measure, chains=2, burn_in=2, sweeps=2, device="numpy")
    assert np.isfinite(found.energy).all()


def test_patterns_fit_any_machine_with_their_inputs():
    patterns = gpumc.random_patterns(MACHINE, 1.0)
    for teacher in TEACHERS:
        patterns.check(teacher)
        weights = np.ones((1, teacher.weight_count), np.int8)
        assert teacher.stabilities(weights, patterns.xi[0], patterns.labels[0]).shape == (1, patterns.count)
