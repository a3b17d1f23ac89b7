"""Configs: every mistake at once, with its place, what was found and what is allowed."""

import numpy as np
import pytest

from gpumc import Ramp
from gpumc.errors import ConfigError
from gpumc.measures import Gibbs, LocalEntropy
from gpumc.sweeps import plan, read_config

GOOD = """
name = "test"
seed = 3
[machine]
kind = "tree-committee"
n = 27
k = 3
[patterns]
kind = "random"
alpha = 0.5
instances = 2
[loss]
kind = "cross-entropy"
gamma = [0.5, 2.0]
[measure]
beta = 2.0
replicas = 3
coupling = 0.3
[sampler]
chains = 4
burn_in = 5
sweeps = 10
every = 5
"""


def test_what_a_config_means(tmp_path):
    config = read_config(GOOD)
    measure = config.measure.measure(config.loss, 3, tmp_path)
    assert isinstance(measure, LocalEntropy)
    assert (measure.loss.gamma, measure.beta, measure.coupling, measure.centre) == ((0.5, 2.0), 2.0, 0.3, "explicit")
    ramp = read_config(GOOD.replace("beta = 2.0", "beta = {start = 1, stop = 2.0, over = 'run'}"))
    assert ramp.measure.beta == Ramp(1.0, 2.0, "linear", "run")
    swept = read_config(GOOD.replace("beta = 2.0", "beta = {start = 1, stop = 2.0, num = 3}"))
    assert swept.measure.beta == (1.0, 1.5, 2.0)
    alone = read_config(GOOD.replace("replicas = 3\ncoupling = 0.3\n", ""))
    assert isinstance(alone.measure.measure(alone.loss, 1), Gibbs)


def test_volumes_count_errors_under_any_loss():
    hinge = ['loss.kind="squared-hinge"', "volumes.distance=0.1"]
    config = read_config(GOOD.replace("gamma = [0.5, 2.0]\n", ""), hinge)
    assert config.loss.kind == "squared-hinge"
    assert config.volumes.distance == 0.1


@pytest.mark.parametrize("weights", ["binary", "spherical"])
def test_volumes_around_relu_units(weights):
    wide = [
        f'machine.weights="{weights}"',
        'machine.activation="relu"',
        "machine.k=2",
        "machine.n=18",
        "volumes.distance=0.1",
    ]
    config = read_config(GOOD, wide)
    assert config.machine.machine(18, 2).activation == "relu"
    assert config.volumes.distance == 0.1


def test_overrides():
    config = read_config(GOOD, ["sampler.sweeps=100", "name=other", "measure.beta=[1.0, 3.0]", "patterns.seed = 5"])
    assert (config.sampler.sweeps, config.name, config.measure.beta, config.patterns.seed) == (
        100,
        "other",
        (1.0, 3.0),
        5,
    )
    for override in ("sampler.sweeps", "=3", "name.x=3"):
        with pytest.raises(ConfigError, match="--set"):
            read_config(GOOD, [override])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("n = 27", "n = 26", ["[machine]", "does not divide n = 26"]),
        ("n = 27", "n = [27, 30]", ["n/k = 10"]),
        ("k = 3\n", "k = 2\n", ["k = 2"]),
        (
            "k = 3\n",
            "kay = 3\n",
            ["[machine] kay", "unknown key", "allowed: activation, decay, k, kind, n, output, slope, weights"],
        ),
        ("n = 27", "n = 27.5", ["[machine] n = 27.5", "whole number"]),
        ("n = 27", "n = true", ["[machine] n = True"]),
        ("n = 27", "", ["[machine] n", "missing"]),
        ('"tree-committee"', '"tree-comittee"', ["[machine] kind = 'tree-comittee'", "did you mean 'tree-committee'"]),
        ('"random"', '"randon"', ["did you mean 'random'"]),
        ("alpha = 0.5", "alpha = 0.001", ["alpha = 0.001 gives no pattern"]),
        ("alpha = 0.5", "alpha = -1", ["alpha = -1"]),
        ("alpha = 0.5", "alpha = nan", ["alpha = nan"]),
        ("alpha = 0.5", "alpha = []", ["empty list"]),
        ("alpha = 0.5", "alpha = [0.5, 0.5]", ["twice"]),
        ("alpha = 0.5", "alpha = 0.5\nflip = 0.1", ["flip has no meaning"]),
        ("alpha = 0.5", "alpha = {start = 0.1, stop = 0.5, nun = 3}", ["[patterns] alpha"]),
        ("instances = 2", "instances = [2, 3]", ["[patterns] instances = [2, 3]", "whole number"]),
        ("gamma = [0.5, 2.0]", "gamma = 0.0", ["gamma = 0: positive finite numbers"]),
        ('"cross-entropy"', '"error-count"', ["gamma has no meaning"]),
        ("beta = 2.0", "beta = -2.0", ["[measure] beta = -2: non-negative numbers"]),
        ("beta = 2.0", "beta = inf", ["beta = inf", "finite"]),
        ("beta = 2.0", 'beta = "cold"', ["[measure] beta = 'cold'", "ramp"]),
        (
            "beta = 2.0",
            "beta = {start = 1.0, stop = 2.0, scale = 'log'}",
            ["1 mistake", "[measure.beta] ramp: scale = 'log'", "linear"],
        ),
        ("beta = 2.0", "beta = {start = 1.0, stopp = 2.0}", ["2 mistakes", "stopp", "did you mean 'stop'", "missing"]),
        ("coupling = 0.3", "", ["replicas without coupling"]),
        ("coupling = 0.3", "coupling = 0.3\ncentre = 'tracd'", ["centre", "tracd", "traced"]),
        ("beta = 2.0", "beta = [2.0, 5000.0]", ["beta = 5000", "below 2048"]),
        ("coupling = 0.3", "coupling = {start = 0.1, stop = 5e6}", ["coupling = 5e+06", "below 2e+06"]),
        ("chains = 4", "chains = 0", ["[sampler] chains = 0"]),
        ("chains = 4", "chains = '4'", ["[sampler] chains = '4'"]),
        ("every = 5", "every = 50", ["every = 50"]),
        ("seed = 3", "seed = -3", ["seed = -3"]),
        ("seed = 3", "speed = 3", ["speed", "did you mean 'seed'"]),
        ("[loss]", "[volumes]\nevery = 3\n[loss]", ["[volumes] distance", "missing"]),
        ("[loss]", "[volumes]\ndistance = [0.1, 0.6]\n[loss]", ["distance = 0.6", "at most 1/2"]),
        (
            "[loss]",
            "[volumes]\ndistance = 0.1\ntolerance = 0.0\n[loss]",
            ["tolerance = 0.0", "a positive finite number"],
        ),
        ("[loss]", "[volumes]\ndistance = 0.1\nevery = 500\n[loss]", ["[volumes] every = 500", "nothing would be"]),
        ("[loss]", "[volume]\ndistance = 0.1\n[loss]", ["volume", "did you mean 'volumes'"]),
        ("k = 3\n", 'k = 3\nweights = "spheric"\n', ["did you mean 'spherical'"]),
        ("k = 3\n", 'k = 3\nactivation = "tanh"\n', ["'tanh' with binary weights"]),
        ("k = 3\n", 'k = 3\nactivation = "relu"\n', ["k = 3 is odd", "use 4"]),
        ("k = 3\n", 'k = 3\nweights = "spherical"\nslope = 0.0\n', ["slope = 0.0"]),
        (
            "k = 3\n",
            'k = 3\nweights = "spherical"\nactivation = "tanh"\n[volumes]\ndistance = 0.1\n',
            ["for sign and relu units", "has tanh units"],
        ),
        ("chains = 4", 'chains = 4\nkind = "hmc"', ["binary weights", "'hmc'", "heat-bath"]),
        ('name = "test"', 'name = "../test"', ["name"]),
        ('name = "test"', "name = ", ["not TOML", "line 2"]),
    ],
)
def test_one_mistake(tmp_path, old, new, words):
    assert GOOD.count(old) == 1
    with pytest.raises(ConfigError) as caught:
        read_config(GOOD.replace(old, new), folder=tmp_path)
    assert all(word in str(caught.value) for word in words), caught.value


