"""How the cost of a flip attempt, and the memory of a chain, grow with a population's sizes.

    python -m benchmarks.growth [--device cpu] [--json FILE] [--picture FILE]

One size is varied at a time about a perceptron of n = 1001 with M = 400 patterns, 2048 chains, one replica, one grid point, at beta = 2
from random weights, for both losses. A step takes W = 8, 16 or 32 chains, as few as hold them all on one thread, so that the times should
follow one law for every size,

    seconds = s + l (a + b M) + A (c + d M),    s = e ceil(C / W) / C,

A being the part of the attempts that is accepted, and l the lanes for a chain, W ceil(C / W) / C, of error counts, and 1 of the
cross-entropy, which leaves idle lanes out; the five constants of each loss are those that fit best.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import nnls

import gpumc
from gpumc import launch
from gpumc.bench import processors
from gpumc.device import choose, describe
from gpumc.launch import Sizes
from gpumc.state import Model, Population, field_dtype, word_count

ITEM = 32
USUAL = {"n": 1001, "M": 400, "chains": 2048, "replicas": 1, "grid": 1}
SIZES = {
    "n": [101, 301, 1001, 3001, 10_001, 30_001, 100_001],
    "M": [10, 32, 100, 320, 1000, 3200, 10_000, 32_000],
    "chains": [1, 3, 10, 32, 100, 316, 1000, 10_000, 100_000, 1_000_000],
    "replicas": [1, 2, 3, 5, 9, 17],
    "grid": [1, 2, 4, 8, 16, 32, 64],
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
    chains: int
    patterns: int
    accepted: float
    seconds: float


def measure(
    loss: gpumc.losses.Loss, device: str, n: int, M: int, chains: int, replicas: int, grid: int
) -> tuple[float, float]:
    """The part of flip attempts that is accepted, and the seconds for one."""
    machine = gpumc.Perceptron(n)
    patterns = gpumc.random_patterns(machine, alpha=M / n, seed=1)
    beta = tuple(np.linspace(2.0, 3.0, grid)) if grid > 1 else 2.0
    measure = gpumc.LocalEntropy(loss, beta, 0.5, replicas) if replicas > 1 else gpumc.Gibbs(loss, beta)
    sweeps = max(2, int(ATTEMPTS / (chains * replicas * grid * n)))
    marks: list[tuple[float, int]] = []
    data = gpumc.sample(
        machine,
        patterns,
        measure,
        chains=chains,
        burn_in=1,
        sweeps=sweeps,
        every=sweeps,
        device=device,
        seed=1,
        progress=lambda done, *_: marks.append((time.perf_counter(), done)),
    )
    elapsed, attempts = np.subtract(marks[-1], marks[0])
    return float(data.acceptance.mean()), elapsed / attempts


def law(found: list[Point]) -> np.ndarray:
    """The law's seconds for points of one loss, fitted to relative deviations."""
    chains, patterns, accepted, seconds = np.array([(p.chains, p.patterns, p.accepted, p.seconds) for p in found]).T
    together = np.select([chains <= few for few in launch.TOGETHER], launch.TOGETHER, launch.TOGETHER[-1])
    steps = np.ceil(chains / together) / chains
    lanes = together * steps if found[0].loss == "error-count" else np.ones_like(chains)
    terms = np.stack([steps, lanes, lanes * patterns, accepted, accepted * patterns], axis=1)
    factors, _ = nnls(terms / seconds[:, None], np.ones(len(found)))
    return terms @ factors


def points(device: str) -> list[Point]:
    """Every size of every kind, for both losses, printed as they come."""
    found = []
    for loss in (gpumc.ErrorCount(), gpumc.CrossEntropy(gamma=GAMMA)):
        for varied, sizes in SIZES.items():
            for size in sizes:
                others = USUAL | {varied: size}
                # The largest machines are given fewer chains, the largest populations smaller machines.
                if varied == "chains":
                    others |= {"n": 101, "M": 40}
                else:
                    others["chains"] = max(
                        ITEM, min(others["chains"], int(LARGEST / (others["n"] + 20 * others["M"]) / 20))
                    )
                chains = others["chains"] * others["grid"]
                point = Point(loss.kind, varied, size, chains, others["M"], *measure(loss, device, **others))
                found.append(point)
                print(
                    f"{loss.kind:14} {varied:9} {size:8} {1e9 * point.seconds:9.3g} ns, accepted {point.accepted:.3f}",
                    flush=True,
                )
    return found


def memory(loss: gpumc.losses.Loss, n: int, M: int) -> tuple[float, float]:
    """Bytes that a chain takes on the host with its caches, and those of its weights as bits and its fields as log2(n + 1) bits."""
    machine = gpumc.Perceptron(n)
    patterns = gpumc.random_patterns(machine, alpha=M / n, seed=1)
    model = Model.of(machine, [loss], patterns.xi, patterns.labels)
    shape = (1, 1, ITEM, 1)
    population = Population(
        weights=np.zeros((*shape, word_count(n)), np.uint32),
        centre=None,
        fields=np.zeros((*shape, 1, M), field_dtype(machine)),
        energy=np.zeros(shape, np.int64),
        flips=np.zeros(shape, np.int64),
        first_instance=0,
        first_chain=0,
        chains=ITEM,
        weight_count=n,
    )
    arrays = (population.weights, population.fields, population.energy, population.flips)
    variant = launch.sweep_variant(model, population.fields.dtype, False, launch.Form(together=ITEM))
    held = sum(array.nbytes for array in arrays)
    held += launch.item_bytes(choose("cpu"), variant, Sizes.of(model, population))
    return held / ITEM, (n + M * np.log2(n + 1)) / 8


def print_memory() -> None:
    """A line for each size of a machine."""
    for loss in (gpumc.ErrorCount(), gpumc.CrossEntropy(gamma=GAMMA)):
        for n, M in [(size, USUAL["M"]) for size in SIZES["n"]] + [(USUAL["n"], size) for size in SIZES["M"]]:
            held, least = memory(loss, n, M)
            print(f"{loss.kind:14} n = {n:6} M = {M:5}: {held:9.0f} bytes a chain, {held / least:5.1f} x the least")


def draw(found: list[Point], path: Path) -> None:
    """Time per attempt against each size, with the law."""
    figure, axes = plt.subplots(1, len(SIZES), figsize=(16, 3.6), sharey=True, layout="constrained")
    for marker, kind in (("o", "error-count"), ("s", "cross-entropy")):
        here = [p for p in found if p.loss == kind]
        expected = law(here)
        for axis, varied in zip(axes, SIZES, strict=True):
            rows = [
                (p.size, 1e9 * p.seconds, 1e9 * e) for p, e in zip(here, expected, strict=True) if p.varied == varied
            ]
            sizes, seconds, should = np.array(rows).T
            (line,) = axis.loglog(sizes, seconds, marker, label=kind.replace("-", " "))
            axis.loglog(sizes, should, "-", color=line.get_color(), linewidth=1)
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
    print_memory()
    for kind in ("error-count", "cross-entropy"):
        here = [p for p in found if p.loss == kind]
        ratio = np.array([p.seconds for p in here]) / law(here)
        for place in (ratio.argmin(), ratio.argmax()):
            print(f"{kind:14} {here[place].varied} = {here[place].size}: measured / law = {ratio[place]:.2f}")
    if options.json:
        machine = {name: fact for name, fact in describe().items() if "kernels" not in name}
        report = {"date": f"{date.today()}", "machine": machine, "points": [asdict(point) for point in found]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
