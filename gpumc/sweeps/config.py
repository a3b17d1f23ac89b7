"""Reading a config: TOML, checked whole before anything starts.

Every mistake is reported at once, one line each with its place, what was found and what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gpumc.errors import ConfigError
from gpumc.sweeps.config_text import effective, parsed
from gpumc.sweeps.explanations import explained
from gpumc.sweeps.sizes import check_memory, check_tasks
from gpumc.sweeps.tasks import TASKS, RunConfig

#: Mistakes that are told.
MOST_TOLD = 20


def read_config(text: str, overrides: Sequence[str] = (), folder: Path | None = None) -> RunConfig:
    """The config in a TOML ``text`` with ``overrides`` such as "sampler.sweeps=100"; its paths are relative to ``folder``.

    Raises ConfigError that lists every mistake, one line each.
    """
    table = parsed(effective(text, overrides))
    kind = _kind_of(table)
    try:
        config = kind.model_validate(table)
    except ValidationError as error:
        mistakes = [line for mistake in error.errors() for line in explained(mistake)]
        raise _refused([*mistakes, *_indented(kind.misfits(_right_sections(kind, table)))]) from None
    check_tasks(config)
    if folder is not None:
        check_memory(config)
    if mistakes := _indented(config.misfits(config)):
        raise _refused(mistakes)
    if folder is not None:
        config.check_files(folder)
    return config


def _kind_of(table: dict[str, Any]) -> type[RunConfig]:
    """The kind of task of the section that is there; the first one where there is none."""
    return next((kind for section, kind in TASKS.items() if section in table), next(iter(TASKS.values())))


def _right_sections(kind: type[RunConfig], table: dict[str, Any]) -> Any:
    """The sections of a config that are right by themselves, the others None."""
    sections = dict.fromkeys(kind.model_fields)
    for name in table.keys() & sections.keys():
        field = kind.model_fields[name]
        try:
            sections[name] = TypeAdapter(field.rebuild_annotation()).validate_python(table[name], strict=True)
        except ValidationError:
            continue
    return SimpleNamespace(**sections)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _refused(mistakes: Sequence[str]) -> ConfigError:
    mistakes = list(dict.fromkeys(mistakes))
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    more = [f"  and {len(mistakes) - MOST_TOLD} more"] if len(mistakes) > MOST_TOLD else []
    return ConfigError("\n".join([f"the config has {count}, nothing was started:", *mistakes[:MOST_TOLD], *more]))
