"""The C++ compiler of the package ziglang: taken where no other works, with the bits of the twins, and leaving nothing about."""

import importlib.util
import os
from pathlib import Path

import pytest

import gpumc
from gpumc.device import compiler, describe, kernels
from gpumc.errors import DeviceError
from tests.variants import KERNELS, same_bits

INSTALLED = pytest.mark.skipif(not importlib.util.find_spec("ziglang"), reason="needs gpumc[compiler]")
#: Margins, slopes in registers, a parity, ReLU units and output weights, under both samplers.
SAMPLE = [KERNELS[place] for place in (0, 3, 7, 10, 12)]
CASES = SAMPLE + [pytest.param(case, marks=pytest.mark.long) for case in KERNELS if case not in SAMPLE]


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """The only folder of the PATH, which is empty."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """What a process knows of its compilers."""
    compiler._found.cache_clear()
    compiler.target.cache_clear()


def installed(monkeypatch, there: bool) -> None:
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: there or None)


def program(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o700)


def test_taken_where_there_is_no_other(path, monkeypatch):
    installed(monkeypatch, True)
    assert compiler.compiler() == compiler.ZIG


def test_without_it_the_error_says_how_to_get_it(path, monkeypatch):
    installed(monkeypatch, False)
    with pytest.raises(DeviceError, match=r"not on the PATH\): install one \(pip install 'gpumc\[compiler\]' does\)"):
        compiler.compiler()


@pytest.mark.skipif(os.name == "nt", reason="shell scripts of Unix")
def test_those_that_do_not_work_are_passed_over(path, monkeypatch):
    """As a c++ that only says where the developer tools could be had."""
    installed(monkeypatch, True)
    program(path / "c++", "echo no tools are installed >&2; exit 1")
    assert compiler.compiler() == compiler.ZIG
    program(path / "clang++", "echo '#define __cplusplus 201703L'")
    forget()
    assert compiler.compiler() == "clang++"


@pytest.mark.skipif(os.name == "nt", reason="shell scripts of Unix")
def test_without_it_one_that_does_not_work_says_so(path, monkeypatch):
    installed(monkeypatch, False)
    program(path / "c++", "echo no tools are installed >&2; exit 1")
    assert compiler.compiler() == "c++"
    with pytest.raises(DeviceError, match=r"says: no tools are installed: set CXX .*gpumc\[compiler\]"):
        compiler.target("c++")


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> Path:
    """A cache of all that ziglang builds for this system, and of kernels."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def zig(parts, tmp_path, monkeypatch) -> Path:
    """Kernels are compiled by ziglang, from an empty folder, which this is."""
    monkeypatch.setenv("GPUMC_CACHE_DIR", str(parts))
    monkeypatch.setenv("CXX", compiler.ZIG)
    monkeypatch.setattr(kernels, "_program", kernels._program.__wrapped__)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@INSTALLED
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_bits(case, zig, parts):
    settings = {"chains": 35, "burn_in": 2, "sweeps": 4, "every": 2, "seed": 7, "sampler": case.sampler}
    twin, kernel = (
        gpumc.sample(case.machine, case.patterns(0.9, instances=2), case.measure(), device=device, **settings)
        for device in ("numpy", "cpu")
    )
    assert same_bits(twin, kernel)
    assert not list(zig.iterdir())
    libraries = list(parts.glob("*.so"))
    assert set(parts.iterdir()) == {parts / "zig", *libraries}
    content = b"".join(library.read_bytes() for library in libraries)
    assert content
    assert b"ubsan" not in content, "released code has no checks"
    assert b"building-" not in content, "and does not depend on where it was built"


@INSTALLED
def test_it_is_named_and_sees_this_processor(zig):
    assert "ziglang" in describe()["compiler"]
    assert "(clang version" in describe()["compiler"]
    assert "#define __clang__ 1" in compiler.target(compiler.ZIG)


@INSTALLED
def test_a_modules_name_in_the_folder_one_is_in_does_not_count(zig):
    (zig / "ziglang.py").write_text("raise SystemExit('not the compiler')")
    compiler.compiler_version.cache_clear()
    assert compiler.compiler_version(compiler.ZIG).startswith("clang version")


@INSTALLED
def test_errors_of_a_kernel_are_shown(zig):
    with pytest.raises(DeviceError, match=r"kernel wrong\.cu was not compiled by .*ziglang(?s:.*)error: unknown type"):
        kernels.host.load("wrong.cu", "nonsense x;\n", {})
