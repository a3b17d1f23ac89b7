"""Devices and streams, which each thread chooses for itself, and who wrote which memory last."""

from __future__ import annotations

import threading
import weakref

from tests.promises.cuda.costs import METER

DEVICES = 2
GIB = 2**30
FREE, MEMORY = 70 * GIB, 80 * GIB


class CUDARuntimeError(RuntimeError):
    """What the CUDA runtime answers with."""

    __module__ = "cupy_backends.cuda.api.runtime"


class _Chosen(threading.local):
    """A thread's device, and its stream on each."""

    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Stream] = {}


_chosen = _Chosen()
_all: weakref.WeakSet[Stream] = weakref.WeakSet()


class Stream:
    """Launches that run in the order in which they were queued. ``written`` counts them, ``done`` those that were waited for."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None, *, device: int | None = None):
        self.null, self.non_blocking = null, non_blocking
        self.device_id = _chosen.device if device is None else device
        self.written = self.done = 0
        self._before: list[Stream | None] = []
        _all.add(self)

    def __enter__(self) -> Stream:
        self._before.append(_chosen.streams.get(self.device_id))
        return self.use()

    def __exit__(self, *_) -> None:
        before = self._before.pop()
        if before is None:
            del _chosen.streams[self.device_id]
        else:
            before.use()

    def use(self) -> Stream:
        _chosen.streams[self.device_id] = self
        return self

    def synchronize(self) -> None:
        wait("stream", self)

    def precedes(self, other: Stream) -> bool:
        """Whether what is queued here is done before what is then queued on ``other``."""
        return other is self or (self.null and not other.non_blocking) or (other.null and not self.non_blocking)


_null = [Stream(null=True, device=index) for index in range(DEVICES)]


def current_stream() -> Stream:
    return _chosen.streams.get(_chosen.device) or _null[_chosen.device]


def current_device() -> int:
    return _chosen.device


def wait(why: str, stream: Stream | None = None) -> None:
    """The host waits for a stream, by default the thread's own."""
    stream = stream or current_stream()
    METER.wait(why)
    stream.done = stream.written


def launch(what: str, count: int = 1) -> None:
    """Queue ``count`` kernels on the thread's stream."""
    METER.launch(what, count)
    current_stream().written += count


class Device:
    """A GPU; as a context, the thread's current one."""

    compute_capability = "90"
    mem_info = (FREE, MEMORY)

    def __init__(self, device: int | None = None):
        self.id = _chosen.device if device is None else int(device)
        if not 0 <= self.id < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self._before: list[int] = []

    @property
    def attributes(self) -> dict[str, int]:
        return {"MaxGridDimX": 2**31 - 1, "MultiProcessorCount": 132}

    def use(self) -> None:
        _chosen.device = self.id

    def __enter__(self) -> Device:
        self._before.append(_chosen.device)
        self.use()
        return self

    def __exit__(self, *_) -> None:
        _chosen.device = self._before.pop()

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    __hash__ = object.__hash__

    def synchronize(self) -> None:
        METER.wait("device")
        for stream in list(_all):
            if stream.device_id == self.id:
                stream.done = stream.written


class Buffer:
    """An allocation: its device, and the stream that wrote it last."""

    __slots__ = ("device", "place", "stream")

    def __init__(self) -> None:
        self.device = _chosen.device
        self.wrote()

    def wrote(self) -> None:
        self.stream = current_stream()
        self.place = self.stream.written

    def check(self) -> None:
        """Raise where the thread's device and stream must not use this memory now."""
        if self.device != _chosen.device:
            raise ValueError(
                "Array device must be same as the current device: "
                f"array device = {self.device} while current = {_chosen.device}"
            )
        if self.place > self.stream.done and not self.stream.precedes(current_stream()):
            raise RuntimeError("a race of streams: this memory was written on another one, which nobody waited for")
