"""Local entropy against distance around sampled centres: belief propagation, thermodynamic integration, and the bound.

    gpumc run runs/local-entropy.toml
    python analysis/local_entropy.py results/local-entropy

draws results/local-entropy/local_entropy.png. Curves are what the run measured while it sampled, means over instances and chains of the
last measurement around the centres; points are sampled afterwards around one of these centres, that curve being drawn thin.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import gpumc

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "^", "D")
#: Beyond, sampling takes far longer to settle.
FARTHEST = 0.2


def patterns_of(data: xr.Dataset) -> tuple[gpumc.Perceptron, gpumc.Patterns]:
    """The machine and the patterns of the run, made again from its seed."""
    machine = gpumc.Perceptron(data.attrs["n"])
    patterns = gpumc.random_patterns(machine, data.attrs["alpha"], data.sizes["instance"], data.attrs["seed"])
    assert patterns.digest == data.attrs["patterns_digest"]
    return machine, patterns


def integrated(data: xr.Dataset, distance: np.ndarray, sweeps: int) -> xr.Dataset:
    """Thermodynamic integration around the first centre of every gamma."""
    machine, patterns = patterns_of(data)
    centres = data.centre.isel(instance=[0], chain=0)
    how = gpumc.ThermodynamicIntegration(burn_in=sweeps // 2, sweeps=sweeps)
    return gpumc.local_entropy(machine, patterns, centres, distance=distance, method=how)


def draw(data: xr.Dataset, points: xr.Dataset, path: Path) -> None:
    """The picture."""
    figure, (entropy, gap) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    centre = data.isel(volume_draw=-1).sel(reference=0)
    entropy.plot(
        centre.distance, centre.entropy_bound, color="black", linewidth=1, linestyle="--", label="bound: no patterns"
    )
    for number, gamma in enumerate(data.gamma.values):
        colour, marker = COLOURS[number], MARKERS[number]
        own = centre.sel(gamma=gamma)
        means = own.entropy.mean("chain")
        error = means.std("instance", ddof=1) / np.sqrt(means.sizes["instance"])
        entropy.errorbar(
            own.distance,
            means.mean("instance"),
            error,
            color=colour,
            linewidth=1.4,
            label=rf"BP, $\gamma={gamma:g}$, mean over centres",
        )
        one = own.isel(instance=0, chain=0).entropy
        sampled = points.sel(gamma=gamma).isel(instance=0)
        entropy.plot(own.distance, one, color=colour, linewidth=0.7, alpha=0.6)
        style = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 4.5, "capsize": 2.5}
        entropy.errorbar(
            sampled.distance,
            sampled.entropy,
            sampled.entropy_error,
            label=rf"TI, $\gamma={gamma:g}$, one centre",
            **style,
        )
        difference = sampled.entropy - one.sel(distance=sampled.distance, method="nearest").values
        shift = 0.0015 * (number - (data.sizes["gamma"] - 1) / 2)
        gap.errorbar(
            sampled.distance + shift,
            1e3 * difference,
            1e3 * sampled.entropy_error,
            label=rf"$\gamma={gamma:g}$",
            **style,
        )
    entropy.set_xlabel(r"distance from the centre, $D=(1-q)/2$")
    entropy.set_ylabel(r"local entropy per weight, $S(D)$ (nat)")
    entropy.set_ylim(bottom=0)
    gap.axhline(0, color="black", linewidth=0.8)
    gap.set_xlabel(r"distance from the centre, $D=(1-q)/2$")
    gap.set_ylabel(r"$10^3\,(S_{\mathrm{TI}}-S_{\mathrm{BP}})$, one centre (nat)")
    for panel in (entropy, gap):
        panel.grid(alpha=0.25)
        panel.legend(fontsize=8, frameon=False)
    facts = data.attrs
    figure.suptitle(
        rf"binary perceptron, $n={facts['n']}$, $\alpha={facts['alpha']:.2g}$, {facts['replicas']} replicas of the cross-entropy",
        fontsize=10,
    )
    figure.savefig(path, dpi=160)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Local entropy against distance, by belief propagation and by sampling."
    )
    parser.add_argument("run", type=Path, help="the folder of a run of runs/local-entropy.toml")
    parser.add_argument("--sweeps", type=int, default=4000, help="sweeps of the integration")
    arguments = parser.parse_args()
    data = gpumc.open_run(arguments.run)
    near = data.distance.values[data.distance.values <= FARTHEST]
    points = integrated(data, near[::2], arguments.sweeps)
    gpumc.save(points, arguments.run / "integration.nc")
    draw(data, points, arguments.run / "local_entropy.png")
    print(f"picture: {arguments.run / 'local_entropy.png'}")


if __name__ == "__main__":
    main()
