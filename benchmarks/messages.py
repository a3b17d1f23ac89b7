"""Belief propagation of the perceptron, n = 1001 and alpha = 0.4: message updates a second, and the time of a whole S(D) curve.

    python -m benchmarks.messages [--device D] [--json FILE]

A message update is one iteration of one of the n M messages of one element of the batch, in the O(n + M) form, which makes them
all by two matrix products; its rate is compared with that of the same products alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import gpumc
from gpumc.device import Device, choose
from gpumc.messages.amp import Amp
from gpumc.messages.constraints import Constraints
from gpumc.messages.graph import BLOCK, Graph
from gpumc.messages.likelihoods import channel
from gpumc.messages.marginals import Marginals

MACHINE, ALPHA, BATCH, DISTANCES = gpumc.Perceptron(1001), 0.4, 64, 20


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast belief propagation is.")
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
            **iterations(device),
            "curve_s": curve(device),
        }
    for name, value in found.items():
        print(f"{name:32s} {value:.3g}" if isinstance(value, float) else f"{name:32s} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def iterations(device: Device) -> dict[str, float]:
    """Message updates a second, and the part of the time that the matrix products alone would take."""
    patterns = gpumc.random_patterns(MACHINE, ALPHA, 1, seed=1)
    constraints = Constraints.of(MACHINE, patterns.xi[0], patterns.labels[0])
    graph = Graph.of(device, MACHINE, [constraints], np.zeros(BATCH, int), np.float64)
    beta, count = np.full(BATCH, np.inf), graph.multiplicities()
    hard = channel(device, MACHINE, gpumc.ErrorCount(), beta, count, np.float64)
    form = Amp(graph, hard)
    rng = np.random.default_rng(1)
    fields = device.asarray(rng.standard_normal((BATCH, 1, MACHINE.n)))
    memory = device.asarray(0.01 * rng.standard_normal((BATCH, 1, patterns.count)))
    messages = BATCH * MACHINE.n * patterns.count
    now = Marginals(fields, *graph.moments(fields))
    step = seconds(device, lambda: form.step(now, memory))
    xp = device.xp
    blocks = device.asarray(rng.standard_normal((BATCH // BLOCK, BLOCK, MACHINE.n)))
    outputs = device.asarray(rng.standard_normal((BATCH // BLOCK, BLOCK, patterns.count)))
    xi = graph.xi[0][0]
    products = seconds(device, lambda: (xp.matmul(blocks, xi.T), xp.matmul(outputs, xi)))
    copy = device.asarray(rng.standard_normal(2**24))
    moved = seconds(device, lambda: copy + 1.0)
    return {
        "message_updates_per_s": messages / step,
        "matrix_product_fraction": products / step,
        "flops_of_products_per_s": 4 * messages / products,
        "bandwidth_bytes_per_s": 2 * copy.nbytes / moved,
        "pattern_bytes_per_s": 2 * graph.xi[0].nbytes * (BATCH // BLOCK) / step,
    }


def curve(device: Device) -> float:
    """Seconds for S(D) at 20 distances around a solution."""
    patterns = gpumc.random_patterns(MACHINE, ALPHA, 1, seed=1)
    solution = gpumc.focusing_bp(MACHINE, patterns, device=device.name).weights
    distance = np.linspace(0.02, 0.3, DISTANCES)
    return seconds(
        device, lambda: gpumc.local_entropy(MACHINE, patterns, solution, distance=distance, device=device.name)
    )


def seconds(device: Device, work: Callable[[], object]) -> float:
    """The shortest time of a piece of work, of those that fit two seconds."""
    times: list[float] = []
    while sum(times) < 2 or len(times) < 3:
        started = time.perf_counter()
        work()
        device.synchronise()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()
