"""A config's text: TOML with values overridden, and back to TOML."""

from __future__ import annotations

import json
import re
import tomllib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpumc.checks import shown
from gpumc.errors import ConfigError, RunError
from gpumc.reading import reason, regular

#: Bytes of a config: a list of ten thousand numbers for every key has fewer.
MOST_BYTES = 2**20
#: Levels of tables and lists; a config has three.
DEEPEST = 8
#: Characters of a key that messages show.
LONGEST_KEY = 60
#: Integers of 64 bits, all that TOML promises.
INTEGERS = -(2**63), 2**63 - 1


def parsed(text: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The tables in a TOML ``text``, with ``overrides`` such as "sampler.sweeps=100". Raises ConfigError for what is neither."""
    table = _toml(text, "the config")
    for override in overrides:
        _apply(table, override)
    _check_sizes(table)
    return table


def _toml(text: str, what: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{what} is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{what} has tables or lists within one another, more than {DEEPEST} levels deep") from None
    except ValueError as error:  # numbers of thousands of digits, dates that no calendar has
        raise ConfigError(f"{what} is not TOML: {str(error).partition(';')[0]}") from None


def _check_sizes(table: dict[str, Any]) -> None:
    """Raise ConfigError for what is nested deeper, and for integers that are larger, than anything in a config."""
    level: list[tuple[str, Any]] = [("", table)]
    for _ in range(DEEPEST):
        within = []
        for place, value in level:
            if isinstance(value, dict):
                within += [(f"{place}.{shown_key(key)}".lstrip("."), one) for key, one in value.items()]
            elif isinstance(value, list):
                within += [(place, one) for one in value]
            elif isinstance(value, int) and not INTEGERS[0] <= value <= INTEGERS[1]:
                raise ConfigError(
                    f"the config's {place} is a whole number of {value.bit_length()} bits: at most 63 are possible"
                )
        level = within
    if level:
        raise ConfigError(
            f"the config's {level[0][0]} is more than {DEEPEST} levels deep: three are all that a config has"
        )


def shown_key(key: str) -> str:
    """A key as messages show it: quoted as TOML needs it, on one line, and not long."""
    short = key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}..."
    return short if re.fullmatch(r"[A-Za-z0-9_.-]+", short) else json.dumps(short)


def effective(text: str, overrides: Sequence[str] = ()) -> str:
    """The text of a config that says by itself what ``text`` says with ``overrides``."""
    if not overrides:
        return text
    table = parsed(text, overrides)
    lines = [f"# with --set {override if override.isprintable() else shown(override)}" for override in overrides]
    lines += [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for name, section in table.items():
        if isinstance(section, dict):
            lines += ["", f"[{name}]", *[f"{key} = {_value(value)}" for key, value in section.items()]]
    return "\n".join(lines) + "\n"


def _apply(table: dict, override: str) -> None:
    path, equals, value = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {shown(override)}: key=value is needed, such as sampler.sweeps=100")
    if len(keys) > DEEPEST or not _printable(override):
        raise ConfigError(f"--set {shown(override)}: no config has such a key")
    try:
        found = tomllib.loads(f"value = {value}")
        new = found["value"] if len(found) == 1 else value.strip()
    except (ValueError, RecursionError):  # of TOML: it is a text, then
        new = value.strip()
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {shown(override)}: {shown_key(key)} is no table of the config")
    table[keys[-1]] = new


def _printable(text: str) -> bool:
    """Whether a text can be written as UTF-8: arguments that are bytes of another encoding cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value(value: Any) -> str:
    """A value of a checked config in TOML: a number, a text, a list or an inline table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace(
            "\x7f", "\\u007f"
        )  # which TOML wants escaped, and JSON not
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_value(one)}' for key, one in value.items())}}}"
    return repr(value)


def load_centre(path: Path) -> np.ndarray:
    """The centre in a .npy file, or under the name ``centre`` in an .npz file. Raises ConfigError."""
    try:
        stored = np.load(regular(path), allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, RunError) as error:
        raise ConfigError(
            f"[measure] centre = '{path.name}': 'explicit', 'traced' or a .npy or .npz file is needed, and no such file can be read "
            f"({reason(error)})"
        ) from None
    if isinstance(stored, np.ndarray):
        return stored
    with stored:
        if "centre" not in stored:
            raise ConfigError(f"[measure] centre: {path} has no array 'centre': found {', '.join(stored) or 'none'}")
        try:
            return stored["centre"]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ConfigError(f"[measure] centre: {path} is damaged ({reason(error)})") from None
