"""Flip attempts a second of the four standard workloads, at equilibrium, on each device found.

    python -m benchmarks.metropolis [--devices numpy,cpu] [--workloads W1,W3] [--chains 2048] [--json FILE]

The compiled kernels are timed on one thread unless ``--threads`` says otherwise; OMP_NUM_THREADS=1 keeps NumPy's matrix
products on one. The populations are brought to equilibrium once, on the fastest device, and every device is timed from there; W3
never equilibrates, and is timed 1,000 sweeps after a hot start. Start-up, compilation and the first stride of sweeps are not timed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np

import gpumc
from gpumc.device import Device, choose, describe
from gpumc.errors import DeviceError
from gpumc.sampling.run import STRIDE


@dataclass(frozen=True)
class Workload:
    """A machine at alpha under a measure, and the sweeps that bring it to where it is timed."""

    name: str
    machine: gpumc.machines.Machine
    alpha: float
    measure: gpumc.measures.Measure
    equilibration: int


@dataclass(frozen=True)
class Rate:
    """What was measured: attempts and pattern updates in units of 1/s."""

    workload: str
    device: str
    attempts_per_second: float
    pattern_updates_per_second: float
    acceptance: float
    error_rate: float


def workloads() -> list[Workload]:
    """W1 to W4."""
    perceptron = gpumc.Perceptron(1001)
    errors, entropy = gpumc.ErrorCount(), gpumc.CrossEntropy(gamma=1.0)
    return [
        Workload("W1", perceptron, 0.4, gpumc.Gibbs(errors, beta=2.0), 2000),
        Workload("W2", perceptron, 0.4, gpumc.Gibbs(entropy, beta=5.0), 200),
        Workload("W3", gpumc.TreeCommittee(999, k=9), 1.0, gpumc.Gibbs(errors, beta=2.0), 1000),
        Workload("W4", perceptron, 0.4, gpumc.LocalEntropy(entropy, beta=5.0, coupling=0.5, replicas=5), 200),
    ]


def equilibrated(work: Workload, device: str, chains: int) -> np.ndarray:
    """Weights int8 (1, 1, chains, replicas, weights) after the equilibration of ``work``."""
    patterns = gpumc.random_patterns(work.machine, work.alpha, seed=1)
    settings = {"chains": chains, "burn_in": work.equilibration - 1, "sweeps": 1, "seed": 1, "device": device}
    return gpumc.sample(work.machine, patterns, work.measure, **settings).weights.values[:, None]


def measure_rate(work: Workload, init: np.ndarray, device: str, seconds: float) -> Rate:
    """The rate of ``work`` on ``device``, started from the weights ``init``, over ``seconds`` or more."""
    patterns = gpumc.random_patterns(work.machine, work.alpha, seed=1)
    chains = init.shape[2]
    attempts = chains * work.measure.replicas * work.machine.weight_count * STRIDE
    strides, times = 1, []
    while True:
        times.clear()
        data = gpumc.sample(
            work.machine,
            patterns,
            work.measure,
            burn_in=STRIDE,
            sweeps=strides * STRIDE,
            every=strides * STRIDE,
            init=init,
            chains=chains,
            seed=2,
            device=device,
            progress=lambda *_: times.append(time.perf_counter()),
        )
        elapsed = times[-1] - times[0]
        if elapsed >= seconds or strides >= 2**12:
            break
        strides = max(2 * strides, int(strides * seconds / max(elapsed, 1e-3)))
    rate = strides * attempts / elapsed
    return Rate(
        work.name, device, rate, rate * patterns.count, float(data.acceptance.mean()), float(data.error_rate.mean())
    )


def available(names: str | None) -> list[Device]:
    """The devices called ``names`` (comma-separated), or every one there is."""
    if names:
        return [choose(name) for name in names.split(",")]
    found = [choose("numpy"), choose("cpu")]
    with contextlib.suppress(DeviceError):
        found.append(choose("cuda"))
    return list(dict.fromkeys(found))


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", help="comma-separated; default: every one found")
    parser.add_argument("--workloads", default="W1,W2,W3,W4")
    parser.add_argument("--chains", type=int, default=2048, help="walkers in all (chains x replicas)")
    parser.add_argument("--threads", type=int, default=1, help="threads of the compiled kernels while they are timed")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is timed, at least")
    parser.add_argument("--json", help="a file to write the rates to")
    options = parser.parse_args()
    devices = available(options.devices)
    start = choose("auto").name
    print(f"{date.today()}  {describe()['cpu']}; {options.chains} walkers, {options.threads} threads timed")
    print(f"{'':4} {'device':8} {'attempts/s':>11} {'pattern updates/s':>18} {'accepted':>9} {'error rate':>11}")
    rates = []
    for work in workloads():
        if work.name not in options.workloads.split(","):
            continue
        os.environ.pop("GPUMC_THREADS", None)
        init = equilibrated(work, start, max(1, options.chains // work.measure.replicas))
        os.environ["GPUMC_THREADS"] = str(options.threads)
        for device in devices:
            rate = measure_rate(work, init, device.name, options.seconds)
            rates.append(rate)
            print(
                f"{rate.workload:4} {rate.device:8} {rate.attempts_per_second:11.3g} {rate.pattern_updates_per_second:18.3g} "
                f"{rate.acceptance:9.4f} {rate.error_rate:11.4f}",
                flush=True,
            )
    if options.json:
        machine = {
            name: fact for name, fact in describe().items() if "kernels" not in name
        }  # paths are nobody's business
        report = {"date": str(date.today()), "machine": machine, "rates": [asdict(rate) for rate in rates]}
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
