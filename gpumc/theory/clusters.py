"""Large deviations of the local entropy: y configurations without error, of given overlap with one another.

C. Baldassi, A. Ingrosso, C. Lucibello, L. Saglietti, R. Zecchina, Phys. Rev. Lett. 115, 128101 (2015) and J. Stat. Mech. (2016) 023301
for the binary perceptron; C. Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020) for spherical committees of many units. The
1-step action with m -> y and the inner overlap q1 fixed: per replica and weight,

    F = extr_{q0} G_S(q0, q1) + (alpha / y) E log E_1 g(sqrt(Q0) z0 + sqrt(Q1 - Q0) z1, 1 - Q1)^y,

E_1 being over z1 and Q the output's overlap. As y -> infinity with y (q1 - q0) fixed, log E_1 (...)^y / y becomes the highest value of
log g(u) - z1^2 / 2. The ansatz is symmetric between the groups of y and inside of them. It holds near their best while the external
entropy is not negative; where it is, as for the binary perceptron at large y and small distance, and wherever symmetry inside
of a group breaks, F is an upper bound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import entr

from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount
from gpumc.machines import Machine
from gpumc.theory.capacity import capacity
from gpumc.theory.factors import Factor
from gpumc.theory.grid import Grid
from gpumc.theory.inner import Inner, by_row, group_patterns
from gpumc.theory.limits import Limit
from gpumc.theory.parity import log_right_together
from gpumc.theory.quadrature import (
    ALLOWED_ERROR,
    DZ_FIELD,
    Z_FIELD,
    Z,
    average,
    average_error,
    halving_error,
    log_2cosh,
)
from gpumc.theory.replica_symmetric import FROZEN, possible_points
from gpumc.theory.solve import FixedPoint, fixed_point, root

#: Beyond so many replicas the limit of infinitely many is to be asked for.
MOST_REPLICAS = 100
#: The largest y times the excess of the variance of fields within a group.
LARGEST_PULL = 50.0
#: Newton steps to a highest value.
NEWTON_STEPS = 20


VARIABLES = (
    *(
        "entropy",
        "entropy_bound",
        "log_volume",
        "overlap_others",
        "local_entropy",
        "external_entropy",
        "distance_centre",
    ),
    *("quadrature_error", "converged", "residual", "iterations"),
)


class Side(NamedTuple):
    """The weights' answer to the variance r0, (rows,): q0 (or y (q1 - q0) as y -> infinity), G_S, d(y G_S)/dy, and the error of G_S."""

    overlap: np.ndarray
    free_entropy: np.ndarray
    local: np.ndarray
    error: np.ndarray | float = 0.0


