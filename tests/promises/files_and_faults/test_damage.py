"""Damaged, misplaced and hostile files: refused, harmless or repaired; never other numbers."""

import contextlib
import io
import json
import random
import shutil

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc.errors import Damaged, GpumcError, RunError
from gpumc.results import load, merge_shards, save
from gpumc.results.hdf5 import unpacked
from gpumc.results.packing import FORMAT, packed
from gpumc.sweeps.execution import execute, prepare
from gpumc.sweeps.folder import RunFolder
from gpumc.sweeps.shards import check_shard
from tests.variants import same_bits

CONFIG = """
name = "small"
seed = 3
[machine]
kind = "perceptron"
n = 21
[patterns]
kind = "file"
path = "patterns.npz"
[loss]
kind = "error-count"
[measure]
beta = [0.5, 1.0]
coupling = 0.1
replicas = [1, 2, 3]
[sampler]
chains = 2
burn_in = 2
sweeps = 4
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with its config, and what it holds."""
    home = tmp_path_factory.mktemp("finished")
    patterns = gpumc.random_patterns(gpumc.Perceptron(21), 0.5, 2, seed=1)
    np.savez(home / "patterns.npz", xi=patterns.xi, labels=patterns.labels)
    (home / "small.toml").write_text(CONFIG)
    return home, load(go_on(home).merged)


@pytest.fixture
def home(finished, tmp_path):
    """A copy of it that may be damaged."""
    return shutil.copytree(finished[0], tmp_path / "home")


def go_on(home) -> RunFolder:
    folder = prepare(home / "small.toml", [], home / "out")
    folder.set_aside_damaged()
    execute(folder, "numpy", lambda *_: None)
    return folder


def flip(path, generator):
    content = bytearray(path.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def cut(path, generator):
    path.write_bytes(path.read_bytes()[: generator.randrange(path.stat().st_size)])


def zero(path, generator):
    content = bytearray(path.read_bytes())
    start = generator.randrange(len(content))
    content[start : start + 64] = bytes(len(content[start : start + 64]))
    path.write_bytes(content)


def delete(path, generator):
    path.unlink()


def swap(path, generator):
    other = generator.choice([p for p in path.parent.iterdir() if p.is_file() and p.suffix == path.suffix])
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


def edit(path, generator):
    """Another digit in the place of one, where there is one."""
    content = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    if digits:
        content[generator.choice(digits)] = ord(str(generator.randrange(10)))
    path.write_bytes(content)


def duplicate(path, generator):
    shutil.copy(path, path.with_name(generator.choice(["task-00007.h5", "copy.h5", "task-00000 (1).h5"])))


@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_damages(finished, tmp_path, seed):
    """25 a seed: results that open are those of the run, and so are those of the run that goes on, if it does."""
    generator, whole = random.Random(seed), finished[1]
    for number in range(25):
        home = shutil.copytree(finished[0], tmp_path / str(number))
        out = home / "out"
        files = sorted(p for p in out.rglob("*") if p.is_file() and p.name != ".lock")
        shards = [p for p in files if p.parent.name == "shards"]
        damage = generator.choice([flip, flip, cut, zero, delete, swap, edit, duplicate])
        path = generator.choice(shards if damage is swap else [*files, *shards])
        damage(path, generator)
        place = f"{damage.__name__} of {path.relative_to(home)}, seed {seed}, number {number}"
        for opened in (lambda out=out: gpumc.open_run(out), lambda out=out: RunFolder.open(out).merge()):
            with contextlib.suppress(GpumcError):
                assert same_bits(opened().drop_attrs(), whole.drop_attrs()), place
        try:
            resumed = load(go_on(home).merged)
        except GpumcError:
            continue
        assert same_bits(resumed.drop_attrs(), whole.drop_attrs()), place
        for name in ("seed", "patterns_digest", "config", "name"):
            assert resumed.attrs[name] == whole.attrs[name], place


def test_every_bit_of_a_file_counts(tmp_path):
    """One of its bits turned, any: the file is refused, even where HDF5 has no checksum (scalars, texts)."""
    data = xr.Dataset({"a": ("x", np.arange(3.0)), "b": 2.5}, attrs={"text": "words"})
    path = save(data, tmp_path / "a.h5")
    content = path.read_bytes()
    for place in range(0, len(content), 61):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(Damaged):
            load(path)


def test_metadata_have_checksums_without_the_seal():
    """The format of HDF5 itself notices turned bits in arrays' descriptions: no NaN, no other number.

    Texts of attributes and names of dimensions are in a heap that has none; there the seal of a file is needed.
    """
    data = xr.Dataset({"a": ("x", np.arange(2000.0) % 7)})
    content = packed(data)
    assert content[8] == 3  # the superblock with a checksum
    heap = content.index(b"GCOL")
    end = heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
    assert content.count(b"GCOL") == 1
    places = [place for place in range(8, len(content), 13) if not heap <= place < end]
    noticed = 0
    for place in places:
        changed = content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        try:
            found = unpacked(changed)
            assert "a" not in found or np.array_equal(found["a"], data["a"])
        except Damaged:
            noticed += 1
    assert len(places) > 80
    assert noticed > len(places) * 0.75


def test_swapped_shards_are_done_again(home, finished):
    shards = home / "out" / "shards"
    first, second = shards / "task-00000.h5", shards / "task-00001.h5"
    first.rename(shards / "x")
    second.rename(first)
    (shards / "x").rename(second)
    folder = RunFolder.open(home / "out")
    with pytest.raises(Damaged, match="task 1 of run"):
        folder.merge()
    assert {path.name for path in folder.set_aside_damaged()} == {"task-00000.broken", "task-00001.broken"}
    assert same_bits(load(go_on(home).merged).drop_attrs(), finished[1].drop_attrs())


def test_a_shard_that_is_not_its_task(home):
    folder = RunFolder.open(home / "out")
    data, task, config = load(folder.shard(2)), folder.tasks[2], folder.record.config
    digest = folder.record.file_patterns.digest
    check_shard(data, config, task, digest)
    changed = [
        data.drop_vars("energy"),
        data.isel(draw=slice(2)),
        data.isel(replica=[0, 1]),
        data.isel(weight=slice(20)),
        data.assign_coords(beta=[0.5, 2.0]),
        data.assign_coords(chain=data.chain + 2),
        data.assign(weights=data.weights.astype(float)),
        data.assign(energy=data.energy.astype(complex)),
        data.assign_attrs(seed=4),
        data.assign_attrs(patterns_digest="0" * 16),
        xr.DataTree.from_dict({"/a": data}),
    ]
    for other in changed:
        with pytest.raises(Damaged):
            check_shard(other, config, task, digest)
    # As a user could bring it: a file that is whole, under the name of a shard.
    save(data.assign_attrs(seed=4), folder.shard(2))
    with pytest.raises(Damaged, match="task 2 of run"):
        folder.merge()


def test_shards_of_different_patterns_are_not_merged(home):
    folder = RunFolder.open(home / "out")
    shards = [(t.axes(folder.record.config), load(folder.shard(i))) for i, t in enumerate(folder.tasks)]
    merge_shards(shards)
    with pytest.raises(RunError, match="different patterns"):
        merge_shards([*shards[:2], (shards[2][0], shards[2][1].assign_attrs(patterns_digest="0" * 16))])
    with pytest.raises(RunError, match="'energy'"):
        merge_shards([*shards[:2], (shards[2][0], shards[2][1].drop_vars("energy"))])


def test_a_merged_file_of_other_shards_is_made_again(home, finished):
    merged = home / "out" / "small.h5"
    other = finished[1].assign(energy=finished[1].energy + 1)
    save(other, merged)
    with pytest.raises(Damaged, match="makes it again"):
        gpumc.open_run(home / "out")
    assert RunFolder.open(home / "out").set_aside_damaged() == [merged.with_suffix(".broken")]
    assert same_bits(load(go_on(home).merged).drop_attrs(), finished[1].drop_attrs())


def test_a_record_of_another_format_version_or_plan(home):
    path = home / "out" / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"format": 1}))
    with pytest.raises(RunError, match="format 1"):
        go_on(home)
    assert json.loads(path.read_text())["format"] == 1  # refused, and not touched
    path.write_text(json.dumps(record | {"gpumc": "0.0.9"}))
    with pytest.warns(UserWarning, match=r"begun by gpumc 0\.0\.9"):
        go_on(home)
    for tasks in (record["tasks"][:-1], record["tasks"][::-1], [1], None):
        path.write_text(json.dumps(record | {"tasks": tasks}))
        with pytest.raises(Damaged):
            RunFolder.open(home / "out")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 2}', "\0" * 100, "[" * 100_000], ids=range(7))
