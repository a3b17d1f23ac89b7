"""The C++ compiler of the host kernels: which one it is, what it compiles for, and how long it may take."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpumc.device import cache
from gpumc.errors import DeviceError

COMPILERS = ("c++", "g++", "clang++")
#: The package that the extra "compiler" installs, and its command: -P, so that modules in the user's folder do not count; without the
#: library of C++, which no kernel uses, and which would first be built, for a minute or more; and without data for debuggers, which
#: names folders, so that the same source gives the same library.
PACKAGE = "ziglang"
ZIG = shlex.join([sys.executable or "python3", "-P", "-m", PACKAGE, "c++", "-nostdlib++", "-g0"])
EXTRA = "pip install 'gpumc[compiler]'"
#: Seconds in which a compiler says what it is.
ANSWER = 60
ERROR_LINES = 6
OTHERWISE = f"set CXX to another C++ compiler, or {EXTRA} and leave CXX unset, or use device 'numpy'"


def compiler() -> str:
    """The command of the C++ compiler: ``CXX`` where it is set and not blank, else the first of c++, g++ and clang++, else that of the
    package ziglang. Where this is installed, those that do not work are passed over.

    One that was there once is named for the rest of the process: kernels that are cached need it no more. Raises DeviceError
    where there is none.
    """
    return _found(os.environ.get("CXX", "").strip(), os.environ.get("PATH"))


@functools.cache
def _found(wanted: str, path: str | None) -> str:
    there = [name for name in ([wanted] if wanted else COMPILERS) if shutil.which(_words(name)[0])]
    if not wanted and importlib.util.find_spec(PACKAGE):
        return next(filter(_works, there), ZIG)
    if there:
        return there[0]
    missing = f"CXX = {wanted!r} names no program" if wanted else f"{', '.join(COMPILERS)} are not on the PATH"
    raise DeviceError(
        f"no C++ compiler was found ({missing}): install one ({EXTRA} does), set CXX, or use device 'numpy'"
    )


def _works(command: str) -> bool:
    try:
        return bool(target(command))
    except DeviceError:
        return False


def _words(command: str) -> list[str]:
    """The words of a command that is not blank."""
    try:
        return shlex.split(command, comments=False) or [command]
    except ValueError as error:
        raise DeviceError(
            f"no C++ compiler was found (CXX = {command!r}: {str(error).lower()}): write its quotes in pairs"
        ) from None


@functools.cache
def compiler_version(command: str) -> str:
    """The first line that ``command --version`` prints."""
    with contextlib.suppress(DeviceError):
        return (_run(command, ["--version"], ANSWER).stdout.splitlines() or ["version unknown"])[0]
    return "version unknown"


@functools.cache
def target(command: str) -> str:
    """The compiler and the instructions of this processor, as the macros that it predefines. Raises DeviceError where ``command`` is no
    C++ compiler."""
    done = _run(command, ["-march=native", "-dM", "-E", "-x", "c++", os.devnull], ANSWER)
    if done.returncode or "__cplusplus" not in done.stdout:
        reason = next((f", which says: {line.strip()}" for line in done.stderr.splitlines() if line.strip()), "")
        raise DeviceError(f"the command {command!r} is no C++ compiler that gpumc can use{reason}: {OTHERWISE}")
    return done.stdout


def compiled(command: str, flags: Sequence[str], title: str, source: Path, library: Path) -> None:
    """Compile ``source`` into ``library``. Raises DeviceError with the compiler's first errors; ``title`` names the kernel there."""
    done = _run(command, [*flags, "-o", str(library), str(source)], cache.COMPILE)
    if done.returncode:
        raise DeviceError(compile_error(title, f"{command} (device 'numpy' needs none)", done.stderr))
    if not library.is_file() or not library.stat().st_size:
        raise DeviceError(f"the C++ compiler {command!r} ended without an error and without a library: {OTHERWISE}")


def compile_error(title: str, compiler_name: str, log: str) -> str:
    """One message from a compiler's log: its first lines that speak of errors."""
    lines = log.strip().splitlines()
    first = next((i for i, line in enumerate(lines) if "error" in line), 0)
    return "\n".join([f"kernel {title} was not compiled by {compiler_name}:", *lines[first : first + ERROR_LINES]])


def _run(command: str, arguments: Sequence[str], limit: float) -> subprocess.CompletedProcess[str]:
    """``command`` with ``arguments``, ended after ``limit`` seconds with all that it started. Raises DeviceError where it does not end by
    itself or cannot be run."""
    with _environment(command) as environment:
        try:
            process = subprocess.Popen(
                [*_words(command), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env=environment,
                process_group=0 if hasattr(os, "killpg") else None,
            )
        except OSError as error:
            raise DeviceError(f"the C++ compiler {command!r} cannot be run ({error.strerror}): {OTHERWISE}") from None
        with process:
            try:
                output, log = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                _kill(process)
                raise DeviceError(f"the C++ compiler {command!r} did not end within {limit:g} s: {OTHERWISE}") from None
            except BaseException:
                _kill(process)
                raise
    return subprocess.CompletedProcess(command, process.returncode, output, log)


@contextlib.contextmanager
def _environment(command: str) -> Iterator[dict[str, str]]:
    """The environment of ``command``. Zig keeps the parts of the system's libraries that it builds, and nothing of a kernel."""
    plain = {**os.environ, "LC_ALL": "C"}
    if PACKAGE not in _words(command):
        yield plain
        return
    with cache.compiler_folders("zig") as (kept, passing):
        yield {**plain, "ZIG_GLOBAL_CACHE_DIR": str(kept), "ZIG_LOCAL_CACHE_DIR": str(passing)}


def _kill(process: subprocess.Popen) -> None:
    """End ``process`` and the processes that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
