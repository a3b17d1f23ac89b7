"""Launches, copies between host and device, and waits for the device: what a program costs beside its arithmetic."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field

_HERE = os.path.dirname(__file__)
#: Where files lie that are between a program and this one.
_BETWEEN = (
    "<",
    os.path.dirname(os.__file__),
    *(f"{_HERE}/{name}.py" for name in ("arrays", "costs", "functions", "indexing", "raw", "streams")),
)


@dataclass(frozen=True)
class Cost:
    """How often something was asked of the device."""

    launches: int = 0
    to_device: int = 0
    to_host: int = 0
    waits: int = 0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def within(self, other: Cost) -> bool:
        """Whether nothing is asked more often than in ``other``."""
        return all(a <= b for a, b in zip(astuple(self), astuple(other), strict=True))


@dataclass
class Meter:
    """What was asked so far, and, in ``lines``, by (file and line, what): the innermost line that is not the emulator's."""

    cost: Cost = field(default_factory=Cost)
    lines: Counter = field(default_factory=Counter)
    bytes_copied: int = 0
    by_line: bool = False

    def launch(self, what: str, count: int = 1) -> None:
        self._add(f"launch {what}", Cost(launches=count))

    def to_device(self, what: str, size: int) -> None:
        self.bytes_copied += size
        self._add(f"to device: {what}", Cost(to_device=1))

    def to_host(self, size: int) -> None:
        self.bytes_copied += size
        self._add("to host", Cost(to_host=1))

    def wait(self, why: str) -> None:
        self._add(f"wait: {why}", Cost(waits=1))

    def _add(self, what: str, cost: Cost) -> None:
        self.cost = Cost(*(a + b for a, b in zip(astuple(self.cost), astuple(cost), strict=True)))
        if self.by_line and cost != Cost():
            self.lines[calling_line(), what] += sum(astuple(cost))


METER = Meter()


def calling_line() -> str:
    """The file and line that called into the stand-in, past NumPy's and Python's own files."""
    frame = sys._getframe(1)
    while frame.f_back and (frame.f_code.co_filename.startswith(_BETWEEN) or "/numpy/" in frame.f_code.co_filename):
        frame = frame.f_back
    return f"{'/'.join(frame.f_code.co_filename.split('/')[-3:])}:{frame.f_lineno}"


@contextmanager
def metered() -> Iterator[Meter]:
    """A meter that holds, once the block has ended, what the block asked."""
    before, METER.by_line, METER.lines = METER.cost, True, Counter()
    found = Meter()
    try:
        yield found
    finally:
        found.cost, found.lines, METER.by_line = METER.cost - before, METER.lines, False
