"""Runs that learn: what their files hold, runs that are stopped and go on, and configs that are wrong."""

import sys
from pathlib import Path

import numpy as np
import pytest

import gpumc
from gpumc import flatness
from gpumc.cli.tables import print_results
from gpumc.errors import ConfigError, RunError
from gpumc.parts import Part
from gpumc.results import load
from gpumc.results.plots import plot
from gpumc.sweeps import plan, read_config
from gpumc.sweeps.execution import execute, prepare
from gpumc.sweeps.plan import work_of
from gpumc.sweeps.sections import AroundSection
from tests.units.sweeps.test_runs import run
from tests.variants import same_bits

CONFIG = """
name = "small"
seed = 3
[machine]
kind = "tree-committee"
weights = "spherical"
n = 45
k = 3
[patterns]
kind = "random"
alpha = 0.6
instances = 2
[learner]
kind = "least-action"
rate = [0.1, 0.2]
starts = 2
epochs = 30
"""
#: Two numbers of replicas, with volumes around all that they find.
REPLICAS = (
    "patterns={kind='random', alpha=0.1}",
    "learner={kind='entropic-least-action', replicas=[2, 3], epochs=20}",
    "volumes={distance=[0.1], replicas=true}",
)
MACHINE = gpumc.TreeCommittee(45, k=3, weights="spherical")


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    (path / "small.toml").write_text(CONFIG)
    return run(path / "small.toml", path / "out")


@pytest.fixture(scope="module")
def replicated(tmp_path_factory):
    path = tmp_path_factory.mktemp("replicated")
    (path / "small.toml").write_text(CONFIG)
    return gpumc.open_run(run(path / "small.toml", path / "out", REPLICAS).merged)


def test_a_run_holds_what_learn_gives(folder):
    data = gpumc.open_run(folder.merged)
    assert data.weights.dims == ("instance", "rate", "start", "weight")
    patterns = gpumc.random_patterns(MACHINE, 0.6, 2, seed=3)
    learner = gpumc.LeastAction(rate=0.2, epochs=30)
    alone = gpumc.learn(MACHINE, patterns, learner, starts=2, seed=3, device="cpu")
    point = data.sel(rate=0.2)
    for name in ("weights", "errors", "solved", "steps"):
        assert np.array_equal(point[name], alone[name]), name
    assert np.array_equal(point.error_rate[..., : alone.sizes["epoch"]], alone.error_rate, equal_nan=True)
    assert np.isnan(point.error_rate[..., alone.sizes["epoch"] :]).all()
    assert (data.attrs["learner"], data.attrs["learner_epochs"], data.attrs["starts"]) == ("least-action", 30, 2)
    assert "learner_rate" not in data.attrs


def test_replicas_are_an_axis_and_references(replicated):
    assert replicated.reference.values.tolist() == [0, 1, 2, 3]
    two = replicated.sel(replicas=2)
    assert np.isnan(two.weights.sel(replica=2)).all()
    assert np.isnan(two.entropy.sel(reference=3)).all()
    assert not np.isnan(two.entropy.sel(reference=[0, 1, 2])).any()
    assert np.allclose(two.centre, MACHINE.normalised(two.weights.sel(replica=[0, 1]).mean("replica").values))
    patterns = gpumc.random_patterns(MACHINE, 0.1, seed=3)
    volumes = gpumc.local_entropy(MACHINE, patterns, two.centre.drop_vars("replicas"), distance=0.1, device="cpu")
    assert np.allclose(two.entropy.sel(reference=0).squeeze("distance"), volumes.entropy, atol=1e-12)


def test_parts_and_stops_change_nothing(folder, config_file, tmp_path, monkeypatch):
    """A run of tasks of one start each, stopped within the first ones, has the bits of one that was left alone."""
    monkeypatch.setattr(sys.modules["gpumc.sweeps.plan"], "LONG", 1)
    monkeypatch.setattr(sys.modules["gpumc.sweeps.tasks.learning"], "FULL", 1)
    parts = prepare(config_file, [], tmp_path / "parts")
    assert len(parts.tasks) == 2 * 2 * 2
    for stop in range(3):

        def report(note, stop=stop):
            if note.task == stop and note.phase == "running" and note.done:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            execute(parts, "cpu", report)
        assert parts.done() == list(range(stop))
    execute(prepare(config_file, [], tmp_path / "parts"), "cpu", lambda *_: None)
    assert same_bits(load(parts.merged).drop_attrs(), load(folder.merged).drop_attrs())


