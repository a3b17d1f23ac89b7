"""Flip attempts a second of the four standard workloads, at equilibrium, on each device found.

    python -m benchmarks.metropolis [--devices numpy,cpu] [--workloads W1,W3] [--chains 2048] [--json FILE]

One core: set GPUMC_THREADS=1 (the compiled kernels) and OMP_NUM_THREADS=1 (NumPy's matrix products). The populations are brought to
equilibrium once, on the fastest device, and every device is timed from there; W3 never equilibrates, and is timed 1,000 sweeps after
a hot start. Start-up, compilation and the first stride of sweeps are not timed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from datetime import date

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


def measure_rate(work: Workload, device: str, start: str, chains: int, seconds: float) -> Rate:
    """The rate of ``work`` on ``device`` with ``chains`` walkers, its weights equilibrated on the device ``start``."""
    chains = max(1, chains // work.measure.replicas)
    patterns = gpumc.random_patterns(work.machine, work.alpha, seed=1)
    settings = {"chains": chains, "seed": 1}
    hot = gpumc.sample(
        work.machine, patterns, work.measure, burn_in=work.equilibration - 1, sweeps=1, device=start, **settings
    )
    init = hot.weights.values[:, None]
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
            device=device,
            progress=lambda *_: times.append(time.perf_counter()),
            **settings,
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
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is timed, at least")
    parser.add_argument("--json", help="a file to write the rates to")
    options = parser.parse_args()
    devices = available(options.devices)
    start = choose("auto").name
    threads = f"GPUMC_THREADS={os.environ.get('GPUMC_THREADS', 'all')}"
    print(f"{date.today()}  {platform.processor() or platform.machine()}  {threads}  {options.chains} walkers")
    print(f"{'':4} {'device':8} {'attempts/s':>11} {'pattern updates/s':>18} {'accepted':>9} {'error rate':>11}")
    rates = []
    for work in workloads():
        if work.name not in options.workloads.split(","):
            continue
        for device in devices:
            rate = measure_rate(work, device.name, start, options.chains, options.seconds)
            rates.append(rate)
            print(
                f"{rate.workload:4} {rate.device:8} {rate.attempts_per_second:11.3g} {rate.pattern_updates_per_second:18.3g} "
                f"{rate.acceptance:9.4f} {rate.error_rate:11.4f}",
                flush=True,
            )
    if options.json:
        with open(options.json, "w") as file:
            json.dump(
                {"date": str(date.today()), "machine": describe(), "rates": [asdict(r) for r in rates]}, file, indent=1
            )


if __name__ == "__main__":
    main()
