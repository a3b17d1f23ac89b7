"""Splitting of spherical perceptrons: walls that billiards meet a second, and the time of an instance's volume.

    python -m benchmarks.splitting [--device D] [--json FILE]

An instance has 4 populations of 64 particles.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import gpumc
from gpumc.device import Device, choose, host
from gpumc.sampling.spheres.geometry import normalised, tangent
from gpumc.volumes.billiards import play

SIZES = ((100, 0.5), (100, 1.0), (100, 1.5), (300, 0.5), (300, 1.0))
HOW = gpumc.Splitting(particles=64, populations=4)
ROWS, ANGLE = 4096, 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast splitting of spherical perceptrons is.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = choose(arguments.device)
    found = {
        "device": device.name,
        "processor": platform.machine(),
        "threads": host.thread_count(),
        "date": datetime.now(UTC).date().isoformat(),
        "numpy": np.__version__,
    }
    for n, alpha in SIZES:
        machine = gpumc.Perceptron(n, weights="spherical")
        patterns = gpumc.random_patterns(machine, alpha, 1, seed=1)
        found[f"walls_per_s n={n} alpha={alpha}"] = walls(device, patterns)
        started = time.perf_counter()
        gpumc.entropy(machine, patterns, method=HOW, device=device.name)
        found[f"instance_s n={n} alpha={alpha}"] = time.perf_counter() - started
    for name, value in found.items():
        print(f"{name:32s} {value:.3g}" if isinstance(value, float) else f"{name:32s} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def walls(device: Device, patterns: gpumc.Patterns) -> float:
    """Walls met a second by particles that start at the patterns' mean and between walls 0.1 behind it."""
    rng = np.random.default_rng(1)
    n = patterns.xi.shape[-1]
    inputs = patterns.xi[0] * patterns.labels[0][:, None] / n**0.5
    u = normalised(inputs.sum(axis=0) + np.zeros((ROWS, n)))
    behind = (u[0] @ inputs.T - 0.1)[None]
    heading = normalised(tangent(u, rng.normal(size=u.shape)))
    walls, gram, behind, angle = map(device.asarray, (inputs, inputs @ inputs.T, behind, np.full(ROWS, ANGLE)))
    rates = []
    for _ in range(3):
        moved, turned = (device.xp.array(device.asarray(x)) for x in (u, heading))
        started = time.perf_counter()
        met = play(device, moved, turned, walls, gram, behind, angle, 10_000)
        device.synchronise()
        rates.append(float(met.sum()) / (time.perf_counter() - started))
    return max(rates)


if __name__ == "__main__":
    main()
