"""Gradients a second of 1024 spherical tree committees, n = 999, k = 9, alpha = 1, hidden units tanh, cross-entropy.

    python -m benchmarks.continuous [--device D] [--json FILE]

A gradient is the preactivations of all patterns, and the loss's slope taken back to the weights: two matrix products of
4 n M floating-point operations in all. Their rate is given as a fraction of that of one large product of the same total size, on one core
or on the whole GPU, in the same run; and so is the rate of Hamiltonian Monte Carlo's gradients.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import gpumc
from gpumc.device import Device, choose
from gpumc.sampling.spheres.geometry import normalised
from gpumc.sampling.spheres.spherical import SphericalWalk
from gpumc.sampling.spheres.target import Target

MACHINE, ALPHA, POPULATION, SWEEPS = (
    gpumc.TreeCommittee(999, k=9, weights="spherical", activation="tanh"),
    1.0,
    1024,
    4,
)
MEASURE, SAMPLER = gpumc.Gibbs(gpumc.CrossEntropy(1.0), 2.0), gpumc.HMC(steps=10)


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast gradients of continuous machines are.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = choose(arguments.device)
    with threadpool_limits(1):
        found = {
            "device": device.name,
            "processor": platform.machine(),
            "date": datetime.now(UTC).date().isoformat(),
            "numpy": np.__version__,
            **gradients(device),
        }
    for name, value in found.items():
        print(f"{name:32s} {value:.3g}" if isinstance(value, float) else f"{name:32s} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def gradients(device: Device) -> dict[str, float]:
    """Gradients a second, alone and in sampling, and the matrix-product rate that they are compared with."""
    patterns = gpumc.random_patterns(MACHINE, ALPHA, 1, seed=1)
    settings: dict[str, Any] = {"chains": POPULATION, "burn_in": 0, "sweeps": SWEEPS, "every": SWEEPS}
    walks = gpumc.dynamics(MACHINE, patterns, MEASURE, sampler=SAMPLER, device=device.name)
    block = SphericalWalk(walks, walks.whole(POPULATION), POPULATION).block
    target = Target.of(device, MACHINE, MEASURE.loss, patterns.xi[0], patterns.labels[0])
    rng = np.random.default_rng(1)
    weights = normalised(device.asarray(rng.standard_normal((POPULATION, *target.shape))))
    ones = device.asarray(np.ones(POPULATION))

    def all_gradients() -> None:
        for first in range(0, POPULATION, block):
            rows = slice(first, first + block)
            own = target.under(MEASURE.loss.at(gamma=ones[rows]))
            own.gradient(own.fields(weights[rows]), ones[rows])

    left = device.asarray(rng.standard_normal((2 * POPULATION, MACHINE.n)))
    right = device.asarray(rng.standard_normal((MACHINE.n, patterns.count)))
    product = seconds(device, lambda: left @ right)
    alone = seconds(device, all_gradients)
    sampled = seconds(
        device,
        lambda: gpumc.sample(MACHINE, patterns, MEASURE, seed=1, sampler=SAMPLER, device=device.name, **settings),
    )
    sampled /= SWEEPS * SAMPLER.steps
    return {
        "rows_of_a_block": block,
        "product_flops_per_s": 4 * POPULATION * MACHINE.n * patterns.count / product,
        "gradients_per_s": POPULATION / alone,
        "fraction_of_product": product / alone,
        "sampled_gradients_per_s": POPULATION / sampled,
        "sampled_fraction_of_product": product / sampled,
    }


def seconds(device: Device, work: Callable[[], object], repeats: int = 5) -> float:
    """The least time of a few repeats, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        device.synchronise()
        times.append(time.perf_counter() - started)
    return min(times[1:])


if __name__ == "__main__":
    main()