def test_all_mistakes_at_once():
    text = GOOD.replace("n = 27", "n = 26").replace("beta = 2.0", "beta = -2.0").replace("chains", "chainz")
    with pytest.raises(ConfigError) as caught:
        read_config(text)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("the config has 4 mistakes")
    assert len(lines) == 5


def test_patterns_and_centres_from_files(tmp_path):
    (tmp_path / "p.txt").write_text("1 " * 28 + "\n" + "-1 " * 28 + "\n")
    text = GOOD.replace('kind = "random"\nalpha = 0.5\ninstances = 2', 'kind = "file"\npath = "p.txt"')
    config = read_config(text, folder=tmp_path)
    assert config.patterns.make(config.machine.machine(27, 3), {}, 0, tmp_path).count == 2
    for name, array in (("c.npy", np.ones(27)), ("c.npz", None)):
        np.save(tmp_path / name, array) if array is not None else np.savez(tmp_path / name, centre=np.ones(27))
        fixed = read_config(text.replace("coupling = 0.3", f"coupling = 0.3\ncentre = '{name}'"), folder=tmp_path)
        assert np.array_equal(fixed.measure.measure(fixed.loss, 3, tmp_path).centre, np.ones(27))
    np.save(tmp_path / "c.npy", np.ones(26))
    with pytest.raises(ConfigError, match="27 weights"):
        read_config(text.replace("coupling = 0.3", "coupling = 0.3\ncentre = 'c.npy'"), folder=tmp_path)
    (tmp_path / "p.txt").write_text("1 " * 29)
    with pytest.raises(ConfigError, match="28 inputs"):
        read_config(text, folder=tmp_path)


def test_a_plan_covers_a_run_once():
    big = GOOD.replace("alpha = 0.5", "alpha = [0.5, 1.0]").replace("chains = 4", "chains = 50_000")
    big = big.replace("sweeps = 10", "sweeps = 100_000").replace("replicas = 3", "replicas = [1, 3]")
    config = read_config(big)
    tasks = plan(config)
    assert len(tasks) > 4 * 2
    covered = np.zeros((2, 2, 2, 50_000), int)
    for task in tasks:
        a, y = (0.5, 1.0).index(task.alpha), (1, 3).index(task.replicas)
        covered[a, y, slice(*task.instances), slice(*task.chains)] += 1
        chains = 2 * (task.instances[1] - task.instances[0]) * (task.chains[1] - task.chains[0])
        assert chains >= 4224, "a wave of the cross-entropy, two grid points each"
    assert (covered == 1).all()
    assert tasks == plan(config)
    assert len(plan(read_config(GOOD))) == 1


def test_few_chains_that_run_for_long_are_split():
    """A run too small to fill a device is one task, until a kill would lose days: then it is cut down to single chains."""
    quick = read_config(GOOD, ["sampler.sweeps=1_000_000"])
    endless = read_config(GOOD, ["sampler.sweeps=2_000_000_000", "machine.n=9999"])
    assert [(task.instances, task.chains) for task in plan(quick)] == [((0, 2), (0, 4))]
    assert {(task.instances, task.chains) for task in plan(endless)} == {
        ((i, i + 1), (c, c + 1)) for i in range(2) for c in range(4)
    }
