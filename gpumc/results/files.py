"""One dataset, or a tree of them, in one netCDF4-compatible HDF5 file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from gpumc.errors import RunError

#: How every array is stored: compressed, and with a checksum that a damaged chunk does not pass.
STORAGE = {"zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True}


def save(data: xr.Dataset | xr.DataTree, path: str | Path) -> Path:
    """Write ``data`` to ``path``, whole or not at all: under a temporary name beside it, flushed to the disk, then renamed.

    Raises RunError where it cannot be written (a full disk, a folder that is not there); ``path`` is then as it was before.
    """
    path = Path(path)
    encoding: dict = _encoding(data) if isinstance(data, xr.Dataset) else _encodings(data)
    # The file is made in memory: HDF5 itself, when a disk fills while it writes, can take the process down with it.
    content = data.to_netcdf(engine="h5netcdf", encoding=encoding)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def load(path: str | Path) -> xr.Dataset | xr.DataTree:
    """Read a whole file into memory and close it. Raises RunError for a file that is not there, cut short or damaged."""
    path = Path(path)
    if not path.is_file():
        raise RunError(f"{path} is not there")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            loaded = tree.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise RunError(f"{path} cannot be read, it may be cut short or damaged ({_first_line(error)})") from None
    return loaded if loaded.children else loaded.to_dataset()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well, and is gone when it does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
        os.close(handle)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from None
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        reason = error.strerror or _first_line(error)
        raise RunError(
            f"{path} cannot be written ({reason}): what is there is whole, make room and run again"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Make a renaming in ``folder`` survive a crash, where the system lets folders be flushed."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _encoding(data: xr.Dataset) -> dict[str, dict]:
    """Compression for what has a size; scalars and texts cannot have it."""
    return {
        str(name): STORAGE
        for name, array in data.variables.items()
        if array.ndim and np.issubdtype(array.dtype, np.number)
    }


def _encodings(tree: xr.DataTree) -> dict[str, dict]:
    return {node.path: _encoding(node.to_dataset()) for node in tree.subtree}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
