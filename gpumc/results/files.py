"""One dataset, or a tree of them, in one netCDF4-compatible HDF5 file, which ends with a seal: the SHA-256 of all before it.

HDF5 does not read beyond its own end, so that any program reads a sealed file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from gpumc.checks import a_path, one_of
from gpumc.errors import Damaged, RunError, first_line
from gpumc.reading import regular
from gpumc.results.hdf5 import Layout, end_of, unpacked
from gpumc.results.packing import packed

#: The line at a file's end: a label and a digest.
SEAL = re.compile(rb"\ngpumc ([^\n]*) sha256 ([0-9a-f]{64})\n\Z")
DIGEST = 64 + 1
#: Bytes at a file's end that hold any seal.
TAIL = 1024
#: Bytes that are hashed at a time.
BLOCK = 2**20
#: What some file systems answer to a request that they do not know.
UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def save(data: xr.Dataset | xr.DataTree, path: str | os.PathLike, label: str = "file") -> Path:
    """Write ``data`` to ``path``, whole or not at all: under a temporary name beside it, flushed to the disk, then renamed.

    A ``label`` is part of the seal. Raises RunError where the file cannot be written (a full disk, a folder that cannot be
    made), and ConfigError for other data; ``path`` is then as it was before.
    """
    path = a_path(path)
    one_of("data", data, (xr.Dataset, xr.DataTree), "a Dataset, or a DataTree of them,")
    # The file is made in memory: HDF5 itself, when a disk fills while it writes, can take the process down with it.
    content = packed(data) + f"\ngpumc {label} sha256 ".encode()
    with replacing(path) as temporary:
        temporary.write_bytes(content + hashlib.sha256(content).hexdigest().encode() + b"\n")
    return path


def load(path: str | os.PathLike, label: str | None = None, layout: Layout | None = None) -> xr.Dataset | xr.DataTree:
    """Read a whole file into memory and close it. With a ``label`` it must be sealed by that.

    Files of one kind share a ``layout``, which is read once; their datasets have no indexes.

    Raises RunError for a file that is not there or cannot be read, and Damaged for one that is cut short, changed or another's.
    """
    path = a_path(path)
    with _reading(path):
        content = path.read_bytes()
    try:
        seal = SEAL.search(content, max(0, len(content) - TAIL))
        if seal is None and len(content) > end_of(content):
            raise Damaged("its last bytes are not the SHA-256 that was written there")
        if seal and hashlib.sha256(memoryview(content)[: seal.start(2)]).hexdigest().encode() != seal[2]:
            raise Damaged("it does not have the SHA-256 at its end")
        if label is not None:
            _check_label(seal, label)
        return unpacked(content, layout)
    except Damaged as error:
        raise Damaged(f"{path} cannot be read, it may be cut short or damaged ({error})") from None


def seal_of(path: Path) -> bytes:
    """The seal at the end of a file. Raises RunError for a file that cannot be read, and Damaged for one without."""
    with _reading(path), path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        seal = SEAL.search(file.read())
    if seal is None:
        raise Damaged(f"{path} is damaged (it does not end with a SHA-256, it may be cut short)")
    return seal[0]


def check_seal(path: Path, label: str) -> str:
    """Check that a file has the SHA-256 in its seal and this ``label``, and return the SHA-256; HDF5 is not opened.

    Raises RunError for a file that cannot be read, and Damaged for one that is cut short, changed or another's.
    """
    digest = hashlib.sha256()
    with _reading(path), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        seal = SEAL.search(file.read())
        file.seek(0)
        left = max(0, size - DIGEST)
        while block := file.read(min(BLOCK, left)):
            digest.update(block)
            left -= len(block)
    try:
        if _check_label(seal, label) != digest.hexdigest():
            raise Damaged("it does not have the SHA-256 at its end")
        return digest.hexdigest()
    except Damaged as error:
        raise Damaged(f"{path} is damaged ({error})") from None


def _check_label(seal: re.Match[bytes] | None, label: str) -> str:
    """The digest in a seal with this ``label``. Raises Damaged."""
    if seal is None:
        raise Damaged("it does not end with a SHA-256, it may be cut short")
    if seal[1] != label.encode():
        raise Damaged(f"it is of '{seal[1].decode(errors='replace')}', where '{label}' belongs")
    return seal[2].decode()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        if path.exists():
            regular(path)
        yield
    except FileNotFoundError:
        raise RunError(f"{path} is not there") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or first_line(error)}): nothing was changed") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well, and is gone when it does not.

    Where ``path`` is a symbolic link, the file that it leads to is replaced. A new file has the permissions that the umask
    leaves, and one that was there keeps its own.
    """
    real = Path(os.path.realpath(path))
    if real.is_symlink() or (real.exists() and not real.is_file()):
        raise RunError(f"{path} cannot be written: it is there and is no file")
    temporary = real.with_name(f".{real.stem[:60]}-{secrets.token_hex(8)}.tmp")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from None
    try:
        yield temporary
        _flush(temporary)
        with contextlib.suppress(OSError):  # a new file, or a file system without permissions
            temporary.chmod(real.stat().st_mode & 0o7777)
        os.replace(temporary, real)
        with contextlib.suppress(OSError):  # not every system lets folders be flushed
            _flush(real.parent)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = error.strerror or first_line(error)
        advice = ", make room and run again" if full else ""
        raise RunError(f"{path} cannot be written ({reason}): what is there is whole{advice}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Make a file, or the names in a folder, survive a crash of the system."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise
    finally:
        os.close(handle)
