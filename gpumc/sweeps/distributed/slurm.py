"""Workers as jobs of a SLURM cluster: the batch script is dask-jobqueue's."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
from distributed import Client

from gpumc.device import checked_name
from gpumc.errors import ConfigError, RunError
from gpumc.sweeps.distributed.dask_clusters import THREADS, quiet
from gpumc.sweeps.distributed.tracking import Tracking
from gpumc.sweeps.execution import Drive
from gpumc.sweeps.folder import RunFolder
from gpumc.sweeps.notes import Notes
from gpumc.sweeps.sections.cluster_section import ClusterSection, seconds_of


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ctrl-C stays what it is, which dask-jobqueue changes where it is imported."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


with _own_signals():
    from dask_jobqueue.slurm import SLURMCluster, SLURMJob

#: The part of a job's time that is left when its workers end, at least and at most in seconds; and the part of that by which the ends of
#: jobs differ, so that not all write their checkpoints at once.
MARGIN, LEAST, MOST, STAGGER = 0.1, 60, 600, 0.5


def arguments(cluster: ClusterSection) -> dict[str, Any]:
    """What dask-jobqueue is told of a job."""
    margin = round(min(max(MARGIN * seconds_of(cluster.walltime), LEAST), MOST))
    stagger = round(STAGGER * margin)
    lifetime = seconds_of(cluster.walltime) - margin - stagger
    share = max(1, cluster.cores // cluster.processes)
    limits = [f"export {name}={share}" for name in THREADS]
    return {
        "queue": cluster.queue,
        "account": cluster.account,
        "walltime": cluster.walltime,
        "cores": cluster.processes,  # of which each worker has one thread; what runs in it has its share of the job's
        "job_cpu": cluster.cores,
        "processes": cluster.processes,
        "memory": cluster.memory,
        "interface": cluster.interface,
        "job_name": "gpumc",
        "job_extra_directives": [*([f"--gres=gpu:{cluster.gpus}"] if cluster.gpus else []), *cluster.directives],
        "job_script_prologue": [*limits, f"export GPUMC_PROCESSES={cluster.processes}", *cluster.prologue],
        "worker_extra_args": ["--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s", "--memory-limit", "0"],
    }


def script(cluster: ClusterSection) -> str:
    """The batch script of a job; where the scheduler is, is known when a run begins."""
    return SLURMJob(scheduler=f"tcp://{socket.gethostname()}:8786", name="gpumc", **arguments(cluster)).job_script()


def by_slurm(cluster: ClusterSection) -> Drive:
    """Jobs of the cluster that this machine can submit to. Raises RunError where it cannot, and ConfigError for an unknown interface."""
    if shutil.which("sbatch") is None:
        raise RunError("--slurm submits jobs by sbatch, which is not here: run it on a login node of the cluster")
    interfaces = psutil.net_if_addrs()
    if cluster.interface not in interfaces:
        raise ConfigError(f"[cluster] interface = {cluster.interface!r}: allowed here: {', '.join(sorted(interfaces))}")

    def drive(folder: RunFolder, left: Sequence[int], device: str, checkpoint_every: float, notes: Notes) -> None:
        jobs = min(cluster.jobs, -(-len(left) // cluster.processes))
        options = {"dashboard": False, "dashboard_address": None, "interface": cluster.interface}
        with (
            quiet(),
            SLURMCluster(scheduler_options=options, **arguments(cluster)) as slurm,
            Client(slurm, set_as_default=False) as client,
        ):
            slurm.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # a job that has ended is submitted again
            Tracking(client, folder, checked_name(device), checkpoint_every, notes).track(left, local=False)

    return drive
