"""The Franz-Parisi entropy of the binary perceptron: configurations at a distance from a typical one of another measure.

S. Franz, G. Parisi, J. Physique I 5, 1401 (1995); H. Huang, Y. Kabashima, Phys. Rev. E 90, 052813 (2014) for the binary perceptron; C.
Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020), SI, for references of the cross-entropy. The reference W~ is drawn from
exp(-beta~ L~), with replica-symmetric overlap q~ and field variance r~; the configurations W at overlap s = 1 - 2 D from it have overlap q
with one another, and t with other references. Per weight,

    S(D) = extr  t^ t - s^ s - r (1 - q)/2 + E sum_W~ p(W~|z~) log 2cosh(h) + alpha E p(x~|y~) log g(u),
    h = (s^ - t^) W~ + t^ z~/sqrt(r~) + sqrt(r - t^2/r~) z,    u = t y~/sqrt(q~) + (s - t) x~/sqrt(1 - q~) + sqrt(q - ...) y,

with the reference's weights p(W~|z~) in a field sqrt(r~) z~ and its fields p(x~|y~) under its loss. Replica symmetry is assumed of both;
references at beta~ = inf of the cross-entropy are those of zero entropy, below which the measure is frozen (1-step breaking).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.special import entr

from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.losses import CrossEntropy, ErrorCount, Loss
from gpumc.theory.factors import Factor
from gpumc.theory.grid import Grid
from gpumc.theory.limits import Limit
from gpumc.theory.quadrature import DZ2, Z2, log_2cosh
from gpumc.theory.replica_symmetric import saddle_points, zero_entropy
from gpumc.theory.solve import fixed_point, root

#: Means at which the reference's factor is tabulated.
TABLE = np.linspace(-24.0, 24.0, 1201)
#: The largest field toward the reference that is tried.
FARTHEST = 30.0
LIMIT = Limit("perceptron", "binary")


@dataclass(frozen=True)
class Reference:
    """Typical configurations of a measure: its factor, overlaps ``q`` and field variances ``r``, (rows,)."""

    factor: Factor
    q: np.ndarray
    r: np.ndarray

    def rows(self, chosen: np.ndarray) -> Reference:
        return Reference(self.factor.rows(chosen), self.q[chosen], self.r[chosen])

    def log_g(self, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log g~ and its slope at means (rows, ...) and variances (rows,)."""
        if isinstance(self.factor.loss, ErrorCount):
            return self.factor.moments(mean, variance)[:2]
        table = self.factor.moments(np.broadcast_to(TABLE, (len(mean), len(TABLE))), variance)[:2]
        value, slope = (
            np.stack([CubicSpline(TABLE, row)(m) for row, m in zip(kind, mean, strict=True)]) for kind in table
        )
        return value, slope


@dataclass(frozen=True)
class Fields:
    """The weights' side at given conjugates: the field h (rows, 2 signs of W~, z~, z), and its weights."""

    h: np.ndarray
    weight: np.ndarray
    reference: np.ndarray

    @classmethod
    def of(cls, own: Reference, r: np.ndarray, across: np.ndarray, field: np.ndarray) -> Fields:
        """At variances ``r``, conjugates ``across`` (of t) and ``field`` (of s)."""
        column = (slice(None), None, None, None)
        sign = np.array([1.0, -1.0])[None, :, None, None]
        towards = np.sqrt(own.r)[column] * Z2[:, None]
        spread = np.sqrt(np.maximum(r - across**2 / own.r, 0.0))[column]
        h = (field - across)[column] * sign + (across / np.sqrt(own.r))[column] * Z2[:, None] + spread * Z2
        weight = np.exp(sign * towards - log_2cosh(towards)) * DZ2[:, None] * DZ2
        return cls(h, weight, np.broadcast_to(np.tanh(towards), weight.shape))

    def mean(self, values: np.ndarray) -> np.ndarray:
        return np.einsum(
            "rszw,rszw->r", np.broadcast_to(values, self.h.shape), np.broadcast_to(self.weight, self.h.shape)
        )

    def overlap_reference(self) -> np.ndarray:
        """E W~ tanh h: s."""
        return self.mean(np.tanh(self.h) * np.array([1.0, -1.0])[None, :, None, None])


class Patterns(NamedTuple):
    """The patterns' part, (rows,): r, the conjugate of t, the derivative of alpha E log g by s, and that itself."""

    r: np.ndarray
    across: np.ndarray
    along: np.ndarray
    free_entropy: np.ndarray


