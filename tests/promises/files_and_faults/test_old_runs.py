"""Runs that earlier versions left open, are shown, and go on with the same bits.

Each folder of old_runs/ is a run as a version left it, its pictures left out: `gpumc run CONFIG --out old_runs/NAME-VERSION`. Folders are
added with a version that changes what a run's folder holds, and none is changed.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc.sweeps.execution import execute, prepare

OLD = sorted(path for path in (Path(__file__).parent / "old_runs").iterdir() if path.is_dir())


@pytest.fixture(params=OLD, ids=lambda path: path.name)
def old(request, tmp_path):
    return Path(shutil.copytree(request.param, tmp_path / "run"))


def test_it_is_read_and_shown(old, within):
    data = gpumc.open_run(old)
    xr.testing.assert_identical(gpumc.open_run(old, lazy=True).compute(), data)
    assert set(data.alpha.values) == {0.3, 0.5}
    assert f"{data.attrs['name']}: 2 of 2 tasks done" in within("status", old).stdout
    for command in ("show", "plot", "report"):
        assert within(command, old).returncode == 0
    assert (old / "report.html").stat().st_size > 10_000


def test_it_goes_on(old, tmp_path):
    """A shard that is lost is made again: what is counted has the same bits, real numbers agree to rounding; no other is touched."""
    before = gpumc.open_run(old)
    lost, kept = old / "shards" / "task-00001.h5", old / "shards" / "task-00000.h5"
    lost.unlink()
    made = kept.stat().st_mtime_ns
    folder = prepare(old / "config.toml", [], old)
    assert folder.done() == [0]
    execute(folder, "cpu", lambda *_: None)
    assert kept.stat().st_mtime_ns == made
    after = gpumc.open_run(old)
    assert set(before.variables) == set(after.variables)
    for name, values in before.variables.items():
        if values.dtype.kind in "iub":
            np.testing.assert_array_equal(after[name], values, err_msg=name)
        else:
            np.testing.assert_allclose(after[name], values, rtol=1e-6, atol=1e-9, err_msg=name)
