"""What the client of a dask cluster does: it hands out the tasks of a run, a few at a time, and keeps track of them."""

from __future__ import annotations

import contextlib
import itertools
import math
import secrets
import signal
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future, KilledWorker

from gpumc import errors
from gpumc.errors import Ended, RunError
from gpumc.sweeps.checkpoints import ENDING
from gpumc.sweeps.distributed.workers import Setup, Status, do_task, end
from gpumc.sweeps.folder import RunFolder
from gpumc.sweeps.notes import Notes, Running
from gpumc.sweeps.plan import work_of

#: Tasks that are handed out at once, for each worker, and at most.
A_WORKER, MOST = 2, 256
#: Seconds between two looks at whether the process is to end.
POLL = 0.2
#: Seconds that running tasks have to write their checkpoints when the client ends.
PATIENCE = 4.0
#: Seconds between two questions to the scheduler, how many workers there are.
ASK_EVERY = 1.0
#: Seconds without any worker after which that is said.
LONELY = 15.0


class Tracking:
    """The tasks of a run that a dask cluster does."""

    def __init__(self, client: Client, folder: RunFolder, device: str, checkpoint_every: float, notes: Notes):
        self.client, self.folder, self.notes = client, folder, notes
        self.topic = f"gpumc-{secrets.token_hex(8)}"
        self.settings = str(folder.path.absolute()), folder.record.key
        self.options = device, checkpoint_every, self.topic
        self.happened: SimpleQueue[Future | dict[str, Any]] = SimpleQueue()
        self.out: dict[int, Future] = {}
        self.answers: dict[int, Status] = {}
        self.begun: set[int] = set()
        self.count = itertools.count()

    def track(self, left: Sequence[int], local: bool) -> None:
        """Have the tasks that are ``left`` done; where this raises, those that run write their checkpoints and stop.

        Raises what the first task that fails has raised, and Ended where this process is to end.
        """
        self.client.register_plugin(Setup(local))
        self.client.subscribe_topic(self.topic, lambda event: self.happened.put(event[1]))
        waiting, crew = deque(left), _Crew(self.client)
        with _ctrl_c() as pressed:
            try:
                while waiting or self.out:
                    while waiting and len(self.out) < min(MOST, A_WORKER * max(1, crew.size())):
                        self._hand_out(waiting.popleft())
                    waiting.extendleft(self._what_happens())
                    if pressed.is_set():
                        raise KeyboardInterrupt
            finally:
                self._stop()

    def _hand_out(self, index: int) -> None:
        key = self.topic, index, next(self.count)
        self.out[index] = self.client.submit(do_task, *self.settings, index, *self.options, key=key, pure=False)
        self.out[index].add_done_callback(self.happened.put)

    def _what_happens(self) -> list[int]:
        """Wait a moment for what workers say; the tasks that are to be handed out once more. Raises RunError for one that has failed."""
        again = []
        with contextlib.suppress(Empty):
            event = self.happened.get(timeout=POLL)
            while True:
                if isinstance(event, dict) and "status" in event:
                    self.answers[event["index"]] = event["status"]
                elif isinstance(event, dict):
                    self._hear(**event)
                elif self._has_ended(event):
                    again.append(_index_of(event))
                event = self.happened.get_nowait()
        if ENDING.is_set():
            raise Ended
        return again

    def _hear(
        self, name: str, task: int, phase: str, done: int | None, total: int, doing: str, worker: str = ""
    ) -> None:
        """What a worker says of its task while that runs; dask adds the address of the ``worker``."""
        if phase == "begun":
            if task in self.begun:
                self.notes.retried(task)
            self.begun.add(task)
        elif phase == "ended":
            self.begun.discard(task)
            self._note(name, task, "waiting")
        elif task in self.out:
            self.notes.told(Running(name, task, len(self.folder.tasks), done, total, doing=doing))

    def _has_ended(self, future: Future) -> bool:
        """Whether the task of a ``future`` that is done was stopped in its midst, as its worker had to end."""
        index = _index_of(future)
        del self.out[index]
        if future.cancelled():
            raise RunError("the scheduler is gone, or has cancelled a task: the same command goes on where it stopped")
        try:
            if future.status == "error":
                future.result()
        except KilledWorker as error:
            raise RunError(
                f"task {index + 1} was begun {error.allowed_failures + 1} times, and each time its worker was lost (killed, or out of "
                f"memory): the shards of the others are kept in {self.folder.path}"
            ) from None
        # An answer that was lost is asked for again: the shard is there, and it costs nothing.
        status = self.answers.pop(index, Status(state="ended", told=("", "")))
        if status["state"] == "failed":
            kind, text = status["told"]
            raise getattr(errors, kind, RunError)(text)
        self.begun.discard(index)
        if status["state"] == "finished":
            self.notes.journal.note(*status["told"])
            self._note("", index, "finished")
        return status["state"] == "ended"

    def _note(self, name: str, task: int, phase: str) -> None:
        work = work_of(self.folder.config, self.folder.tasks[task])
        self.notes.told(Running(name, task, len(self.folder.tasks), work if phase == "finished" else 0, work, phase))

    def _stop(self) -> None:
        """Let the tasks that run write their checkpoints, and forget all others."""
        if not self.out:
            return
        with contextlib.suppress(Exception):  # a scheduler that is gone
            self.client.run(end, self.settings[1], wait=False)
            until = time.monotonic() + PATIENCE
            while self.begun & self.out.keys() and time.monotonic() < until:
                with contextlib.suppress(Empty):
                    event = self.happened.get(timeout=POLL)
                    self.begun.discard(_index_of(event) if isinstance(event, Future) else -1)
            self.client.cancel(list(self.out.values()))


@contextlib.contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Whether Ctrl-C was pressed: an exception in the midst of dask's own code, a callback or the end of an object, may be lost."""
    pressed = threading.Event()
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) != signal.default_int_handler
    ):
        yield pressed
        return
    signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Crew:
    """The workers that there are, which come and go: their number is asked for every so often."""

    def __init__(self, client: Client):
        self.client, self.known = client, 0
        self.asked, self.seen = -math.inf, time.monotonic()

    def size(self) -> int:
        """The number of workers. Where there have been none for a while that is said."""
        now = time.monotonic()
        if now - self.asked > ASK_EVERY:
            self.known, self.asked = len(self.client.scheduler_info()["workers"]), now
            if self.known:
                self.seen = now
            elif now - self.seen > LONELY:
                self.seen = math.inf
                warnings.warn("there is no worker yet: the run begins when there is one", stacklevel=2)
        return self.known


def _index_of(future: Future) -> int:
    """The task of a future, in its key."""
    assert isinstance(future.key, tuple)
    return int(str(future.key[1]))
