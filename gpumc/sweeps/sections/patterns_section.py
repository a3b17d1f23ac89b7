"""The section ``[patterns]``: each kind has its own keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import PlainValidator

from gpumc.checks import a_path, text
from gpumc.data import fashion_mnist
from gpumc.machines import Machine
from gpumc.patterns import INPUTS, Patterns, check_inputs, load_patterns, random_patterns, teacher_patterns
from gpumc.sweeps.explanations import refusal
from gpumc.sweeps.sections.keys import VALUES, SectionOfAKind, by_kind, wanted
from gpumc.sweeps.sections.machine_section import TeacherSection
from gpumc.sweeps.sections.values import FileName, Numbers, Seed, Whole, listed, within


class PatternsKind(SectionOfAKind):
    """Patterns of a run; its keys that are axes of tasks are numbers, or several."""

    #: Whether they are read, which may fail before anything starts.
    stored: ClassVar[bool] = False
    #: The keys that are axes of tasks, of some kind.
    AXES: ClassVar[tuple[str, ...]] = ("alpha", "flip")

    @property
    def axes(self) -> dict[str, Any]:
        """The values of ``AXES``, None for those that this kind does not have."""
        return {name: getattr(self, name, None) for name in self.AXES}

    @property
    def file(self) -> str | None:
        """The file that is read, of which a run keeps a copy."""
        return None

    def count(self, machine: Machine, alpha: float) -> int:
        """The patterns of an instance at ``alpha``; 0 where only a file says it."""
        return 0

    def make(self, machine: Machine, point: Mapping[str, Any], seed: int, folder: Path) -> Patterns:
        """The patterns at a ``point`` of the axes; ``seed`` is the run's, and paths are relative to ``folder``."""
        raise NotImplementedError

    def misfits(self, machine: Machine) -> list[str]:
        """What ``machine`` cannot do with these patterns, as far as it is known without making them."""
        return []


class RandomPatterns(PatternsKind):
    """``kind = "random"``"""

    alpha: Annotated[Numbers, within(lambda a: 0 < a < np.inf, "a positive number")]
    instances: Whole = 1
    seed: Seed | None = None
    inputs: Annotated[str, PlainValidator(lambda inputs: text("inputs", inputs, INPUTS))] = "binary"

    def count(self, machine: Machine, alpha: float) -> int:
        """See `PatternsKind`."""
        return max(1, round(alpha * machine.weight_count))

    def make(self, machine: Machine, point: Mapping[str, Any], seed: int, folder: Path) -> Patterns:
        """See `PatternsKind`."""
        return random_patterns(machine, point["alpha"], self.instances, self._own(seed), self.inputs)

    def misfits(self, machine: Machine) -> list[str]:
        """See `PatternsKind`."""
        counts = [line for alpha in listed(self.alpha) for line in refusal(machine.pattern_count, alpha)]
        return [*counts, *refusal(check_inputs, machine, self.inputs)]

    def _own(self, seed: int) -> int:
        return seed if self.seed is None else self.seed


class TeacherPatterns(RandomPatterns):
    """``kind = "teacher"``"""

    teacher: TeacherSection | None = None
    flip: Annotated[Numbers, within(lambda f: 0 <= f <= 1, "a probability from 0 to 1")] | None = None

    def make(self, machine: Machine, point: Mapping[str, Any], seed: int, folder: Path) -> Patterns:
        """See `PatternsKind`."""
        teacher = self.teacher.machine(machine.n, machine.weights) if self.teacher else None
        flip = point["flip"] or 0.0
        alpha, own = point["alpha"], self._own(seed)
        return teacher_patterns(machine, alpha, self.instances, own, teacher, flip, self.inputs)

    def misfits(self, machine: Machine) -> list[str]:
        """See `PatternsKind`."""
        teacher = refusal(self.teacher.machine, machine.n, machine.weights) if self.teacher else []
        return [*super().misfits(machine), *teacher]


class FilePatterns(PatternsKind):
    """``kind = "file"``"""

    stored: ClassVar[bool] = True

    path: FileName
    #: The file says how many there are.
    instances: ClassVar[int] = 1

    @property
    def file(self) -> str:
        """See `PatternsKind`."""
        return self.path

    def make(self, machine: Machine, point: Mapping[str, Any], seed: int, folder: Path) -> Patterns:
        """See `PatternsKind`. Raises ConfigError where the file's patterns are not for ``machine``."""
        patterns = load_patterns(folder / a_path(self.path))
        patterns.check(machine)
        return patterns


#: What `fashion_mnist` takes where a key is absent.
DEFAULTS: dict[str, Any] = fashion_mnist.__kwdefaults__ or {}


class FashionPatterns(PatternsKind):
    """``kind = "fashion-mnist"``: the arguments of `gpumc.fashion_mnist`; ``folder`` is relative to the current folder."""

    stored: ClassVar[bool] = True

    folder: FileName | None = None
    classes: Annotated[list[str], wanted("a list of two names of classes")] = DEFAULTS["classes"]
    per_class: Whole = DEFAULTS["per_class"]
    binarise: Annotated[float | str, wanted("'rank', 'median', 'mean' or a number")] = DEFAULTS["binarise"]
    median_range: Annotated[list[float], wanted("a list of two numbers")] | None = None
    instances: Whole = 1
    shuffled: VALUES[bool] = False  # type: ignore[valid-type]
    seed: Seed | None = None

    def count(self, machine: Machine, alpha: float) -> int:
        """See `PatternsKind`."""
        return 2 * self.per_class

    def make(self, machine: Machine, point: Mapping[str, Any], seed: int, folder: Path) -> Patterns:
        """See `PatternsKind`."""
        return fashion_mnist(machine, **{"seed": seed} | self.given)


PATTERNS: dict[str, type[PatternsKind]] = {
    "random": RandomPatterns,
    "teacher": TeacherPatterns,
    "file": FilePatterns,
    "fashion-mnist": FashionPatterns,
}
PatternsSection = Annotated[
    RandomPatterns | FilePatterns | FashionPatterns,
    PlainValidator(by_kind(lambda kind: PATTERNS[text("kind", kind, PATTERNS)], PATTERNS)),
]