class FewBinary:
    """Binary weights of y replicas: ``q1`` and ``y`` (rows,)."""

    def __init__(self, q1: np.ndarray, y: np.ndarray):
        self.q1, self.y = q1, y

    def answer(self, r0: np.ndarray) -> Side:
        """At r0; the variance r1 gives q1."""

        def excess(between: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return FewBinary(self.q1[rows], self.y[rows])._inner(r0[rows], between)[1] - self.q1[rows]

        # Replicas of a group are tied by r1 - r0: y (r1 - r0) of them overlap but for terms of order exp(-2 y (r1 - r0)).
        between = root(excess, 0 * r0, LARGEST_PULL / self.y)
        q0, _, log_z, local, error = self._inner(r0, between)
        y, q1, r1 = self.y, self.q1, r0 + between
        free = -r1 / 2 - ((y - 1) * r1 * q1 - y * r0 * q0) / 2 + log_z / y
        return Side(q0, free, -r1 / 2 - ((2 * y - 1) * r1 * q1 - 2 * y * r0 * q0) / 2 + local, error / y)

    def _inner(self, r0: np.ndarray, between: np.ndarray) -> np.ndarray:
        """E <tanh>^2, E <tanh^2>, E log E_1 (2 cosh h)^y, E <log 2 cosh h>, and the error of the third, at variances r0 and r1 = r0 +
        ``between``: (5, rows)."""

        def row(own: int) -> tuple[float, ...]:
            spread, y = np.sqrt(between[own]), self.y[own]
            inner = Inner.of(y * spread, 1 / spread if spread > 0 else np.inf)
            h = np.sqrt(r0[own]) * Z_FIELD[:, None] + spread * inner.z
            log_cosh, tanh = log_2cosh(h), np.tanh(h)
            log_z, weight, half = inner.tilted(y * log_cosh)
            averages = (
                (weight * tanh).sum(axis=-1) ** 2,
                (weight * tanh**2).sum(axis=-1),
                log_z,
                (weight * log_cosh).sum(axis=-1),
            )
            error = abs((log_z - half) @ DZ_FIELD) + halving_error(log_z, DZ_FIELD)
            return *(values @ DZ_FIELD for values in averages), error

        return by_row(row, len(r0), 5)


class FewSpherical:
    """Spherical weights of y replicas."""

    def __init__(self, q1: np.ndarray, y: np.ndarray):
        self.q1, self.y = q1, y

    def answer(self, r0: np.ndarray) -> Side:
        """At r0 = q0 / w^2, w = 1 - q1 + y (q1 - q0)."""
        y, q1 = self.y, self.q1
        whole = 1 - q1 + y * q1
        q0 = 2 * r0 * whole**2 / (2 * r0 * whole * y + 1 + np.sqrt(4 * r0 * whole * y + 1))
        w = whole - y * q0
        free = 0.5 * np.log1p(-q1) + np.log(w / (1 - q1)) / (2 * y) + q0 / (2 * w)
        local = 0.5 * np.log1p(-q1) + (q1 - q0) / (2 * w) + q0 / (2 * w) - y * q0 * (q1 - q0) / (2 * w**2)
        return Side(q0, free, local)


class ManyBinary:
    """Binary weights as y -> infinity."""

    def __init__(self, q1: np.ndarray):
        self.q1 = q1

    def answer(self, r: np.ndarray) -> Side:
        """At r, the variance of all replicas' fields; rho = y (r1 - r0) gives q1."""

        # As rho -> infinity every weight is magnetised.
        def excess(rho: np.ndarray, rows: np.ndarray) -> np.ndarray:
            return average(np.tanh(self._field(r[rows], rho)) ** 2) - self.q1[rows]

        rho = root(excess, 0 * r, 0 * r + LARGEST_PULL)
        h = self._field(r, rho)
        tanh = np.tanh(h)
        spread = np.maximum(np.sqrt(r), 1e-9)
        delta = average(np.abs(Z) * tanh) / spread - (1 - self.q1)
        highest = log_2cosh(h) - rho[:, None] * tanh**2 / 2
        free = -r * (1 - self.q1) / 2 - (r * delta + rho * self.q1) / 2 + average(highest)
        return Side(delta, free, free, average_error(highest))

    def _field(self, r: np.ndarray, rho: np.ndarray) -> np.ndarray:
        """h = sqrt(r) |z| + rho tanh(h), the highest of its roots, (rows, Z): Newton's method from above, where the function is convex."""
        outer, rho = np.sqrt(r)[:, None] * np.abs(Z), rho[:, None]
        h = outer + rho
        for _ in range(NEWTON_STEPS):
            tanh = np.tanh(h)
            h = h - (h - outer - rho * tanh) / np.maximum(1 - rho * (1 - tanh**2), 1e-3)
        return h


class ManySpherical:
    """Spherical weights as y -> infinity."""

    def __init__(self, q1: np.ndarray):
        self.q1 = q1

    def answer(self, r: np.ndarray) -> Side:
        """At r = q1 / (1 - q1 + delta)^2."""
        width = np.sqrt(self.q1 / np.maximum(r, 1e-12))
        free = 0.5 * np.log1p(-self.q1) + self.q1 / (2 * width)
        return Side(width - (1 - self.q1), free, free)


class Patterns(NamedTuple):
    """The patterns' part, (rows,): r0 / alpha, G_E, d(y G_E)/dy, and the error of G_E."""

    field: np.ndarray
    free_entropy: np.ndarray
    local: np.ndarray
    error: np.ndarray


def few_patterns(limit: Limit, q0: np.ndarray, q1: np.ndarray, y: np.ndarray) -> Patterns:
    """The patterns of y replicas."""
    kernel = limit.kernel
    group = group_patterns(errors(len(q0)), kernel.overlap(q0), kernel.overlap(q1), y)
    return Patterns(kernel.slope(q0) * group.across, group.log_z / y, group.log_g, group.error / y)


def many_patterns(limit: Limit, delta: np.ndarray, q1: np.ndarray) -> Patterns:
    """The patterns as y -> infinity."""
    kernel = limit.kernel
    whole, spread = kernel.overlap(q1), np.sqrt(kernel.slope(q1) * delta)[:, None]
    factor, outer = errors(len(q1)), np.sqrt(whole)[:, None] * Z

    x = 0 * outer
    # The highest value of log g - x^2 / 2, by Newton's method from below, where its slope is convex.
    for _ in range(NEWTON_STEPS):
        moments = factor.moments(outer + spread * x, 1 - whole)
        x = x + (spread * moments.slope - x) / (1 - spread**2 * moments.curvature)
    moments = factor.moments(outer + spread * x, 1 - whole)
    highest = moments.log_g - x**2 / 2
    free = average(highest)
    return Patterns(kernel.slope(q1) * average(moments.slope**2), free, free, average_error(highest))


def errors(rows: int) -> Factor:
    """The factor of configurations without error."""
    return Factor(ErrorCount().rows(rows), np.full(rows, np.inf))


@np.errstate(under="ignore")  # factors that vanish are 0
def dense_clusters(
    machine: Machine | Limit | str,
    *,
    alpha: ArrayLike,
    distance: ArrayLike,
    replicas: ArrayLike = np.inf,
    k: float | None = None,
    activation: str | None = None,
) -> xr.Dataset:
    """Entropies of groups of replicas without error at a ``distance`` of one another, over ([alpha,] [replicas,] [distance]).

    Distances are D = (1 - q1)/2.
    ``machine``: "binary-perceptron", "spherical-perceptron", "spherical-tree-committee" (k = inf, the default, ``activation`` "sign" or
    "relu"), or a tree parity of any k. ``replicas`` y are from 2 to 100, not necessarily whole, or inf. Groups of parities do not overlap,
    and log_volume is (alpha / y) log E P^y: flat at -alpha log 2 for k = inf; for a finite k, y is whole, and y -> infinity would give
    the bound alone. Returns float64 per replica and weight ``entropy`` F
    (spherical: relative to the sphere), ``entropy_bound`` without patterns and ``log_volume``, the difference; ``overlap_others`` q0;
    for finite y ``local_entropy`` = d(y F)/dy and ``external_entropy`` = y (F - local_entropy); as y -> infinity
    ``distance_centre``, (1 - sqrt(q1))/2, at which all replicas are from their centre (for parities these are not given);
    ``quadrature_error`` of the entropy, ``converged``, ``residual``, ``iterations``.
    NaN, and ``converged`` False, where the iteration did not converge, where typical configurations are closer to one another than
    ``distance``, above the capacity, and where F of binary weights would be negative. Where only their local entropy would be, no
    further configuration is as near to a typical group: F stays, ``local_entropy`` and ``external_entropy`` are NaN. A negative external
    entropy stays: it says that F is only an upper bound, see this module for that and the ansatz. Raises ConfigError.
    """
    trees = isinstance(machine, str) and "perceptron" not in machine
    limit = Limit.of(machine, np.inf if trees and k is None else k, activation)
    parity = limit.kind == "tree-parity"
    if not parity and (not limit.gaussian or (limit.weights == "binary" and limit.many)):
        raise ConfigError("theory.dense_clusters is for perceptrons, spherical committees of k = inf, and parities")
    grid = Grid.of(ErrorCount(), alpha=alpha, replicas=replicas, distance=distance)
    own = grid.columns
    y = own["replicas"]
    if np.any((y < 2) | ((y > MOST_REPLICAS) & np.isfinite(y))):
        raise ConfigError(f"theory: replicas = {replicas!r}: numbers from 2 to {MOST_REPLICAS}, or inf, are needed")
    if np.any(own["distance"] >= 0.5):
        raise ConfigError(
            "theory: distance = 0.5: replicas that do not overlap are not held together, use a smaller one"
        )
    if parity and not limit.many and np.any(y != np.floor(np.where(np.isinf(y), 0.5, y))):
        raise ConfigError(f"theory: replicas = {replicas!r}: of parities with finite k whole numbers are needed")
    q1 = 1 - 2 * own["distance"]
    if parity:
        return grid.dataset(_parity(limit, own["alpha"], q1, y), limit, ErrorCount())
    closer = q1 > _typical_overlap(limit, own["alpha"])
    columns = {name: np.full(len(y), np.nan) for name in VARIABLES}
    for few in (True, False):
        chosen = np.flatnonzero(closer & (np.isfinite(y) == few))
        if len(chosen):
            solve = _few if few else _many
            for name, values in solve(limit, own["alpha"][chosen], q1[chosen], y[chosen]).items():
                columns[name][chosen] = values
    columns["converged"] = columns["converged"] == 1
    columns["log_volume"] = columns["entropy"] - columns["entropy_bound"]
    return grid.dataset(columns, limit, ErrorCount())


def _typical_overlap(limit: Limit, alpha: np.ndarray) -> np.ndarray:
    """The replica-symmetric overlap at each alpha (rows,); NaN where there is no configuration without error."""
    different, back = np.unique(alpha, return_inverse=True)
    cold, loss = np.full_like(different, np.inf), ErrorCount().rows(len(different))
    found = possible_points(limit, loss, different, cold, choose("numpy"))
    return found.q[back.reshape(-1)]


def _parity(limit: Limit, alpha: np.ndarray, q1: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    few = np.where(np.isinf(y), 2.0, y)
    volume = np.array([log_right_together(q, int(count), limit.k) / count for q, count in zip(q1, few, strict=True)])
    bound = _bound(limit, q1, y)
    nothing = np.zeros(len(y))
    entropy = bound + alpha * volume
    there = (alpha <= _parity_capacity(limit)) & _possible(limit, entropy)
    lost = np.where(there, 0.0, np.nan)
    return {
        "entropy": entropy + lost,
        "entropy_bound": bound,
        "log_volume": alpha * volume + lost,
        "overlap_others": lost,
        "quadrature_error": lost,
        "converged": there,
        "residual": nothing,
        "iterations": nothing.astype(int),
    }


def _parity_capacity(limit: Limit) -> float:
    """The largest alpha; of 3 or more binary units that of a single configuration, whose number is 2^(n (1 - alpha)) on average."""
    return 1.0 if limit.weights == "binary" and limit.k >= 3 else capacity(limit)


def _possible(limit: Limit, entropy: np.ndarray) -> np.ndarray:
    """Where ``entropy`` (rows,) is not negative, which that of binary weights cannot be."""
    return entropy >= (-FROZEN if limit.weights == "binary" else -np.inf)


def _bound(limit: Limit, q1: np.ndarray, y: np.ndarray) -> np.ndarray:
    """F without patterns."""
    centre = (1 - np.sqrt(q1)) / 2
    many = entr(centre) + entr(1 - centre) if limit.weights == "binary" else 0.5 * np.log1p(-q1)
    side = FewBinary if limit.weights == "binary" else FewSpherical
    few = side(q1, np.where(np.isinf(y), 2.0, y)).answer(np.zeros_like(q1)).free_entropy
    return np.where(np.isinf(y), many, few)


def _few(limit: Limit, alpha: np.ndarray, q1: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    side = FewBinary if limit.weights == "binary" else FewSpherical

    def step(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        q0 = np.clip(x[:, 0], 0.0, q1[rows] * (1 - 1e-9))
        r0 = alpha[rows] * few_patterns(limit, q0, q1[rows], y[rows]).field
        return side(q1[rows], y[rows]).answer(r0).overlap[:, None]

    with np.errstate(all="ignore"):
        found = fixed_point(step, [q1[:, None] * share for share in (0.3, 0.9, 0.02)], -1e-9, 1.0)
    q0 = np.clip(np.where(found.converged, found.x[:, 0], 0.0), 0.0, q1)
    patterns = few_patterns(limit, q0, q1, y)
    weights = side(q1, y).answer(alpha * patterns.field)
    entropy, local = (getattr(weights, name) + alpha * getattr(patterns, name) for name in ("free_entropy", "local"))
    local = np.where(_possible(limit, local), local, np.nan)
    answers = {
        "entropy": entropy,
        "overlap_others": q0,
        "local_entropy": local,
        "external_entropy": y * (entropy - local),
        "quadrature_error": weights.error + alpha * patterns.error,
    }
    return _answered(answers, found, _bound(limit, q1, y), _possible(limit, entropy))


def _many(limit: Limit, alpha: np.ndarray, q1: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    side = ManyBinary if limit.weights == "binary" else ManySpherical

    def step(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        share = np.clip(x[:, 0], 1e-12, 1 - 1e-12)
        r = alpha[rows] * many_patterns(limit, share / (1 - share), q1[rows]).field
        delta = np.maximum(side(q1[rows]).answer(r).overlap, 0.0)
        return (delta / (1 + delta))[:, None]

    with np.errstate(all="ignore"):
        found = fixed_point(step, [np.full((len(q1), 1), share) for share in (0.5, 0.1, 0.9)], 0.0, 1.0, edge=0.0)
    share = np.where(found.converged, found.x[:, 0], 0.5)
    patterns = many_patterns(limit, share / (1 - share), q1)
    weights = side(q1).answer(alpha * patterns.field)
    entropy = weights.free_entropy + alpha * patterns.free_entropy
    answers = {
        "entropy": entropy,
        "overlap_others": q1,
        "distance_centre": (1 - np.sqrt(q1)) / 2,
        "quadrature_error": weights.error + alpha * patterns.error,
    }
    return _answered(answers, found, _bound(limit, q1, y), _possible(limit, entropy))


def _answered(
    answers: dict[str, np.ndarray], found: FixedPoint, bound: np.ndarray, possible: np.ndarray
) -> dict[str, np.ndarray]:
    """The variables of rows; NaN where the iteration did not converge, or to no answer: too inexact, beyond the bound, or not
    ``possible``."""
    exact = answers["quadrature_error"] < ALLOWED_ERROR
    converged = found.converged & exact & possible & (answers["entropy"] < bound + ALLOWED_ERROR)
    return {name: np.where(converged, values, np.nan) for name, values in answers.items()} | {
        "entropy_bound": bound,
        "converged": converged,
        "residual": found.residual,
        "iterations": found.iterations,
    }
