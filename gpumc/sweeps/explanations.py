"""The mistakes of a config in words: one line each, with its place, what was found and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from gpumc.checks import nearest, shown
from gpumc.errors import ConfigError
from gpumc.sweeps.config_text import LONGEST_KEY, shown_key


def explained(mistake: Any) -> list[str]:
    """Lines for one of pydantic's mistakes: place, what was found, what is allowed."""
    kind, found, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    *sections, key = [shown_key(str(key)) for key in mistake["loc"]] or [""]
    section = f"[{'.'.join(sections)}] " if sections else ""
    place = f"{section}{key}" or "config"
    match kind:
        case "unknown":
            return [f"  {place}: unknown key; {_meant(str(mistake['loc'][-1]), context['allowed'])}"]
        case "unfit":
            return [f"  {place} has no meaning for kind = {shown(found)}: leave it out"]
        case "missing":
            return [f"  {place}: missing"]
        case "wanted":
            return [f"  {place} = {shown(found)}: {context['words']} is needed"]
        case "literal_error":
            allowed = [word.strip(" '") for word in context["expected"].replace(" or ", ",").split(",")]
            return [f"  {place} = {shown(found)}: {nearest(str(found), allowed)}"]
        case "value_error":
            lines = str(context["error"]).splitlines()
            if not lines[0].startswith(f"{key} = "):
                section = f"[{'.'.join([*sections, key])}] " if isinstance(found, dict) else f"{place}: "
            return [f"  {section}{line}" for line in lines]
        case _:
            raise AssertionError(f"no words for {mistake}")


def _meant(unknown: str, allowed: Sequence[str]) -> str:
    """A clause with the key that was meant, however it is spelled: burn-in, Burn_In, N."""
    plain = re.sub(r"[^a-z0-9]+", "_", unknown[:LONGEST_KEY].lower()).strip("_")
    return nearest(plain, allowed)


def refusal(check: Callable[..., object], *arguments: object) -> list[str]:
    """What ``check`` finds wrong: one sentence or none."""
    try:
        check(*arguments)
    except ConfigError as error:
        return [str(error)]
    return []
