"""The kernel sources: where they are, and their text with the headers put in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from gpumc.device import constants
from gpumc.errors import DeviceError

_PACKAGE = Path(__file__).parents[1]
#: Inside the package in a wheel, beside it in a checkout.
FOLDERS = (_PACKAGE / "kernels", _PACKAGE.parent / "kernels")
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"\s*$')


def folder() -> Path:
    """The folder of the kernel sources. Raises DeviceError for a broken installation."""
    for candidate in FOLDERS:
        if (candidate / "lanes.cuh").is_file():
            return candidate
    raise DeviceError(f"the kernel sources are in none of {', '.join(map(str, FOLDERS))}: install gpumc again")


#: The header that is made, and is no file.
CONSTANTS = "constants.cuh"


@cache
def digest() -> str:
    """A digest of all kernel sources."""
    texts = [f"{path.name}\n{text(path)}" for path in sorted(folder().glob("*.cu"))]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def text(path: Path) -> str:
    """A source with its own headers put in, and ``#line`` marks so that compilers name the real files.

    A header is looked for beside the file and in :func:`folder`; ``constants.cuh`` is made of `gpumc.device.constants`. Caches keyed by
    this text see headers change.
    """
    return "\n".join(_lines(path, ())) + "\n"


def macros(defines: Mapping[str, object]) -> list[str]:
    """Compiler options that define ``defines``, in a fixed order."""
    return [f"-D{name}={int(value) if isinstance(value, bool) else value}" for name, value in sorted(defines.items())]


def _lines(path: Path, including: tuple[Path, ...]) -> list[str]:
    """The text of ``path``, which the files ``including`` are waiting for."""
    lines = [f'#line 1 "{path.name}"']
    guarded = False
    text = constants.header() if path.name == CONSTANTS else path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        include = _INCLUDE.match(line)
        if include:
            header = _header(include[1], path)
            if header not in including:
                lines += _lines(header, (*including, path))
            lines.append(f'#line {number + 1} "{path.name}"')
        elif line.strip() == "#pragma once":
            # Spelt out: in one text, a header may come first in a branch that the defines leave out.
            guard = re.sub(r"\W", "_", "_".join(("INCLUDED", *path.parts[-2:]))).upper()
            lines += [f"#ifndef {guard}", f"#define {guard}", f'#line {number + 1} "{path.name}"']
            guarded = True
        else:
            lines.append(line)
    return [*lines, "#endif"] if guarded else lines


def _header(name: str, path: Path) -> Path:
    if name == CONSTANTS:
        return folder() / name
    for candidate in (path.parent / name, folder() / name):
        if candidate.is_file():
            return candidate.resolve()
    raise DeviceError(f"{path.name} includes {name}, which is not among the kernel sources: install gpumc again")
