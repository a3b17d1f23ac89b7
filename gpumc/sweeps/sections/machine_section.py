"""The section ``[machine]``: a machine for each of its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Annotated, Any

from pydantic import PlainValidator

from gpumc.checks import text
from gpumc.errors import ConfigError
from gpumc.machines import MACHINES, Machine
from gpumc.sweeps.explanations import refusal
from gpumc.sweeps.sections.keys import Section, SectionOfAKind, by_kind, section_of
from gpumc.sweeps.sections.values import Whole, Wholes, listed

#: Machines of a run.
MOST_MACHINES = 1000


@dataclass(frozen=True)
class Machines:
    """The machines of a run: of one kind, each with an ``n`` and a ``k``; ``settings`` are all other fields that are given."""

    kind: str
    n: int | tuple[int, ...]
    k: int | tuple[int, ...]
    settings: dict[str, Any]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Every (n, k): a group of the result for each."""
        return list(product(listed(self.n), listed(self.k)))

    def machine(self, n: int, k: int) -> Machine:
        """The machine of these sizes."""
        return MACHINES[self.kind](n, k, **self.settings)

    def all(self) -> list[Machine]:
        """The machine of every shape."""
        return [self.machine(n, k) for n, k in self.shapes]


@cache
def _section(kind: str) -> type[SectionOfAKind]:
    return section_of(MACHINES[kind], {"n": Wholes, "k": Wholes}, SectionOfAKind)


def _machines(section: SectionOfAKind) -> Machines:
    """The machines of a section. Raises ConfigError for sizes and settings of which there is none."""
    settings = section.given
    default = MACHINES[section.kind].__dataclass_fields__["k"].default
    machines = Machines(section.kind, settings.pop("n"), settings.pop("k", default), settings)
    if len(machines.shapes) > MOST_MACHINES:
        raise ConfigError(
            f"n and k are {len(machines.shapes)} machines: at most {MOST_MACHINES} are possible in one run"
        )
    mistakes = dict.fromkeys(mistake for shape in machines.shapes for mistake in refusal(machines.machine, *shape))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return machines


MachineSection = Annotated[
    Machines, PlainValidator(by_kind(lambda kind: _section(text("kind", kind, MACHINES)), MACHINES, _machines))
]


class TeacherSection(Section):
    """``teacher = {kind, k}``: its n and its weights' kind are the student's."""

    kind: Annotated[str, PlainValidator(lambda kind: text("kind", kind, MACHINES))]
    k: Whole = 1

    def machine(self, n: int, weights: str) -> Machine:
        """The teacher of a student with ``n`` inputs."""
        return MACHINES[self.kind](n, self.k, weights)
