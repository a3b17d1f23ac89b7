"""A config's text: TOML with values overridden, and back to TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpumc.errors import ConfigError


def parsed(text: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The tables in a TOML ``text``, with ``overrides`` such as "sampler.sweeps=100". Raises ConfigError for what is neither."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the config is not TOML: {error}") from None
    for override in overrides:
        _apply(table, override)
    return table


def effective(text: str, overrides: Sequence[str] = ()) -> str:
    """The text of a config that says by itself what ``text`` says with ``overrides``."""
    if not overrides:
        return text
    table = parsed(text, overrides)
    lines = [f"# with --set {override}" for override in overrides]
    lines += [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for name, section in table.items():
        if isinstance(section, dict):
            lines += ["", f"[{name}]", *[f"{key} = {_value(value)}" for key, value in section.items()]]
    return "\n".join(lines) + "\n"


def _apply(table: dict, override: str) -> None:
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: key=value is needed, such as sampler.sweeps=100")
    try:
        new = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        new = value.strip()
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {key} is no table of the config")
    table[keys[-1]] = new


def _value(value: Any) -> str:
    """A value of a checked config in TOML: a number, a text, a list or an inline table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_value(one)}' for key, one in value.items())}}}"
    return repr(value)


def load_centre(path: Path) -> np.ndarray:
    """The centre in a .npy file, or under the name ``centre`` in an .npz file. Raises ConfigError."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(
            f"[measure] centre = '{path.name}': 'explicit', 'traced' or a .npy or .npz file is needed, and no such file can be read "
            f"({error})"
        ) from None
    if isinstance(stored, np.ndarray):
        return stored
    with stored:
        if "centre" not in stored:
            raise ConfigError(f"[measure] centre: {path} has no array 'centre': found {', '.join(stored) or 'none'}")
        return stored["centre"]
