"""Compiled kernels on disk. What is loaded is run: so the folder and its files are this user's, and nobody else can write to them.

A library's name ends in the digest of its content. One that was cut, overwritten or put there by another is never loaded, and is
compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from gpumc.errors import DeviceError

#: Seconds in which a kernel is compiled: 200 times what the slowest takes on a core of a server.
COMPILE = 600
#: Where a library is built before it is renamed, and the seconds after which nobody can be building there any more.
BUILDING, ABANDONED = "building-", 2 * COMPILE
ELSEWHERE = "set GPUMC_CACHE_DIR to a folder of your own"


def cache_folder() -> Path:
    """Where compiled kernels are kept: ``GPUMC_CACHE_DIR``, else the platform's folder for caches. Where that is a folder that others can
    write to, a private one inside. Raises DeviceError where there is none."""
    given = os.environ.get("GPUMC_CACHE_DIR", "").strip()
    try:
        named = os.path.expanduser(given or platformdirs.user_cache_dir("gpumc", False))
    except RuntimeError:
        named = "~"
    if named.startswith("~"):
        raise DeviceError(f"no folder for compiled kernels is known, as this user has no home folder: {ELSEWHERE}")
    try:
        folder = Path(named).absolute()
        return folder / f"gpumc-{os.geteuid()}" if folder.exists() and _shared(folder.stat()) else folder
    except OSError as error:
        raise _unusable(Path(named), error) from None


def find(stem: str, key: str) -> Iterator[Path]:
    """The libraries of this key that are whole and nobody else's; others are removed. Raises DeviceError for a folder that is another
    user's."""
    folder = _made()
    try:
        for path in sorted(folder.glob(f"{stem}-{key}-*.so")):
            if path.is_symlink() or _shared(path.stat()) or path.stem.rpartition("-")[2] != _digest(path):
                path.unlink()
            else:
                yield path
    except OSError as error:
        raise _unusable(folder, error) from None


def keep(stem: str, key: str, build: Callable[[Path, Path], None]) -> Path:
    """The library that ``build(folder, library)`` makes, under its name in the cache. Another process sees the whole of it or nothing."""
    folder = _made()
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=BUILDING, ignore_cleanup_errors=True) as temporary:
            _sweep(folder, Path(temporary).stat().st_mtime)
            library = Path(temporary) / "kernel.so"
            build(Path(temporary), library)
            with contextlib.suppress(OSError):  # some file systems have no permissions
                library.chmod(0o700)
            with library.open("rb+") as file:
                os.fsync(file.fileno())
            path = folder / f"{stem}-{key}-{_digest(library)}.so"
            os.replace(library, path)
            return path
    except OSError as error:
        raise _unusable(folder, error) from None


@contextlib.contextmanager
def compiler_folders(name: str) -> Iterator[tuple[Path, Path]]:
    """Two folders inside that of the cache for the compiler ``name``: one that stays, and one that goes when this is left. Raises as `find`
    does."""
    folder = _made()
    kept = folder / name
    try:
        kept.mkdir(mode=0o700, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=folder, prefix=BUILDING, ignore_cleanup_errors=True)
    except OSError as error:
        raise _unusable(folder, error) from None
    with temporary as passing:
        yield kept, Path(passing)


def _made() -> Path:
    """The folder of the cache, made where it is not there. Raises DeviceError for one that others own or can write to."""
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        wrong = next(
            (found for found in (folder.lstat(), folder.stat()) if _shared(found)), None
        )  # of a link, and of its target
    except OSError as error:
        raise _unusable(folder, error) from None
    if wrong is None:
        return folder
    why = "belongs to another user" if wrong.st_uid != os.geteuid() else "can be written to by other users"
    raise DeviceError(f"the folder of compiled kernels {folder} {why}: {ELSEWHERE}")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _shared(found: os.stat_result) -> bool:
    """Whether another user owns a file or folder or can write to it. Windows keeps its users apart by itself."""
    if not hasattr(os, "geteuid"):
        return False
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(found.st_mode)
    return found.st_uid != os.geteuid() or bool(writable)


def _sweep(folder: Path, now: float) -> None:
    """Remove what killed compilations left; ``now`` by the clock of the file system."""
    for path in folder.glob(f"{BUILDING}*"):
        if now - path.lstat().st_mtime > ABANDONED:
            shutil.rmtree(path, ignore_errors=True)


def _unusable(folder: Path, error: OSError) -> DeviceError:
    return DeviceError(f"kernels cannot be cached in {folder} ({error.strerror or error}): {ELSEWHERE}")
