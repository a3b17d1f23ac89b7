"""A config's text: TOML with values overridden, and back to TOML."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from gpumc.checks import shown
from gpumc.errors import ConfigError

#: Bytes of a config: a list of ten thousand numbers for every key has fewer.
MOST_BYTES = 2**20
#: Levels of tables and lists; a config has three.
DEEPEST = 8
#: Characters of a key that messages show.
LONGEST_KEY = 60
#: Integers of 64 bits, all that TOML promises.
INTEGERS = -(2**63), 2**63 - 1


def parsed(text: str) -> dict[str, Any]:
    """The tables in a TOML ``text``. Raises ConfigError for what is none."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the config is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(
            f"the config has tables or lists within one another, more than {DEEPEST} levels deep"
        ) from None
    except ValueError as error:  # numbers of thousands of digits, dates that no calendar has
        raise ConfigError(f"the config is not TOML: {str(error).partition(';')[0]}") from None
    _check_sizes(table)
    return table


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
    """The text of a config that says by itself what ``text`` says with ``overrides`` such as "sampler.sweeps=100".

    Comments and layout stay. Raises ConfigError for what is no TOML, and for an override that has no place in it.
    """
    if not overrides:
        return text
    parsed(text)  # what TOML is at all, and not too deep, is said by the parser that reads it in the end
    document = tomlkit.parse(text)
    for override in overrides:
        try:
            _apply(document, override)
        except TOMLKitError as error:
            raise ConfigError(f"--set {shown(override)}: this has no place in the config ({error})") from None
    notes = [f"# with --set {override if override.isprintable() else shown(override)}\n" for override in overrides]
    return "".join(notes) + tomlkit.dumps(document)


def _apply(table: dict, override: str) -> None:
    path, equals, value = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {shown(override)}: key=value is needed, such as sampler.sweeps=100")
    if len(keys) > DEEPEST or not _printable(override):
        raise ConfigError(f"--set {shown(override)}: no config has such a key")
    new: Any = value.strip()
    try:
        plain = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # of TOML: it is a text, then
        plain = {}
    if len(plain) == 1:
        _check_sizes({keys[-1]: plain["value"]})
        new = tomlkit.parse(f"value = {value}")["value"]  # written as it was typed
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
