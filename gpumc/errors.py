"""The errors that gpumc raises for people: one plain sentence each, which the command line prints without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from numbers import Integral, Real


class GpumcError(Exception):
    """Something went wrong that a user can mend; the command line exits with ``exit_status``."""

    exit_status = 1


class ConfigError(GpumcError, ValueError):
    """What was asked for makes no sense: a wrong value, shape, name or combination."""

    exit_status = 2


class DeviceError(GpumcError, RuntimeError):
    """A device, compiler or kernel that was asked for cannot be had."""


class RunError(GpumcError, RuntimeError):
    """A run's folder or file cannot be used as it is."""


class Stopped(GpumcError):
    """A user stopped a run, which can go on."""

    exit_status = 130


def whole(name: str, value: object, least: int, limit: int | None = None) -> int:
    """``value``, or ConfigError unless it is a whole number of at least ``least`` and, where there is one, below ``limit``."""
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if number is None or number < least or (limit is not None and number >= limit):
        span = f"of at least {least}" if limit is None else f"from {least} to {limit - 1}"
        raise ConfigError(f"{name} = {value!r}: a whole number {span} is needed")
    return number


def real(name: str, value: object, right: Callable[[float], object], wanted: str) -> float:
    """``value``, or ConfigError unless it is a number that is ``right``, which in words is ``wanted``."""
    if not isinstance(value, Real) or isinstance(value, bool) or not right(float(value)):
        raise ConfigError(f"{name} = {value!r}: {wanted} is needed")
    return float(value)


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A clause for an unknown ``name``: the nearest allowed one where there is one, and all of them."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(name), names, n=1)
    return (f"did you mean '{close[0]}'? " if close else "") + "allowed: " + ", ".join(names)
