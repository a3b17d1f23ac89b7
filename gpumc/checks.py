"""Checks of arguments at the edge: what they return is what is used from then on."""

from __future__ import annotations

import difflib
import os
import reprlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

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


def keep(described: object, **values: object) -> None:
    """Put checked ``values`` into the fields of a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(described, name, value)


def whole(name: str, value: object, least: int, limit: int | None = None) -> int:
    """``value`` as Python's int, or ConfigError unless it is a whole number of at least ``least`` and below ``limit``, if there is one."""
    number = _scalar(value)
    number = int(number) if isinstance(number, Integral) and not isinstance(number, bool) else None
    if number is None or number < least or (limit is not None and number >= limit):
        span = f"of at least {least}" if limit is None else f"from {least} to {limit - 1}"
        raise ConfigError(f"{name} = {shown(value)}: a whole number {span} is needed")
    return number


def real(name: str, value: object, right: Callable[[float], object], wanted: str) -> float:
    """``value`` as Python's float, or ConfigError unless it is a number that is ``right``, which in words is ``wanted``."""
    number = _scalar(value)
    try:
        number = float(number) if isinstance(number, Real) and not isinstance(number, bool) else None
    except OverflowError:  # integers and fractions beyond any float
        number = None
    if number is None or not right(number):
        raise ConfigError(f"{name} = {shown(value)}: {wanted} is needed")
    return number


def _scalar(value: Any) -> Any:
    """The number in a NumPy scalar or an array without dimensions, None where that is masked or no number; anything else as it is."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind is None or value.ndim:
        return value
    return value.item() if kind in "iuf" and not np.ma.is_masked(value) else None


def text(name: str, value: object, allowed: Iterable[str], others: str = "") -> str:
    """``value``, or ConfigError unless it is one of the ``allowed`` names; ``others`` says what else is."""
    names = tuple(allowed)
    if not isinstance(value, str) or value not in names:
        meant = nearest(value if isinstance(value, str) else shown(value), names)
        raise ConfigError(f"{name} = {shown(value)}: {meant}{others}")
    return str(value)


def one_of(name: str, value: Any, kinds: Any, wanted: str) -> Any:
    """``value``, or ConfigError unless it is of one of ``kinds``, which in words are ``wanted``."""
    if isinstance(value, kinds):
        return value
    if isinstance(value, type) and issubclass(value, kinds):
        raise ConfigError(f"{name} is the class {value.__name__} and no object of it: write {value.__name__}(...)")
    raise ConfigError(f"{name} = {shown(value)}: {wanted} is needed, found {_article(type(value).__name__)}")


def callback(name: str, value: Any) -> Any:
    """``value``, or ConfigError unless it is None or can be called."""
    if value is not None and not callable(value):
        raise ConfigError(f"{name} = {shown(value)}: a function, or None, is needed")
    return value


def evenly(start: float, stop: float, count: int) -> list[float]:
    """``count`` evenly spaced numbers from ``start`` to ``stop``, each the double nearest to what the decimals written down say: of
    0.1 to 0.5 the middle is 0.3, where binary arithmetic gives 0.30000000000000004."""
    first, last = Fraction(repr(start)), Fraction(repr(stop))
    return [float(first + (last - first) * Fraction(i, max(count - 1, 1))) for i in range(count)]


def a_path(value: str | os.PathLike) -> Path:
    """``value`` as a path, ``~`` at its start expanded: here and nowhere else, so that all parts of the program mean one file.

    Raises ConfigError for what is no path.
    """
    name = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise ConfigError(f"path = {shown(value)}: the path of a file or folder is needed")
    path = Path(os.path.expanduser(name))
    # A name that truly begins with ~ must stay what it is wherever the path comes by again.
    return path.absolute() if str(path).startswith("~") else path


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A clause for an unknown ``name``: the nearest allowed one where there is one, and all of them."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(name)[:80], names, n=1)
    return (f"did you mean '{close[0]}'? " if close else "") + "allowed: " + ", ".join(names)


def signs(name: str, values: object) -> np.ndarray:
    """``values`` as an int8 array, or ConfigError naming the first entry that is not +-1."""
    array = numbers(name, values)
    _all(name, array, (array == 1) | (array == -1), "every entry must be +1 or -1")
    return array.astype(np.int8)


def reals(name: str, values: object) -> np.ndarray:
    """``values`` as a float64 array, or ConfigError naming the first entry that is not finite."""
    array = _doubles(numbers(name, values))
    _all(name, array, np.isfinite(array), "every entry must be a finite number")
    return array


def series(
    name: str, values: Any, right: Callable[[np.ndarray], Any], wanted: str, dim: str | None = None
) -> np.ndarray:
    """``values`` as float64, one number or a list of them, or ConfigError unless all are ``right``, which in words is ``wanted``.

    A list with a name of its dimension has that of the parameter, ``dim`` (``name`` where none is given).
    """
    dims = getattr(values, "dims", ())
    if dims and tuple(dims) != (dim or name,):
        raise ConfigError(
            f"{name} has the dimensions {', '.join(map(str, dims))}: a number, or a list along {dim or name!r}, is needed"
        )
    array = _doubles(numbers(name, values.values if dims else values))
    if array.ndim > 1 or array.size == 0:
        raise ConfigError(f"{name} = {shown(values)}: {wanted} are needed, one or a list of them")
    wrong = array[~np.asarray(right(array), bool)]
    if wrong.size:
        raise ConfigError(f"{name} = {wrong[0]:g}: {wanted} are needed")
    return array


def numbers(name: str, values: Any) -> np.ndarray:
    """``values`` as an array of numbers, or ConfigError: for text, objects, booleans, complex and masked numbers, and for arrays whose
    dimensions have names, which only some arguments take (gpumc.named)."""
    if getattr(values, "dims", None):
        raise ConfigError(
            f"{name} has dimensions with names, found {_article(type(values).__name__)}: an array without is needed (its .values)"
        )
    try:
        array = np.asarray(values)
    except ValueError:
        raise ConfigError(f"{name}: rows of one length are needed, found rows of several lengths") from None
    except Exception:  # whatever is raised by what refuses to become an array
        raise ConfigError(f"{name}: numbers are needed, found {_article(type(values).__name__)}") from None
    if array.dtype.kind not in "iuf":
        found = {"U": "text", "S": "text", "O": "objects", "c": "complex numbers", "b": "booleans"}
        kind = found.get(array.dtype.kind, str(array.dtype))
        raise ConfigError(f"{name}: numbers are needed, found {kind if array.ndim else shown(values)}")
    if _masked(values):
        raise ConfigError(f"{name}: every entry must be there, and some are masked: leave them out, or fill them")
    return array


def _doubles(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):  # of wider types: what becomes inf is refused as such
        return array.astype(np.float64)


def _masked(values: object) -> bool:
    """Whether anything is masked in an array, or in a list of them."""
    if isinstance(values, (list, tuple)):
        return any(_masked(value) for value in values if not isinstance(value, (int, float)))
    return bool(np.ma.is_masked(values))


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _all(name: str, array: np.ndarray, right: np.ndarray, wanted: str) -> None:
    wrong = np.argwhere(~right)
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise ConfigError(f"{name}{list(place) if place else ''} = {array[place]}: {wanted}")
