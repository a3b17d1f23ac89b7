"""The section ``[learner]`` of a config: a learner for each value of its settings, and how many starts it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import PlainValidator

from gpumc.checks import text
from gpumc.errors import ConfigError
from gpumc.learning import LEARNERS, Learner
from gpumc.sweeps.explanations import refusal
from gpumc.sweeps.sections.keys import SectionOfAKind, by_kind, section_of
from gpumc.sweeps.sections.values import Numbers, Parameter, Whole, Wholes

#: Values of a setting that is an axis, by what the learner's class says of it; of all others, a number, several, or a ramp.
AXES: dict[Any, Any] = {int: Wholes, float: Numbers}


@dataclass(frozen=True)
class Learners:
    """The learners of a run: of one kind, with a learner for every value of the settings that are several numbers."""

    kind: str
    starts: int
    settings: dict[str, Any]

    @property
    def axes(self) -> dict[str, tuple]:
        """The settings that are several numbers."""
        return {name: value for name, value in self.settings.items() if isinstance(value, tuple)}

    def at(self, point: Mapping[str, Any]) -> Learner:
        """The learner at a ``point`` of the axes."""
        return LEARNERS[self.kind](**self.settings | {name: point[name] for name in self.axes})

    @property
    def first(self) -> Learner:
        """The learner at the first value of each axis."""
        return self.at({name: values[0] for name, values in self.axes.items()})


class _LearnerKind(SectionOfAKind):
    starts: Whole = 1


@cache
def _section(kind: str) -> type[SectionOfAKind]:
    learner = LEARNERS[kind]
    hints = get_type_hints(learner)
    return section_of(learner, {name: AXES.get(hints[name], Parameter) for name in learner.axes}, _LearnerKind)


def _learners(section: Any) -> Learners:
    """The learners of a section. Raises ConfigError for settings that there is none with."""
    learners = Learners(section.kind, section.starts, {k: v for k, v in section.given.items() if k != "starts"})
    first = {name: values[0] for name, values in learners.axes.items()}
    points = [first | {name: value} for name, values in learners.axes.items() for value in values] or [first]
    mistakes = dict.fromkeys(mistake for point in points for mistake in refusal(learners.at, point))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return learners


LearnerSection = Annotated[
    Learners, PlainValidator(by_kind(lambda kind: _section(text("kind", kind, LEARNERS)), LEARNERS, _learners))
]
