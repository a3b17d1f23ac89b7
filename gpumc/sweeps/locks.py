"""One process at a time runs a folder; anybody who can read it sees whether one does."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gpumc.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
#: Seconds to wait for a lock: longer than `held` has it to see whether anybody does.
PATIENCE = 1.0


@contextmanager
def locked(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold ``folder`` for this process; the system lets go of it when the process dies.

    Raises RunError where another process has it for all the seconds of ``patience``, and where it cannot be locked.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise RunError(f"{folder} is being run by another process: wait for it, or stop it") from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or "not supported"
        if getattr(error, "errno", None) in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise RunError(f"{folder} cannot be written ({reason}): copy it, and run in the copy") from None
        raise RunError(
            f"{folder} cannot be locked ({reason}): choose an --out on a file system with locks, such as a local disk"
        ) from None
    try:
        yield
    finally:
        lock.release()


def held(folder: Path) -> bool:
    """Whether a process holds ``folder``, which need not be writable."""
    if fcntl is None:
        try:
            with locked(folder, patience=0):
                return False
        except RunError:
            return True
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # never locked, or a file system without locks, on which no run starts
        return False
    return False
