"""Where files lie and who may touch them: ~, links, permissions, file systems, names; and what cannot be read is left alone."""

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc.checks import a_path
from gpumc.device.cache import cache_folder
from gpumc.errors import ConfigError, RunError
from gpumc.results import load, save
from gpumc.sweeps.execution import execute, prepare
from gpumc.sweeps.folder import Progress, RunFolder

CONFIG = """
name = "t"
machine = {kind = "perceptron", n = 21}
patterns = {kind = "file", path = "~/p.npz"}
loss = {kind = "error-count"}
measure = {beta = 1.0, coupling = 0.1, centre = "~/c.npy"}
sampler = {chains = 2, burn_in = 1, sweeps = 2}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The user's home, with a config and its files, and a working folder elsewhere."""
    home = tmp_path / "home"
    (tmp_path / "work").mkdir()
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path / "work")
    patterns = gpumc.random_patterns(gpumc.Perceptron(21), 0.4, 1, seed=1)
    np.savez(home / "p.npz", xi=patterns.xi, labels=patterns.labels)
    np.save(home / "c.npy", np.ones(21))
    (home / "t.toml").write_text(CONFIG)
    return home


def go_on(folder: RunFolder) -> RunFolder:
    folder.set_aside_damaged()
    execute(folder, "numpy", lambda *_: None)
    return folder


def small(value: float = 1.0) -> xr.Dataset:
    return xr.Dataset({"a": ("x", np.full(3, value))})


def test_the_users_home(home, monkeypatch):
    folder = go_on(prepare("~/t.toml", [], "~/run"))
    assert go_on(prepare(Path("~/t.toml"), [], "~/run")).merged == home / "run" / "t.h5"
    assert gpumc.open_run("~/run").identical(gpumc.open_run(folder.merged))
    assert folder.set_aside_damaged() == []
    assert RunFolder.open("~/run").path == home / "run"
    gpumc.save(small(1), os.path.expanduser("~/a.h5"))
    assert gpumc.save(small(2), "~/a.h5") == home / "a.h5"
    assert gpumc.open_run("~/a.h5").identical(small(2))
    assert gpumc.load_patterns("~/p.npz").count == gpumc.load_patterns(home / "p.npz").count
    monkeypatch.setenv("GPUMC_CACHE_DIR", "~/cache")
    assert cache_folder() == home / "cache"
    assert not any(Path().iterdir()), "nothing is written beside where the user is"


def test_a_name_that_truly_begins_with_a_tilde(home):
    """It is one file however often its path comes by."""
    path = a_path("./~nobody-here/a.h5")
    assert path.is_absolute()
    assert save(small(), path) == path
    assert load(str(path)).identical(small())


@pytest.mark.parametrize("path", [None, 3, b"a", ["a"], "a\0b", "", " "])
def test_what_is_no_path(path):
    with pytest.raises(ConfigError, match="path ="):
        save(small(), path)
    with pytest.raises(ConfigError, match="path ="):
        gpumc.open_run(path)


def test_umask_and_permissions(tmp_path):
    before = os.umask(0o077)
    try:
        private = save(small(), tmp_path / "private.h5")
        os.umask(0o027)
        assert stat.S_IMODE(save(small(), tmp_path / "shared.h5").stat().st_mode) == 0o640
    finally:
        os.umask(before)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    private.chmod(0o604)
    assert stat.S_IMODE(save(small(2), private).stat().st_mode) == 0o604


def test_links(tmp_path):
    real, link = tmp_path / "scratch" / "real.h5", tmp_path / "link.h5"
    real.parent.mkdir()
    link.symlink_to(real)
    for value in (1, 2):  # where the link leads nowhere yet, and where it does
        save(small(value), link)
        assert link.is_symlink()
        assert load(real).identical(small(value))
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".tmp"] == []
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for wrong in (tmp_path / "loop", tmp_path / "scratch"):
        with pytest.raises(RunError, match="cannot be written"):
            save(small(), wrong)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="is no file"):
        save(small(), tmp_path / "pipe")
    with pytest.raises(RunError, match="a pipe"):
        load(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_file_system_without_permissions_or_flushing(tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "chmod", unknown)
    monkeypatch.setattr(os, "fchmod", unknown)
    monkeypatch.setattr(Path, "chmod", unknown)
    monkeypatch.setattr(os, "fsync", unknown)
    for value in (1, 2):
        assert load(save(small(value), tmp_path / "a.h5")).identical(small(value))


def test_a_file_system_without_locks(home, monkeypatch):
    folder = prepare("~/t.toml", [], "~/run")

    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unknown)
    with pytest.raises(RunError, match=r"run cannot be locked \(No locks available\): choose an --out"):
        folder.set_aside_damaged()
    assert not folder.running()


def test_a_folder_that_cannot_be_written(home, monkeypatch):
    """A reader needs no lock and leaves nothing; whether the owner's run goes on is seen."""
    folder = go_on(prepare("~/t.toml", [], "~/run"))
    with folder.locked():
        folder.write_progress([Progress("cpu", 0, 1, 2, 3.0)])
        before = sorted(folder.path.rglob("*"))
        opened, real = os.open, os.open

        def reading(path, flags, *mode, **where):
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return opened(path, flags, *mode, **where)

        monkeypatch.setattr(os, "open", reading)
        seen = RunFolder.open("~/run")
        assert seen.running()
        assert seen.read_progress() == [Progress("cpu", 0, 1, 2, 3.0)]
        assert seen.done() == [0]
        assert seen.merge().equals(gpumc.open_run("~/run"))
        monkeypatch.setattr(os, "open", real)
    assert not seen.running()
    assert sorted(folder.path.rglob("*")) == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "null",
        "[1, 2]",
        '[{"worker": "", "task": 0, "done": 1, "total": 2, "rate": 0.0}]',
        '[{"task": 9}]',
        "\xff",
    ],
)
def test_damaged_progress_is_no_progress(home, content):
    folder = prepare("~/t.toml", [], "~/run")
    (folder.path / "progress.json").write_bytes(content.encode("latin-1"))
    with folder.locked():
        assert folder.read_progress() == []


@pytest.mark.parametrize("name", ["run.json", "shards/task-00000.h5", "t.h5", "inputs/patterns.npz", "config.toml"])
def test_what_cannot_be_read_is_left_alone(home, monkeypatch, name):
    """Permission denied and errors of a disk are told as such; they are no damage, and nothing is renamed or made again."""
    folder = go_on(prepare("~/t.toml", [], "~/run"))
    hidden = folder.path / name
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    opened = Path.open

    def failing(path, *arguments, **keywords):
        if path == hidden:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return opened(path, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        with pytest.raises(RunError, match=r"cannot be read.*Input/output error.*nothing was changed"):
            go_on(prepare("~/t.toml", [], "~/run"))
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_a_file_is_no_folder(home):
    path = save(small(), "~/a.h5")
    with pytest.raises(RunError, match=r"a\.h5 is a file, not a run's folder"):
        RunFolder.open(path)


def test_names_that_are_too_long(home):
    (home / "t.toml").write_text(CONFIG.replace('"t"', f'"{"a" * 245}"'))
    with pytest.raises(ConfigError, match="name"):
        prepare("~/t.toml", [], "~/run")
    assert not (home / "run").exists()
