"""Where the workers of a run are: processes of this machine, or whatever a scheduler has at an address."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence

from distributed import Client, LocalCluster

from gpumc.device import checked_name, shared
from gpumc.device.host import thread_count
from gpumc.errors import RunError, first_line
from gpumc.sweeps.distributed.tracking import Tracking
from gpumc.sweeps.execution import Drive
from gpumc.sweeps.folder import RunFolder
from gpumc.sweeps.notes import Notes

#: Nobody else on the network reaches a scheduler here, which does what it is told.
LOOPBACK = "127.0.0.1"
#: Seconds until a scheduler answers.
ANSWERS = 10.0
#: Variables that limit the threads of libraries.
THREADS = ("GPUMC_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def on_this_machine(workers: int) -> Drive:
    """``workers`` processes of this machine, which share out its GPUs, or its processors and memory."""

    def drive(folder: RunFolder, left: Sequence[int], device: str, checkpoint_every: float, notes: Notes) -> None:
        count = min(workers, len(left))
        threads = max(1, thread_count() // count)
        limits = {name: os.environ.get(name, str(threads)) for name in THREADS[1:]}
        options = {
            "n_workers": count,
            "threads_per_worker": 1,
            "processes": True,
            "host": LOOPBACK,
            # No dashboard; the scheduler's HTTP server takes any port, as there may be another run.
            "scheduler_kwargs": {"dashboard": False, "dashboard_address": f"{LOOPBACK}:0"},
            "memory_limit": None,
            "silence_logs": logging.CRITICAL,
            "env": {**limits, THREADS[0]: str(threads), "GPUMC_PROCESSES": str(count)},
        }
        with quiet(), LocalCluster(**options) as cluster, Client(cluster, set_as_default=False) as client:
            Tracking(client, folder, shared(device), checkpoint_every, notes).track(left, local=True)

    return drive


def at_address(address: str) -> Drive:
    """The workers of the scheduler at ``address``, such as tcp://host:8786."""

    def drive(folder: RunFolder, left: Sequence[int], device: str, checkpoint_every: float, notes: Notes) -> None:
        device = checked_name(device)
        try:
            client = Client(address, timeout=ANSWERS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RunError(f"there is no scheduler of dask at {address} ({first_line(error)})") from None
        with quiet(), client:
            Tracking(client, folder, device, checkpoint_every, notes).track(left, local=False)

    return drive


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No messages of dask on connections that end as the run does."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Port .* is already in use")  # of pages that nobody asked for
            yield
    finally:
        logger.setLevel(before)
