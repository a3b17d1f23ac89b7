"""How flat the minima of several learners are, side by side.

    python analysis/learners.py FOLDER [FOLDER ...] [-o learners.png]

reads the results of runs with ``[learner]``, ``[volumes]`` and ``[flatness]``, such as those of runs/random-k9.toml, one a learner, which
have the same patterns. It draws the local volume against the distance, the local energy, the density of the Hessian's eigenvalues and the
errors on noisy inputs, means over solved instances with their standard errors; prints a table; and, where there are test images, the rank
correlation of volume and test error between the runs of all learners, with an interval from a bootstrap over instances.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from scipy.stats import spearmanr

import gpumc
from gpumc import flatness

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")


def solved(data: xr.Dataset) -> xr.Dataset:
    """The solved runs of a result, over ``run``; around the centre where there is one."""
    reference = 0 if "centre" in data else 1
    return (
        data.isel(reference=np.flatnonzero(data.reference == reference)[0])
        .stack(run=("instance", "start"))
        .pipe(lambda all_runs: all_runs.isel(run=np.flatnonzero(all_runs.solved)))
    )


def mean_and_error(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Over runs; of runs that have a value."""
    return values.mean("run"), values.std("run", ddof=1) / np.sqrt(values.notnull().sum("run"))


def test_errors(data: xr.Dataset) -> xr.DataArray | None:
    """Of the centre where there is one."""
    return data.get("centre_test_error", data.get("test_error"))


def rank_correlation(results: dict[str, xr.Dataset], distance: float) -> str:
    """Spearman's, of log volume and test error, over all solved runs; with the 68 % interval of 1000 bootstraps over instances."""
    pairs = [
        (run.instance.item(), float(volume), float(error))
        for data in results.values()
        for run, volume, error in zip(
            data.run, data.log_volume.sel(distance=distance).values, np.asarray(test_errors(data)), strict=True
        )
        if np.isfinite(volume)
    ]
    numbers = np.array(pairs)
    rng, instances, found = np.random.default_rng(1), np.unique(numbers[:, 0]), []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(numbers[:, 0] == i) for i in rng.choice(instances, len(instances))])
        found.append(spearmanr(numbers[rows, 1], numbers[rows, 2]).statistic)
    low, high = np.nanquantile(found, [0.16, 0.84])
    return f"{spearmanr(numbers[:, 1], numbers[:, 2]).statistic:.2f} ({low:.2f} to {high:.2f})"


def draw(results: dict[str, xr.Dataset], path: Path) -> None:
    """Four panels."""
    figure, panels = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    curves = (
        ("log_volume", "distance", "$D$", "log volume per weight (nat)"),
        ("local_energy", "strength", "strength of the noise of weights, $s$", r"local energy, $\delta E$"),
        ("noisy_error_rate", "eta", r"strength of the noise of inputs, $\eta$", "training error on noisy inputs"),
    )
    for number, (name, data) in enumerate(results.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "label": name}
        for panel, (quantity, dim, _, _) in zip((panels[0, 0], panels[0, 1], panels[1, 1]), curves, strict=True):
            if quantity in data:
                mean, error = mean_and_error(data[quantity])
                panel.errorbar(mean[dim], mean, error, capsize=2.5, markersize=5, linewidth=1.2, **style)
        if "eigenvalue" in data:
            top = float(data.largest_eigenvalue.max())
            at = np.linspace(float(data.smallest_eigenvalue.min()), top, 400)
            density = flatness.spectral_density(data, at, width=top / 50).spectral_density.mean("run")
            panels[1, 0].plot(at, density, color=style["color"], linewidth=1.2, label=name)
    for panel, (_, _, across, up) in zip((panels[0, 0], panels[0, 1], panels[1, 1]), curves, strict=True):
        panel.set(xlabel=across, ylabel=up)
    panels[1, 0].set(
        xlabel=r"eigenvalue of the Hessian, $\lambda$",
        ylabel=r"density, $\rho(\lambda)$",
        yscale="log",
        ylim=(1e-4, None),
    )
    panels[0, 0].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="results, by the names of their runs")
    parser.add_argument("-o", "--output", type=Path, default=Path("learners.png"))
    options = parser.parse_args()
    opened = {Path(folder).name: gpumc.open_run(folder) for folder in options.folders}
    results = {name: solved(data) for name, data in opened.items()}
    distances = next(iter(results.values())).distance.values
    print("| run | solved | epochs | " + " | ".join(f"log volume at {d:g}" for d in distances) + " | test error |")
    print("|---|---|---|" + "---|" * (len(distances) + 1))
    for name, data in results.items():
        cells = [f"{data.sizes['run']} of {opened[name].solved.size}", f"{float(data.steps.median()):g}"]
        for d in distances:
            mean, error = mean_and_error(data.log_volume.sel(distance=d))
            cells.append(f"{float(mean):.3f} +- {float(error):.3f}")
        errors = test_errors(data)
        cells.append(
            ""
            if errors is None
            else f"{float(errors.mean()):.4f} +- {float(errors.std(ddof=1)) / len(errors) ** 0.5:.4f}"
        )
        print(f"| {name} | " + " | ".join(cells) + " |")
    if all(test_errors(data) is not None for data in results.values()):
        print(
            f"rank correlation of log volume at {distances[0]:g} and test error: {rank_correlation(results, distances[0])}"
        )
    draw(results, options.output)


if __name__ == "__main__":
    main()
