"""The errors that gpumc raises for people: one plain sentence each, which the command line prints without a traceback."""

from __future__ import annotations


class GpumcError(Exception):
    """Something went wrong that a user can mend; the command line exits with ``exit_status``."""

    exit_status = 1


def first_line(error: BaseException, otherwise: str = "") -> str:
    """The first line of what an error says; where it says nothing ``otherwise``, or its kind."""
    return (str(error).strip().splitlines() or [otherwise or type(error).__name__])[0]


class ConfigError(GpumcError, ValueError):
    """What was asked for makes no sense: a wrong value, shape, name or combination."""

    exit_status = 2


class DeviceError(GpumcError, RuntimeError):
    """A device, compiler or kernel that was asked for cannot be had."""


class RunError(GpumcError, RuntimeError):
    """A run's folder or file cannot be used as it is."""


class Damaged(RunError):
    """The content of a file is not what was written to it, or not what belongs there; the file itself could be read."""


class Ended(BaseException):
    """The process was asked to end, and what it computes is in a checkpoint. No Exception, so that nobody takes it for a failure of their
    own."""


class Stopped(GpumcError):
    """A user stopped a run, which can go on."""

    exit_status = 130
