"""Files: what is saved is what is loaded, and a file that cannot be written whole is not written."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from gpumc.errors import RunError
from gpumc.results import load, open_run, save

#: Saves under a limit on the size of files, which stands for a disk that fills at one place after the other.
FULL_DISK = """
import resource, signal, sys
import numpy as np, xarray as xr
from pathlib import Path
from gpumc.errors import RunError
from gpumc.results import load, save

path = Path(sys.argv[1])
new = xr.Dataset({"a": ("x", np.random.default_rng(1).random(20_000))})
save(new, path)
size = path.stat().st_size
save(new.isel(x=slice(10)), path)
for limit in (0, 100, 4096, size // 2, size - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, -1))
    try:
        save(new, path)
        sys.exit(f"a limit of {limit} bytes was not noticed")
    except RunError as error:
        assert "cannot be written" in str(error), error
    assert load(path).sizes["x"] == 10
    assert [p.name for p in path.parent.iterdir()] == [path.name]
"""


def dataset(size: int) -> xr.Dataset:
    values = np.arange(size, dtype=np.int8)
    return xr.Dataset({"a": ("x", values, {"units": "1"}), "b": 2.5}, {"x": np.linspace(0, 1, size)}, {"text": "β"})


def test_a_dataset_comes_back(tmp_path):
    save(dataset(100), tmp_path / "new" / "a.h5")
    assert load(tmp_path / "new" / "a.h5").identical(dataset(100))
    assert open_run(tmp_path / "new").identical(dataset(100))


def test_a_tree_comes_back(tmp_path):
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"name": "t"}), "n3": dataset(3), "n5": dataset(5)})
    assert load(save(tree, tmp_path / "tree.h5")).identical(tree)
    with xr.open_dataset(tmp_path / "tree.h5", engine="h5netcdf", group="n5") as group:
        assert group.identical(dataset(5))


def test_a_full_disk_leaves_what_was_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "a.h5")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_file_cut_short(tmp_path, part):
    path = save(dataset(100), tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(RunError, match=r"a\.h5 cannot be read, it may be cut short"):
        load(path)


def test_a_folder_of_several_files(tmp_path):
    with pytest.raises(RunError, match="no merged file"):
        open_run(tmp_path)
    for name in "ab":
        save(dataset(3), tmp_path / f"{name}.h5")
    with pytest.raises(RunError, match="open one of them"):
        open_run(tmp_path)