def test_a_record_that_is_damaged_is_made_again(home, finished, content):
    path = home / "out" / "run.json"
    before = path.read_text()
    path.write_text(content)
    with pytest.raises(Damaged, match="gpumc run CONFIG"):
        RunFolder.open(home / "out")
    go_on(home)
    assert path.read_text() == before
    path.write_text(content)
    (home / "small.toml").write_text(CONFIG.replace("seed = 3", "seed = 4"))
    with pytest.raises(RunError, match=r"damaged, and .* is of another run: 'seed = 3' is now 'seed = 4'"):
        go_on(home)


def hostile(write) -> bytes:
    """A netCDF4 file to which ``write`` adds something."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=FORMAT) as plain, h5netcdf.File(plain, "a") as file:
        file.dimensions = {"x": 3}
        file.create_variable("a", ("x",), float)[...] = [1, 2, 3]
        write(plain)
    return buffer.getvalue()


def virtual(file):
    layout = h5py.VirtualLayout((3,), float)
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (3,))
    file.create_virtual_dataset("v", layout)


@pytest.mark.parametrize(
    "write",
    [
        lambda file: file.__setitem__("v", h5py.ExternalLink("/etc/passwd", "/")),
        lambda file: file.__setitem__("v", h5py.SoftLink("/a")),
        lambda file: file.__setitem__("v", file["/"]),
        lambda file: file.__setitem__("v", file["a"]),
        lambda file: file.create_dataset("v", (3,), "u1", external=[("/etc/passwd", 0, 3)]),
        lambda file: file.create_dataset("v", (10**15,), chunks=(10,)),
        lambda file: file.create_dataset("v", (1,), maxshape=(None,), chunks=(10**8,), compression="gzip"),
        lambda file: file.create_dataset("v", (3,), h5py.ref_dtype),
        lambda file: file.create_dataset("v", (3,), "f8,i4"),
        lambda file: file.create_dataset("v", data=[1, 2, 3]),
        virtual,
    ],
    ids=range(11),
)
def test_nothing_outside_of_a_file_is_read(tmp_path, write):
    path = tmp_path / "a.h5"
    path.write_bytes(hostile(lambda file: None))
    assert load(path)["a"].values.tolist() == [1, 2, 3]
    path.write_bytes(hostile(write))
    with pytest.raises(Damaged, match="cannot be read"):
        load(path)
