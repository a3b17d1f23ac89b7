"""The values that a config's keys take: numbers, lists and ranges of them, ramps, names of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WrapValidator

from gpumc.checks import evenly, nearest, shown
from gpumc.device.philox import SEED_LIMIT
from gpumc.ramps import Ramp
from gpumc.sweeps.config_text import shown_key
from gpumc.sweeps.sections.keys import Section, section_of, wanted

#: Values of one key.
MOST_VALUES = 10_000


def _expanded(value: Any) -> Any:
    """{start, stop, num} as the list it stands for; a list as a tuple."""
    if isinstance(value, dict) and "num" in value:
        unknown = set(value) - {"start", "stop", "num"}
        if unknown:
            key = min(unknown)
            raise ValueError(f"unknown key {shown_key(key)} in a range: {nearest(key, ('start', 'stop', 'num'))}")
        num = value["num"]
        if isinstance(num, bool) or not isinstance(num, int) or num < 1 or not {"start", "stop"} <= set(value):
            raise ValueError("a range is {start, stop, num}, num a whole number of at least 1")
        _at_most(num)
        ends = value["start"], value["stop"]
        if any(isinstance(end, bool) or not isinstance(end, (int, float)) or not np.isfinite(end) for end in ends):
            raise ValueError("a range is {start, stop, num}, start and stop finite numbers")
        value = evenly(*ends, num)
        if all(isinstance(end, int) for end in ends) and all(step.is_integer() for step in value):
            value = [int(step) for step in value]
    if isinstance(value, list):
        if not value:
            raise ValueError("an empty list: at least one value is needed")
        _at_most(len(value))
        if len({str(float(v) if isinstance(v, int) else v) for v in value}) < len(value):
            raise ValueError(f"{shown(value)} has a value twice")
        return tuple(value)
    return value


def _at_most(count: int) -> None:
    if count > MOST_VALUES:
        raise ValueError(f"{count} values: at most {MOST_VALUES} are possible")


def within(allowed: Callable[[float], bool], wanted: str) -> AfterValidator:
    """A check of every value of a key."""

    def check(value: Any, info: ValidationInfo) -> Any:
        for one in listed(value):
            if not allowed(one):
                raise ValueError(f"{info.field_name} = {shown(one)}: {wanted} is needed")
        return value

    return AfterValidator(check)


def _named(value: str) -> str:
    """A text that can be a file's name."""
    if not value or "\0" in value:
        raise ValueError(f"{shown(value)}: the name of a file is needed")
    return value


_RAMP = section_of(Ramp, {}, Section)


def _or_a_ramp(value: Any, numbers: Callable[[Any], Any]) -> Any:
    """A table that is no range is a ramp."""
    if isinstance(value, dict) and "num" not in value:
        return Ramp(**_RAMP.model_validate(value).given)
    return numbers(value)


#: Random numbers count sweeps, instances and chains in 32 bits.
LIMIT = 2**31
Whole = Annotated[int, Field(ge=1, lt=LIMIT), wanted(f"a whole number from 1 to {LIMIT - 1}")]
WholeOrZero = Annotated[int, Field(ge=0, lt=LIMIT), wanted(f"a whole number from 0 to {LIMIT - 1}")]
Seed = Annotated[int, Field(ge=0, lt=SEED_LIMIT), wanted(f"a whole number from 0 to {SEED_LIMIT - 1}")]
_SEVERAL = ", a list of them or {start, stop, num}"
Wholes = Annotated[
    Whole | tuple[Whole, ...],
    BeforeValidator(_expanded),
    wanted(f"a whole number from 1 to {LIMIT - 1}{_SEVERAL}"),
]
Numbers = Annotated[float | tuple[float, ...], BeforeValidator(_expanded), wanted(f"a number{_SEVERAL}")]
Parameter = Annotated[
    float | tuple[float, ...] | Ramp,
    BeforeValidator(_expanded),
    wanted(f"a number{_SEVERAL}, or a ramp {{start, stop, scale, over}}"),
    WrapValidator(_or_a_ramp),
]
FileName = Annotated[str, AfterValidator(_named), wanted("a text")]


def listed(value: Any) -> Sequence:
    """The values of an axis; a single one is a list of one."""
    return value if isinstance(value, tuple) else (value,)
