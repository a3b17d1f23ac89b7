"""Loading, caching and launching kernels: arguments are checked, threads do not show, failures are said in words."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpumc.device import choose, host, kernel, kernels, source, to_host
from gpumc.errors import ConfigError, DeviceError

SOURCE = Path(__file__).with_name("scale.cu")
COMPILED = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def twice(device="cpu"):
    return kernel(choose(device), SOURCE, "twice", ("int32*", "int32"))


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """An empty cache, on disk and in the process."""
    monkeypatch.setenv("GPUMC_CACHE_DIR", str(tmp_path))
    kernels._program.cache_clear()
    yield tmp_path
    kernels._program.cache_clear()


@pytest.mark.parametrize("device", COMPILED)
def test_reductions_of_lanes(device):
    rng = np.random.default_rng(1)
    values = rng.integers(-(2**20), 2**20, (300, 75), dtype=np.int32)
    target = choose(device)
    xp = target.xp
    sums, large = xp.zeros(300, np.int32), xp.zeros(300, np.int64)
    odd, first, every = xp.zeros((300, 3), np.uint32), xp.zeros(300, np.int32), xp.zeros(1, np.int64)
    signature = ("const int32*", "int32", "int32*", "int64*", "uint32*", "int32*", "int64*")
    reductions = kernel(target, SOURCE, "reductions", signature)
    reductions(300, target.asarray(values), 75, sums, large, odd, first, every)
    totals = values.sum(axis=1, dtype=np.int64)
    np.testing.assert_array_equal(to_host(sums), totals)
    np.testing.assert_array_equal(to_host(large), totals << 32)
    np.testing.assert_array_equal(to_host(first), values[:, 0])
    bits = np.unpackbits(to_host(odd).view(np.uint8), axis=1, bitorder="little")
    np.testing.assert_array_equal(bits[:, :75], values % 2)
    assert not bits[:, 75:].any()
    assert int(every[0]) == totals.sum()


@pytest.mark.parametrize("threads", ["1", "2", "7"])
def test_every_item_is_handled_once_for_any_number_of_threads(threads, monkeypatch):
    monkeypatch.setenv("GPUMC_THREADS", threads)
    for items in (1, 2, 27, 28, 29, 1000):
        values = np.arange(items * 3, dtype=np.int32).reshape(items, 3)
        twice()(items, values, 3)
        np.testing.assert_array_equal(values.ravel(), 2 * np.arange(items * 3))


def test_no_items_is_no_work():
    values = np.ones((2, 3), np.int32)
    twice()(0, values, 3)
    np.testing.assert_array_equal(values, 1)


@pytest.mark.parametrize(
    ("values", "width", "message"),
    [
        (np.zeros((4, 3), np.int64), 3, "argument 0: dtype int32 is needed, not int64"),
        (np.zeros((4, 6), np.int32)[:, ::2], 3, "argument 0: a C-contiguous array"),
        ([[1, 2, 3]], 3, "argument 0: an array on cpu is needed, not builtins.list"),
        (np.broadcast_to(np.zeros(1, np.int32), (1,)), 1, "argument 0: the kernel writes to this array"),
        (np.zeros((4, 3), np.int32), 3.0, "argument 1: 'float' object cannot be interpreted as an integer"),
        (np.zeros((4, 3), np.int32), 2**31, "argument 1: Python integer 2147483648 out of bounds for int32"),
    ],
)
def test_arguments_that_do_not_fit(values, width, message):
    with pytest.raises((TypeError, OverflowError), match=message):
        twice()(4, values, width)


def test_wrong_number_of_arguments_and_unknown_types():
    with pytest.raises(TypeError, match="twice takes 2 arguments, not 1"):
        twice()(1, np.zeros(1, np.int32))
    with pytest.raises(TypeError, match="'int' is no type"):
        kernel(choose("cpu"), SOURCE, "twice", ("int",))


def test_compiled_once_and_again_when_a_header_changes(fresh_cache, tmp_path_factory, monkeypatch):
    twice()
    kernels._program.cache_clear()
    twice()
    assert len(list(fresh_cache.glob("*.so"))) == 1
    copy = tmp_path_factory.mktemp("kernels")
    for path in [*source.folder().glob("*.cuh"), SOURCE]:
        (copy / path.name).write_text(path.read_text())
    with (copy / "lanes.cuh").open("a") as header:
        header.write("// changed\n")
    monkeypatch.setattr(source, "FOLDERS", (copy,))
    kernel(choose("cpu"), copy / SOURCE.name, "twice", ("int32*", "int32"))
    assert len(list(fresh_cache.glob("*.so"))) == 2


@pytest.mark.parametrize("device", COMPILED)
def test_a_kernel_that_does_not_compile(device, fresh_cache):
    with pytest.raises(DeviceError, match=r"kernel scale\.cu was not compiled by (?s:.*)scale\.cu.11.*error"):
        kernel(choose(device), SOURCE, "twice", ("int32*", "int32"), {"BROKEN": 1})
    assert not [path for path in fresh_cache.iterdir() if path.suffix == ".so" or path.name.startswith("building-")]


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPUMC_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DeviceError, match="set GPUMC_CACHE_DIR to a folder"):
        host.load("scale.cu", "// never compiled before", {})


def load_elsewhere(folder: Path) -> subprocess.Popen:
    """Another process that compiles and loads kernels in the cache ``folder``."""
    code = "from gpumc.device import choose, kernel; kernel(choose('cpu'), 'philox.cu', 'philox_words', ())"
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "GPUMC_CACHE_DIR": str(folder)})


def test_processes_that_compile_at_once_share_one_library(tmp_path):
    children = [load_elsewhere(tmp_path) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert len(list(tmp_path.glob("*.so"))) == 1


def test_thread_count_must_be_a_number(monkeypatch):
    monkeypatch.setenv("GPUMC_THREADS", "many")
    with pytest.raises(ConfigError, match="GPUMC_THREADS = 'many'"):
        host.thread_count()


def test_headers_are_put_in_once_and_lines_keep_their_names(tmp_path):
    (tmp_path / "a.cuh").write_text("#pragma once\nint a;\n")
    (tmp_path / "b.cuh").write_text('#pragma once\n#include "a.cuh"\nint b;\n')
    main = tmp_path / "main.cu"
    main.write_text('#ifdef NEVER\n#include "a.cuh"\n#endif\n#include "b.cuh"\n#include "a.cuh"\nint c = LINE;\n')
    text = source.text(main).replace("LINE", "__LINE__")
    (tmp_path / "all.cpp").write_text(text)
    done = subprocess.run(
        [*shlex.split(host.compiler()), "-E", "-P", str(tmp_path / "all.cpp")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["int", "a;", "int", "b;", "int", "c", "=", "6;"]


def test_a_missing_header_is_named(tmp_path):
    (tmp_path / "lonely.cu").write_text('#include "nowhere.cuh"\n')
    with pytest.raises(DeviceError, match=r"lonely\.cu includes nowhere\.cuh"):
        source.text(tmp_path / "lonely.cu")


def test_a_missing_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match="no C\\+\\+ compiler was found"):
        host.load("scale.cu", "", {})
