"""Threads that share the work of a kernel on the host.

Whatever is raised while a kernel runs (Ctrl-C, a signal handler's exception: both may come between any two instructions of the
main thread), no further range of items is begun, and the caller waits for those that run. So a caller takes no lock that such an
exception could leave locked: it only uses queues, deques and sets, each of which changes in one step.
"""

from __future__ import annotations

import _thread
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

#: Seconds between two looks at the threads of a launch that was stopped.
PATIENCE = 0.001


class Launch:
    """``function(begin, end, *arguments)`` over ranges of items, which threads take one by one until none is left: each of the threads
    has its own of ``arguments``.

    ``kept`` are the arrays whose addresses are among the arguments: they live for as long as a thread may write to them.
    """

    def __init__(
        self,
        function: Callable[..., None],
        arguments: Sequence[Sequence[object]],
        kept: Sequence[object],
        edges: Sequence[int],
    ):
        self.function, self.arguments, self.kept = function, deque(arguments), kept
        self.left = deque(itertools.pairwise(edges))
        self.busy: set[int] = set()
        self.ended: SimpleQueue[None] = SimpleQueue()
        self.error: BaseException | None = None

    def run(self, pool: Pool) -> None:
        """All ranges, by the calling thread and others of the pool; nothing runs any more when this returns or raises."""
        try:
            pool.submit(self.help, len(self.arguments) - 1)
            self._work()
            while self.busy:
                self.ended.get()
        finally:
            # Twice, as a second signal may have been pending when the first one's exception was raised.
            try:
                self._stop()
            finally:
                self._stop()
        self.kept = ()  # a thread that comes late finds no range, and should hold no array until then
        if self.error is not None:
            raise self.error

    def help(self) -> None:
        """Take ranges in a thread of the pool."""
        me = _thread.get_ident()
        self.busy.add(me)  # before a range is taken: where nothing is left and nobody is busy, all is done
        try:
            self._work()
        except BaseException as error:
            self.error = error
            self.left.clear()
        finally:
            self.busy.discard(me)
            self.ended.put(None)

    def _work(self) -> None:
        arguments = self.arguments.pop()
        while self.left:
            try:
                begin, end = self.left.popleft()
            except IndexError:  # another thread took the last one
                return
            self.function(begin, end, *arguments)

    def _stop(self) -> None:
        """Begin no further range, and wait for those that run, however often this is interrupted."""
        self.left.clear()
        while self.busy:
            try:
                while self.busy:
                    time.sleep(PATIENCE)
            except BaseException:  # not by a context manager, which could be interrupted itself
                pass  # the first exception is on its way already


class Pool:
    """Threads that wait for work; they end with the process."""

    def __init__(self) -> None:
        self._work_queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = 0

    def submit(self, work: Callable[[], None], threads: int) -> None:
        """Let so many threads call ``work``."""
        while self._threads < threads:
            try:
                _thread.start_new_thread(self._serve, ())
            except RuntimeError:  # the system gives no further thread: those that there are do the work
                break
            self._threads += 1
        for _ in range(min(threads, self._threads)):
            self._work_queue.put(work)

    def _serve(self) -> None:
        while True:
            self._work_queue.get()()  # no name for it: a launch that has ended is not kept
