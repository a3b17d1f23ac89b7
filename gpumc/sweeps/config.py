"""The config of a run: TOML, checked whole before anything starts.

Every mistake is reported at once, one line each with its place, what was found and what is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from gpumc.activations import ACTIVATIONS
from gpumc.checks import a_path, nearest
from gpumc.errors import ConfigError, first_line
from gpumc.losses import ErrorCount, Loss, loss_class
from gpumc.machines import MACHINES, WEIGHTS, Machine
from gpumc.measures import Gibbs, LocalEntropy, Measure
from gpumc.messages import BeliefPropagation
from gpumc.patterns import Patterns, load_patterns, random_patterns, teacher_patterns
from gpumc.sampling.samplers import default_sampler
from gpumc.sampling.stepping import check_measure
from gpumc.sweeps.mistakes import explained, what_fails
from gpumc.sweeps.sampler_section import SamplerSection
from gpumc.sweeps.sizes import check_memory, check_tasks
from gpumc.sweeps.text import load_centre, parsed, shown_key
from gpumc.sweeps.values import (
    FileName,
    Numbers,
    Parameter,
    RampSection,
    Section,
    Seed,
    Whole,
    Wholes,
    listed,
    ramp_or_numbers,
    within,
)

#: Machines of a run, mistakes that are told, and characters of a name (with what files add to it, the 143 of an encrypted folder
#: are enough).
MOST_MACHINES, MOST_TOLD, LONGEST_NAME = 1000, 20, 100
PARAMETER: TypeAdapter = TypeAdapter(Parameter)


class MachineSection(Section):
    """``[machine]``"""

    kind: Literal[tuple(MACHINES)]  # type: ignore[valid-type]
    weights: Literal[WEIGHTS] = "binary"  # type: ignore[valid-type]
    n: Wholes
    k: Wholes = 1
    activation: Literal[ACTIVATIONS] = "sign"  # type: ignore[valid-type]
    slope: Annotated[float, within(lambda b: 0 < b < np.inf, "a positive finite number")] = 1.0

    @model_validator(mode="after")
    def _machines_exist(self) -> MachineSection:
        shapes = list(product(listed(self.n), listed(self.k)))
        if len(shapes) > MOST_MACHINES:
            raise ValueError(f"n and k are {len(shapes)} machines: at most {MOST_MACHINES} are possible in one run")
        mistakes = dict.fromkeys(mistake for n, k in shapes for mistake in what_fails(self.machine, n, k))
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def machine(self, n: int, k: int) -> Machine:
        return MACHINES[self.kind](n, k, self.weights, self.activation, self.slope)


class TeacherSection(Section):
    """``teacher = {kind, k}``: its n and its weights' kind are the student's."""

    kind: Literal[tuple(MACHINES)]  # type: ignore[valid-type]
    k: Whole = 1

    def machine(self, n: int, weights: str) -> Machine:
        return MACHINES[self.kind](n, self.k, weights)


class PatternsSection(Section):
    """``[patterns]``"""

    kind: Literal["random", "teacher", "file"]
    alpha: Annotated[Numbers, within(lambda a: 0 < a < np.inf, "a positive number")] | None = None
    instances: Whole = 1
    seed: Seed | None = None
    teacher: TeacherSection | None = None
    flip: Annotated[Numbers, within(lambda f: 0 <= f <= 1, "a probability from 0 to 1")] | None = None
    path: FileName | None = None

    @model_validator(mode="after")
    def _belong_to_the_kind(self) -> PatternsSection:
        mistakes = []
        takes = {"random": ("alpha", "seed"), "teacher": ("alpha", "seed", "teacher", "flip"), "file": ("path",)}[
            self.kind
        ]
        for name in ("alpha", "seed", "teacher", "flip", "path"):
            if name not in takes and getattr(self, name) is not None:
                mistakes.append(f"{name} has no meaning for patterns of kind '{self.kind}': leave it out")
        needed = "path" if self.kind == "file" else "alpha"
        if getattr(self, needed) is None:
            mistakes.append(f"{needed} is missing: patterns of kind '{self.kind}' need it")
        if self.kind == "file" and self.instances != 1:
            mistakes.append("instances has no meaning for patterns of kind 'file': the file says how many there are")
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self


class LossSection(Section):
    """``[loss]``"""

    # Keys of a user's class are its own.
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    kind: str
    gamma: Annotated[Parameter, within(lambda g: 0 < g < np.inf, "a positive finite number")] | None = None
    margin: Annotated[Parameter, within(np.isfinite, "a finite number")] | None = None
    width: Annotated[Parameter, within(lambda w: 0 < w < np.inf, "a positive finite number")] | None = None
    cut: Annotated[Parameter, within(lambda c: 0 < c < np.inf, "a positive finite number")] | None = None

    @model_validator(mode="after")
    def _loss_exists(self) -> LossSection:
        try:
            self.loss()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def loss(self) -> Loss:
        """Raises ConfigError for a kind that there is not, and for what it does not take."""
        kind = loss_class(self.kind)
        taken = [name for name, field in getattr(kind, "__dataclass_fields__", {}).items() if field.init]
        given = {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}
        given = {name: value for name, value in given.items() if value is not None}
        for name, value in (self.model_extra or {}).items():
            if name not in taken:
                raise ConfigError(f"{shown_key(name)}: unknown key; {nearest(name, ['kind', *taken])}")
            given[name] = PARAMETER.validate_python(value)
        for name in given:
            if name not in taken:
                raise ConfigError(f"{name} has no meaning for the loss '{self.kind}': leave it out")
        try:
            return kind(**{name: ramp_or_numbers(value) for name, value in given.items()})
        except TypeError as error:  # a user's class that needs what is not there
            raise ConfigError(f"the loss '{self.kind}' cannot be made: {first_line(error)}") from None

    @property
    def axes(self) -> dict[str, object]:
        """The values of the loss's parameters, by name."""
        return dict(self.loss().parameters)


