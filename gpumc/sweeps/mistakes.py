"""The mistakes of a config in words: one line each, with its place, what was found and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from gpumc.checks import nearest, shown
from gpumc.device.philox import SEED_LIMIT
from gpumc.errors import ConfigError
from gpumc.sweeps.text import LONGEST_KEY, shown_key

Fields = Callable[[Sequence[str]], list[str]]


def explained(mistake: Any, table: dict, fields: Fields) -> list[str]:
    """Lines for one of pydantic's mistakes in ``table``: place, what was found, what is allowed.

    ``fields`` names the keys of the section that some keys lead to.
    """
    kind = mistake["type"]
    keys = _known(mistake["loc"], fields)
    if kind == "extra_forbidden":
        unknown = str(mistake["loc"][-1])
        where = f"[{'.'.join(keys)}] {shown_key(unknown)}" if keys else shown_key(unknown)
        return [f"  {where}: unknown key; {_meant(unknown, fields(keys))}"]
    where = f"[{'.'.join(keys[:-1])}] {keys[-1]}" if len(keys) > 1 else ".".join(keys) or "config"
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
    found = shown(_found(table, keys))
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
    ramped = {"beta", "coupling", "gamma", "margin", "width", "cut"}
    axes = {"n", "k", "alpha", "flip", "replicas", "distance"} | ramped
    key = keys[-1] if keys else ""
    if key == "name":
        return "a name of at most 100 letters, digits, '.', '_' and '-', the first a letter or digit, is needed"
    if key in ("", "machine", "patterns", "loss", "measure", "sampler", "teacher", "volumes"):
        return "a table is needed"
    if key == "replicas" and keys[0] == "volumes":
        return "true or false is needed"
    if key in texts:
        return "a text is needed"
    span = f"0 to {SEED_LIMIT - 1}" if key == "seed" else f"{int(key != 'burn_in')} to {2**31 - 1}"
    one = f"a whole number from {span}" if key in wholes else "a number"
    several = ", a list of them or {start, stop, num}" if key in axes else ""
    ramp = ", or a ramp {start, stop, scale, over}" if key in ramped else ""
    return f"{one}{several}{ramp} is needed"


def _meant(unknown: str, allowed: Sequence[str]) -> str:
    """A clause with the key that was meant, however it is spelled: burn-in, Burn_In, N."""
    plain = re.sub(r"[^a-z0-9]+", "_", unknown[:LONGEST_KEY].lower()).strip("_")
    return nearest(plain, allowed)


def _known(place: Sequence[int | str], fields: Fields) -> list[str]:
    """The keys of the config in a place; the rest are unknown keys, or what pydantic calls the alternatives of a union."""
    keys: list[str] = []
    for part in place:
        if isinstance(part, str) and part in fields(keys):
            keys.append(part)
    return keys


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
