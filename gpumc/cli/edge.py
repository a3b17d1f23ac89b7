"""Where the command line meets the system: exit statuses, signals, and streams that cannot print everything."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from functools import cache

from gpumc.cli.commands import app, wants_traceback

#: Signals that end a program are told to a shell as 128 + their number.
TERMINATED = 128 + signal.SIGTERM
#: Seconds that a running task has to write a checkpoint: as it does between two launches.
CHECKPOINT_PATIENCE = 5.0


class _Terminated(BaseException):
    """SIGTERM came. No Exception, so that nobody takes it for a failure of their own."""


def main() -> None:
    """The command `gpumc`: errors are one plain sentence each.

    The exit status is 0 where all went well, 2 for wrong input, 1 for other failures, 130 after Ctrl-C and 143 after SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a terminal's encoding lacks is printed as an escape
            stream.reconfigure(errors="backslashreplace")
    os.environ["MPLBACKEND"] = "agg"  # pictures are files; the back end of a notebook, say, need not exist here
    warnings.showwarning = lambda message, *_, **__: _said_once(str(message))
    with _hearing_sigterm():
        _ended()


def _ended() -> None:
    """Run the command, and exit with its status."""
    from gpumc.errors import Ended, GpumcError, first_line

    try:
        try:
            app(prog_name="gpumc")
        finally:
            _flush()
    except GpumcError as error:
        _fail(str(error), error.exit_status)
    except (_Terminated, Ended):
        _fail("stopped by SIGTERM; the same command starts again, and a run goes on where it stopped", TERMINATED)
    except MemoryError as error:
        _fail(f"out of memory ({error or 'no more could be had'}): use fewer chains, or fewer grid points", 1)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 1)
    except Exception as error:
        message = first_line(error, "no message")
        _fail(
            f"unforeseen {type(error).__name__} ({message[:200]}): this is a fault of gpumc; "
            "GPUMC_DEBUG=1 shows where it comes from",
            1,
        )


@contextlib.contextmanager
def _hearing_sigterm() -> Iterator[None]:
    """Raise _Terminated at the first SIGTERM, once a running task had the time for a checkpoint, and hear no second one while files are
    closed; one that is ignored stays so."""

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        checkpoints = sys.modules.get("gpumc.sweeps.checkpoints")
        if checkpoints is None or not hasattr(signal, "setitimer"):
            raise _Terminated
        checkpoints.ENDING.set()
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, CHECKPOINT_PATIENCE)

    def end(*_: object) -> None:
        raise _Terminated

    before = signal.getsignal(signal.SIGTERM)
    if before == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGALRM) is end:  # what is closed after this may take longer than the patience
            signal.setitimer(signal.ITIMER_REAL, 0)
        if before == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)


def _flush() -> None:
    """Print what stdout still holds. Where nobody reads it any more, or the disk behind it is full, the exit status is 1."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):  # the interpreter tries it again as it ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        _fail(f"the output cannot be printed: {error.strerror}", 1)


@cache
def _said_once(message: str) -> None:
    print(f"gpumc: {message}", file=sys.stderr)


def _fail(message: str, status: int) -> None:
    with contextlib.suppress(OSError):  # a stderr that is closed
        if wants_traceback():
            import traceback

            traceback.print_exc()
        print(f"gpumc: {message}", file=sys.stderr)
    sys.exit(status)
