"""Checks of arguments at the edge: what they return is what is used from then on."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike

from gpumc.errors import ConfigError

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: object) -> str:
    """``value`` as a message shows it: on one line, and not long."""
    try:
        text = _SHORT.repr(value)
    except Exception:  # whatever an object's own repr raises, and integers of thousands of digits
        text = f"a {type(value).__name__}"
    return " ".join(text.split())


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


def evenly(start: float, stop: float, count: int) -> list[float]:
    """``count`` evenly spaced numbers from ``start`` to ``stop``, each the double nearest to what the decimals written down say: of
    0.1 to 0.5 the middle is 0.3, where binary arithmetic gives 0.30000000000000004."""
    first, last = Fraction(repr(start)), Fraction(repr(stop))
    return [float(first + (last - first) * Fraction(i, max(count - 1, 1))) for i in range(count)]


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A clause for an unknown ``name``: the nearest allowed one where there is one, and all of them."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(name)[:80], names, n=1)
    return (f"did you mean '{close[0]}'? " if close else "") + "allowed: " + ", ".join(names)


def signs(name: str, values: ArrayLike) -> np.ndarray:
    """``values`` as an int8 array, or ConfigError naming the first entry that is not +-1."""
    array = numbers(name, values)
    _all(name, array, (array == 1) | (array == -1), "every entry must be +1 or -1")
    return array.astype(np.int8)


def reals(name: str, values: ArrayLike) -> np.ndarray:
    """``values`` as a float64 array, or ConfigError naming the first entry that is not finite."""
    array = numbers(name, values)
    _all(name, array, np.isfinite(array), "every entry must be a finite number")
    return array.astype(np.float64)


def numbers(name: str, values: object) -> np.ndarray:
    """``values`` as an array of numbers, or ConfigError."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ConfigError(f"{name}: rows of one length are needed, found rows of several lengths") from None
    if array.dtype.kind not in "biuf":
        found = {"U": "text", "O": "objects", "c": "complex numbers"}.get(array.dtype.kind, array.dtype)
        raise ConfigError(f"{name}: numbers are needed, found {found if array.ndim else repr(values)}")
    return array


def _all(name: str, array: np.ndarray, right: np.ndarray, wanted: str) -> None:
    wrong = np.argwhere(~right)
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise ConfigError(f"{name}{list(place)} = {array[place]}: {wanted}")
