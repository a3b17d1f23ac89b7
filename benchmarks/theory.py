"""How long curves of 20 points of replica theory take: python -m benchmarks.theory."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import xarray as xr

import gpumc
from gpumc import theory

ALPHA, DISTANCE, COUPLING = np.linspace(0.05, 0.8, 20), np.linspace(0.01, 0.35, 20), np.linspace(0.05, 1.5, 20).tolist()
CE = gpumc.CrossEntropy(1.0)

CURVES: dict[str, Callable[[], xr.Dataset]] = {
    "binary perceptron, errors": lambda: theory.replica_symmetric(theory.Limit("perceptron"), alpha=ALPHA),
    "cross-entropy, beta = 5": lambda: theory.replica_symmetric(
        theory.Limit("perceptron"), gpumc.Gibbs(CE, 5.0), alpha=ALPHA
    ),
    "lowest cross-entropy, gamma 0.3 to 10": lambda: theory.replica_symmetric(
        theory.Limit("perceptron"), gpumc.Gibbs(gpumc.CrossEntropy(np.geomspace(0.3, 10, 20)), np.inf), alpha=0.4
    ),
    "spherical perceptron, lowest cross-entropy": lambda: theory.replica_symmetric(
        theory.Limit("perceptron", "spherical"), gpumc.Gibbs(CE, np.inf), alpha=2 * ALPHA
    ),
    **{
        f"spherical committee, k = {k}": partial(
            theory.replica_symmetric, theory.Limit("tree-committee", "spherical", k=k), alpha=2 * ALPHA
        )
        for k in (3, 5, 7, 9, np.inf)
    },
    "Franz-Parisi, solutions": lambda: theory.franz_parisi(theory.Limit("perceptron"), alpha=0.4, distance=DISTANCE),
    "Franz-Parisi, cross-entropy, beta = 5": lambda: theory.franz_parisi(
        theory.Limit("perceptron"), gpumc.Gibbs(CE, 5.0), alpha=0.4, distance=DISTANCE
    ),
    "Franz-Parisi, lowest cross-entropy": lambda: theory.franz_parisi(
        theory.Limit("perceptron"), gpumc.Gibbs(CE, np.inf), alpha=0.4, distance=DISTANCE
    ),
    **{
        f"binary clusters, y = {y:g}": partial(
            theory.dense_clusters, theory.Limit("perceptron"), alpha=0.4, distance=DISTANCE, replicas=y
        )
        for y in (3.0, 100.0, np.inf)
    },
    "ReLU clusters, y = inf": lambda: theory.dense_clusters(
        theory.Limit("tree-committee", "spherical", k=np.inf, activation="relu"), alpha=1.0, distance=DISTANCE
    ),
    "local-entropy measure, errors, y = 3": lambda: theory.replica_symmetric(
        theory.Limit("perceptron"), gpumc.LocalEntropy(gpumc.ErrorCount(), 1.0, COUPLING, 3), alpha=0.4
    ),
    "cross-entropy, y = 5": lambda: theory.replica_symmetric(
        theory.Limit("perceptron"), gpumc.LocalEntropy(CE, 5.0, COUPLING, 5), alpha=0.4
    ),
}


def main() -> None:
    print("| curve | seconds | converged |\n|---|---|---|")
    for name, curve in CURVES.items():
        start = time.perf_counter()
        data = curve()
        print(f"| {name} | {time.perf_counter() - start:.1f} | {int(data.converged.sum())} of 20 |", flush=True)


if __name__ == "__main__":
    main()
