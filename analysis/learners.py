"""How flat the minima of several learners are, side by side.

    python analysis/learners.py FOLDER [FOLDER ...] [-o learners.png]

reads the results of runs with ``[learner]``, ``[volumes]`` and ``[flatness]``, such as those of runs/random-k9.toml, one a learner, which
have the same patterns. It draws the local volume against the distance, the local energy, the density of the Hessian's eigenvalues and the
errors on noisy inputs, means over solved instances with their standard errors. It prints a table of the learners; how their volumes differ
on the same instances; and Spearman's rank correlations of what was measured, over all solved runs and within each learner that has an axis
such as its rate, each with the 68 % interval of a bootstrap over instances.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import bootstrap

import gpumc
from gpumc import flatness

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
#: Of a dataset, what is ranked, and in the table and correlations the strength and the distance: the middle ones.
RANKED = {"log_volume": "distance", "local_energy": "strength", "largest_eigenvalue": None, "test_error": None}
#: Dimensions of one machine's results; all others are runs.
OWN = {"replica", "weight", "epoch", "distance", "strength", "eta", "quantile", "mode", "probe"}


def solved(data: xr.Dataset) -> xr.Dataset:
    """The solved runs of a result, over ``run``; around the centre where there is one."""
    if "centre_test_error" in data:
        data = data.assign(test_error=data.centre_test_error)
    reference = 0 if "centre" in data else 1
    runs = data.isel(reference=np.flatnonzero(data.reference == reference)[0])
    runs = runs.stack(run=[name for name in runs.solved.dims if name not in OWN])
    return runs.isel(run=np.flatnonzero(runs.solved))


def mean_and_error(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Over runs; of runs that have a value."""
    return values.mean("run"), values.std("run", ddof=1) / np.sqrt(values.notnull().sum("run"))


def told(values: xr.DataArray) -> str:
    """Mean and standard error in words."""
    mean, error = mean_and_error(values)
    return f"{float(mean):.4f} +- {float(error):.4f}"


