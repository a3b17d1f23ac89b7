"""The innermost loops in every kind of vectors, each against plain ones: those that the compiler can build for this processor; for
others, `pytest -m long` where `ziglang` builds for them and QEMU runs what it has built."""

import importlib.util
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpumc.device import source
from gpumc.device.compiler import compiler

TEXT = source.text(Path(__file__).parent / "vectors.cu")
X86 = platform.machine() in ("x86_64", "AMD64")


def outcome(folder, build: list[str], run: tuple[str, ...] = ()) -> list[str]:
    """What the program prints that the command ``build`` makes, run by ``run``: the bytes of its vectors, then what differs."""
    (folder / "vectors.cpp").write_text(TEXT, encoding="utf-8")
    program = folder / "vectors"
    subprocess.run(
        [*build, "-std=c++17", "-O2", "-o", program, folder / "vectors.cpp"], check=True, capture_output=True
    )
    return subprocess.run([*run, program], capture_output=True, text=True).stdout.splitlines()


def test_the_best_vectors(tmp_path):
    assert outcome(tmp_path, [*shlex.split(compiler()), "-march=native"])[1:] == []


@pytest.mark.skipif(not X86, reason="these vectors are those of x86-64")
def test_those_of_32_bytes(tmp_path):
    native = [*shlex.split(compiler()), "-march=native"]
    assert outcome(tmp_path, [*native, "-mno-avx512f"])[1:] == []


@pytest.mark.long
def test_those_of_arm(tmp_path):
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no compiler for another processor: pip install ziglang")
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("no QEMU: install it (Debian: apt-get install qemu-user-static)")
    cross = [
        sys.executable,
        "-m",
        "ziglang",
        "c++",
        "-target",
        "aarch64-linux-musl",
        "-static",
        "-nostdlib++",
        "-fno-exceptions",
    ]
    assert outcome(tmp_path, cross, (emulator,)) == ["16"]
