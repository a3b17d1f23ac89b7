"""Runs opened lazily: dask arrays over shards, which are what the merged file holds, of runs that are finished and of others."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc.errors import ConfigError, Damaged, RunError
from gpumc.results import hdf5, manifest
from gpumc.results.lazy import _opened
from gpumc.sweeps.execution import execute, prepare
from tests.units.sweeps import test_learning_runs
from tests.units.sweeps.test_runs import CONFIG, FREE, cut_small, run

#: Kinds of runs: their config, and what is changed in it.
RUNS = {
    "replicas and flips": (CONFIG, ("patterns.flip=[0.0, 0.2]", "measure.replicas=[1, 3]")),
    "machines": (CONFIG, ("machine.n=[51, 101]", "measure.beta={start=0.5, stop=2.0}")),
    "volumes": (CONFIG, ("volumes.distance=[0.3, 0.2]", "sampler.chains=2")),
    "spheres": (CONFIG, ('machine.weights="spherical"', "measure.replicas=[1, 2]")),
    "free norms": (CONFIG, FREE),
    "epochs": (test_learning_runs.CONFIG, ("patterns.alpha=[0.2, 0.6]",)),
    "learners": (test_learning_runs.CONFIG, test_learning_runs.REPLICAS),
    "flatness": (test_learning_runs.CONFIG, ("flatness={strength=[0.3, 0.1], eta=[0.5]}",)),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(home, text=CONFIG, overrides=()):
    (home / "small.toml").write_text(text)
    return run(home / "small.toml", home / "out", overrides, "numpy")


def assert_same(lazy, eager):
    """To the last bit and type, with all attributes."""
    for node in eager.subtree if isinstance(eager, xr.DataTree) else [eager]:
        one, other = (
            (lazy[node.path].to_dataset(), node.to_dataset()) if isinstance(eager, xr.DataTree) else (lazy, node)
        )
        assert all(array.chunks for name, array in one.data_vars.items() if name != "pattern_count" and array.ndim > 2)
        xr.testing.assert_identical(one.compute(), other)
        assert {n: (v.dims, v.dtype) for n, v in one.variables.items()} == {
            n: (v.dims, v.dtype) for n, v in other.variables.items()
        }


@pytest.mark.parametrize("parts", [False, True], ids=["whole", "in parts"])
@pytest.mark.parametrize("kind", RUNS)
def test_a_finished_run(home, monkeypatch, kind, parts):
    if parts:
        cut_small(monkeypatch)
        monkeypatch.setattr(sys.modules["gpumc.sweeps.tasks.learning"], "FULL", 1)
    folder = made(home, *RUNS[kind])
    opened, real = [], hdf5.one_array
    monkeypatch.setattr("gpumc.results.lazy.one_array", lambda path, *where: opened.append(path) or real(path, *where))
    lazy = gpumc.open_run("out", lazy=True)
    assert not opened
    assert_same(lazy, gpumc.open_run("out"))
    assert {path.name for path in opened} == {folder.shard(index).name for index in range(len(folder.tasks))}


def test_parts_that_differ_between_points(home, monkeypatch):
    """The tasks of one alpha are more parts of the chains than those of another: blocks are cut where any of them is."""
    monkeypatch.setattr(sys.modules["gpumc.sweeps.plan"], "LONG", 36_360)
    folder = made(home)
    parts = {alpha: {task.chains for task in folder.tasks if task.alpha == alpha} for alpha in (0.2, 0.5)}
    assert parts == {0.2: {(0, 4)}, 0.5: {(0, 1), (1, 2), (2, 4)}}
    lazy = gpumc.open_run("out", lazy=True)
    assert lazy.energy.chunksizes["chain"] == (1, 1, 2)
    assert_same(lazy, gpumc.open_run("out"))


def test_an_unfinished_run(home, monkeypatch):
    """What is missing is NaN, of whole numbers, too; binary weights are 0 there; coordinates are those of the plan."""
    cut_small(monkeypatch)
    (home / "small.toml").write_text(CONFIG)
    folder = prepare(home / "small.toml", ["measure.replicas=[1, 3]"], "out")
    with pytest.raises(RunError, match="has no finished task of n101_k1 yet"):
        gpumc.open_run("out", lazy=True)
    assert len(folder.tasks) == 2 * 2 * 2 * 4

    def stop(note):
        if note.phase == "finished" and note.task == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(folder, "numpy", stop)
    part = gpumc.open_run("out", lazy=True)
    assert part.attrs["tasks_missing"] == 32 - 21
    assert part.alpha.values.tolist() == [0.2, 0.5]
    assert part.energy.shape == (2, 2, 2, 2, 4, 3, 2)
    assert part.stability_count.dtype == float
    missing = np.isnan(part.energy.isel(replica=0, draw=0, gamma=0)).sum().compute()
    assert missing == 32 - 21
    shown = part.compute()
    # the 21st task is the first part of the chains of its instance: its counts are not those of all chains
    counts = shown.stability_count.isel(alpha=1, gamma=0).sel(replicas=1)
    assert np.isnan(counts.isel(instance=1)).all()
    assert counts.isel(instance=0).notnull().all()
    execute(folder, "numpy", lambda *_: None)
    whole = gpumc.open_run("out", lazy=True).compute()
    assert "tasks_missing" not in whole.attrs
    there = shown.energy.notnull()
    assert shown.energy.equals(whole.energy.where(there))
    assert shown.weights.equals(whole.weights.where(~np.isnan(shown.acceptance), 0).astype(np.int8))
    complete = shown.stability_count.notnull()
    assert complete.any()
    assert shown.stability_count.equals(whole.stability_count.where(complete))


def test_other_processes_read_blocks(home):
    made(home)
    import distributed

    expected = gpumc.open_run("out").energy.sum().item()
    with (
        distributed.LocalCluster(1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        assert gpumc.open_run("out", lazy=True).energy.sum().compute().item() == expected


def spoil(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 4
    path.write_bytes(content)


def test_damage(home):
    folder = made(home, overrides=["sampler.sweeps=200", "sampler.every=1"])
    expected = gpumc.open_run("out").compute()
    lazy = gpumc.open_run("out", lazy=True)
    shard, other = folder.shard(0), folder.shard(1).read_bytes()
    content = shard.read_bytes()
    noticed = []
    for place in range(1000, len(content), len(content) // 40):
        shard.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        try:
            assert expected.equals(lazy.compute())  # a place that no array uses
        except Damaged as error:
            noticed.append(str(error))
    assert len(noticed) > 20
    assert all("task-00000.h5 is damaged (" in said for said in noticed)
    shard.write_bytes(other)
    with pytest.raises(Damaged, match="it is not the shard that was finished"):
        lazy.energy.compute()
    shard.unlink()
    with pytest.raises(RunError, match=r"task-00000.h5 is not there"):
        lazy.energy.compute()
    assert folder.set_aside_damaged() == []
    assert gpumc.open_run("out", lazy=True).attrs["tasks_missing"] == 1
    shard.write_bytes(content)
    folder.set_aside_damaged()
    assert_same(gpumc.open_run("out", lazy=True), expected)


def test_what_is_noted_is_made_again(home):
    """A manifest or journal that is gone or damaged; lines that were torn spoil no others."""
    folder = made(home)
    expected = gpumc.open_run("out")
    for name in ("manifest.json", "finished.jsonl"):
        (folder.path / name).unlink()
        with pytest.raises(RunError, match=r"holds no manifest\.json|no finished task"):
            gpumc.open_run("out", lazy=True)
        run(home / "small.toml", "out", (), "numpy").set_aside_damaged()
        assert_same(gpumc.open_run("out", lazy=True), expected)
        spoil(folder.path / name)
        _opened.cache_clear()
        if name == "manifest.json":
            with pytest.raises(Damaged, match=r"manifest.json is damaged"):
                gpumc.open_run("out", lazy=True)
        else:
            assert gpumc.open_run("out", lazy=True).attrs["tasks_missing"] == 1
        run(home / "small.toml", "out", (), "numpy").set_aside_damaged()
        assert_same(gpumc.open_run("out", lazy=True), expected)
    journal = manifest.Journal(folder.path)
    lines = (folder.path / "finished.jsonl").read_bytes()
    (folder.path / "finished.jsonl").write_bytes(lines[:-20])
    assert set(journal.read()[0]) == {0}
    journal.note(*folder.notes_of(1, folder.loaded(1)))
    assert set(journal.read()[0]) == {0, 1}


def test_what_cannot_be_opened_lazily(home, monkeypatch):
    folder = made(home)
    with pytest.raises(RunError, match=r"small.h5 is a file: lazy = True is for the folder of a run"):
        gpumc.open_run(folder.merged, lazy=True)
    with pytest.raises(RunError, match=r"none holds no manifest.json"):
        gpumc.open_run("none", lazy=True)
    with pytest.raises(ConfigError, match="lazy = 1: True or False is needed"):
        gpumc.open_run("out", lazy=1)
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(ConfigError, match=r"needs dask: pip install 'gpumc\[distributed\]'"):
        gpumc.open_run("out", lazy=True)


def test_opening_does_not_read_the_config(home):
    """A run with a loss of the user's own is opened where that cannot be imported."""
    (home / "own.py").write_text("import gpumc\n\n\nclass Own(gpumc.ErrorCount):\n    kind = 'own'\n")
    (home / "small.toml").write_text(CONFIG.replace('kind = "cross-entropy"\ngamma = [0.5, 2.0]', 'kind = "own:Own"'))
    command = [sys.executable, "-m", "gpumc.cli", "run", "small.toml", "--out", "out", "--device", "numpy"]
    subprocess.run(command, check=True, capture_output=True)
    (home / "own.py").unlink()
    assert_same(gpumc.open_run("out", lazy=True), gpumc.open_run("out"))
