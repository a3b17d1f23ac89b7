"""The local-entropy measure of the binary perceptron: y replicas that a centre attracts, as n -> infinity.

The measure that :func:`gpumc.sample` samples, its centre summed out, by the 1-step action with m = y (C. Baldassi et al., PNAS 113,
E7655 (2016), SI): replicas of one centre overlap by q1, of different ones by q0. Per replica and weight,

    F = extr -r1/2 - ((y - 1) r1 q1 - y r0 q0)/2 + (1/y) E log E_1 sum_W~ (2 cosh(h + coupling W~))^y - coupling
        + (alpha/y) E log E_1 g(sqrt(q0) z0 + sqrt(q1 - q0) z1, 1 - q1)^y,   h = sqrt(r0) z0 + sqrt(r1 - r0) z1.

y = 1 is the replica-symmetric measure of a single machine, and coupling = 0 that of independent ones.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from gpumc.errors import ConfigError
from gpumc.measures import LocalEntropy
from gpumc.schema import Started
from gpumc.theory.clusters import MOST_REPLICAS
from gpumc.theory.factors import Factor
from gpumc.theory.groups import GroupRule, by_row, group_patterns
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.normal_averages import ALLOWED_ERROR, DZ_FIELD, Z_FIELD, halving_error, log_2cosh
from gpumc.theory.saddle_points import ENTROPY_ROUNDING
from gpumc.theory.solve import fixed_point
from gpumc.theory.theory_grid import dataset, theory_grid


def replicated(limit: Limit, measure: LocalEntropy, alpha: ArrayLike, started: Started) -> xr.Dataset:
    """The dataset of :func:`gpumc.theory.replica_symmetric` under a `LocalEntropy`. Raises ConfigError."""
    loss, y = measure.loss, measure.replicas
    if limit != Limit("perceptron", "binary"):
        raise ConfigError("theory of a LocalEntropy is for the binary perceptron")
    if measure.centre_kind == "fixed":
        raise ConfigError("theory of a LocalEntropy has no fixed centre: use centre = 'explicit'")
    if y > MOST_REPLICAS:
        raise ConfigError(f"theory: replicas = {y}: numbers up to {MOST_REPLICAS} are needed")
    grid = theory_grid(loss, alpha=alpha, beta=measure.beta, coupling=measure.coupling)
    own = {name: grid.column(name) for name in grid.parameters} | {
        "replicas": np.full(len(grid.column("alpha")), float(y))
    }
    if np.isinf(own["beta"]).any() and not loss.counts:
        raise ConfigError(f"theory: beta = inf: of the loss {loss.kind!r} a finite beta is needed")
    problem = _Problem(own["alpha"], own["coupling"], own["replicas"], Factor(grid.losses(loss), own["beta"]))
    starts = [
        np.stack([np.full(len(own["alpha"]), q) for q in pair], axis=1)
        for pair in ((0.2, 0.5), (0.5, 0.9), (0.02, 0.1))
    ]
    with np.errstate(all="ignore"):
        found = fixed_point(lambda x, rows: problem.rows(rows).step(x), starts, -1e-9, 1 - 1e-9)
    q0, q1 = np.clip(np.where(found.converged[:, None], found.x, 0.0), 0.0, 1 - 1e-9).T
    with np.errstate(all="ignore"):  # rows that did not converge
        free, energy, centre, error = problem.averages(q0, q1)
    with np.errstate(invalid="ignore"):  # beta = inf, whose loss is 0
        lost = own["alpha"] * np.where(np.isinf(own["beta"]), 0.0, own["beta"] * energy)
    entropy = free + lost + own["coupling"] * (1 - centre)
    # Given its replicas' sum s, the centre's mean is tanh(coupling s), and its entropy log(2) (1 - E tanh^2) or more.
    pull = own["coupling"] ** 2 * own["replicas"] * (1 + (own["replicas"] - 1) * q1)
    least = np.log(2) / own["replicas"] * np.maximum(1 - pull, 0.0)
    converged = found.converged & (error < ALLOWED_ERROR) & (entropy >= least - ENTROPY_ROUNDING)
    answers = {
        "free_entropy": free,
        "entropy": entropy,
        "energy_per_pattern": energy,
        "overlap_replicas": q1,
        "overlap_others": q0,
        "overlap_centre": centre,
        "quadrature_error": error,
    }
    variables = {name: np.where(converged, values, np.nan) for name, values in answers.items()} | {
        "converged": converged,
        "residual": found.residual,
        "iterations": found.iterations,
    }
    return dataset(grid, variables, limit.attributes, measure.attributes, started=started)


class _Problem:
    """Rows of parameters."""

    def __init__(self, alpha: np.ndarray, coupling: np.ndarray, y: np.ndarray, factor: Factor):
        self.alpha, self.coupling, self.y, self.factor = alpha, coupling, y, factor

    def rows(self, chosen: np.ndarray) -> _Problem:
        return _Problem(self.alpha[chosen], self.coupling[chosen], self.y[chosen], self.factor.rows(chosen))

    def step(self, x: np.ndarray) -> np.ndarray:
        """From (q0, q1) to the next."""
        q0, q1 = np.clip(x, 0.0, 1 - 1e-9).T
        patterns = group_patterns(self.factor, np.minimum(q0, q1), q1, self.y)
        return self._weights(self.alpha * patterns.across, self.alpha * patterns.within)[:2].T

    def averages(self, q0: np.ndarray, q1: np.ndarray) -> tuple[np.ndarray, ...]:
        """The free entropy, the mean loss, the overlap with the centre, and the error of the first by quadrature."""
        patterns = group_patterns(self.factor, q0, q1, self.y)
        r0, r1, y = self.alpha * patterns.across, self.alpha * patterns.within, self.y
        _, _, centre, weights, error = self._weights(r0, r1)
        free = -r1 / 2 - ((y - 1) * r1 * q1 - y * r0 * q0) / 2 - self.coupling
        free += (weights + self.alpha * patterns.log_z) / y
        return free, patterns.loss, centre, (error + self.alpha * patterns.error) / y

    def _weights(self, r0: np.ndarray, r1: np.ndarray) -> np.ndarray:
        """q0, q1, the overlap with the centre, E log E_1 of the sum over its sign, and the error of that: (5, rows)."""

        def row(own: int) -> tuple[float, ...]:
            y, coupling = self.y[own], self.coupling[own]
            spread = np.sqrt(max(r1[own] - r0[own], 0.0))
            rule = GroupRule.of(y * spread, 1 / spread if spread > 0 else np.inf)
            h = np.sqrt(r0[own]) * Z_FIELD[:, None] + spread * rule.z
            fields = np.stack([h + coupling, h - coupling])
            exponent = y * log_2cosh(fields)
            either = logsumexp(exponent, axis=0)
            log_z, weight, half = rule.tilted(either)
            share, tanh = np.exp(exponent - either), np.tanh(fields)
            mean, square = (share * tanh).sum(axis=0), (share * tanh**2).sum(axis=0)
            towards = share[0] * tanh[0] - share[1] * tanh[1]
            q0 = (weight * mean).sum(axis=-1) ** 2 @ DZ_FIELD
            q1, centre = ((weight * values).sum(axis=-1) @ DZ_FIELD for values in (square, towards))
            error = abs((log_z - half) @ DZ_FIELD) + halving_error(log_z, DZ_FIELD)
            return q0, q1, centre, log_z @ DZ_FIELD, error

        return by_row(row, len(r0), 5)
