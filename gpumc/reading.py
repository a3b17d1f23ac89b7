"""Text files as people have them, UTF-8 whatever the locale says, with or without a byte order mark; and files of arrays."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path

import numpy as np

from gpumc.errors import Damaged, RunError, first_line

#: UTF-8, and a byte order mark at the start is skipped.
ENCODING = "utf-8-sig"


def regular(path: Path) -> Path:
    """``path``, or RunError where it is not there, cannot be looked at, or is anything but a file: a pipe may never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise RunError(f"{path} cannot be read: {reason(error)}") from None
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
        raise RunError(f"{path} cannot be read: it is {found}, and a file is needed")
    return path


def text_of(path: Path, most: int) -> str:
    """The text of a file of at most ``most`` bytes. Raises RunError for one that is larger, not UTF-8 or cannot be read."""
    try:
        with regular(path).open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise RunError(f"{path} cannot be read: it has more than {most} bytes")
        return content.decode(ENCODING)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RunError(f"{path} cannot be read: line {line} is not UTF-8, byte 0x{content[error.start]:02x}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Why a file could not be had, without its name."""
    return getattr(error, "strerror", None) or str(error)


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, each with its CRC checked. Raises RunError where it cannot be read, Damaged where it is not whole."""
    try:
        with np.load(regular(path), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (
        OSError,
        ValueError,
        TypeError,
        EOFError,
        KeyError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        kind = RunError if isinstance(error, OSError) and error.errno else Damaged
        raise kind(f"{path} cannot be read ({first_line(error) if kind is Damaged else reason(error)})") from None
