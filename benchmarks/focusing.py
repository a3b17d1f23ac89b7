"""The fraction of random instances of the binary perceptron that focusing belief propagation solves, against alpha.

    python -m benchmarks.focusing [--n N ...] [--instances I] [--alpha A ...]

adds to benchmarks/results/focusing.json, instance by instance, and draws docs/focusing.png of all that is there.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import binomtest

import gpumc

RESULTS, PICTURE = Path("benchmarks/results/focusing.json"), Path("docs/focusing.png")
COLOURS, MARKERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), ("o", "s", "^", "D")


def main() -> None:
    parser = argparse.ArgumentParser(description="What focusing belief propagation solves.")
    parser.add_argument("--n", type=int, nargs="*", default=[1001])
    parser.add_argument("--alpha", type=float, nargs="*", default=np.round(np.arange(0.6, 0.79, 0.02), 2).tolist())
    parser.add_argument("--instances", type=int, default=20)
    arguments = parser.parse_args()
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    for n in arguments.n:
        for alpha in arguments.alpha:
            for seed in range(arguments.instances):
                if not any((one["n"], one["alpha"], one["seed"]) == (n, alpha, seed) for one in found):
                    found.append(solved(n, alpha, seed))
                    RESULTS.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n", encoding="utf-8")
            print(f"n = {n}, alpha = {alpha}: {' of '.join(map(str, count(found, n, alpha)))} solved", flush=True)
    draw(found)


def solved(n: int, alpha: float, seed: int) -> dict:
    """One instance, from one start, with the default settings."""
    machine = gpumc.Perceptron(n)
    started = time.monotonic()
    data = gpumc.focusing_bp(machine, gpumc.random_patterns(machine, alpha, 1, seed), device="cpu")
    return {
        "n": n,
        "alpha": alpha,
        "seed": seed,
        "errors": int(data.errors.item()),
        "steps": int(data.steps.item()),
        "seconds": round(time.monotonic() - started, 1),
    }


def count(found: list[dict], n: int, alpha: float) -> tuple[int, int]:
    """How many instances were solved, and how many there are."""
    errors = [one["errors"] for one in found if (one["n"], one["alpha"]) == (n, alpha)]
    return errors.count(0), len(errors)


def draw(found: list[dict]) -> None:
    """Fractions with Wilson's intervals."""
    figure, panel = plt.subplots(figsize=(5.5, 4), layout="constrained")
    for number, n in enumerate(sorted({one["n"] for one in found})):
        alphas = sorted({one["alpha"] for one in found if one["n"] == n})
        counts = [count(found, n, alpha) for alpha in alphas]
        fractions = np.array([solved / of for solved, of in counts])
        intervals = [binomtest(solved, of).proportion_ci(0.68, "wilson") for solved, of in counts]
        bars = np.clip(np.abs(np.array([[i.low, i.high] for i in intervals]).T - fractions), 0, 1)
        panel.errorbar(
            alphas,
            fractions,
            bars,
            marker=MARKERS[number],
            color=COLOURS[number],
            capsize=2.5,
            markersize=5,
            linewidth=1.2,
            label=f"$n={n}$",
        )
    panel.set_xlabel(r"patterns per weight $\alpha$")
    panel.set_ylabel("fraction of instances solved")
    panel.set_ylim(-0.03, 1.03)
    panel.grid(alpha=0.25)
    panel.legend(frameon=False, loc="lower left")
    panel.set_title("focusing belief propagation, binary perceptron; bars: 68 % intervals", fontsize=9)
    figure.savefig(PICTURE, dpi=160)


if __name__ == "__main__":
    main()