def test_free_norms_and_a_rate_that_diverges(config_file, tmp_path):
    """A rate beyond reason leaves NaN, and at the other rate the bits of a run without it."""
    free = [
        "machine={kind='tree-committee', n=40, k=4, weights='gaussian', activation='relu', decay=1e-3}",
        "patterns={kind='random', alpha=1.0, instances=2, inputs='gaussian'}",
        "learner={kind='cross-entropy-sgd', rate=RATE, gamma=0.5, initial_norm=0.2, epochs=5, starts=2, until='end'}",
    ]
    with pytest.warns(UserWarning, match="4 of 4 runs diverged"):
        both = run(config_file, tmp_path / "both", [line.replace("RATE", "[0.5, 1e300]") for line in free])
    data, alone = (
        gpumc.open_run(path)
        for path in (both.merged, run(config_file, tmp_path / "one", [s.replace("RATE", "0.5") for s in free]).merged)
    )
    assert np.isnan(data.weights.sel(rate=1e300)).all()
    assert np.isnan(data.loss.sel(rate=1e300)).all()
    assert not data.solved.sel(rate=1e300).any()
    for name in ("weights", "loss", "norm", "error_rate", "errors"):
        assert np.array_equal(data[name].sel(rate=0.5), alone[name]), name
    assert (data.attrs["weights"], data.attrs["decay"]) == ("gaussian", 1e-3)
    machine = gpumc.TreeCommittee(40, k=4, weights="gaussian", activation="relu", decay=1e-3)
    patterns = gpumc.random_patterns(machine, 1.0, 2, seed=3, inputs="gaussian")
    assert data.attrs["patterns_digest"] == patterns.digest


def test_flatness_of_what_is_learned(tmp_path):
    """The section gives what `flatness.summary` gives of the run's weights."""
    (tmp_path / "small.toml").write_text(CONFIG)
    flat = "flatness={strength=[0.1, 0.3], eta=1.0, slope=2.0}"
    data = gpumc.open_run(run(tmp_path / "small.toml", tmp_path / "out", [flat]).merged)
    patterns = gpumc.random_patterns(MACHINE, 0.6, 2, seed=3)
    weights = data.weights.sel(rate=0.2, drop=True)
    alone = flatness.summary(
        MACHINE, patterns, weights, distance=None, strength=[0.1, 0.3], eta=1.0, slope=2.0, seed=3, device="cpu"
    )
    point = data.sel(rate=0.2, reference=1)
    for name in ("local_energy", "noisy_error_rate", "largest_eigenvalue", "spectral_weight"):
        assert np.allclose(point[name], alone[name], atol=1e-12), name
    assert (point.local_energy > 0).any()


def test_hessians_at_a_runs_own_slope_and_gamma(config_file, tmp_path):
    """Runs on a ramp end at different epochs, and so at different slopes."""
    ramps = "slope={start=1.0, stop=5.0}, gamma={start=1.0, stop=3.0}"
    learner = f"learner={{kind='cross-entropy-sgd', rate=3.0, batch=9, epochs=200, starts=3, {ramps}}}"
    data = gpumc.open_run(run(config_file, tmp_path / "out", [learner, "flatness={full=true}"]).merged).sel(reference=1)
    assert len(np.unique(data.final_slope)) > 2
    np.testing.assert_allclose(data.final_slope, 1 + 4 * (data.steps - 1) / 199)
    patterns = gpumc.random_patterns(MACHINE, 0.6, 2, seed=3)
    stacked = data.stack(each=("instance", "start"))
    for number in range(stacked.sizes["each"]):
        one = stacked.isel(each=number)
        instance, own = int(one.instance), gpumc.CrossEntropy(float(one.final_gamma))
        seen = gpumc.Patterns(patterns.xi[instance], patterns.labels[instance])
        alone = flatness.hessian(MACHINE, seen, one.weights.values, own, slope=float(one.final_slope), device="cpu")
        np.testing.assert_allclose(one.own_largest_eigenvalue, alone.largest_eigenvalue.item(), rtol=1e-9)
        np.testing.assert_allclose(one.own_smallest_eigenvalue, alone.smallest_eigenvalue.item(), rtol=1e-9)


def test_replicas_of_a_part_have_the_numbers_of_the_whole():
    patterns = gpumc.random_patterns(MACHINE, 0.6, 2, seed=3)
    settings = {"starts": 3, "seed": 5, "device": "numpy"}
    for learner in (gpumc.EntropicLeastAction(replicas=2, epochs=3), gpumc.ReplicatedSGD(epochs=2)):
        whole = gpumc.learn(MACHINE, patterns, learner, **settings)
        part = gpumc.learn(MACHINE, patterns, learner, part=Part((1, 2), (1, 3)), **settings)
        np.testing.assert_allclose(part.weights, whole.sel(instance=[1], start=[1, 2]).weights, rtol=1e-9)
        assert part.start.values.tolist() == [1, 2]


def test_progress_is_of_the_work_that_is_planned(config_file, tmp_path):
    told = []
    folder = prepare(config_file, ["learner.rate=0.1"], tmp_path / "run")
    execute(folder, "cpu", told.append)
    work = work_of(folder.config, folder.tasks[0])
    assert work == 2 * 2 * 30
    learning = [note for note in told if note.doing == "learning"]
    assert [note.done for note in learning] == list(range(4, 4 * len(learning) + 1, 4))
    assert {note.total for note in told} == {work}
    assert told[-1] == ("cpu", 0, 1, work, work, "finished", "")


