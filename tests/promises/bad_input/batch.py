"""Many command lines in one process, with little memory and time: ``python -m tests.promises.bad_input.batch CASES.json``.

CASES.json: a list of lists of arguments. Its place is taken by a list of what came of each: status, stdout, stderr. A command that takes
more than SECONDS of CPU has the status "hang", one that raises anything the exception's name.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

BYTES = 4 * 2**30
SECONDS = 20
SECONDS_IN_ALL = 1200


class _Hang(BaseException):
    pass


def outcomes(commands: list[list[str]], folder: Path, pictures: bool = False) -> list[dict]:
    """What comes of each of ``commands``, run in ``folder``; without ``pictures`` none are drawn."""
    file = folder / "commands.json"
    file.write_text(json.dumps({"commands": commands, "pictures": pictures}), encoding="utf-8")
    call = [sys.executable, "-m", "tests.promises.bad_input.batch", str(file)]
    environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        call, cwd=folder, env=os.environ | environment, capture_output=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return json.loads(file.read_text(encoding="utf-8"))


def outcome(arguments: list[str]) -> dict:
    """What comes of one command, run in this process."""
    from gpumc.cli import main

    # Bytes, as a terminal has them, whose errors the command may set.
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    sys.argv = ["gpumc", *arguments]
    status: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = end.code or 0
    except _Hang:
        status = "hang"
    except BaseException as error:
        status = repr(error)[:500]
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return {"status": status, "out": texts[0], "err": texts[1]}


def _timed(arguments: list[str]) -> dict:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        return outcome(arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _run(file: Path) -> None:
    def hang(*_: object) -> None:
        raise _Hang

    signal.signal(signal.SIGPROF, hang)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_IN_ALL, SECONDS_IN_ALL))
    asked = json.loads(file.read_text(encoding="utf-8"))
    if not asked["pictures"]:
        import gpumc.cli.commands

        gpumc.cli.commands._draw = lambda *_: None
    file.write_text(json.dumps([_timed(arguments) for arguments in asked["commands"]]), encoding="utf-8")


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
