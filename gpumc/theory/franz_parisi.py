"""The Franz-Parisi entropy of the binary perceptron: configurations at a distance from a typical one of another measure.

S. Franz, G. Parisi, J. Physique I 5, 1401 (1995); H. Huang, Y. Kabashima, Phys. Rev. E 90, 052813 (2014) for the binary perceptron; C.
Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020), SI, for references of the cross-entropy. The reference W~ is drawn from
exp(-beta~ L~), with replica-symmetric overlap q~ and field variance r~; the configurations W at overlap s = 1 - 2 D from it have overlap q
with one another, and t with other references. Per weight,

    S(D) = extr  t^ t - s^ s - r (1 - q)/2 + E sum_W~ p(W~|z~) log 2cosh(h) + alpha E p(x~|y~) log g(u),
    h = (s^ - t^) W~ + t^ z~/sqrt(r~) + sqrt(r - t^2/r~) z,    u = t y~/sqrt(q~) + (s - t) x~/sqrt(1 - q~) + sqrt(q - ...) y,

with the reference's weights p(W~|z~) in a field sqrt(r~) z~ and its fields p(x~|y~) under its loss. Replica symmetry is assumed of both;
references at beta~ = inf of losses that do not count are those of zero entropy, below which the measure is frozen (1-step breaking).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import entr

from gpumc.checks import one_of
from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount, Loss
from gpumc.machines import Machine
from gpumc.measures import Gibbs
from gpumc.schema import Started
from gpumc.theory.factors import Factor
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.normal_averages import ALLOWED_ERROR, DZ2, DZ_FIELD, Z2, Z_FIELD, log_2cosh
from gpumc.theory.saddle_points import ENTROPY_ROUNDING
from gpumc.theory.solve import fixed_point, root
from gpumc.theory.theory_grid import dataset, theory_grid
from gpumc.theory.typical_reference import Reference

#: The smallest variance that is told from 0, and the largest field toward the reference that is tried.
SMALLEST_VARIANCE, LARGEST_FIELD = 1e-12, 1e4
#: Of squared overlaps.
OVERLAP_ROUNDING = 1e-9
BINARY_PERCEPTRON = Limit("perceptron", "binary")
#: The configurations without error.
SOLUTIONS = Gibbs(ErrorCount(), np.inf)
VARIABLES = (
    *("entropy", "entropy_bound", "log_volume", "field", "overlap", "overlap_references"),
    *("quadrature_error", "converged", "residual", "iterations"),
)


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
        towards = np.sqrt(own.r)[column] * Z_FIELD[:, None]
        spread = np.sqrt(np.maximum(r - across**2 / own.r, 0.0))[column]
        h = (field - across)[column] * sign + (across / np.sqrt(own.r))[column] * Z_FIELD[:, None] + spread * Z2
        weight = np.exp(sign * towards - log_2cosh(towards)) * DZ_FIELD[:, None] * DZ2
        return cls(h, np.broadcast_to(weight, h.shape), np.broadcast_to(np.tanh(towards), h.shape))

    def mean(self, values: np.ndarray, every: int = 1) -> np.ndarray:
        """The average, by all or every other one of the points."""
        part = self.weight[:, :, ::every, ::every]
        return np.einsum("rszw,rszw->r", values[:, :, ::every, ::every], part) / part.sum(axis=(1, 2, 3))

    def overlap_reference(self) -> np.ndarray:
        """E W~ tanh h: s."""
        return self.mean(np.tanh(self.h) * np.array([1.0, -1.0])[:, None, None])


class Patterns(NamedTuple):
    """The patterns' part, (rows,): r, the conjugate of t, the derivative of alpha E log g by s, that itself, and its error."""

    r: np.ndarray
    across: np.ndarray
    along: np.ndarray
    free_entropy: np.ndarray
    error: np.ndarray


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
        spread = np.sqrt(q - t**2 / own.q)
        # The reference's field given u: its mean, and what is left of its variance.
        shared = (self.s - t) / spread
        terms = own.concave_terms(np.maximum(1 - own.q - shared**2, SMALLEST_VARIANCE))
        points = zip(*(term.points(np.sqrt(own.q)[:, None] * Z2, shared) for term in terms), strict=True)
        z, log_weight, direct = (np.concatenate(kind, axis=2) for kind in points)
        weight = np.exp(log_weight - log_weight.max(axis=2, keepdims=True))
        across = own.slope()[:, :, None]
        moments = self.factor.moments((t / np.sqrt(own.q))[column] * Z2[:, None] + spread[column] * z, 1 - q)

        def mean(values: np.ndarray, every: int = 1) -> np.ndarray:
            part = weight[:, ::every, ::every]
            given = (part * values[:, ::every, ::every]).sum(axis=2) / part.sum(axis=2)
            return self.alpha * (given @ DZ2[::every]) / DZ2[::every].sum()

        free = mean(moments.log_z)
        r, along_t, along_s = (mean(moments.slope * factor) for factor in (moments.slope, across, direct))
        return Patterns(r, along_t, along_s, free, np.abs(free - mean(moments.log_z, 2)))

    def field(self, r: np.ndarray, across: np.ndarray) -> np.ndarray:
        """The field toward the reference at which the overlap is s."""
        ends = np.full(len(r), LARGEST_FIELD)

        def excess(field: np.ndarray, rows: np.ndarray) -> np.ndarray:
            fields = Fields.of(self.reference.rows(rows), r[rows], across[rows], field)
            return fields.overlap_reference() - self.s[rows]

        return root(excess, -ends, ends)

    def step(self, x: np.ndarray) -> np.ndarray:
        """From (q, t) to the next (q, t)."""
        q, t = np.clip(x[:, 0], 1e-9, 1 - 1e-9), x[:, 1]
        t = np.clip(t, -1, np.sqrt(0.999999 * q * self.reference.q))
        r, across, *_ = self.patterns(q, t)
        fields = Fields.of(self.reference, r, across, self.field(r, across))
        tanh = np.tanh(fields.h)
        return np.stack([fields.mean(tanh**2), fields.mean(tanh * fields.reference)], axis=1)

    def entropy(self, q: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """S, the field dS/dD, and the error of S by quadrature."""
        r, across, along, log_g, error = self.patterns(q, t)
        field = self.field(r, across)
        fields = Fields.of(self.reference, r, across, field)
        log_cosh = log_2cosh(fields.h)
        weights = across * t - field * self.s - r * (1 - q) / 2 + fields.mean(log_cosh)
        return weights + log_g, 2 * (field - along), error + np.abs(fields.mean(log_cosh) - fields.mean(log_cosh, 2))

    def possible(self, q: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Whether configurations can have these overlaps: a reference, another one, and two around the first."""
        own = self.reference.q
        return (q - t**2 / own) * (1 - own) >= (self.s - t) ** 2 - OVERLAP_ROUNDING

    def start(self, share: float) -> np.ndarray:
        """(q, t): q between what the overlap with the reference forces on it, and 1; t of configurations that differ from it anywhere."""
        forced = self.s**2
        return np.stack([forced + share * (1 - forced), self.s * self.reference.q], axis=1)


@np.errstate(under="ignore")  # factors that vanish are 0
def franz_parisi(
    machine: Machine | Limit,
    reference: Gibbs = SOLUTIONS,
    measure: Gibbs = SOLUTIONS,
    *,
    alpha: ArrayLike,
    distance: ArrayLike,
) -> xr.Dataset:
    """Local entropies of configurations without error around typical references, as n tends to infinity.

    Parameters
    ----------
    machine : Machine or theory.Limit
        The binary perceptron.
    reference : Gibbs
        What references are typical of: a loss that counts, or a convex one, whose beta = inf stands for the temperature at which the
        entropy vanishes; by default the configurations without error. Its parameters that are several numbers become dimensions, beta as
        ``reference_beta``.
    measure : Gibbs
        What is counted around them: a loss that counts, with single parameters, at beta = inf; by default the error count at margin 0.
    alpha : float or array
        Patterns per weight.
    distance : float or array
        Normalised distances D = (1 - s)/2 in (0, 1/2].

    Returns
    -------
    xarray.Dataset
        Over ([alpha,] [parameters of the loss,] [reference_beta,] [distance]), float64: ``entropy``, ``entropy_bound``, ``log_volume``
        (nats per weight), ``field`` toward the reference (dS/dD), ``overlap`` q of two configurations, ``overlap_references`` t;
        ``quadrature_error`` of the entropy, ``converged``, ``residual``, ``iterations``. NaN where the iteration did not converge, where
        there is no reference (above a capacity, or below a temperature at which it freezes), and where S would be negative: no
        configuration is so near, ``residual`` is small and ``converged`` False there too. Replica symmetry is assumed: where
        configurations around the reference freeze, S is an upper bound.

    Raises
    ------
    ConfigError
        For other machines, for references of losses that are neither convex nor count, and for other measures around them.

    References
    ----------
    S. Franz, G. Parisi, J. Physique I 5, 1401 (1995); H. Huang, Y. Kabashima, Phys. Rev. E 90, 052813 (2014).

    Examples
    --------
    >>> import gpumc
    >>> reference = gpumc.Gibbs(gpumc.ErrorCount(), beta=2.0)
    >>> gpumc.theory.franz_parisi(gpumc.Perceptron(1001), reference, alpha=0.4, distance=[0.1, 0.2]).entropy.dims
    ('distance',)
    """
    started = Started.now()
    if Limit.of(machine) != BINARY_PERCEPTRON:
        raise ConfigError("theory.franz_parisi is for the binary perceptron")
    loss = one_of("reference", reference, Gibbs, "a Gibbs(loss, beta)").loss
    counted = _counted(measure)
    grid = theory_grid(loss, alpha=alpha, reference_beta=reference.beta, distance=distance)
    own = {name: grid.column(name) for name in grid.parameters}
    typical = Reference.of(BINARY_PERCEPTRON, grid.losses(loss), own["alpha"], own["reference_beta"])
    rows = len(own["alpha"])
    around = Factor(counted.rows(rows), np.full(rows, np.inf))
    there = np.flatnonzero(np.isfinite(typical.q))
    problem = Problem(typical, 1 - 2 * own["distance"], own["alpha"], around)
    columns = {name: np.full(rows, np.nan) for name in VARIABLES}
    columns["residual"][:] = np.inf
    columns["iterations"] = np.zeros(rows, int)
    if len(there):
        for name, values in _solved(problem.rows(there)).items():
            columns[name][there] = values
    columns["converged"] = columns["converged"] == 1
    columns["entropy_bound"] = entr(own["distance"]) + entr(1 - own["distance"])
    columns["log_volume"] = columns["entropy"] - columns["entropy_bound"]
    asked = {"measure": "gibbs", "loss": counted.kind, "beta": np.inf, "reference_loss": loss.kind}
    asked |= {f"loss_{name}": value for name, value in counted.parameters.items()}
    return dataset(grid, columns, BINARY_PERCEPTRON.attributes, asked, started=started)


def _counted(measure: Gibbs) -> Loss:
    """The loss of a measure of configurations without error. Raises ConfigError for any other."""
    loss = one_of("measure", measure, Gibbs, "a Gibbs(loss, beta)").loss
    single = all(isinstance(value, float) for value in (measure.beta, *loss.parameters.values()))
    if not (loss.counts and single and measure.beta == np.inf):
        raise ConfigError(
            f"theory.franz_parisi counts configurations without error: a loss that counts, such as ErrorCount(), with single parameters "
            f"at beta = inf is needed as the measure, and this is {measure}"
        )
    return loss


def _solved(problem: Problem) -> dict[str, np.ndarray]:
    """What follows from the saddle points of all rows, (rows,) each."""
    starts = [problem.start(share) for share in (0.5, 0.9, 0.2)]
    with np.errstate(all="ignore"):
        found = fixed_point(lambda x, rows: problem.rows(rows).step(x), starts, -1.0, 1.0)
    converged = found.converged & problem.possible(*found.x.T)
    good = np.flatnonzero(converged)
    answers = np.full((5, len(converged)), np.nan)
    answers[:2, good] = found.x[good].T
    with np.errstate(all="ignore"):  # rows that are not resolved
        answers[2:, good] = problem.rows(good).entropy(*answers[:2, good])
    converged &= (answers[4] < ALLOWED_ERROR) & (answers[2] >= -ENTROPY_ROUNDING)
    answers[:4, ~converged] = np.nan
    names = ("overlap", "overlap_references", "entropy", "field", "quadrature_error")
    answered = dict(zip(names, answers, strict=True))
    return answered | {"converged": converged, "residual": found.residual, "iterations": found.iterations}
