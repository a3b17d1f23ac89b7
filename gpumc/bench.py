"""How fast the samplers are here: flip attempts a second of four standard workloads, beside what one would write in Numba or JAX.

Populations are brought to equilibrium first, on the fastest device, and everything is timed from there (W3 never equilibrates, and
is timed 1,000 sweeps after a hot start). Start-up, compilation and the first sweeps are not timed. One thread means one processor:
the process is kept on it, where the system allows that.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from gpumc.device import Device, choose, describe
from gpumc.device.gpus import multiprocessors
from gpumc.device.host import thread_count
from gpumc.errors import DeviceError, RunError
from gpumc.launch import vectors
from gpumc.losses import CrossEntropy, ErrorCount
from gpumc.machines import Machine, Perceptron, TreeCommittee
from gpumc.measures import Gibbs, LocalEntropy, Measure
from gpumc.patterns import Patterns, random_patterns
from gpumc.sampling import sample
from gpumc.sampling.binary import STRIDE

#: The peers' sources: inside the package in a wheel, among the benchmarks in a checkout.
FOLDERS = (Path(__file__).parent / "peers", Path(__file__).parents[1] / "benchmarks" / "peers")
PEERS = ("numba", "jax")
#: How many are timed on the host unless others are asked for.
WALKERS = 1024


@dataclass(frozen=True)
class Workload:
    """A machine at alpha under a measure, the sweeps that bring it to where it is timed, and the chains that a multiprocessor of a GPU
    steps at once."""

    name: str
    machine: Machine
    alpha: float
    measure: Measure
    equilibration: int
    at_once: int

    @property
    def patterns(self) -> Patterns:
        return random_patterns(self.machine, self.alpha, seed=1)

    def chains(self, device: Device, walkers: int | None) -> int:
        """Chains of so many ``walkers``; by default one wave of a GPU, or WALKERS on the host."""
        if walkers is None and device.kind == "cuda":
            return self.at_once * multiprocessors(device.index)
        return max(1, (walkers or WALKERS) // self.measure.replicas)


@dataclass(frozen=True)
class Rate:
    """What was measured: rates in units of 1/s, the mean energy of a walker and its standard error over chains."""

    workload: str
    program: str
    threads: int
    attempts_per_second: float
    pattern_updates_per_second: float
    energy: float
    energy_error: float


def workloads() -> list[Workload]:
    """W1 to W4."""
    perceptron = Perceptron(1001)
    errors, entropy = ErrorCount(), CrossEntropy(gamma=1.0)
    return [
        Workload("W1", perceptron, 0.4, Gibbs(errors, beta=2.0), 2000, 512),
        Workload("W2", perceptron, 0.4, Gibbs(entropy, beta=5.0), 200, 32),
        Workload("W3", TreeCommittee(999, k=9), 1.0, Gibbs(errors, beta=2.0), 1000, 512),
        Workload("W4", perceptron, 0.4, LocalEntropy(entropy, beta=5.0, coupling=0.5, replicas=5), 200, 32),
    ]


def available() -> list[Device]:
    """The devices with compiled kernels; NumPy alone where there is none."""
    found = []
    for name in ("cpu", "cuda"):
        with contextlib.suppress(DeviceError):
            found.append(choose(name))
    return found or [choose("numpy")]


def rates(
    work: Workload,
    devices: Sequence[Device],
    peers: Sequence[str],
    walkers: int | None,
    threads: Sequence[int],
    seconds: float,
) -> Iterator[Rate]:
    """Time ``work`` with about ``walkers`` walkers on ``devices`` (by default, as many as `Workload.chains` says), on the host with each
    number of ``threads``, then ``peers`` on one.

    Raises RunError where a peer's library is missing.
    """
    modules = [(name, load_peer(name)) for name in peers]
    init = np.empty((0,))
    for device in devices:
        if len(init) != work.chains(device, walkers):
            init = equilibrated(work, work.chains(device, walkers))
        for count in threads if device.kind == "cpu" else threads[:1]:
            with processors(count):
                yield device_rate(work, init, device, count, seconds)
    for name, module in modules:
        with processors(1):
            yield peer_rate(work, init, name, module, seconds)


def equilibrated(work: Workload, chains: int) -> np.ndarray:
    """Weights int8 (chains, replicas, weights) after the equilibration of ``work``, on all processors."""
    data = sample(
        work.machine, work.patterns, work.measure, chains=chains, burn_in=work.equilibration - 1, sweeps=1, seed=1
    )
    return data.weights.values[0]


def device_rate(work: Workload, init: np.ndarray, device: Device, threads: int, seconds: float) -> Rate:
    """The rate on ``device`` from the weights ``init``, over ``seconds`` or more."""
    sweeps, marks = STRIDE, list[tuple[float, int]]()
    while True:
        marks.clear()
        data = sample(
            work.machine,
            work.patterns,
            work.measure,
            burn_in=1,
            sweeps=sweeps,
            every=sweeps,
            init=init[None, None],
            chains=len(init),
            seed=2,
            device=device.name,
            progress=lambda done, *_: marks.append((time.perf_counter(), done)),
        )
        elapsed, attempts = np.subtract(marks[-1], marks[0])
        if elapsed >= seconds or sweeps >= 2**16:
            energy = data.energy.values.reshape(init.shape[:2])
            return _rate(work, device.name, threads, attempts / elapsed, energy)
        sweeps = max(2 * sweeps, int(1.2 * sweeps * seconds / max(elapsed, 1e-3)))


def peer_rate(work: Workload, init: np.ndarray, name: str, module: ModuleType, seconds: float) -> Rate:
    """The rate of a peer from the weights ``init``, of as many chains as it is fastest with."""
    weights = init[: max(1, module.WALKERS // work.measure.replicas)]
    peer = new_peer(work, module, weights)
    peer.sweep(1)
    sweeps = 1
    while True:
        start = time.perf_counter()
        peer.sweep(sweeps)
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return _rate(work, name, 1, sweeps * weights.size / elapsed, peer.energy())
        sweeps = max(2 * sweeps, int(sweeps * seconds / max(elapsed, 1e-3)))


def new_peer(work: Workload, module: ModuleType, weights: np.ndarray) -> Any:
    """The peer's sampler of ``work``, started from ``weights`` int8 (chains, replicas, weights)."""
    measure, patterns = work.measure, work.patterns
    peer = module.Peer(
        patterns.xi[0],
        patterns.labels[0],
        k=work.machine.k,
        beta=measure.beta,
        gamma=getattr(measure.loss, "gamma", None),
        replicas=measure.replicas,
        coupling=measure.coupling or 0.0,
        chains=len(weights),
        seed=3,
    )
    peer.start(weights)
    return peer


