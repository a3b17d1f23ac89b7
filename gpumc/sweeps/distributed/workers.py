"""What runs on a dask worker: a task, from plain texts and numbers, and the worker's answer to being asked to end."""

from __future__ import annotations

import asyncio
import functools
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TypedDict

import psutil
from distributed import Worker, WorkerPlugin, get_worker

from gpumc.device import share_of
from gpumc.errors import Ended, GpumcError, RunError
from gpumc.sweeps.checkpoints import ENDING
from gpumc.sweeps.folder import NoRun, RunFolder
from gpumc.sweeps.one_task import do

#: Seconds between two notes of progress that a worker sends.
TELL_EVERY = 1.0


class Status(TypedDict):
    """What a worker answers of a task: "finished", and what is to be noted of its shard; "ended", as the worker is asked to end; or
    "failed", and the error: its class and text."""

    state: str
    told: tuple[str, str]


#: Seconds before the end of a worker's life at which its task is asked to write a checkpoint, so that another worker goes on with that.
EARLY = 30.0


class _Process:
    """Of this worker: whether it is to end, the run whose task it does, who is told of that, and what ends it when the task is done."""

    closing = threading.Event()
    run: str | None = None
    tell: Callable[[str], None] | None = None
    leave: Callable[[], None] | None = None


class Setup(WorkerPlugin):
    """Makes a worker write a checkpoint when it is closed or gets SIGTERM; one of our own (``local``) leaves Ctrl-C to its client."""

    name = "gpumc"

    def __init__(self, local: bool):
        self.local = local

    def setup(self, worker: Worker) -> None:
        """See `WorkerPlugin`."""
        _Process.closing.clear()
        if worker.lifetime:
            age = time.time() - psutil.Process().create_time()
            worker.loop.call_later(max(1.0, worker.lifetime - age - EARLY), _retire, worker)
        if threading.current_thread() is not threading.main_thread():
            return  # signals are those of another program
        if self.local:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        before, loop = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop()

        def end(number: int, frame: FrameType | None) -> None:
            if callable(before):
                _end_all()
                before(number, frame)
            else:
                loop.call_soon_threadsafe(_retire, worker)

        if getattr(before, "__module__", None) != __name__:  # this plugin was here before, for another run
            signal.signal(signal.SIGTERM, end)

    def teardown(self, worker: Worker) -> None:
        """See `WorkerPlugin`."""
        _end_all()


def _retire(worker: Worker) -> None:
    """End a worker: at once, or when its task has written its checkpoint and says so, so that another worker goes on with that."""

    def leave() -> None:
        _Process.leave = None
        worker.loop.add_callback(worker.close_gracefully, restart=False, reason="asked to end")

    _Process.leave = leave
    _end_all()
    if _Process.run is None:
        leave()


def _end_all() -> None:
    """Let the running task write a checkpoint and stop, and begin no other."""
    _Process.closing.set()
    ENDING.set()
    if _Process.tell:  # now, as the connection may be closed before the task has stopped
        _Process.tell("ended")


def end(run: str) -> None:
    """Let this worker's task write a checkpoint and stop where it is one of ``run``."""
    if _Process.run == run:
        ENDING.set()


def do_task(path: str, run: str, index: int, device: str, checkpoint_every: float, topic: str) -> None:
    """Do task ``index`` of the ``run`` of this key in the folder ``path``; under ``topic`` the client is told how far it is, and the
    `Status` in the end: an event is a third of the work of fetching a result."""
    worker = get_worker()
    tell = _teller(worker, topic, index)
    _Process.run, _Process.tell = run, tell
    if not _Process.closing.is_set():
        ENDING.clear()
    try:
        status = _done(worker, path, run, index, device, checkpoint_every, tell)
        worker.loop.add_callback(worker.log_event, topic, {"index": index, "status": status})
    finally:
        _Process.run = _Process.tell = None
        if _Process.leave:
            _Process.leave()


def _done(
    worker: Worker, path: str, run: str, index: int, device: str, checkpoint_every: float, tell: Callable[..., None]
) -> Status:
    """Do a task."""
    try:
        if ENDING.is_set():
            raise Ended
        tell("begun")
        folder = _opened(path, run)
        if folder.is_done(index):  # by a worker that was lost before it could say so
            return Status(state="finished", told=folder.notes_of(index, folder.loaded(index)))
        last, said = time.monotonic(), ""  # of a short task nothing is told

        def progress(done: int | None, total: int, doing: str) -> None:
            nonlocal last, said
            now = time.monotonic()
            if now - last > TELL_EVERY or said not in ("", doing):
                last, said = now, doing
                tell("running", done, total, doing)

        noted = do(folder, index, share_of(device, _number(worker)).name, checkpoint_every, progress)
        return Status(state="finished", told=noted)
    except Ended:
        tell("ended")
        return Status(state="ended", told=("", ""))
    except GpumcError as error:
        return Status(state="failed", told=(type(error).__name__, str(error)))


def _teller(worker: Worker, topic: str, index: int) -> Callable[..., None]:
    def tell(phase: str, done: int | None = 0, total: int = 0, doing: str = "") -> None:
        units = None if done is None else int(done)
        told = {"name": str(worker.name), "task": index, "phase": phase, "done": units, "total": int(total)}
        worker.loop.add_callback(worker.log_event, topic, {**told, "doing": doing})

    return tell


@functools.lru_cache(maxsize=1)
def _opened(path: str, run: str) -> RunFolder:
    """The folder of a run, which is read once. Raises RunError where it holds another run, or cannot be seen from here."""
    try:
        folder = RunFolder.open(path)
    except NoRun:
        raise RunError(
            f"a worker on {socket.gethostname()} does not see {path}: workers and client need one folder"
        ) from None
    if folder.record.key != run:
        raise RunError(f"a worker on {socket.gethostname()} finds another run in {path} than the client")
    return folder


def _number(worker: Worker) -> int:
    """The number of a worker among those of its host, which ends its name; 0 where it has none."""
    number = re.fullmatch(r"(?:.*-)?(\d+)", str(worker.name))
    return int(number[1]) if number else 0
