"""What looking ahead would bring to flips of an error count on a GPU: a prototype in integers, and its counts.

    python -m benchmarks.look_ahead [--alpha A] [--beta B] [--sweeps T]

The change of flipping a weight is, but for a constant of the chain, the number of patterns at the margin whose input at the
site is 1. For the next 16 sites of 32 chains that is one product of matrices of bits, which tensor cores make in tiles of 16
sites, 8 chains and 256 patterns (`mma.m16n8k256 ... and.popc`). A chain that flips makes its tile of the product anew. The
prototype steps a perceptron, asserts that every change is that by definition, and counts tiles and flips.
"""

from __future__ import annotations

import argparse

import numpy as np

import gpumc

SITES, CHAINS, TILE, PATTERNS = 16, 32, 8, 256


def main() -> None:
    parser = argparse.ArgumentParser(description="What looking ahead would bring to flips of an error count.")
    parser.add_argument("--n", type=int, default=1001)
    parser.add_argument("--alpha", type=float, default=0.4)
    parser.add_argument("--beta", type=float, default=2.0)
    parser.add_argument("--sweeps", type=int, default=20)
    arguments = parser.parse_args()
    machine = gpumc.Perceptron(arguments.n)
    patterns = gpumc.random_patterns(machine, arguments.alpha, seed=1)
    measure = gpumc.Gibbs(gpumc.ErrorCount(), arguments.beta)
    typical = gpumc.sample(machine, patterns, measure, chains=CHAINS, burn_in=2000, sweeps=1, device="auto")
    inputs = patterns.xi[0] * patterns.labels[0][:, None]
    run = Prototype(inputs, typical.weights.values.reshape(CHAINS, -1).T, arguments.beta)
    for _ in range(arguments.sweeps):
        run.sweep()
    depth = -(-patterns.count // PATTERNS)
    steps = run.windows * SITES
    print(f"acceptance                               {run.flips / (steps * CHAINS):.4f}")
    print(
        f"products of tiles a step of {CHAINS} chains       {depth * (run.windows * CHAINS // TILE + run.again) / steps:.2f}"
    )
    print(f"of them because of flips                 {depth * run.again / steps:.2f}")


class Prototype:
    """Chains ``weights`` (sites, chains) of a perceptron under the error count; ``inputs`` (patterns, sites) have the label +1."""

    def __init__(self, inputs: np.ndarray, weights: np.ndarray, beta: float):
        self.rng, self.beta = np.random.default_rng(1), beta
        self.inputs, self.weights = inputs.astype(np.int32), weights.astype(np.int32)
        self.fields = self.inputs @ self.weights
        self.windows = self.flips = self.again = 0

    def margin(self) -> np.ndarray:
        """The patterns whose output a flip may change: int32 (patterns, chains)."""
        return (abs(self.fields) == 1).astype(np.int32)

    def changes(self, counts: np.ndarray, signs: np.ndarray) -> np.ndarray:
        """Of the number of errors, by the ``counts`` of inputs +1 at the margin."""
        falling, rising = (self.fields == 1).sum(axis=0), (self.fields == -1).sum(axis=0)
        return np.where(signs > 0, counts - rising, falling - counts)

    def sweep(self) -> None:
        order = self.rng.permutation(len(self.weights))
        for first in range(0, len(order) - SITES, SITES):
            sites = order[first : first + SITES]
            bits = (self.inputs[:, sites] > 0).astype(np.int32)
            ahead = bits.T @ self.margin()
            self.windows += 1
            for place, site in enumerate(sites):
                change = self.changes(ahead[place], self.weights[site])
                assert np.array_equal(change, self.plain(site)), "the change is another one"
                moves = self.rng.random(CHAINS) < np.exp(-self.beta * change)
                if not moves.any():
                    continue
                self.fields[:, moves] -= 2 * self.inputs[:, [site]] * self.weights[site, moves]
                self.weights[site, moves] *= -1
                self.flips += int(moves.sum())
                tiles = np.unique(np.flatnonzero(moves) // TILE)
                self.again += len(tiles)
                stale = np.isin(np.arange(CHAINS) // TILE, tiles)
                ahead[:, stale] = bits.T @ self.margin()[:, stale]

    def plain(self, site: int) -> np.ndarray:
        """The changes by definition."""
        flipped = self.fields - 2 * self.inputs[:, [site]] * self.weights[site]
        return (flipped < 0).sum(axis=0) - (self.fields < 0).sum(axis=0)


if __name__ == "__main__":
    main()
