"""How the cost of a flip attempt, and the memory of a chain, grow with a population's sizes.

    python -m benchmarks.growth [--device cpu] [--json FILE] [--picture FILE]

One size is varied at a time about a perceptron of n = 1001 with M = 400 patterns, 2048 chains, one replica, one grid point, at beta = 2
from random weights, for both losses. Times are compared with a law: flat in n, replicas and grid points; a constant plus a multiple
of M; inversely in the chains while an item of 32 is not full, flat from there. Each law's constants are those that fit best.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import nnls

import gpumc
from gpumc.bench import processors
from gpumc.device import choose, describe

ITEM = 32
USUAL = {"n": 1001, "M": 400, "chains": 2048, "replicas": 1, "grid": 1}
#: The values of each size, and the terms whose sum, with factors that are not negative, is the law.
SIZES: dict[str, tuple[list[int], Callable]] = {
    "n": ([101, 301, 1001, 3001, 10_001, 30_001, 100_001], lambda x: [np.ones_like(x)]),
    "M": ([10, 32, 100, 320, 1000, 3200, 10_000, 32_000], lambda x: [np.ones_like(x), x]),
    "chains": (
        [1, 3, 10, 32, 100, 316, 1000, 10_000, 100_000, 1_000_000],
        lambda x: [np.ceil(x / ITEM) * ITEM / x],
    ),
    "replicas": ([1, 2, 3, 5, 9, 17], lambda x: [np.ones_like(x)]),
    "grid": ([1, 2, 4, 8, 16, 32, 64], lambda x: [np.ones_like(x)]),
}
LABELS = {
    "n": "inputs $n$",
    "M": "patterns $M$",
    "chains": "chains $C$",
    "replicas": "replicas $y$",
    "grid": "grid points $G$",
}
#: Attempts that a point is timed over, at least, and walkers x weights that it may hold.
ATTEMPTS, LARGEST = 2e7, 2e8
GAMMA = 1.0


@dataclass(frozen=True)
class Point:
    """Seconds for an attempt at one size."""

    loss: str
    varied: str
    size: int
    seconds: float


def measure(loss: gpumc.losses.Loss, device: str, n: int, M: int, chains: int, replicas: int, grid: int) -> float:
    """Seconds for a flip attempt."""
    machine = gpumc.Perceptron(n)
    patterns = gpumc.random_patterns(machine, alpha=M / n, seed=1)
    beta = tuple(np.linspace(2.0, 3.0, grid)) if grid > 1 else 2.0
    measure = gpumc.LocalEntropy(loss, beta, 0.5, replicas) if replicas > 1 else gpumc.Gibbs(loss, beta)
    sweeps = max(2, int(ATTEMPTS / (chains * replicas * grid * n)))
    marks: list[tuple[float, int]] = []
    gpumc.sample(
        machine,
        patterns,
        measure,
        chains=chains,
        burn_in=1,
        sweeps=sweeps,
        every=sweeps,
        device=device,
        seed=1,
        progress=lambda done, _: marks.append((time.perf_counter(), done)),
    )
    elapsed, attempts = np.subtract(marks[-1], marks[0])
    return elapsed / attempts


def law(varied: str, sizes: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """The law's seconds at ``sizes``, fitted to relative deviations."""
    terms = np.stack(SIZES[varied][1](sizes.astype(float)), axis=1)
    factors, _ = nnls(terms / seconds[:, None], np.ones(len(sizes)))
    return terms @ factors


def points(device: str) -> list[Point]:
    """Every size of every kind, for both losses, printed as they come."""
    found = []
    for loss in (gpumc.ErrorCount(), gpumc.CrossEntropy(gamma=GAMMA)):
        for varied, (sizes, _) in SIZES.items():
            for size in sizes:
                others = USUAL | {varied: size}
                # The largest machines are given fewer chains, the largest populations smaller machines.
                if varied == "chains":
                    others |= {"n": 101, "M": 40}
                else:
                    others["chains"] = max(
                        ITEM, min(others["chains"], int(LARGEST / (others["n"] + 20 * others["M"]) / 20))
                    )
                point = Point(loss.kind, varied, size, measure(loss, device, **others))
                found.append(point)
                print(f"{loss.kind:14} {varied:9} {size:8} {1e9 * point.seconds:9.3g} ns", flush=True)
    return found


def draw(found: list[Point], path: Path) -> None:
    """Time per attempt against each size, with the law."""
    figure, axes = plt.subplots(1, len(SIZES), figsize=(16, 3.6), sharey=True, layout="constrained")
    for axis, varied in zip(axes, SIZES, strict=True):
        for marker, kind in (("o", "error-count"), ("s", "cross-entropy")):
            here = [p for p in found if p.varied == varied and p.loss == kind]
            sizes, seconds = np.array([p.size for p in here]), np.array([p.seconds for p in here])
            (line,) = axis.loglog(sizes, 1e9 * seconds, marker, label=kind.replace("-", " "))
            axis.loglog(sizes, 1e9 * law(varied, sizes, seconds), "-", color=line.get_color(), linewidth=1)
        axis.set_xlabel(LABELS[varied])
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("time per attempt (ns)")
    axes[0].legend(title="points: measured; lines: law", fontsize="small", title_fontsize="small")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, say how far from the law the worst point is, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="on the host, one thread is used")
    parser.add_argument("--json", type=Path, help="a file to write the times to")
    parser.add_argument("--picture", type=Path, help="a PNG to draw")
    options = parser.parse_args()
    with processors(1):
        found = points(choose(options.device).name)
    for kind in ("error-count", "cross-entropy"):
        for varied in SIZES:
            here = [p for p in found if p.varied == varied and p.loss == kind]
            seconds = np.array([p.seconds for p in here])
            ratio = seconds / law(varied, np.array([p.size for p in here]), seconds)
            print(f"{kind:14} {varied:9} measured / law from {ratio.min():.2f} to {ratio.max():.2f}")
    if options.json:
        machine = {name: fact for name, fact in describe().items() if "kernels" not in name}
        report = {"date": f"{date.today()}", "machine": machine, "points": [asdict(point) for point in found]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
