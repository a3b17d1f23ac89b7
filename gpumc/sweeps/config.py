"""The config of a run: TOML, checked whole before anything starts.

Every mistake is reported at once, one line each with its place, what was found and what is allowed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gpumc.errors import ConfigError, nearest
from gpumc.losses import LOSSES, CrossEntropy, ErrorCount, Loss
from gpumc.machines import MACHINES, Machine
from gpumc.measures import SCALES, SPANS, Gibbs, LocalEntropy, Measure, Ramp
from gpumc.patterns import Patterns, load_patterns, random_patterns, teacher_patterns
from gpumc.sampling.acceptance import SAMPLERS
from gpumc.sampling.run import check_measure
from gpumc.sweeps.mistakes import explained


def _expanded(value: Any) -> Any:
    """{start, stop, num} as the list it stands for; a list as a tuple."""
    if isinstance(value, dict) and "num" in value:
        unknown = set(value) - {"start", "stop", "num"}
        if unknown:
            raise ValueError(
                f"unknown key '{min(unknown)}' in a range: {nearest(min(unknown), ('start', 'stop', 'num'))}"
            )
        num = value["num"]
        if isinstance(num, bool) or not isinstance(num, int) or num < 1 or not {"start", "stop"} <= set(value):
            raise ValueError("a range is {start, stop, num}, num a whole number of at least 1")
        value = np.linspace(float(value["start"]), float(value["stop"]), num).tolist()
    if isinstance(value, list):
        if not value:
            raise ValueError("an empty list: at least one value is needed")
        if len(set(map(str, value))) < len(value):
            raise ValueError(f"{value} has a value twice")
        return tuple(value)
    return value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RampSection(_Section):
    """``{start, stop, scale, over}``: a parameter that moves with the sweeps."""

    start: float
    stop: float
    scale: Literal[SCALES] = "linear"  # type: ignore[valid-type]
    over: Literal[SPANS] = "burn_in"  # type: ignore[valid-type]

    def ramp(self) -> Ramp:
        return Ramp(self.start, self.stop, self.scale, self.over)


Whole = Annotated[int, Field(ge=1)]
Numbers = Annotated[float | tuple[float, ...], BeforeValidator(_expanded)]
Wholes = Annotated[Whole | tuple[Whole, ...], BeforeValidator(_expanded)]
Parameter = Annotated[float | RampSection | tuple[float, ...], BeforeValidator(_expanded)]


def listed(value: Any) -> Sequence:
    """The values of an axis; a single one is a list of one."""
    return value if isinstance(value, tuple) else (value,)


class MachineSection(_Section):
    """``[machine]``"""

    kind: Literal[tuple(MACHINES)]  # type: ignore[valid-type]
    weights: Literal["binary"] = "binary"
    n: Wholes
    k: Wholes = 1

    @model_validator(mode="after")
    def _machines_exist(self) -> MachineSection:
        mistakes = []
        for n, k in product(listed(self.n), listed(self.k)):
            try:
                self.machine(n, k)
            except ConfigError as error:
                mistakes.append(str(error))
        if mistakes:
            raise ValueError("\n".join(dict.fromkeys(mistakes)))
        return self

    def machine(self, n: int, k: int) -> Machine:
        return MACHINES[self.kind](n, k, self.weights)


class TeacherSection(_Section):
    """``teacher = {kind, k}``: its n is the student's."""

    kind: Literal[tuple(MACHINES)]  # type: ignore[valid-type]
    k: Whole = 1

    def machine(self, n: int) -> Machine:
        return MACHINES[self.kind](n, self.k)


class PatternsSection(_Section):
    """``[patterns]``"""

    kind: Literal["random", "teacher", "file"]
    alpha: Numbers | None = None
    instances: Whole = 1
    seed: Annotated[int, Field(ge=0)] | None = None
    teacher: TeacherSection | None = None
    flip: Numbers | None = None
    path: str | None = None

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
        mistakes += [
            f"alpha = {a}: a positive number is needed" for a in listed(self.alpha) if a is not None and not a > 0
        ]
        mistakes += [
            f"flip = {f}: a probability from 0 to 1 is needed"
            for f in listed(self.flip)
            if f is not None and not 0 <= f <= 1
        ]
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self


class LossSection(_Section):
    """``[loss]``"""

    kind: Literal[tuple(LOSSES)]  # type: ignore[valid-type]
    gamma: Numbers | None = None

    @model_validator(mode="after")
    def _loss_exists(self) -> LossSection:
        if self.kind == "error-count" and self.gamma is not None:
            raise ValueError("gamma has no meaning for the error count: leave it out")
        self.loss()
        return self

    def loss(self) -> Loss:
        return ErrorCount() if self.kind == "error-count" else CrossEntropy(1.0 if self.gamma is None else self.gamma)


class MeasureSection(_Section):
    """``[measure]``: Gibbs where there is no coupling, else local entropy."""

    beta: Parameter
    replicas: Wholes = 1
    coupling: Parameter | None = None
    centre: str | None = None

    @model_validator(mode="after")
    def _measure_exists(self) -> MeasureSection:
        if self.coupling is None:
            if self.replicas != 1:
                raise ValueError("replicas without coupling: give the coupling that holds them to their centre")
            if self.centre is not None:
                raise ValueError("centre without coupling: give the coupling that holds the replicas to it")
        self.measure(ErrorCount(), 1, None)
        return self

    def measure(self, loss: Loss, replicas: int, centre: np.ndarray | None) -> Measure:
        """The measure with one number of replicas; ``centre`` is the array of a centre from a file."""
        beta = _ramp_or_numbers(self.beta)
        if self.coupling is None:
            return Gibbs(loss, beta)
        kind = self.centre if self.centre in ("explicit", "traced") else "explicit"
        return LocalEntropy(loss, beta, _ramp_or_numbers(self.coupling), replicas, kind if centre is None else centre)

    @property
    def centre_file(self) -> str | None:
        """The file of a given centre."""
        return None if self.centre in (None, "explicit", "traced") else self.centre


