"""Compiled kernels on disk: whole, ours, or compiled again; and compilers that misbehave."""

import ctypes
import os
import shlex
import stat
import time
from pathlib import Path

import pytest

from gpumc.device import cache, choose, compiler, describe, devices, host
from gpumc.errors import DeviceError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="users, permissions and shell scripts of Unix")
ANSWER = 'extern "C" int answer() { return %d; }\n'


def answer(number: int = 1) -> int:
    """What a kernel that returns ``number`` returns, compiled or out of the cache."""
    return host.load("answer.cu", ANSWER % number, {})._library.answer()


def script(path: Path, text: str) -> str:
    """A program that stands for a compiler."""
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o700)
    return shlex.quote(str(path))


#: What a stand-in says of itself and of its target.
TARGET = 'case "$*" in --version) echo stand-in; exit;; *-dM*) echo "#define __cplusplus 1"; exit;; esac\n'
#: The file that it is to make.
OUTPUT = '"$(echo "$*" | sed "s/.*-o \\([^ ]*\\).*/\\1/")"'


@pytest.fixture(scope="module")
def copier(tmp_path_factory) -> str:
    """A compiler of :data:`ANSWER` that costs nothing: it copies what the real one has made."""
    made = tmp_path_factory.mktemp("made")
    for number in (1, 2):
        source = made / f"{number}.cpp"
        source.write_text(ANSWER % number)
        compiler.compiled(compiler.compiler(), host.FLAGS, "answer", source, made / f"{number}.so")
    text = f'for last; do :; done\ncp {made}/$(sed "s/.*return \\(.\\).*/\\1/" "$last").so {OUTPUT}\n'
    return script(made / "copier", TARGET + text)


@pytest.fixture
def folder(tmp_path, monkeypatch, copier) -> Path:
    """An empty cache, for kernels that are made by a copier."""
    path = tmp_path / "cache"
    monkeypatch.setenv("GPUMC_CACHE_DIR", str(path))
    monkeypatch.setenv("CXX", copier)
    return path


def library(folder: Path) -> Path:
    (path,) = folder.rglob("*.so")
    return path


def replaced(path: Path, content: bytes) -> None:
    """Another file in the place of one that this process has loaded, and needs until it ends."""
    path.unlink()
    path.write_bytes(content)
    path.chmod(0o700)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[: len(b) // 2], lambda b: bytes(len(b)), lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])],
    ids=["cut", "zeroed", "empty", "flipped"],
)
def test_a_damaged_library_is_compiled_again(folder, damage):
    answer()
    path, content = library(folder), library(folder).read_bytes()
    replaced(path, damage(content))
    assert answer() == 1
    assert library(folder).read_bytes() == content


def test_folder_and_files_are_private(folder):
    before = os.umask(0)
    try:
        answer()
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(library(folder).stat().st_mode) == 0o700


def planted(folder: Path) -> Path:
    """A library of other content under a right name, its digest and all."""
    answer(1)
    mine = library(folder)
    answer(2)
    (other,) = set(folder.rglob("*.so")) - {mine}
    content = other.read_bytes()
    other.unlink()
    mine.unlink()
    name = "-".join([*mine.stem.split("-")[:-1], other.stem.split("-")[-1]])
    path = mine.with_name(f"{name}.so")
    path.write_bytes(content)
    return path


def test_a_planted_library_would_be_loaded_were_it_ours(folder):
    planted(folder).chmod(0o700)
    assert answer(1) == 2


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_library_that_others_can_write_is_not_loaded(folder, mode):
    planted(folder).chmod(mode)
    assert answer(1) == 1


def test_a_link_is_not_loaded(folder, tmp_path):
    path = planted(folder)
    path.rename(tmp_path / "elsewhere.so")
    path.symlink_to(tmp_path / "elsewhere.so")
    assert answer(1) == 1


@pytest.mark.skipif(os.name != "nt" and os.geteuid() != 0, reason="needs the superuser, to give files away")
def test_what_belongs_to_another_is_not_loaded(folder):
    path = planted(folder)
    path.chmod(0o700)
    os.chown(path, 65534, 65534)
    assert answer(1) == 1
    os.chown(folder, 65534, 65534)
    assert Path(describe()["host kernels"]).parent == folder
    own = folder / f"gpumc-{os.geteuid()}"
    assert answer(1) == 1
    assert library(own)
    os.chown(own, 65534, 65534)
    with pytest.raises(DeviceError, match="belongs to another user: set GPUMC_CACHE_DIR"):
        answer(1)


def test_in_a_folder_that_others_can_write_the_cache_is_a_private_one_inside(folder):
    folder.mkdir()
    folder.chmod(0o777)
    assert answer() == 1
    own = library(folder).parent
    assert own == folder / f"gpumc-{os.geteuid()}"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777, "what is the user's is left as it is"
    own.chmod(0o777)
    with pytest.raises(DeviceError, match="can be written to by other users: set GPUMC_CACHE_DIR"):
        answer()