class MeasureSection(Section):
    """``[measure]``: Gibbs where there is no coupling, else local entropy."""

    beta: Annotated[Parameter, within(lambda b: b >= 0, "a non-negative number")]
    replicas: Wholes = 1
    coupling: Annotated[Parameter, within(lambda c: 0 <= c < np.inf, "a non-negative finite number")] | None = None
    centre: FileName | None = None

    @model_validator(mode="after")
    def _measure_exists(self) -> MeasureSection:
        if self.coupling is None:
            if self.replicas != 1:
                raise ValueError("replicas without coupling: give the coupling that holds them to their centre")
            if self.centre is not None:
                raise ValueError("centre without coupling: give the coupling that holds the replicas to it")
        return self

    def measure(self, loss: Loss, replicas: int, centre: np.ndarray | None) -> Measure:
        """The measure with one number of replicas; ``centre`` is the array of a centre from a file."""
        beta = ramp_or_numbers(self.beta)
        if self.coupling is None:
            return Gibbs(loss, beta)
        kind = self.centre if self.centre in ("explicit", "traced") else "explicit"
        return LocalEntropy(loss, beta, ramp_or_numbers(self.coupling), replicas, kind if centre is None else centre)

    @property
    def centre_file(self) -> str | None:
        """The file of a given centre."""
        return None if self.centre in (None, "explicit", "traced") else self.centre


class VolumesSection(Section):
    """``[volumes]``: belief propagation around the centres, and if asked around each replica, every so many sweeps."""

    distance: Annotated[Numbers, within(lambda d: 0 < d <= 0.5, "a normalised distance above 0 and at most 1/2")]
    every: Whole | None = None
    replicas: bool = False


