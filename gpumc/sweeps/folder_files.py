"""Files of a run's folder: what cannot be read is told as such, and what is damaged is set aside, not deleted."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gpumc.errors import RunError
from gpumc.results.files import replacing

BROKEN = ".broken"


def exists(path: Path) -> bool:
    """Whether a file is there. Raises RunError where that cannot be seen."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): nothing was changed") from None
    return True


def set_aside(path: Path) -> Path:
    """Rename a file to ``*.broken``; a file that is not there stays so."""
    aside = path.with_suffix(BROKEN)
    try:
        path.replace(aside)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RunError(f"{path} is damaged and cannot be renamed ({error.strerror})") from None
    return aside


def content_of(path: Path) -> bytes:
    """The content of a file. Raises RunError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): nothing was changed") from None


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises RunError where it cannot be read."""
    return hashlib.sha256(content_of(path)).hexdigest()


def text_in(path: Path) -> str:
    """The text of a file. Raises RunError where it cannot be read, but not FileNotFoundError."""
    if not exists(path):
        raise FileNotFoundError(path)
    return content_of(path).decode("utf-8")


def write_text(path: Path, text: str) -> None:
    """Replace a file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
