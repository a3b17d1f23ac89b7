"""Normalised local volume against distance: around solutions of a tree committee, and around those of a parity machine of the same size.

    gpumc run runs/wide-flat-minima.toml
    python analysis/wide_flat_minima.py results/wide-flat-minima

draws results/wide-flat-minima/wide_flat_minima.png. The committee's solutions are those of the run, as far as sign units make no error with
them, and those that focusing belief propagation finds. A parity machine's typical solution is planted: its patterns get the labels that
random weights give them. Curves with points are by belief propagation, means and standard errors over instances. The line without points is
theory: large deviations of the committee of infinitely many units, around the best centres.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import gpumc
from gpumc import theory

DISTANCE = np.concatenate([np.geomspace(1e-3, 0.03, 8), np.linspace(0.05, 0.5, 16)])


def committee(data: xr.Dataset, instances: int) -> tuple[gpumc.TreeCommittee, gpumc.Patterns]:
    """The machine of sign units, and the patterns of the run, made again from its seed."""
    machine = gpumc.TreeCommittee(data.attrs["n"], k=data.attrs["k"], weights="spherical")
    patterns = gpumc.random_patterns(machine, data.attrs["alpha"], data.sizes["instance"], data.attrs["seed"])
    assert patterns.digest == data.attrs["patterns_digest"]
    return machine, gpumc.Patterns(patterns.xi[:instances], patterns.labels[:instances])


def solutions(machine: gpumc.TreeCommittee, patterns: gpumc.Patterns, data: xr.Dataset) -> xr.DataArray:
    """The run's configurations; NaN where sign units make an error with them."""
    weights = data.weights.isel(instance=slice(0, patterns.instances), replica=0).copy()
    for i in range(patterns.instances):
        stability = machine.stabilities(weights.values[i], patterns.xi[i], patterns.labels[i])
        weights.values[i][(stability < 0).any(axis=1)] = np.nan
    return weights


def planted(
    n: int, k: int, alpha: float, instances: int, seed: int
) -> tuple[gpumc.TreeParity, gpumc.Patterns, np.ndarray]:
    """A parity machine, patterns, and random weights that classify them."""
    machine = gpumc.TreeParity(n, k=k, weights="spherical")
    drawn = gpumc.random_patterns(machine, alpha, instances, seed)
    weights = np.random.default_rng(seed).normal(size=(instances, n))
    outputs = [
        machine.stabilities(w[None], xi, np.ones(drawn.count))[0] for w, xi in zip(weights, drawn.xi, strict=True)
    ]
    return machine, gpumc.Patterns(drawn.xi, np.sign(outputs)), weights


def volume(machine, patterns: gpumc.Patterns, references) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over instances of the normalised local volume, over what else there is in each."""
    curves = gpumc.local_entropy(machine, patterns, references, distance=DISTANCE).log_volume
    means = curves.mean([dim for dim in curves.dims if dim not in ("instance", "distance")])
    return means.mean("instance").values, (means.std("instance", ddof=1) / np.sqrt(means.sizes["instance"])).values


def best_centres(alpha: float) -> xr.Dataset:
    """The volume around the best centres of k -> infinity, an upper bound."""
    # Replicas at 1 - 2 D' = (1 - 2 D)^2 of one another are at D from their centre.
    between = (1 - (1 - 2 * DISTANCE[:-1]) ** 2) / 2
    return theory.dense_clusters(theory.Limit("tree-committee", "spherical", k=np.inf), alpha=alpha, distance=between)


def draw(lines: dict[str, tuple[np.ndarray, np.ndarray]], alpha: float, k: int, path: Path) -> None:
    """The picture."""
    figure, panel = plt.subplots(figsize=(6.2, 4.4), layout="constrained")
    looks = (("#0072B2", "o"), ("#56B4E9", "s"), ("#D55E00", "^"))
    for (name, (mean, error)), (colour, marker) in zip(lines.items(), looks, strict=True):
        panel.errorbar(
            DISTANCE, mean, error, color=colour, marker=marker, markersize=4, capsize=2, linewidth=1.2, label=name
        )
    best = best_centres(alpha)
    panel.plot(
        best.distance_centre,
        best.log_volume,
        color="#009E73",
        linewidth=1.6,
        label=r"committee, best centres, $k\to\infty$",
    )
    overlap = 2 / np.pi * np.arcsin(1 - 2 * DISTANCE)
    panel.plot(
        DISTANCE,
        alpha * np.log((1 + overlap**k) / 2),
        color="black",
        linewidth=1,
        linestyle="--",
        label=r"parity, annealed: $\alpha\log\frac{1+s^k}{2}$, $s=\frac{2}{\pi}\arcsin(1-2D)$",
    )
    panel.axhline(
        -alpha * np.log(2), color="black", linewidth=1, linestyle=":", label=r"parity, whole volume: $-\alpha\log 2$"
    )
    panel.axhline(0, color="grey", linewidth=0.8)
    panel.set_xlabel(r"distance from the solution, $D=(1-q)/2$")
    panel.set_ylabel("normalised local volume (nat per weight)")
    panel.set_xlim(left=0)
    panel.grid(alpha=0.25)
    panel.legend(fontsize=7.5, frameon=False, loc="upper right")
    figure.savefig(path, dpi=160)


def main() -> None:
    parser = argparse.ArgumentParser(description="Normalised local volume around solutions, against distance.")
    parser.add_argument("run", type=Path, help="the folder of a run of runs/wide-flat-minima.toml")
    parser.add_argument("--instances", type=int, default=3)
    arguments = parser.parse_args()
    data = gpumc.open_run(arguments.run)
    machine, patterns = committee(data, arguments.instances)
    alpha, k = data.attrs["alpha"], machine.k
    annealed = solutions(machine, patterns, data)
    print(
        f"{int(annealed.notnull().all('weight').sum())} of {annealed[..., 0].size} configurations of the run are solutions"
    )
    focused = gpumc.focusing_bp(machine, patterns, protocol="standard-reinforcement")
    print(f"focusing solves {int(focused.solved.sum())} of {patterns.instances} instances")
    lines = {
        f"committee, $k={k}$: focusing BP": volume(machine, patterns, focused.weights.where(focused.solved)),
        f"committee, $k={k}$: annealed cross-entropy": volume(machine, patterns, annealed),
        f"parity, $k={k}$: planted solution": volume(*planted(machine.n, k, alpha, arguments.instances, 1)),
    }
    for name, (mean, _) in lines.items():
        print(name, *(f"{d:.3f}: {v:.4f}" for d, v in zip(DISTANCE[::4], mean[::4], strict=True)))
    draw(lines, alpha, k, arguments.run / "wide_flat_minima.png")
    print(f"picture: {arguments.run / 'wide_flat_minima.png'}")


if __name__ == "__main__":
    main()