class RunConfig(Section):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME)]
    seed: Seed = 0
    machine: MachineSection
    patterns: PatternsSection
    loss: LossSection
    measure: MeasureSection
    sampler: SamplerSection
    volumes: VolumesSection | None = None

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Every (n, k): a group of the result for each."""
        return list(product(listed(self.machine.n), listed(self.machine.k)))

    def make_patterns(self, machine: Machine, alpha: float | None, flip: float | None, folder: Path) -> Patterns:
        """The patterns of a task; paths are relative to ``folder``."""
        section = self.patterns
        if section.kind == "file":
            patterns = load_patterns(folder / a_path(str(section.path)))
            patterns.check(machine)
            return patterns
        assert alpha is not None
        seed = self.seed if section.seed is None else section.seed
        if section.kind == "random":
            return random_patterns(machine, alpha, section.instances, seed)
        teacher = section.teacher.machine(machine.n, machine.weights) if section.teacher else None
        return teacher_patterns(machine, alpha, section.instances, seed, teacher, flip or 0.0)

    def make_measure(self, replicas: int, folder: Path) -> Measure:
        """The measure of a task; paths are relative to ``folder``."""
        name = self.measure.centre_file
        return self.measure.measure(self.loss.loss(), replicas, load_centre(folder / a_path(name)) if name else None)


#: The section that each key with a table leads to.
SECTIONS: dict[str, type[BaseModel]] = {
    "machine": MachineSection,
    "patterns": PatternsSection,
    "teacher": TeacherSection,
    "loss": LossSection,
    "measure": MeasureSection,
    **dict.fromkeys(("beta", "coupling", "gamma", "margin", "width", "cut"), RampSection),
    "sampler": SamplerSection,
    "volumes": VolumesSection,
}


def read_config(text: str, overrides: Sequence[str] = (), folder: Path | None = None) -> RunConfig:
    """The config in a TOML ``text`` with ``overrides`` such as "sampler.sweeps=100"; its paths are relative to ``folder``.

    Raises ConfigError that lists every mistake, one line each.
    """
    table = parsed(text, overrides)
    mistakes = _mistakes_in(table)
    if not mistakes:
        config = RunConfig.model_validate(table)
        check_tasks(config)
        if folder is not None:
            check_memory(config)
    mistakes = list(dict.fromkeys(mistakes + _misfits(table)))
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        more = [f"  and {len(mistakes) - MOST_TOLD} more"] if len(mistakes) > MOST_TOLD else []
        raise ConfigError("\n".join([f"the config has {count}, nothing was started:", *mistakes[:MOST_TOLD], *more]))
    if folder is not None:
        check_files(config, folder)
    return config


def _mistakes_in(table: dict) -> list[str]:
    """What is wrong in the sections of a config, each by itself."""
    try:
        RunConfig.model_validate(table)
    except ValidationError as error:
        found = error.errors()
    else:
        return []
    lines = [line for mistake in found for line in explained(mistake, table, _fields)]
    # A section with an unknown key is not checked as a whole: look once more without it.
    known = _without(table, [mistake["loc"] for mistake in found if mistake["type"] == "extra_forbidden"])
    return lines + (_mistakes_in(known) if known != table else [])


def _without(table: dict, places: Sequence[tuple]) -> dict:
    """A copy of nested tables with the keys at ``places`` left out."""
    here = {place[0] for place in places if len(place) == 1}
    return {
        key: _without(value, [place[1:] for place in places if place[0] == key and len(place) > 1])
        if isinstance(value, dict)
        else value
        for key, value in table.items()
        if key not in here
    }


def _misfits(table: dict) -> list[str]:
    """What is wrong between sections, as far as these are right by themselves."""
    machine, patterns, loss = (_valid(SECTIONS[name], table.get(name)) for name in ("machine", "patterns", "loss"))
    measure, sampler = (_valid(SECTIONS[name], table.get(name)) for name in ("measure", "sampler"))
    volumes = _valid(VolumesSection, table["volumes"]) if "volumes" in table else None
    mistakes = []
    for n, k in product(listed(machine.n), listed(machine.k)) if machine else ():
        described = machine.machine(n, k)
        if loss and not described.spherical:
            mistakes += what_fails(loss.loss().tables, described)
        if loss and measure and sampler:
            sampled = measure.measure(loss.loss(), 1, None)
            mistakes += what_fails(check_measure, described, sampled)
            mistakes += what_fails((sampler.sampler or default_sampler(described, sampled)).check, described, sampled)
        if patterns:
            mistakes += [m for a in listed(patterns.alpha) if a for m in what_fails(described.pattern_count, a)]
            mistakes += what_fails(patterns.teacher.machine, n, machine.weights) if patterns.teacher else []
        if volumes:
            solutions = Gibbs(ErrorCount(), np.inf)
            mistakes += what_fails(BeliefPropagation().supports, described, solutions, "distance")
    if volumes and sampler and (volumes.every or 1) > sampler.sweeps:
        mistakes.append(
            f"[volumes] every = {volumes.every} is more than [sampler] sweeps = {sampler.sweeps}: nothing would be measured"
        )
    return [f"  {mistake}" for mistake in mistakes]


def _valid(section: type[BaseModel], table: Any) -> Any:
    """The section, or None where something is wrong in it."""
    try:
        return section.model_validate(table)
    except ValidationError:
        return None


def check_files(config: RunConfig, folder: Path) -> None:
    """Read what the config names, so that what is wrong with it is said before anything starts."""
    for n, k in config.shapes:
        machine = config.machine.machine(n, k)
        if config.patterns.kind == "file":
            config.make_patterns(machine, None, None, folder)
        if config.measure.centre_file:
            centre = np.asarray(config.make_measure(1, folder).centre)
            if np.shape(centre)[-1:] != (machine.weight_count,):
                raise ConfigError(
                    f"[measure] centre: {config.measure.centre_file} has shape {np.shape(centre)}, and the machine has "
                    f"{machine.weight_count} weights: the last dimension must be that"
                )


def _fields(keys: Sequence[str]) -> list[str]:
    """The keys of the section that ``keys`` lead to."""
    section = SECTIONS.get(keys[-1]) if keys else RunConfig
    return list(section.model_fields) if section else []
