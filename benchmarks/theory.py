"""How long curves of 20 points of replica theory take: python -m benchmarks.theory."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import xarray as xr

import gpumc
from gpumc import theory

ALPHA, DISTANCE, COUPLING = np.linspace(0.05, 0.8, 20), np.linspace(0.01, 0.35, 20), np.linspace(0.05, 1.5, 20)
CE = gpumc.CrossEntropy(1.0)

CURVES: dict[str, Callable[[], xr.Dataset]] = {
    "binary perceptron, errors": lambda: theory.replica_symmetric("binary-perceptron", alpha=ALPHA),
    "cross-entropy, beta = 5": lambda: theory.replica_symmetric("binary-perceptron", alpha=ALPHA, loss=CE, beta=5.0),
    "lowest cross-entropy, gamma 0.3 to 10": lambda: theory.replica_symmetric(
        "binary-perceptron", alpha=0.4, loss=gpumc.CrossEntropy(np.geomspace(0.3, 10, 20))
    ),
    "spherical perceptron, lowest cross-entropy": lambda: theory.replica_symmetric(
        "spherical-perceptron", alpha=2 * ALPHA, loss=CE
    ),
    **{
        f"spherical committee, k = {k}": lambda k=k: theory.replica_symmetric(
            "spherical-tree-committee", alpha=2 * ALPHA, k=k
        )
        for k in (3, 5, 7, 9, np.inf)
    },
    "Franz-Parisi, solutions": lambda: theory.franz_parisi(alpha=0.4, distance=DISTANCE),
    "Franz-Parisi, cross-entropy, beta = 5": lambda: theory.franz_parisi(
        alpha=0.4, distance=DISTANCE, reference_loss=CE, reference_beta=5.0
    ),
    "Franz-Parisi, lowest cross-entropy": lambda: theory.franz_parisi(alpha=0.4, distance=DISTANCE, reference_loss=CE),
    **{
        f"binary clusters, y = {y:g}": lambda y=y: theory.dense_clusters(
            "binary-perceptron", alpha=0.4, distance=DISTANCE, replicas=y
        )
        for y in (3.0, 100.0, np.inf)
    },
    "ReLU clusters, y = inf": lambda: theory.dense_clusters(
        "spherical-tree-committee", alpha=1.0, distance=DISTANCE, activation="relu"
    ),
    "local-entropy measure, errors, y = 3": lambda: theory.local_entropy_measure(
        alpha=0.4, beta=1.0, coupling=COUPLING, replicas=3
    ),
    "cross-entropy, y = 5": lambda: theory.local_entropy_measure(
        alpha=0.4, beta=5.0, coupling=COUPLING, replicas=5, loss=CE
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
