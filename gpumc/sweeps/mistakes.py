"""The mistakes of a config in words: one line each, with its place, what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gpumc.checks import nearest
from gpumc.errors import ConfigError

Fields = Callable[[Sequence[str]], list[str]]


def explained(mistake: Any, table: dict, fields: Fields) -> list[str]:
    """Lines for one of pydantic's mistakes in ``table``: place, what was found, what is allowed.

    ``fields`` names the keys of the section that some keys lead to.
    """
    # Pydantic names the alternatives of a union by their types, in capitals where they are sections of ours.
    place = [p for p in mistake["loc"] if isinstance(p, str) and p.isidentifier() and p.islower()]
    kind = mistake["type"]
    known = _known(place, fields)
    keys = place[: known + (kind in ("extra_forbidden", "missing"))]
    where = f"[{'.'.join(keys[:-1])}] {keys[-1]}" if len(keys) > 1 else ".".join(keys) or "config"
    if kind == "extra_forbidden":
        return [f"  {where}: unknown key; {nearest(place[known], fields(place[:known]))}"]
    if kind == "missing":
        return [f"  {where}: missing"]
    if kind == "value_error":
        section = (
            f"[{keys[0]}] " if len(keys) == 1 and isinstance(table.get(keys[0]), dict) else f"{where}: " if keys else ""
        )
        lines = str(mistake["ctx"]["error"]).splitlines()
        if len(keys) > 1 and lines[0].startswith(f"{keys[-1]} = "):
            section = f"[{'.'.join(keys[:-1])}] "
        return [f"  {section}{line}" for line in lines]
    found = repr(_found(table, keys))
    if isinstance(_found(table, keys), dict) and fields(keys):
        return []  # meant as a table: its own mistakes are told
    if kind == "literal_error":
        allowed = [word.strip(" '") for word in mistake["ctx"]["expected"].replace(" or ", ",").split(",")]
        return [f"  {where} = {found}: {nearest(str(_found(table, keys)), allowed)}"]
    return [f"  {where} = {found}: {_wanted(keys)}"]


def _wanted(keys: list[str]) -> str:
    """What a key takes, in words."""
    wholes = {"n", "k", "instances", "seed", "replicas", "chains", "burn_in", "sweeps", "every"}
    texts = {"kind", "weights", "path", "centre"}
    axes = {"n", "k", "alpha", "flip", "gamma", "replicas", "beta", "coupling"}
    key = keys[-1] if keys else ""
    if key == "name":
        return "a name of letters, digits, '.', '_' and '-' is needed"
    if key in ("machine", "patterns", "loss", "measure", "sampler", "teacher"):
        return "a table is needed"
    if key in texts:
        return "a text is needed"
    least = "0" if key in ("burn_in", "seed") else "1"
    one = f"a whole number of at least {least}" if key in wholes else "a number"
    several = ", a list of them or {start, stop, num}" if key in axes else ""
    ramp = ", or a ramp {start, stop, scale, over}" if key in ("beta", "coupling") else ""
    return f"{one}{several}{ramp} is needed"


def _known(place: Sequence[str], fields: Fields) -> int:
    """How many leading keys of a place are the config's own (the rest names alternatives of a union)."""
    known = 0
    while known < len(place) and place[known] in fields(place[:known]):
        known += 1
    return known


def _found(table: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table


def what_fails(check: Callable[..., object], *arguments: object) -> list[str]:
    """What ``check`` finds wrong: one sentence or none."""
    try:
        check(*arguments)
    except ConfigError as error:
        return [str(error)]
    return []