def middle(data: xr.Dataset, name: str) -> xr.DataArray:
    """A ranked quantity over ``run``."""
    dim = RANKED[name]
    return data[name].isel({dim: data.sizes[dim] // 2}) if dim else data[name]


def frame(results: dict[str, xr.Dataset]) -> pd.DataFrame:
    """A row for each solved run: its learner, its instance, and what is ranked."""
    rows = []
    for name, data in results.items():
        measured = {quantity: middle(data, quantity).values for quantity in RANKED if quantity in data}
        rows.append(pd.DataFrame({"learner": name, "instance": data.instance.values, **measured}))
    return pd.concat(rows, ignore_index=True)


def correlation(runs: pd.DataFrame, one: str, other: str) -> str:
    """Spearman's, with its interval; in words."""
    runs = runs.dropna(subset=[one, other])
    if len(runs) < 3:
        return "too few runs"
    by_instance = dict(list(runs.groupby("instance")))

    def statistic(chosen: np.ndarray) -> float:
        drawn = pd.concat([by_instance[instance] for instance in chosen])
        return drawn[one].corr(drawn[other], method="spearman")

    instances, rng = np.array(list(by_instance)), np.random.default_rng(1)
    settings = {"vectorized": False, "confidence_level": 0.68, "method": "percentile", "n_resamples": 999}
    found = bootstrap((instances,), statistic, rng=rng, **settings).confidence_interval
    return f"{statistic(instances):.2f} ({found.low:.2f} to {found.high:.2f}), {len(runs)} runs"


def print_learners(opened: dict[str, xr.Dataset], results: dict[str, xr.Dataset]) -> None:
    """A line for each run."""
    distances = next(iter(results.values())).distance.values
    head = ["run", "solved", "epochs", *(f"log volume at {d:g}" for d in distances), "converged", "local energy"]
    print("|".join(["", *head, "largest eigenvalue", "test error", ""]))
    print("|---" * (len(head) + 2) + "|")
    for name, data in results.items():
        cells = [f"{data.sizes['run']} of {opened[name].solved.size}", f"{float(data.steps.median()):g}"]
        cells += [told(data.log_volume.sel(distance=d)) for d in distances]
        cells.append(f"{int(data.converged.sum())} of {data.converged.size}")
        cells += [told(middle(data, q)) if q in data else "" for q in tuple(RANKED)[1:]]
        print("|".join(["", name, *cells, ""]))


def print_order(results: dict[str, xr.Dataset]) -> None:
    """How the volumes of neighbours in the order of flatness differ, on the instances that both solve."""
    distance = RANKED["log_volume"]
    volumes = {
        name: middle(data, "log_volume").drop_vars(distance).to_series().groupby("instance").mean()
        for name, data in results.items()
    }
    ordered = sorted(volumes, key=lambda name: -volumes[name].mean())
    for flatter, next_one in itertools.pairwise(ordered):
        apart = (volumes[flatter] - volumes[next_one]).dropna()
        print(
            f"{flatter} - {next_one}: log volume {apart.mean():.4f} +- {apart.sem():.4f}, "
            f"larger in {int((apart > 0).sum())} of {len(apart)} instances"
        )


def print_correlations(results: dict[str, xr.Dataset]) -> None:
    """Of all pairs of what is ranked."""
    runs = frame(results)
    groups = {"all": runs, **{name: runs[runs.learner == name] for name, data in results.items() if swept(data)}}
    for (name, some), (one, other) in itertools.product(groups.items(), itertools.combinations(RANKED, 2)):
        if {one, other} <= set(some.columns):
            print(f"rank correlation of {one} and {other}, {name}: {correlation(some, one, other)}")


def swept(data: xr.Dataset) -> bool:
    """Whether the run has an axis beside its instances and starts."""
    return len(data.indexes["run"].names) > 2


def draw(results: dict[str, xr.Dataset], path: Path) -> None:
    """Four panels."""
    figure, panels = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    curves = (
        ("log_volume", "distance", "normalised distance, $D$", "log volume per weight (nat)"),
        ("local_energy", "strength", "strength of the noise of weights, $s$", r"local energy, $\delta E$"),
        ("noisy_error_rate", "eta", r"strength of the noise of inputs, $\eta$", "training error on noisy inputs"),
    )
    highest = 1.0
    for number, (name, data) in enumerate(results.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "label": name}
        for panel, (quantity, dim, _, _) in zip((panels[0, 0], panels[0, 1], panels[1, 1]), curves, strict=True):
            if quantity in data:
                mean, error = mean_and_error(data[quantity])
                panel.errorbar(mean[dim], mean, error, capsize=2.5, markersize=5, linewidth=1.2, **style)
        if "eigenvalue" in data:
            width = max(float(each.largest_eigenvalue.max()) for each in results.values()) / 60
            ends = float(data.smallest_eigenvalue.min()), float(data.largest_eigenvalue.max())
            at = np.linspace(ends[0] - 3 * width, ends[1] + 3 * width, 600)
            density = flatness.spectral_density(data, at, width=width).spectral_density.mean("run")
            highest = max(highest, float(density.max()))
            panels[1, 0].plot(at, density, color=style["color"], linewidth=1.2, label=name)
    for panel, (_, _, across, up) in zip((panels[0, 0], panels[0, 1], panels[1, 1]), curves, strict=True):
        panel.set(xlabel=across, ylabel=up)
    panels[1, 0].set(
        xlabel=r"eigenvalue of the Hessian, $\lambda$",
        ylabel=r"density, $\rho(\lambda)$",
        yscale="log",
        ylim=(3e-6 * highest, 3 * highest),
    )
    panels[0, 0].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print what was found and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="results, by the names of their runs")
    parser.add_argument("-o", "--output", type=Path, default=Path("learners.png"))
    options = parser.parse_args()
    opened = {Path(folder).name: gpumc.open_run(folder) for folder in options.folders}
    results = {name: solved(data) for name, data in opened.items() if data.solved.any()}
    for name in opened.keys() - results.keys():
        print(f"{name}: none of {opened[name].solved.size} solved")
    print_learners(opened, results)
    print_order(results)
    print_correlations(results)
    draw(results, options.output)


if __name__ == "__main__":
    main()
