"""The kernel sources: where they are, and their text with the headers put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

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


def text(path: Path) -> str:
    """A source with its own headers put in, each once, and ``#line`` marks so that compilers name the real files.

    A header is looked for beside the file and in :func:`folder`. Caches that hash this text see every change of a header.
    """
    return "\n".join(_lines(path, set())) + "\n"


def macros(defines: Mapping[str, object]) -> list[str]:
    """Compiler options that define ``defines``, in a fixed order."""
    return [f"-D{name}={int(value) if isinstance(value, bool) else value}" for name, value in sorted(defines.items())]


def _lines(path: Path, seen: set[Path]) -> list[str]:
    seen.add(path)
    lines = [f'#line 1 "{path.name}"']
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        include = _INCLUDE.match(line)
        if include:
            header = _header(include[1], path)
            lines += _lines(header, seen) if header not in seen else []
            lines.append(f'#line {number + 1} "{path.name}"')
        elif line.strip() != "#pragma once":
            lines.append(line)
        else:
            lines.append("")
    return lines


def _header(name: str, path: Path) -> Path:
    for candidate in (path.parent / name, folder() / name):
        if candidate.is_file():
            return candidate.resolve()
    raise DeviceError(f"{path.name} includes {name}, which is not among the kernel sources: install gpumc again")
