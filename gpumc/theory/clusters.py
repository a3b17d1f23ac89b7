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
from gpumc.measures import Gibbs
from gpumc.schema import Started
from gpumc.theory.capacity import capacity
from gpumc.theory.factors import Factor
from gpumc.theory.group_entropic import NEWTON_STEPS, FewBinary, FewSpherical, ManyBinary, ManySpherical
from gpumc.theory.groups import group_patterns
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.normal_averages import ALLOWED_ERROR, Z, average, average_error
from gpumc.theory.parity import log_right_together
from gpumc.theory.saddle_points import ENTROPY_ROUNDING, possible_points
from gpumc.theory.solve import FixedPoint, fixed_point
from gpumc.theory.theory_grid import dataset, theory_grid

#: Beyond so many replicas the limit of infinitely many is to be asked for.
MOST_REPLICAS = 100
#: The weights' part by the kind of weights, for a number of replicas and for y -> infinity.
FEW: dict[str, type[FewBinary] | type[FewSpherical]] = {"binary": FewBinary, "spherical": FewSpherical}
MANY: dict[str, type[ManyBinary] | type[ManySpherical]] = {"binary": ManyBinary, "spherical": ManySpherical}


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
    overlap, spread = kernel.overlap(q1), np.sqrt(kernel.slope(q1) * delta)[:, None]
    factor, outer = errors(len(q1)), np.sqrt(overlap)[:, None] * Z

    x = 0 * outer
    # The highest value of log g - x^2 / 2, by Newton's method from below, where its slope is convex.
    for _ in range(NEWTON_STEPS):
        moments = factor.moments(outer + spread * x, 1 - overlap)
        x = x + (spread * moments.slope - x) / (1 - spread**2 * moments.curvature)
    moments = factor.moments(outer + spread * x, 1 - overlap)
    highest = moments.log_z - x**2 / 2
    free = average(highest)
    return Patterns(kernel.slope(q1) * average(moments.slope**2), free, free, average_error(highest))


def errors(rows: int) -> Factor:
    """The factor of configurations without error."""
    return Factor(ErrorCount().rows(rows), np.full(rows, np.inf))


@np.errstate(under="ignore")  # factors that vanish are 0
def dense_clusters(
    machine: Machine | Limit, *, alpha: ArrayLike, distance: ArrayLike, replicas: ArrayLike = np.inf
) -> xr.Dataset:
    """Entropies of groups of replicas without error at a distance from one another, as n -> infinity.

    Parameters
    ----------
    machine : Machine or theory.Limit
        A perceptron, a spherical committee of k = inf, or a tree parity of any k.
    alpha : float or array
        Patterns per weight.
    distance : float or array
        D = (1 - q1)/2 of two replicas, above 0 and below 1/2.
    replicas : float or array
        y, from 2 to 100, not necessarily whole, or inf. Groups of parities do not overlap, and log_volume is (alpha / y) log E P^y: flat
        at -alpha log 2 for k = inf; for a finite k, y is whole, and y -> infinity would give the bound alone.

    Returns
    -------
    xarray.Dataset
        Over ([alpha,] [replicas,] [distance]), float64, per replica and weight (nats): ``entropy`` F (spherical: relative to the sphere),
        ``entropy_bound`` without patterns and ``log_volume``, the difference; ``overlap_others`` q0; for finite y ``local_entropy`` =
        d(y F)/dy and ``external_entropy`` = y (F - local_entropy); as y -> infinity ``distance_centre``, (1 - sqrt(q1))/2, of all
        replicas from their centre (for parities these are not given); ``quadrature_error`` of the entropy, ``converged``, ``residual``,
        ``iterations``. NaN, and ``converged`` False, where the iteration did not converge, where typical configurations are closer to
        one another than ``distance``, above the capacity, and where F of binary weights would be negative. Where only their local entropy
        would be, no further configuration is as near to a typical group: F stays, ``local_entropy`` and ``external_entropy`` are NaN. A
        negative external entropy stays: it says that F is only an upper bound, see this module for that and the ansatz.

    Raises
    ------
    ConfigError
        For other machines, distances and numbers of replicas.

    References
    ----------
    C. Baldassi, A. Ingrosso, C. Lucibello, L. Saglietti, R. Zecchina, Phys. Rev. Lett. 115, 128101 (2015); C. Baldassi, F. Pittorino,
    R. Zecchina, PNAS 117, 161 (2020).

    Examples
    --------
    >>> import gpumc
    >>> gpumc.theory.dense_clusters(gpumc.Perceptron(1001), alpha=0.4, distance=[0.05, 0.1]).entropy.dims
    ('distance',)
    """
    started, limit = Started.now(), Limit.of(machine)
    parity = limit.kind == "tree-parity"
    if not parity and (not limit.gaussian or (limit.weights == "binary" and limit.many)):
        raise ConfigError("theory.dense_clusters is for perceptrons, spherical committees of k = inf, and parities")
    grid = theory_grid(ErrorCount(), alpha=alpha, replicas=replicas, distance=distance)
    asked = limit.attributes, Gibbs(ErrorCount(), np.inf).attributes
    own = {name: grid.column(name) for name in grid.parameters}
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
        return dataset(grid, _parity(limit, own["alpha"], q1, y), *asked, started=started)
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
    return dataset(grid, columns, *asked, started=started)


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
    return entropy >= limit.weight_kind.least_entropy - ENTROPY_ROUNDING


def _bound(limit: Limit, q1: np.ndarray, y: np.ndarray) -> np.ndarray:
    """F without patterns."""
    centre = (1 - np.sqrt(q1)) / 2
    many = entr(centre) + entr(1 - centre) if limit.weights == "binary" else 0.5 * np.log1p(-q1)
    few = FEW[limit.weights](q1, np.where(np.isinf(y), 2.0, y)).answer(np.zeros_like(q1)).free_entropy
    return np.where(np.isinf(y), many, few)


def _few(limit: Limit, alpha: np.ndarray, q1: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    side = FEW[limit.weights]

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
    side = MANY[limit.weights]

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
