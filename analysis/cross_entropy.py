"""The role of the cross-entropy: solutions around its typical configurations, by replica theory and by sampling with belief propagation.

    gpumc run runs/cross-entropy.toml
    python analysis/cross_entropy.py results/cross-entropy

draws results/cross-entropy/cross_entropy.png. Points are what the run measured around sampled configurations, means and standard errors
over instances; lines are Franz-Parisi entropies at the run's temperature and at that of zero entropy, thin where replica symmetry of the
reference is unstable.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import gpumc
from gpumc import theory

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v", "P")
#: Of the best gamma: where, and which gamma.
NEAR, GAMMA = (0.04, 0.1, 0.2), np.geomspace(0.4, 6.0, 11)


def around(alpha: float, gamma, beta: float, distance) -> xr.Dataset:
    """The theory around configurations of the cross-entropy."""
    return theory.franz_parisi(
        theory.Limit("perceptron"), gpumc.Gibbs(gpumc.CrossEntropy(gamma), beta), alpha=alpha, distance=distance
    )


def mean_and_error(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Over instances, of means over chains and replicas."""
    means = values.mean([dim for dim in values.dims if dim not in ("instance", "gamma", "distance")])
    return means.mean("instance"), means.std("instance", ddof=1) / np.sqrt(means.sizes["instance"])


def draw_curves(panel, data: xr.Dataset, alpha: float, beta: float) -> None:
    """Local entropies against distance."""
    distance = np.linspace(0.005, 0.45, 40)
    typical = theory.franz_parisi(theory.Limit("perceptron"), alpha=alpha, distance=distance)
    panel.plot(distance, typical.entropy_bound, color="black", linewidth=1, linestyle=":", label="bound: no patterns")
    panel.plot(distance, typical.entropy, color="black", linewidth=1, linestyle="--", label="around typical solutions")
    lines = around(alpha, data.gamma.values, beta, distance)
    mean, error = mean_and_error(data.entropy)
    for gamma, colour, marker in zip(data.gamma.values, COLOURS, MARKERS, strict=False):
        panel.plot(distance, lines.entropy.sel(gamma=gamma), color=colour, linewidth=1.2)
        style = {"color": colour, "marker": marker, "markersize": 4, "capsize": 2, "linestyle": "none"}
        panel.errorbar(
            data.distance, mean.sel(gamma=gamma), error.sel(gamma=gamma), label=rf"$\gamma={gamma:g}$", **style
        )
    panel.set_xlabel(r"distance from the configuration, $D=(1-q)/2$")
    panel.set_ylabel(r"local entropy per weight, $S(D)$ (nat)")
    panel.set_xlim(0, 0.46)
    panel.set_ylim(0, 0.72)
    panel.legend(fontsize=8, frameon=False, loc="lower right", title=rf"$\beta={beta:g}$; lines: theory, points: BP")


def draw_best(panel, data: xr.Dataset, alpha: float, beta: float) -> None:
    """Against gamma, at a few distances."""
    warm, cold = around(alpha, GAMMA, beta, NEAR), around(alpha, GAMMA, np.inf, NEAR)
    stable = theory.replica_symmetric(
        theory.Limit("perceptron"), gpumc.Gibbs(gpumc.CrossEntropy(GAMMA), np.inf), alpha=alpha
    ).stable
    mean, error = mean_and_error(data.log_volume)
    for distance, colour, marker in zip(NEAR, COLOURS, MARKERS, strict=False):
        coldest = cold.log_volume.sel(distance=distance)
        panel.plot(GAMMA, coldest, color=colour, linewidth=0.7, linestyle="--")
        panel.plot(GAMMA, coldest.where(stable), color=colour, linewidth=1.6, linestyle="--")
        panel.plot(GAMMA, warm.log_volume.sel(distance=distance), color=colour, linewidth=1.2)
        panel.errorbar(
            data.gamma,
            mean.sel(distance=distance, method="nearest"),
            error.sel(distance=distance, method="nearest"),
            color=colour,
            marker=marker,
            markersize=4,
            capsize=2,
            linestyle="none",
            label=f"$D={distance:g}$",
        )
        best, best_cold = (curve.idxmax("gamma").item() for curve in (warm.log_volume.sel(distance=distance), coldest))
        print(
            f"D = {distance:g}: the best gamma is near {best:.2f} at beta = {beta:g}, {best_cold:.2f} at zero entropy"
        )
    panel.set_xscale("log")
    panel.set_xticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"])
    panel.minorticks_off()
    panel.set_ylim(-0.24, 0.0)
    panel.set_xlabel(r"$\gamma$ of the cross-entropy")
    panel.set_ylabel(r"$S(D)$ less its bound (nat)")
    panel.legend(fontsize=8, frameon=False, loc="lower left", title=rf"lines: $\beta={beta:g}$; dashed: zero entropy")


def main() -> None:
    parser = argparse.ArgumentParser(description="Local entropies around configurations of the cross-entropy.")
    parser.add_argument("run", type=Path, help="the folder of a run of runs/cross-entropy.toml")
    arguments = parser.parse_args()
    data = gpumc.open_run(arguments.run).isel(volume_draw=-1, reference=0)
    alpha, beta = data.pattern_count.item() / data.attrs["n"], float(data.beta[-1])
    data = data.where(data.converged)
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    draw_curves(panels[0], data, alpha, beta)
    draw_best(panels[1], data, alpha, beta)
    for panel in panels:
        panel.grid(alpha=0.25)
    figure.suptitle(rf"binary perceptron, $\alpha={alpha:.2g}$; points: $n={data.attrs['n']}$", fontsize=10)
    figure.savefig(arguments.run / "cross_entropy.png", dpi=160)
    mean, error = mean_and_error(data.entropy)
    gap = (mean - around(alpha, data.gamma.values, beta, data.distance.values).entropy) / error
    print(f"points beyond 3 standard errors of the theory: {int((abs(gap) > 3).sum())} of {int(gap.notnull().sum())}")
    print(f"picture: {arguments.run / 'cross_entropy.png'}")


if __name__ == "__main__":
    main()
