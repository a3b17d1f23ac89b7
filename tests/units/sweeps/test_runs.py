"""Runs: merged results, killed and resumed runs, and folders that are not what they should be."""

import json
import os
import subprocess
import sys
import threading
import time
import tomllib

import h5py
import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc.errors import ConfigError, RunError
from gpumc.results import load, save
from gpumc.sweeps import plan, read_config
from gpumc.sweeps.config_text import effective
from gpumc.sweeps.execution import execute, prepare
from gpumc.sweeps.folder import RunFolder
from gpumc.sweeps.sections import volumes_section
from gpumc.sweeps.tasks import Sampling, local_entropies
from tests.variants import same_bits

CONFIG = """
name = "small"
seed = 3
[machine]
kind = "perceptron"
n = 101
[patterns]
kind = "teacher"
alpha = [0.2, 0.5]
flip = 0.2
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


FREE = (
    "machine={kind='tree-committee', n=12, k=4, weights='gaussian', activation='relu', decay=0.1}",
    "patterns={kind='teacher', alpha=[0.5, 1.0], inputs='gaussian'}",
)


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


def run(config_file, out, overrides=(), device="cpu"):
    folder = prepare(config_file, list(overrides), out)
    execute(folder, device, lambda *_: None)
    return folder


def cut_small(monkeypatch):
    """Plan tasks of one chain."""
    monkeypatch.setattr(sys.modules["gpumc.sweeps.plan"], "LONG", 1)  # the function of that name hides the module
    monkeypatch.setattr(Sampling, "_full", lambda self, machine: 1)


def test_spherical_weights(tmp_path, config_file):
    """A run of real weights holds what `sample` gives, and its replicas axis is padded with NaN."""
    text = CONFIG.replace("n = 101", 'n = 101\nweights = "spherical"').replace("replicas = 3", "replicas = [1, 3]")
    config_file.write_text(text)
    data = gpumc.open_run(run(config_file, tmp_path / "out").merged)
    machine = gpumc.Perceptron(101, weights="spherical")
    patterns = gpumc.teacher_patterns(machine, 0.5, 2, seed=3, flip=0.2)
    measure = gpumc.LocalEntropy(gpumc.CrossEntropy([0.5, 2.0]), 2.0, 0.3, 1)
    alone = gpumc.sample(machine, patterns, measure, chains=4, burn_in=5, sweeps=10, every=5, seed=3, device="cpu")
    found = data.sel(alpha=0.5, replicas=1)
    assert np.array_equal(found.weights.isel(replica=[0]), alone.weights)
    assert np.isnan(found.weights.isel(replica=[1, 2])).all()
    assert (data.attrs["weights"], data.attrs["sampler"]) == ("spherical", "hmc")
    np.testing.assert_allclose((data.centre**2).sum("weight"), 101)


def test_free_norms(tmp_path, config_file):
    """A run of gaussian weights has what `sample` gives, their norms and the distances from the centre."""
    data = gpumc.open_run(run(config_file, tmp_path / "run", FREE).merged)
    machine = gpumc.TreeCommittee(12, k=4, weights="gaussian", activation="relu", decay=0.1)
    patterns = gpumc.teacher_patterns(machine, 1.0, 1, seed=3, inputs="gaussian")
    measure = gpumc.LocalEntropy(gpumc.CrossEntropy([0.5, 2.0]), 2.0, 0.3, 3)
    alone = gpumc.sample(machine, patterns, measure, chains=4, burn_in=5, sweeps=10, every=5, seed=3, device="cpu")
    point = data.sel(alpha=1.0)
    for name in ("weights", "centre", "energy", "norm", "distance_centre", "overlap_replicas"):
        assert np.array_equal(point[name], alone[name]), name
    assert data.norm.dims == data.energy.dims
    assert data.attrs["decay"] == 0.1


def test_a_sweep_along_every_task_axis(config_file, tmp_path):
    folder = run(config_file, tmp_path / "out", ["patterns.flip=[0.0, 0.2]", "measure.replicas=[1, 3]"])
    data = gpumc.open_run(tmp_path / "out")
    assert data.energy.dims == ("instance", "alpha", "gamma", "flip", "replicas", "chain", "replica", "draw")
    assert data.energy.shape == (2, 2, 2, 2, 2, 4, 3, 2)
    assert data.pattern_count.dims == ("alpha",)
    assert data.pattern_count.values.tolist() == [20, 50]
    assert np.isnan(data.energy.sel(replicas=1, replica=slice(1, None))).all()
    assert not np.isnan(data.energy.sel(replicas=3)).any()
    assert data.weights.dtype == np.int8
    assert (data.weights.sel(replicas=1, replica=2) == 0).all()
    # One point of it by hand, at the same seed.
    machine = gpumc.Perceptron(101)
    patterns = gpumc.teacher_patterns(machine, 0.5, instances=2, seed=3, flip=0.2)
    measure = gpumc.LocalEntropy(gpumc.CrossEntropy([0.5, 2.0]), 2.0, 0.3, replicas=3)
    alone = gpumc.sample(machine, patterns, measure, chains=4, burn_in=5, sweeps=10, every=5, seed=3, device="numpy")
    point = data.sel(alpha=0.5, flip=0.2, replicas=3)
    for name in ("energy", "weights", "centre", "overlap_replicas", "stability_count"):
        assert np.array_equal(point[name], alone[name]), name
    unnamed = [name for name, v in data.variables.items() if not (v.attrs.get("long_name") and v.attrs.get("units"))]
    assert not unnamed
    assert tomllib.loads(data.attrs["config"])["measure"]["replicas"] == [1, 3]
    assert folder.merged.name == "small.h5"


def test_files_are_read_with_no_gpumc(config_file, tmp_path):
    folder = run(config_file, tmp_path / "out")
    with xr.open_dataset(folder.merged, engine="h5netcdf") as data:
        assert data.sizes["gamma"] == 2
    with h5py.File(folder.merged) as file:
        assert file["energy"].compression == "gzip"
        assert file["energy"].fletcher32
        assert file["weights"].dtype == np.int8


def test_groups_of_machines(config_file, tmp_path):
    run(config_file, tmp_path / "out", ["machine.n=[51, 101]"])
    tree = gpumc.open_run(tmp_path / "out")
    assert set(tree.children) == {"n51_k1", "n101_k1"}
    one = run(config_file, tmp_path / "one")
    assert same_bits(tree["n101_k1"].to_dataset().drop_attrs(), load(one.merged).drop_attrs())


def test_the_split_into_tasks_changes_nothing(config_file, tmp_path, monkeypatch):
    whole = load(run(config_file, tmp_path / "whole").merged)
    cut_small(monkeypatch)
    folder = run(config_file, tmp_path / "parts")
    assert len(folder.tasks) == 16
    parts = load(folder.merged)
    assert same_bits(parts, whole)


VOLUMES = (
    "volumes.distance=[0.2, 0.4]",
    "volumes.every=5",
    "measure.replicas=[1, 3]",
    "volumes.replicas=true",
    "sampler.chains=2",
)


def test_the_time_of_volumes_counts(config_file, tmp_path, monkeypatch):
    """Under a loss that is not what volumes count, too."""
    kind, patience = local_entropies.LocalEntropies, 0.3
    dataset = kind.dataset
    monkeypatch.setattr(kind, "dataset", lambda self: time.sleep(patience) or dataset(self))
    hinge = ["loss={kind='squared-hinge'}", "patterns.alpha=0.2", "volumes.distance=0.4"]
    data = gpumc.open_run(run(config_file, tmp_path / "run", hinge).merged)
    assert data.attrs["duration_s"] >= patience
    assert data.converged.all()


def test_local_entropies_are_measured_alongside(config_file, tmp_path, monkeypatch):
    data = gpumc.open_run(run(config_file, tmp_path / "run", VOLUMES).merged)
    expected = {
        "instance": 2,
        "alpha": 2,
        "gamma": 2,
        "replicas": 2,
        "chain": 2,
        "volume_draw": 2,
        "reference": 4,
        "distance": 2,
    }
    assert dict(data.entropy.sizes) == expected
    assert data.volume_sweep.values.tolist() == [5, 10]
    assert np.isnan(data.entropy.sel(replicas=1, reference=[2, 3])).all()
    machine, point = gpumc.Perceptron(101), {"alpha": 0.2, "replicas": 3}
    patterns = gpumc.teacher_patterns(machine, 0.2, 2, seed=3, flip=0.2)
    last = data.sel(point).isel(volume_draw=-1)
    for number, weights in [(0, last.centre), *[(r + 1, last.weights.isel(replica=r)) for r in range(3)]]:
        found = gpumc.local_entropy(
            machine, patterns, weights.drop_vars(["alpha", "replicas"]), distance=[0.2, 0.4], device="cpu"
        )
        measured = last.sel(reference=number)
        assert np.allclose(found.entropy, measured.entropy, atol=1e-12, equal_nan=True)
        assert np.array_equal(found.converged, measured.converged)
    plain = gpumc.open_run(run(config_file, tmp_path / "plain", ["measure.replicas=[1, 3]", "sampler.chains=2"]).merged)
    measured = set(data.variables) - set(plain.variables)
    assert same_bits(data.drop_vars(measured), plain)
    cut_small(monkeypatch)
    split = gpumc.open_run(run(config_file, tmp_path / "split", VOLUMES).merged)
    assert abs(split.entropy - data.entropy).max() < 1e-12
    assert split.converged.equals(data.converged)


@pytest.mark.parametrize("late", [False, True])
def test_a_measurement_that_fails(config_file, tmp_path, monkeypatch, late):
    """It ends the sampling at once; where all was sampled, that is kept, and goes when the run is whole."""
    real, sampled = volumes_section.local_entropy, threading.Event()
    told = []

    def failing(*arguments, **options):
        if late:
            sampled.wait(60)
        raise MemoryError("no more")

    def report(note):
        told.append(note.done / note.total)
        if late and note.done == note.total:
            sampled.set()
        elif not late and note.done:
            time.sleep(0.2)

    folder = prepare(config_file, ["volumes.distance=[0.2]", "volumes.every=2", "patterns.alpha=0.2"], tmp_path / "run")
    monkeypatch.setattr(volumes_section, "local_entropy", failing)
    with pytest.raises(RunError, match=r"local entropies could not be measured \(MemoryError: no more\)"):
        execute(folder, "numpy", report)
    assert folder.sampled(0).exists() == late
    monkeypatch.setattr(volumes_section, "local_entropy", real)
    if late:
        kept = load(folder.sampled(0))
    execute(folder, "numpy", lambda *_: None)
    assert not folder.sampled(0).exists()
    if late:
        whole = load(folder.shard(0))
        assert same_bits(kept, whole.drop_vars(set(whole.variables) - set(kept.variables)))
    else:
        assert told[-1] < 1


def command(*arguments):
    return [sys.executable, "-m", "gpumc.cli", *map(str, arguments)]


def test_a_damaged_shard_is_done_again(config_file, tmp_path):
    folder = run(config_file, tmp_path / "out")
    before = load(folder.merged)
    folder.merged.unlink()
    shard = folder.shard(1)
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.raises(RunError, match="cut short"):
        folder.merge()
    done = subprocess.run(
        command("run", config_file, "--out", folder.path, "--device", "cpu"), capture_output=True, text=True, check=True
    )
    assert "task-00001.h5 was damaged" in done.stderr
    assert same_bits(load(folder.merged).drop_attrs(), before.drop_attrs())


def test_a_damaged_merged_file_is_made_again(config_file, tmp_path):
    folder = run(config_file, tmp_path / "out")
    before = load(folder.merged)
    folder.merged.write_bytes(folder.merged.read_bytes()[:1000])
    assert folder.set_aside_damaged() == [folder.merged.with_suffix(".broken")]
    execute(folder, "cpu", lambda *_: None)
    assert load(folder.merged).identical(before)


def test_a_changed_bit_is_noticed(config_file, tmp_path):
    data = load(run(config_file, tmp_path / "out").merged)
    noise = data.assign(energy=data.energy + np.random.default_rng(1).random(data.energy.shape))
    path = save(noise, tmp_path / "noise.h5")
    with h5py.File(path) as file:
        place = file["energy"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        load(path)


def test_a_full_disk(config_file, tmp_path, monkeypatch):
    """A disk that fills while a shard is written: one sentence, no shard, no temporary file, and then it goes on."""
    folder = prepare(config_file, [], tmp_path / "out")

    def full(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(RunError, match="No space left"):
            execute(folder, "cpu", lambda *_: None)
    assert not list(folder.path.rglob("*.h5"))
    assert not list(folder.path.rglob("*.tmp"))
    execute(folder, "cpu", lambda *_: None)
    assert folder.merged.exists()


def test_another_config_or_folder(config_file, tmp_path):
    run(config_file, tmp_path / "out")
    config_file.write_text(CONFIG.replace("beta = 2.0", "beta = 3.0"))
    with pytest.raises(RunError, match=r"'beta = 2.0' and is now 'beta = 3.0'"):
        prepare(config_file, [], tmp_path / "out")
    config_file.write_text(CONFIG)
    with pytest.raises(RunError, match="--set"):
        prepare(config_file, ["seed=4"], tmp_path / "out")
    with pytest.raises(RunError, match="holds no run"):
        prepare(config_file, [], tmp_path)
    with pytest.raises(RunError, match="holds no run"):
        RunFolder.open(tmp_path)
    (tmp_path / "out" / "run.json").write_text("{")
    with pytest.raises(RunError, match="makes it again"):
        RunFolder.open(tmp_path / "out")


def test_the_config_that_is_stored_is_the_whole_config(config_file, tmp_path):
    """It says by itself what ran, and running it goes on with the same run; comments change nothing."""
    overrides = [
        "sampler.sweeps=20",
        "measure.beta={start = 1.0, stop = 2.0}",
        "patterns.teacher={kind = 'perceptron'}",
    ]
    folder = prepare(config_file, overrides, tmp_path / "out")
    stored = folder.path / "config.toml"
    assert read_config(stored.read_text()) == read_config(CONFIG, overrides)
    assert prepare(stored, [], folder.path).tasks == folder.tasks
    stored.write_text(stored.read_text() + "# a remark\n")
    assert prepare(stored, [], folder.path).tasks == folder.tasks


def test_a_config_is_read_once_a_run(config_file, tmp_path, monkeypatch):
    """By a run that begins, one that goes on, and one that is looked at; whatever they ask of it."""
    from gpumc.sweeps import config, execution, record

    real, count = config.read_config, 0

    def counted(*arguments):
        nonlocal count
        count += 1
        return real(*arguments)

    for module in (execution, record):
        monkeypatch.setattr(module, "read_config", counted)
    folder = prepare(config_file, ["sampler.sweeps=5", "patterns.alpha=0.2"], tmp_path / "out")
    execute(folder, "numpy", lambda *_: None)
    assert count == 1
    folder.shard(0).unlink()
    again = prepare(tmp_path / "out" / "config.toml", [], tmp_path / "out")
    execute(again, "numpy", lambda *_: None)
    assert count == 2
    opened = RunFolder.open(tmp_path / "out")
    assert opened.config == again.config
    opened.merge()
    assert count == 3


def test_questions_to_the_folder_do_not_grow_with_its_tasks(config_file, tmp_path, monkeypatch):
    """Shards are listed, and plans made, as often for thirty tasks as for ten; of each task as many files are opened."""
    counts = {}

    def counted(name, real):
        def count(*arguments, **options):
            counts[name] = counts.get(name, 0) + 1
            return real(*arguments, **options)

        return count

    small = ["sampler.sweeps=1", "sampler.every=1", "sampler.chains=1", "measure.replicas=1", "patterns.instances=1"]
    run(config_file, tmp_path / "first", small, "numpy")
    monkeypatch.setattr("os.listdir", counted("listdir", os.listdir))
    monkeypatch.setattr("os.open", counted("open", os.open))
    monkeypatch.setattr("gpumc.sweeps.record.plan", counted("plan", plan))
    found = []
    for tasks in (10, 30):
        counts.clear()
        run(
            config_file,
            tmp_path / f"{tasks}",
            [*small, f"patterns.flip={{start=0.0, stop=0.3, num={tasks // 2}}}"],
            "numpy",
        )
        found.append(dict(counts))
    ten, thirty = found
    assert (thirty["listdir"], thirty["plan"]) == (ten["listdir"], ten["plan"])
    assert thirty["open"] - ten["open"] <= 20 * 4


def test_killed_before_the_folder_was_ready(config_file, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".run-1234.tmp").write_text("{")
    folder = prepare(config_file, [], tmp_path / "out")
    (folder.path / "config.toml").unlink()
    assert prepare(config_file, [], tmp_path / "out") == folder
    assert folder.set_aside_damaged() == []
    assert not list(folder.path.glob(".*.tmp"))
    assert (folder.path / "config.toml").read_text() == CONFIG


def test_patterns_that_changed_since_the_run_began(config_file, tmp_path):
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "p.npz", xi=rng.choice([-1, 1], (2, 30, 101)), labels=rng.choice([-1, 1], (2, 30)))
    text = CONFIG.replace(
        'kind = "teacher"\nalpha = [0.2, 0.5]\nflip = 0.2\ninstances = 2', 'kind = "file"\npath = "p.npz"'
    )
    config_file.write_text(text)
    folder = prepare(config_file, [], tmp_path / "out")
    assert prepare(config_file, [], tmp_path / "out") == folder
    np.savez(tmp_path / "p.npz", xi=rng.choice([-1, 1], (2, 30, 101)), labels=rng.choice([-1, 1], (2, 30)))
    with pytest.raises(RunError, match=r"the content of p\.npz"):
        prepare(config_file, [], tmp_path / "out")


def test_a_file_of_patterns_that_has_gone(config_file, tmp_path):
    """A run goes on with the copy in its folder, wherever the folder is moved to, and takes no other one."""
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "p.npz", xi=rng.choice([-1, 1], (2, 30, 101)), labels=rng.choice([-1, 1], (2, 30)))
    text = CONFIG.replace(
        'kind = "teacher"\nalpha = [0.2, 0.5]\nflip = 0.2\ninstances = 2', 'kind = "file"\npath = "p.npz"'
    )
    config_file.write_text(text.replace("replicas = 3", "replicas = [2, 3]"))
    before = load(run(config_file, tmp_path / "out").merged)
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    (tmp_path / "p.npz").unlink()
    (moved / "small.h5").unlink()
    (moved / "shards" / "task-00001.h5").unlink()
    folder = run(moved / "config.toml", moved)
    assert same_bits(load(folder.merged).drop_attrs(), before.drop_attrs())
    digest = gpumc.load_patterns(folder.kept("patterns")).digest
    assert load(folder.merged).attrs["patterns_digest"] == digest == folder.record.file_patterns.digest
    folder.shard(1).unlink()
    np.savez(folder.kept("patterns"), xi=rng.choice([-1, 1], (2, 30, 101)), labels=rng.choice([-1, 1], (2, 30)))
    with pytest.raises(RunError, match="not what it was at the start"):
        execute(folder, "cpu", lambda *_: None)


def test_one_process_at_a_time(config_file, tmp_path):
    folder = prepare(config_file, [], tmp_path / "out")
    with folder.locked():
        assert folder.running()
        with pytest.raises(RunError, match="another process"):
            execute(folder, "cpu", lambda *_: None)
    assert not folder.running()


def test_an_unfinished_run(config_file, tmp_path):
    folder = prepare(config_file, [], tmp_path / "out")
    with pytest.raises(RunError, match="2 of 2 tasks are left"):
        folder.merge()
    with pytest.raises(RunError, match="gpumc run"):
        gpumc.open_run(folder.path)
    assert json.loads((folder.path / "run.json").read_text())["config"] == CONFIG


def test_overrides_leave_the_text_of_a_config():
    """Comments and layout stay, wherever a value goes; the text says by itself what ran."""
    text = "# mine\n" + CONFIG.replace("beta = 2.0", "beta    = 2.0 # cold")
    text = text.replace("[loss]", "teacher.kind = 'perceptron'\n[loss]")
    overrides = ["measure.beta=3.0", "name=a\x7f\u00e9", "volumes.distance={start = 0.1, num = 2}", "n=0x1", "name.x"]
    written = effective(text, [*overrides[:-1], "patterns.teacher.k=3", "sampler.sweeps=[1, 2]"])
    for line in ("# mine", "beta    = 3.0 # cold", "burn_in = 5", "distance = {start = 0.1, num = 2}"):
        assert line in written.splitlines()
    expected = tomllib.loads(text)
    expected["measure"]["beta"], expected["name"], expected["n"] = 3.0, "a\x7f\u00e9", 1
    expected["volumes"] = {"distance": {"start": 0.1, "num": 2}}
    expected["patterns"]["teacher"]["k"], expected["sampler"]["sweeps"] = 3, [1, 2]
    assert tomllib.loads(written) == expected
    with pytest.raises(ConfigError, match="--set"):
        effective(text, overrides)
