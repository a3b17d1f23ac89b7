"""The section ``[cluster]`` of a config: the jobs of a SLURM cluster that do a run's tasks. It changes no number of the run."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gpumc.errors import ConfigError
from gpumc.sweeps.sections.keys import Section, wanted
from gpumc.sweeps.sections.values import Whole, WholeOrZero

#: The shortest job, in seconds: a worker of it has time for a task.
SHORTEST = 300


def _line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("a text of one line is needed")
    return value


def _duration(value: str) -> str:
    if not (parts := re.fullmatch(r"(?:(\d{1,3})-)?(\d{1,3}):([0-5]\d):([0-5]\d)", value)):
        raise ValueError("a time such as '12:00:00' or '1-12:00:00' is needed")
    if seconds_of(value) < SHORTEST:
        raise ValueError(f"at least {SHORTEST // 60} minutes are needed, found {parts[0]}")
    return value


def _memory(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,5} ?[MGT]i?B", value):
        raise ValueError("an amount of memory such as '16GB' is needed")
    return value


def seconds_of(walltime: str) -> int:
    """The seconds of a time such as 1-12:00:00."""
    days, _, clock = walltime.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


Line = Annotated[str, AfterValidator(_line), wanted("a text of one line")]
Lines = Annotated[list[Line], wanted("a list of texts, each of one line,")]
Duration = Annotated[str, AfterValidator(_duration), wanted("a time such as '12:00:00' or '1-12:00:00'")]
Memory = Annotated[str, AfterValidator(_memory), wanted("an amount of memory such as '16GB'")]


class ClusterSection(Section):
    """``[cluster]``: what each of a number of equal jobs has, and by which network interface its workers reach the scheduler."""

    interface: Line
    cores: Whole
    memory: Memory
    walltime: Duration
    jobs: Whole = 1
    gpus: WholeOrZero = 0
    workers: Whole | None = None
    queue: Line | None = None
    account: Line | None = None
    directives: Lines = Field(default_factory=list)
    prologue: Lines = Field(default_factory=list)

    def agreeing(self) -> ClusterSection:
        """See `Section`."""
        if self.processes > self.cores:
            raise ConfigError(
                f"a job has {self.processes} workers and cores = {self.cores}: each worker needs a core at least"
            )
        return self

    @property
    def processes(self) -> int:
        """The workers of a job: one a GPU, or one with all cores, unless there are more."""
        return self.workers or max(1, self.gpus)
