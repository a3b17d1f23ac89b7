"""Solutions of the binary perceptron by annealing three things: a logarithmic barrier's cut, the beta of a cross-entropy, and focusing.

    python analysis/log_barrier.py [--n 1001] [--instances 10] [--chains 32] [--sweeps 1000] [--device auto]

prints a table: the fraction of chains (or starts) that end without error, and the local entropy around the first solution of every
instance at three distances, means over instances with their standard errors.
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr

import gpumc

ALPHAS = (0.4, 0.6)
GAMMAS = (0.25, 0.5, 1.0, 2.0)
DISTANCES = (0.05, 0.1, 0.2)


def annealed(machine: gpumc.Perceptron, patterns: gpumc.Patterns, measure: gpumc.Gibbs, settings: dict) -> xr.Dataset:
    """The last configurations of a run without burn-in, which is one ramp."""
    return gpumc.sample(machine, patterns, measure, burn_in=0, every=settings["sweeps"], seed=2, **settings)


def rows(
    machine: gpumc.Perceptron, patterns: gpumc.Patterns, settings: dict
) -> list[tuple[str, xr.DataArray, xr.DataArray]]:
    """By name, what was found: weights (instance, chain, weight), and which of them make no error."""
    barrier = gpumc.LogBarrier(gpumc.Ramp(1.0, machine.n**-0.5, scale="geometric", over="run"))
    found = [("log barrier, beta = 5", annealed(machine, patterns, gpumc.Gibbs(barrier, 5.0), settings))]
    beta = gpumc.Ramp(1.0, 100.0, scale="geometric", over="run")
    curves = annealed(machine, patterns, gpumc.Gibbs(gpumc.CrossEntropy(GAMMAS), beta), settings)
    found += [(f"cross-entropy, gamma = {gamma:g}", curves.sel(gamma=gamma)) for gamma in GAMMAS]
    table = []
    for name, data in found:
        last = data.isel(draw=-1, replica=0)
        table.append((name, last.weights, last.error_rate == 0))
    focused = gpumc.focusing_bp(
        machine, patterns, protocol="standard-reinforcement", starts=4, seed=2, device=settings["device"]
    )
    focused = focused.rename(start="chain")
    return [*table, ("focusing, standard reinforcement", focused.weights, focused.solved)]


def local_entropies(
    machine: gpumc.Perceptron, patterns: gpumc.Patterns, weights: xr.DataArray, solved: xr.DataArray, device: str
) -> xr.DataArray:
    """Around the first solution of each instance, (instance, distance)."""
    some = np.flatnonzero(solved.any("chain"))
    first = solved.argmax("chain")
    chosen = weights.isel(chain=first).isel(instance=some)
    volume = gpumc.local_entropy(machine, patterns, chosen, distance=DISTANCES, device=device)
    return volume.entropy


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1001, help="inputs")
    parser.add_argument("--instances", type=int, default=10)
    parser.add_argument("--chains", type=int, default=32, help="of each instance")
    parser.add_argument("--sweeps", type=int, default=1000, help="of the ramp")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    settings = {"chains": options.chains, "sweeps": options.sweeps, "device": options.device}
    print("| alpha | annealed | solved | " + " | ".join(f"S({d:g})" for d in DISTANCES) + " |")
    print("|---|---|---|" + "---|" * len(DISTANCES))
    for alpha in ALPHAS:
        machine = gpumc.Perceptron(options.n)
        patterns = gpumc.random_patterns(machine, alpha=alpha, instances=options.instances, seed=1)
        for name, weights, solved in rows(machine, patterns, settings):
            cells = [f"{float(solved.mean()):.2f}", *["none"] * len(DISTANCES)]
            if solved.any():
                entropy = local_entropies(machine, patterns, weights, solved, options.device)
                mean, error = (
                    entropy.mean("instance"),
                    entropy.std("instance", ddof=1) / entropy.sizes["instance"] ** 0.5,
                )
                cells[1:] = [
                    f"{m:.4f} +- {e:.4f}" if np.isfinite(e) else f"{m:.4f} (one)"
                    for m, e in zip(mean.values, error.values, strict=True)
                ]
            print(f"| {alpha:g} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