def _rate(work: Workload, program: str, threads: int, rate: float, energy: np.ndarray) -> Rate:
    """``energy`` (chains, replicas): replicas of a chain are not independent."""
    chains = energy.mean(axis=-1)
    error = chains.std(ddof=1) / np.sqrt(len(chains)) if len(chains) > 1 else np.nan
    return Rate(work.name, program, threads, rate, rate * work.patterns.count, float(chains.mean()), float(error))


def load_peer(name: str) -> ModuleType:
    """The peer ``name``. Raises RunError where its library, or its source, is missing."""
    if importlib.util.find_spec(name) is None:
        raise RunError(f"--peers: {name} is not installed: pip install {' '.join(PEERS)}")
    title = f"{name}_peer"
    path = next((folder / f"{title}.py" for folder in FOLDERS if (folder / f"{title}.py").is_file()), None)
    if path is None:
        raise RunError(f"--peers: {title}.py is in none of {', '.join(map(str, FOLDERS))}: install gpumc again")
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[title] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def processors(count: int) -> Iterator[None]:
    """Keep the process, with the threads it has, to ``count`` of its processors, and the kernels to as many threads."""
    before, threads = _affinity(), os.environ.get("GPUMC_THREADS")
    _keep_to(sorted(before)[:count])
    os.environ["GPUMC_THREADS"] = str(count)
    try:
        with threadpool_limits(
            count
        ):  # threads of a linear algebra library that share a processor wait for one another
            yield
    finally:
        _keep_to(before)
        os.environ.pop("GPUMC_THREADS")
        if threads is not None:
            os.environ["GPUMC_THREADS"] = threads


def _affinity() -> set[int]:
    """The processors that this process may use; none where the system does not say."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _keep_to(processors: Iterable[int]) -> None:
    chosen = set(processors)
    tasks = Path("/proc/self/task")
    if chosen and tasks.is_dir():
        for task in tasks.iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
                os.sched_setaffinity(int(task.name), chosen)


def thread_counts() -> list[int]:
    """One thread, and as many as kernels use."""
    return sorted({1, thread_count()})


def report(
    devices: Sequence[Device], peers: Sequence[str], walkers: int | None, seconds: float, file: Path | None
) -> None:
    """Print the rates of every workload as they are measured, and write them to ``file``, if any.

    Raises RunError where ``file`` has no folder, or a peer's library is missing, before anything is measured.
    """
    if file and not file.parent.is_dir():
        raise RunError(f"--json {file}: there is no folder {file.parent}: make it first")
    if file and (file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK)):
        raise RunError(f"--json {file}: no file can be written there")
    for name in peers:
        load_peer(name)
    machine = {name: fact for name, fact in describe().items() if "kernels" not in name}  # no paths in a report
    if host := next((device for device in devices if device.kind == "cpu"), None):
        machine["vectors"] = vectors(host)
        print(f"vectors of the processor: {machine['vectors']}")
    print(
        f"{date.today()}  {machine['cpu']}; {f'about {walkers}' if walkers else f'{WALKERS}, or one wave of a GPU,'} walkers"
    )
    print(f"{'':4} {'program':8} {'threads':>7} {'attempts/s':>11} {'pattern updates/s':>18} {'energy':>9}")
    found = []
    for work in workloads():
        for rate in rates(work, devices, peers, walkers, thread_counts(), seconds):
            found.append(rate)
            print(
                f"{rate.workload:4} {rate.program:8} {rate.threads:7} {rate.attempts_per_second:11.3g} "
                f"{rate.pattern_updates_per_second:18.3g} {rate.energy:9.2f} +- {rate.energy_error:.2f}",
                flush=True,
            )
    if file:
        record = {
            "date": f"{date.today()}",
            "machine": machine,
            "walkers": walkers,
            "rates": [asdict(r) for r in found],
        }
        file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