class SamplerSection(_Section):
    """``[sampler]``"""

    kind: Literal[SAMPLERS] = "metropolis"  # type: ignore[valid-type]
    chains: Whole
    burn_in: Annotated[int, Field(ge=0)]
    sweeps: Whole
    every: Whole = 1

    @model_validator(mode="after")
    def _something_is_recorded(self) -> SamplerSection:
        if self.every > self.sweeps:
            raise ValueError(f"every = {self.every} is more than sweeps = {self.sweeps}: nothing would be recorded")
        return self


class RunConfig(_Section):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**48)] = 0
    machine: MachineSection
    patterns: PatternsSection
    loss: LossSection
    measure: MeasureSection
    sampler: SamplerSection

    @model_validator(mode="after")
    def _parts_fit(self) -> RunConfig:
        mistakes = []
        for n, k in self.shapes:
            machine = self.machine.machine(n, k)
            for alpha in listed(self.patterns.alpha):
                loss, teacher = self.loss.loss(), self.patterns.teacher
                mistakes += _mistakes(loss.tables, machine)
                mistakes += _mistakes(machine.pattern_count, alpha) if alpha is not None else []
                mistakes += _mistakes(teacher.machine, n) if teacher else []
                mistakes += _mistakes(check_measure, self.measure.measure(loss, 1, None), self.sampler.kind)
        if mistakes:
            raise ValueError("\n".join(dict.fromkeys(mistakes)))
        return self

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Every (n, k): a group of the result for each."""
        return list(product(listed(self.machine.n), listed(self.machine.k)))

    def make_patterns(self, machine: Machine, alpha: float | None, flip: float | None, folder: Path) -> Patterns:
        """The patterns of a task; paths are relative to ``folder``."""
        section = self.patterns
        if section.kind == "file":
            patterns = load_patterns(folder / str(section.path))
            patterns.check(machine)
            return patterns
        assert alpha is not None
        seed = self.seed if section.seed is None else section.seed
        if section.kind == "random":
            return random_patterns(machine, alpha, section.instances, seed)
        teacher = section.teacher.machine(machine.n) if section.teacher else None
        return teacher_patterns(machine, alpha, section.instances, seed, teacher, flip or 0.0)

    def make_measure(self, replicas: int, folder: Path) -> Measure:
        """The measure of a task; paths are relative to ``folder``."""
        name = self.measure.centre_file
        return self.measure.measure(self.loss.loss(), replicas, _centre(folder / name) if name else None)


#: The section that each key with a table leads to.
SECTIONS: dict[str, type[BaseModel]] = {
    "machine": MachineSection,
    "patterns": PatternsSection,
    "teacher": TeacherSection,
    "loss": LossSection,
    "measure": MeasureSection,
    "beta": RampSection,
    "coupling": RampSection,
    "sampler": SamplerSection,
}


def read_config(text: str, overrides: Sequence[str] = (), folder: Path | None = None) -> RunConfig:
    """The config in a TOML ``text`` with ``overrides`` such as "sampler.sweeps=100"; its paths are relative to ``folder``.

    Raises ConfigError that lists every mistake, one line each.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the config is not TOML: {error}") from None
    for override in overrides:
        _apply(table, override)
    try:
        config = RunConfig.model_validate(table)
    except ValidationError as error:
        lines = [line for mistake in error.errors() for line in explained(mistake, table, _fields)]
        lines = list(dict.fromkeys(lines))
        count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        raise ConfigError("\n".join([f"the config has {count}, nothing was started:", *lines])) from None
    if folder is not None:
        _check_files(config, folder)
    return config


def _check_files(config: RunConfig, folder: Path) -> None:
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


def _apply(table: dict, override: str) -> None:
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: key=value is needed, such as sampler.sweeps=100")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {key} is no table of the config")
    table[keys[-1]] = parsed


def _model(keys: Sequence[str]) -> type[BaseModel] | None:
    """The section that ``keys`` lead to."""
    return SECTIONS.get(keys[-1]) if keys else RunConfig


def _fields(keys: Sequence[str]) -> list[str]:
    model = _model(keys)
    return list(model.model_fields) if model else []


def _mistakes(check: Callable[..., object], *arguments: object) -> list[str]:
    """What ``check`` finds wrong: one sentence or none."""
    try:
        check(*arguments)
    except ConfigError as error:
        return [str(error)]
    return []


def _ramp_or_numbers(value):
    return value.ramp() if isinstance(value, RampSection) else value


def _centre(path: Path) -> np.ndarray:
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(
            f"[measure] centre = '{path.name}': 'explicit', 'traced' or a .npy or .npz file is needed, and no such file can be read "
            f"({error})"
        ) from None
    if isinstance(stored, np.ndarray):
        return stored
    with stored:
        if "centre" not in stored:
            raise ConfigError(f"[measure] centre: {path} has no array 'centre': found {', '.join(stored) or 'none'}")
        return stored["centre"]
