"""The sections ``[loss]`` and ``[measure]``: together they are a measure."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator, ValidationInfo

from gpumc.checks import a_path, shown
from gpumc.errors import ConfigError, first_line
from gpumc.losses import ErrorCount, Loss, loss_class
from gpumc.losses.registry import LOSSES
from gpumc.measures import Gibbs, LocalEntropy, Measure
from gpumc.sweeps.centre_files import load_centre
from gpumc.sweeps.sections.keys import Section, SectionOfAKind, by_kind, section_of
from gpumc.sweeps.sections.values import FileName, Parameter, Wholes, listed


@cache
def _keys(loss: Any) -> type[SectionOfAKind]:
    return section_of(loss, dict.fromkeys(loss.axes, Parameter), SectionOfAKind)


def _section(kind: Any) -> type[SectionOfAKind]:
    if not isinstance(kind, str):
        raise ConfigError(f"kind = {shown(kind)}: a text is needed")
    described: Any = loss_class(kind)
    return _keys(described)


def _loss(section: SectionOfAKind) -> Loss:
    """The loss of a section. Raises ConfigError for what it does not take."""
    try:
        return loss_class(section.kind)(**section.given)
    except TypeError as error:  # a user's class that needs what is not there
        raise ConfigError(f"the loss '{section.kind}' cannot be made: {first_line(error)}") from None


#: ``[loss]``: a loss itself, whose parameters may be lists and ramps.
LossSection = Annotated[Loss, PlainValidator(by_kind(_section, LOSSES, _loss))]


def _of_the_measure(value: Any, info: ValidationInfo) -> Any:
    """A value that the measure takes as the field of the key's name."""
    LocalEntropy(ErrorCount(), **({"beta": 0.0, "coupling": 0.0, "replicas": 1} | {str(info.field_name): value}))
    return value


def _each_of_the_measure(values: Any, info: ValidationInfo) -> Any:
    for value in listed(values):
        _of_the_measure(value, info)
    return values


class MeasureSection(Section):
    """``[measure]``: Gibbs where there is no coupling, else local entropy; a list of ``replicas`` is an axis of tasks."""

    beta: Annotated[Parameter, AfterValidator(_of_the_measure)]
    replicas: Annotated[Wholes, AfterValidator(_each_of_the_measure)] = 1
    coupling: Annotated[Parameter, AfterValidator(_of_the_measure)] | None = None
    centre: FileName | None = None

    def agreeing(self) -> MeasureSection:
        """See `Section`."""
        if self.coupling is None:
            if self.replicas != 1:
                raise ConfigError("replicas without coupling: give the coupling that holds them to their centre")
            if self.centre is not None:
                raise ConfigError("centre without coupling: give the coupling that holds the replicas to it")
        return self

    def measure(self, loss: Loss, replicas: int, folder: Path | None = None) -> Measure:
        """The measure with one number of replicas; a centre's file is read where its ``folder`` is given, else the centre is explicit."""
        if self.coupling is None:
            return Gibbs(loss, self.beta)
        centre: Any = self.centre or "explicit"
        if self.file:
            centre = load_centre(folder / a_path(self.file)) if folder else "explicit"
        return LocalEntropy(loss, self.beta, self.coupling, replicas, centre)

    @property
    def file(self) -> str | None:
        """The file of a given centre."""
        return None if self.centre in (None, "explicit", "traced") else self.centre