def test_tables_and_pictures(folder, replicated, tmp_path, capsys):
    data = gpumc.open_run(folder.merged)
    for one in (replicated, data.isel(rate=0)):
        print_results("", one)
        assert {"solved", "errors", "steps"} <= set(capsys.readouterr().out.replace("┃", " ").split())
        assert plot(one, tmp_path / "run.png").stat().st_size > 10_000


def test_a_measurement_that_fails_leaves_what_was_learned(config_file, tmp_path, monkeypatch):
    folder = prepare(config_file, ["learner.rate=0.1", "volumes.distance=0.1"], tmp_path / "run")

    def failing(*_, **__):
        raise MemoryError("no more")

    monkeypatch.setattr(AroundSection, "around", failing)
    with pytest.raises(RunError, match=r"local entropies could not be measured \(MemoryError: no more\)"):
        execute(folder, "cpu", lambda *_: None)
    assert load(folder.sampled(0)).sizes["start"] == 2


def test_long_runs_are_split():
    config = read_config(CONFIG, ["machine.n=9999", "learner.epochs=1000_000"])
    assert len(plan(config)) == 2 * 2 * 2


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["learner.rate=0"], "[learner] least-action: rate = 0.0: a positive finite number is needed"),
        (["learner.rate=[0.1, -1]"], "rate = -1"),
        (["learner.rate='fast'"], "[learner] rate = 'fast': a number, a list of them"),
        (["learner.kind='least-actoin'"], "did you mean 'least-action'"),
        (["learner.rat=1"], "[learner] rat: unknown key; did you mean 'rate'"),
        (["learner.momentum=0.5"], "[learner] momentum has no meaning for kind = 'least-action'"),
        (["learner.starts=0"], "[learner] starts = 0: a whole number"),
        (["learner.epochs=[10, 20]"], "[learner] epochs = [10, 20]: a whole number"),
        (["machine.activation='tanh'"], "least-action: a tree-committee of tanh units"),
        (["learner={kind='replicated-sgd', growth='fast'}"], "growth = 'fast'"),
        (["learner={kind='replicated-sgd', slope={start=0.0, stop=1.0}}"], "slope"),
        (
            ["learner={kind='cross-entropy-sgd'}", "machine.weights='binary'"],
            "spherical or gaussian weights are needed",
        ),
        (["machine.decay=1.0"], "decay is of gaussian weights"),
        (["machine.weights='gaussian'"], "least-action is for binary and spherical weights"),
        (["patterns.inputs='normal'"], "inputs = 'normal': allowed: binary, gaussian"),
        (["patterns.inputs='gaussian'", "machine.weights='binary'"], "inputs = 'gaussian': with binary weights"),
        (["volumes.every=3", "volumes.distance=0.1"], "[volumes] every: unknown key"),
        (["flatness.strength=[0.1, -1]"], "strength = -1"),
        (["flatness.slope=0"], "slope = 0"),
        (["flatness.strength=0.6", "machine.weights='binary'"], "at most 0.5"),
        (["flatness.noise=0.1"], "[flatness] noise: unknown key"),
        (["loss.kind='error-count'"], "loss: unknown key"),
    ],
)
def test_bad_configs(overrides, words):
    with pytest.raises(ConfigError) as caught:
        read_config(CONFIG, overrides)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2, caught.value
    assert words in lines[1], caught.value


FASHION = (
    f"patterns={{kind='fashion-mnist', folder='{Path(__file__).parents[1] / 'data' / 'fashion-mnist'}', per_class=20"
)
IMAGES = ["machine={kind='perceptron', n=785}", "learner={kind='least-action', rate=1.0, epochs=5}"]


def test_fashion_mnist(config_file, tmp_path):
    """A run has the patterns of `fashion_mnist` at its seed, and their test images."""
    data = gpumc.open_run(run(config_file, tmp_path / "run", [*IMAGES, FASHION + "}"]).merged)
    machine, folder = gpumc.Perceptron(785), Path(__file__).parents[1] / "data" / "fashion-mnist"
    patterns = gpumc.fashion_mnist(machine, folder=folder, per_class=20, seed=3)
    assert data.attrs["patterns_digest"] == patterns.digest
    assert data.attrs["patterns"] == "fashion-mnist"
    assert 0 < float(data.test_error.mean()) < 0.3
    assert plan(read_config(config_file.read_text(), [*IMAGES, FASHION + "}"]))[0].alpha is None


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (", classes='dress'}", "[patterns] classes = 'dress': a list of two names"),
        (", classes=['dress', 'skirt']}", "two different ones of t-shirt"),
        (", binarise='max'}", "binarise = 'max'"),
        (", alpha=1.0}", "[patterns] alpha has no meaning for kind = 'fashion-mnist'"),
        (", median_range=[0.5, 0.1]}", "two rising fractions"),
    ],
)
def test_bad_images(tmp_path, keys, words):
    with pytest.raises(ConfigError) as caught:
        read_config(CONFIG, [*IMAGES, FASHION + keys], tmp_path)
    assert words in str(caught.value).splitlines()[-1]