def test_what_killed_compilations_left_is_swept_and_what_runs_is_not(folder):
    dead, alive = folder / "building-dead", folder / "building-alive"
    for path in (dead, alive):
        path.mkdir(parents=True, mode=0o700)
        (path / "kernel.cpp").write_text("")
    folder.chmod(0o700)
    old = time.time() - 2 * cache.COMPILE - 60
    os.utime(dead, (old, old))
    answer()
    assert not dead.exists()
    assert alive.exists()


def test_the_folder_one_is_in(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GPUMC_CACHE_DIR", ".")
    assert answer() == 1
    assert library(tmp_path)


def test_without_a_home(folder, monkeypatch):
    monkeypatch.delenv("GPUMC_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user whom the system does not know
    with pytest.raises(DeviceError, match="no home folder: set GPUMC_CACHE_DIR"):
        answer()
    assert "no home folder" in describe()["host kernels"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exit 3", r"is no C\+\+ compiler that gpumc can use"),
        ("echo broken >&2; exit 1", "which says: broken"),
        ("true", r"is no C\+\+ compiler"),
        ("sleep 60 & wait", r"did not end within 0\.5 s: set CXX"),
        (TARGET, "ended without an error and without a library"),
        (TARGET + f"echo 1 > {OUTPUT}", "cannot be loaded"),
    ],
    ids=["fails", "says", "silent", "hangs", "makes-nothing", "makes-rubbish"],
)
def test_compilers_that_misbehave(folder, tmp_path, monkeypatch, text, message):
    monkeypatch.setenv("CXX", script(tmp_path / "my c++", text))
    monkeypatch.setattr(compiler, "ANSWER", 0.5 if text.startswith("sleep") else 60)
    compiler.compiler_version.cache_clear()
    began = time.monotonic()
    with pytest.raises(DeviceError, match=message):
        answer()
    assert "compiler" in describe()
    assert time.monotonic() - began < 50, "nor is what the compiler started waited for"
    assert not list(folder.glob("building-*"))


def test_a_compiler_that_hangs_is_ended_with_what_it_started(folder, tmp_path, monkeypatch):
    """A pipe ends when the last process ends that can write to it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    text = TARGET + f'(echo compiling; exec sleep 60) > "{pipe}" &\nwait\n'
    monkeypatch.setenv("CXX", script(tmp_path / "slow", text))
    monkeypatch.setattr(cache, "COMPILE", 1)
    began = time.monotonic()
    with pytest.raises(
        DeviceError, match=r"slow.* did not end within 1 s: set CXX to another C\+\+ compiler, or pip install"
    ):
        answer()
    os.set_blocking(reader, True)
    with open(reader, encoding="utf-8") as left:
        assert left.read() == "compiling\n"
    assert time.monotonic() - began < 50
    assert not list(folder.glob("building-*"))


@pytest.mark.parametrize("wanted", ["", " ", "\t"])
def test_a_blank_choice_is_none(wanted, monkeypatch):
    monkeypatch.setenv("CXX", wanted)
    assert compiler.compiler() in (*compiler.COMPILERS, compiler.ZIG)


@pytest.mark.parametrize(
    ("wanted", "why"), [("g++ '", "no closing quotation"), ("no-such", "names no program"), ("/", "names no")]
)
def test_a_choice_that_cannot_be_run(wanted, why, monkeypatch, capsys):
    monkeypatch.setenv("CXX", wanted)
    devices._say_once.cache_clear()
    with pytest.raises(DeviceError, match=rf"no C\+\+ compiler was found \(.*{why}"):
        answer()
    assert choose("cpu").name == "numpy"
    assert why in capsys.readouterr().err
    assert why in describe()["compiler"]


def test_a_compiler_that_goes_away_is_not_missed(folder, copier, tmp_path, monkeypatch):
    path = tmp_path / "passing"
    monkeypatch.setenv("CXX", script(path, f'exec {copier} "$@"'))
    assert answer(1) == 1
    path.unlink()
    assert choose("cpu").name == "cpu"
    assert answer(1) == 1
    with pytest.raises(DeviceError, match=r"cannot be run .*set CXX"):
        answer(2)


def test_a_library_made_for_another_system_is_passed_over(folder, monkeypatch):
    answer()
    content = b"no library, but whole"
    path = library(folder)
    whole = path.with_name(
        "-".join([*path.stem.split("-")[:-1], cache.hashlib.sha256(content).hexdigest()[:32]]) + ".so"
    )
    path.rename(folder / "kept")
    replaced(folder / "kept", b"")
    whole.write_bytes(content)
    whole.chmod(0o700)
    assert answer() == 1
    assert isinstance(ctypes.CDLL(str(next(p for p in folder.glob("*.so") if p != whole))), ctypes.CDLL)