@dataclass(frozen=True)
class Problem:
    """Rows: a ``reference``, an overlap ``s`` (rows,) with it, ``alpha`` and the ``factor`` of the configurations around it."""

    reference: Reference
    s: np.ndarray
    alpha: np.ndarray
    factor: Factor

    def rows(self, chosen: np.ndarray) -> Problem:
        return Problem(self.reference.rows(chosen), self.s[chosen], self.alpha[chosen], self.factor.rows(chosen))

    def patterns(self, q: np.ndarray, t: np.ndarray) -> Patterns:
        """The patterns' side."""
        own, column = self.reference, (slice(None), None, None)
        spread = q - t**2 / own.q
        u = (t / np.sqrt(own.q))[column] * Z2[:, None] + np.sqrt(spread)[column] * Z2
        # The reference's field given u: its mean, and what is left of its variance.
        shared = (self.s - t) / np.sqrt(spread)
        mean = np.sqrt(own.q)[column] * Z2[:, None] + shared[column] * Z2
        variance = np.maximum(1 - own.q - shared**2, 1e-12)
        alone = np.sqrt(own.q)[:, None] * Z2
        together, direct = own.log_g(mean, variance)
        log_g, across = own.log_g(alone, 1 - own.q)
        weight = np.exp(together - log_g[:, :, None]) * DZ2[:, None] * DZ2
        moments = self.factor.moments(u, 1 - q)

        def mean_of(values: np.ndarray) -> np.ndarray:
            return (weight * values).sum(axis=(1, 2))

        return Patterns(
            self.alpha * mean_of(moments.slope**2),
            self.alpha * mean_of(moments.slope * across[:, :, None]),
            self.alpha * mean_of(moments.slope * direct),
            self.alpha * mean_of(moments.log_g),
        )

    def field(self, r: np.ndarray, across: np.ndarray) -> np.ndarray:
        """The field toward the reference at which the overlap is s."""
        ends = np.full(len(r), FARTHEST)

        def excess(field: np.ndarray, rows: np.ndarray) -> np.ndarray:
            fields = Fields.of(self.reference.rows(rows), r[rows], across[rows], field)
            return fields.overlap_reference() - self.s[rows]

        return root(excess, -ends, ends)

    def step(self, x: np.ndarray) -> np.ndarray:
        """From (q, t) to the next (q, t)."""
        q, t = np.clip(x[:, 0], 1e-9, 1 - 1e-9), x[:, 1]
        t = np.clip(t, -1, np.sqrt(0.999999 * q * self.reference.q))
        r, across, _, _ = self.patterns(q, t)
        fields = Fields.of(self.reference, r, across, self.field(r, across))
        tanh = np.tanh(fields.h)
        return np.stack([fields.mean(tanh**2), fields.mean(tanh * fields.reference)], axis=1)

    def entropy(self, q: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """S, and the field dS/dD."""
        r, across, along, log_g = self.patterns(q, t)
        field = self.field(r, across)
        fields = Fields.of(self.reference, r, across, field)
        weights = across * t - field * self.s - r * (1 - q) / 2 + fields.mean(log_2cosh(fields.h))
        return weights + log_g, 2 * (field - along)


def franz_parisi(
    *,
    alpha: ArrayLike,
    distance: ArrayLike,
    reference_loss: Loss | None = None,
    reference_beta: ArrayLike = np.inf,
    machine: Limit | str = "binary-perceptron",
) -> xr.Dataset:
    """Local entropies of zero-error configurations around typical references, over ([alpha,] [reference_beta,] [gamma,] [distance]).

    The binary perceptron, n -> infinity. References are those of exp(-reference_beta L), L being the error count by default; beta = inf
    of the cross-entropy stands for the temperature at which the entropy vanishes. ``distance``: D = (1 - s)/2 in (0, 1/2].
    Returns float64 ``entropy``, ``entropy_bound``, ``log_volume`` (nats per weight), ``field`` toward the reference (dS/dD), ``overlap`` q
    of two configurations, ``overlap_references`` t; ``converged``, ``residual``, ``iterations``; NaN where the iteration did not converge.
    Replica symmetry is assumed: where configurations around the reference freeze, S is an upper bound. Raises ConfigError.
    """
    if Limit.of(machine) != LIMIT:
        raise ConfigError("theory.franz_parisi is for the binary perceptron")
    loss = reference_loss or ErrorCount()
    grid = Grid.of(loss, alpha=alpha, reference_beta=reference_beta, distance=distance)
    own = grid.columns
    reference = _references(loss, own["alpha"], own["reference_beta"], own["gamma"])
    none = np.zeros(len(own["alpha"]))
    around = Factor(ErrorCount(), np.full(len(none), np.inf), none)
    problem = Problem(reference, 1 - 2 * own["distance"], own["alpha"], around)
    starts = [_start(problem, share) for share in (0.5, 0.9, 0.2)]
    with np.errstate(all="ignore"):
        found = fixed_point(lambda x, rows: problem.rows(rows).step(x), starts, -1.0, 1.0)
    good = np.flatnonzero(found.converged & np.isfinite(reference.q))
    entropy, field = np.full((2, len(none)), np.nan)
    entropy[good], field[good] = problem.rows(good).entropy(*found.x[good].T)
    bound = entr(own["distance"]) + entr(1 - own["distance"])
    variables = {
        "entropy": entropy,
        "entropy_bound": bound,
        "log_volume": entropy - bound,
        "field": field,
        "overlap": found.x[:, 0],
        "overlap_references": found.x[:, 1],
        "converged": found.converged,
        "residual": found.residual,
        "iterations": found.iterations,
    }
    return grid.dataset(variables, LIMIT, loss)


def _start(problem: Problem, share: float) -> np.ndarray:
    """(q, t) between what the overlap with the reference forces on both, and 1."""
    forced = problem.s**2
    q = forced + share * (1 - forced)
    return np.stack([q, share * problem.s * np.sqrt(problem.reference.q)], axis=1)


def _references(loss: Loss, alpha: np.ndarray, beta: np.ndarray, gamma: np.ndarray) -> Reference:
    """The saddle point of every row, each different one solved once."""
    different, back = np.unique(np.stack([alpha, beta, gamma], axis=1), axis=0, return_inverse=True)
    for row in different:
        if np.isinf(row[1]) and isinstance(loss, CrossEntropy):
            row[1] = zero_entropy(LIMIT, loss, row[0], row[2])
    alphas, betas, gammas = different.T
    points = saddle_points(LIMIT, loss, alphas, betas, gammas, choose("numpy"))
    factor = Factor(loss, betas, gammas)
    return Reference(factor, points.q, points.r).rows(back.reshape(-1))
