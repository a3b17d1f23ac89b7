"""Dense clusters of the binary perceptron: solutions around the best centres, around those that focusing finds, and around typical ones.

    python analysis/dense_clusters.py

draws results/dense-clusters/dense_clusters.png. Left: the large deviations as the number of replicas y -> infinity, Franz-Parisi
entropies of typical solutions, and belief propagation around solutions that focusing belief propagation finds at n = 1001, means and
standard errors over instances. Right: the entropy of one of y replicas at a given distance of one another and that of their groups, which
is shown as far as it is not negative.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import gpumc
from gpumc import theory

COLOURS, MARKERS = ("#0072B2", "#E69F00", "#009E73"), ("o", "s", "^")
ALPHA, REPLICAS = (0.2, 0.4, 0.6), (3, 10, 50)
MACHINE, INSTANCES = gpumc.Perceptron(1001), 8
PLACES = np.array([0.02, 0.04, 0.06, 0.08, 0.1, 0.14, 0.18])


def focused(alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard errors over instances, around solutions that focusing finds, of S less its bound."""
    patterns = gpumc.random_patterns(MACHINE, alpha, INSTANCES, seed=1)
    found = gpumc.focusing_bp(MACHINE, patterns, protocol=gpumc.PseudoReinforcement())
    curves = gpumc.local_entropy(MACHINE, patterns, found.weights.where(found.solved), distance=PLACES).log_volume
    means = curves.mean([dim for dim in curves.dims if dim not in ("instance", "distance")])
    return means.mean("instance").values, (means.std("instance", ddof=1) / np.sqrt(INSTANCES)).values


def draw_centres(panel) -> None:
    """Around centres and single solutions."""
    distance = np.geomspace(0.001, 0.2, 30)
    # Replicas at 1 - 2 D' = (1 - 2 D)^2 of one another are at D from their centre.
    between = (1 - (1 - 2 * distance) ** 2) / 2
    best = theory.dense_clusters(theory.Limit("perceptron"), alpha=ALPHA, distance=between)
    typical = theory.franz_parisi(theory.Limit("perceptron"), alpha=ALPHA, distance=distance)
    typical = typical.log_volume.where(typical.entropy > 0)
    for row, (alpha, colour, marker) in enumerate(zip(ALPHA, COLOURS, MARKERS, strict=True)):
        panel.plot(best.distance_centre[row], best.log_volume[row], color=colour, linewidth=1.6)
        panel.plot(distance, typical[row], color=colour, linewidth=1, linestyle="--")
        style = {"color": colour, "marker": marker, "markersize": 4, "capsize": 2, "linestyle": "none"}
        mean, error = focused(alpha)
        panel.errorbar(PLACES, mean, error, label=rf"$\alpha={alpha:g}$", **style)
        gap = mean - np.interp(PLACES, best.distance_centre[row], best.log_volume[row])
        print(f"alpha = {alpha:g}: focused less best, D = {PLACES[0]:g} to {PLACES[-1]:g}:", np.round(gap, 4))
    panel.axhline(0, color="grey", linewidth=0.8)
    panel.set_xlim(0, 0.2)
    panel.set_ylim(-0.36, 0.015)
    panel.set_xlabel(r"distance from the centre, $D=(1-q)/2$")
    panel.set_ylabel(r"$S(D)$ less its bound (nat)")
    title = "lines: best centres; points: focusing BP;\ndashed: around typical solutions"
    panel.legend(fontsize=8, frameon=False, loc="lower left", title=title, title_fontsize=8)


def draw_groups(panel, alpha: float) -> None:
    """Groups of a finite number of replicas."""
    distance = np.linspace(0.01, 0.36, 25)
    groups = theory.dense_clusters(theory.Limit("perceptron"), alpha=alpha, distance=distance, replicas=REPLICAS)
    for y, colour in zip(REPLICAS, COLOURS, strict=True):
        one = groups.sel(replicas=y)
        panel.plot(distance, one.local_entropy, color=colour, linewidth=1.6, label=rf"one of $y={y}$")
        external = one.external_entropy.where(one.external_entropy >= 0)
        panel.plot(distance, external, color=colour, linewidth=1, linestyle="--")
        print(f"y = {y}: the entropy of groups is at least {one.external_entropy.min():.3f}")
    panel.set_xlim(0, 0.37)
    panel.set_ylim(0, 0.5)
    panel.set_xlabel(r"distance of two replicas, $D=(1-q_1)/2$")
    panel.set_ylabel("entropy per weight (nat)")
    title = rf"$\alpha={alpha:g}$; dashed: of groups"
    panel.legend(fontsize=8, frameon=False, loc="upper left", title=title)


def main() -> None:
    parser = argparse.ArgumentParser(description="Dense clusters of the binary perceptron.")
    parser.add_argument("--out", type=Path, default=Path("results/dense-clusters"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    draw_centres(panels[0])
    draw_groups(panels[1], 0.4)
    for panel in panels:
        panel.grid(alpha=0.25)
    figure.savefig(folder / "dense_clusters.png", dpi=160)
    print(f"picture: {folder / 'dense_clusters.png'}")


if __name__ == "__main__":
    main()
