"""The average of exp(-beta f) over a Gaussian stability by quadrature, with derivatives, for any f; over NumPy or CuPy arrays.

The integrand is exp(-beta f(mean + spread z) - z^2 / 2). Where the loss states within what it bends, it is smooth and convex: a trapezoid
around the mode of the integrand converges exponentially. Any other loss may have kinks, and may be no more than piecewise smooth:
Gauss-Legendre panels cover where the integrand is not negligible, and narrow toward the kinks that the loss states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gpumc.channels.formulae import Formula
from gpumc.channels.gaussian import LOG_2PI, Average
from gpumc.device import array_module, chunk

#: How far trapezoids reach to either side of the mode, in standard deviations, and how near to the mode their middle is.
TRAPEZOID_REACH, MODE_ERROR = 7.0, 0.125
#: Nodes of a trapezoid for each standard deviation of the integrand, and for each width within which the loss bends: an error below 1e-7.
NODES_PER_DEVIATION, NODES_PER_WIDTH = 1.2, 1.25
#: The most nodes of a trapezoid to either side: panels take fewer.
MOST_NODES = 200
#: Gauss-Legendre nodes of a panel, and their weights.
PANEL_NODES, PANEL_WEIGHTS = np.polynomial.legendre.leggauss(10)
#: Panels of equal width over all of the integrand; and to either side of a kink: their number, the width of the widest in standard
#: deviations, and by how much the next one toward the kink is narrower.
EQUAL_PANELS, GRADED_PANELS, WIDEST_PANEL, NARROWING = 12, 8, 2.0, 4.0
#: The integrand is negligible where its log is this far below its maximum.
NEGLIGIBLE = 40.0
#: Where the maximum is looked for first: so many z, sinh of equal steps, up to the last of them.
FIRST_PLACES, LAST_PLACE = 97, 14.5
#: Then between the neighbours of the highest: so many finer steps, at most so often, until the log differs by less than this.
FINER_STEPS, MOST_REFINEMENTS, FLAT = 9, 10, 1.0
#: The ends of the integrand: at most so many bisections, and their error in units of its width.
MOST_BISECTIONS, END_ERROR = 16, 0.05
#: A function of z (points, nodes).
Exponent = Callable[[np.ndarray], np.ndarray]


class Rule(NamedTuple):
    """How fine a quadrature is.

    Attributes
    ----------
    trapezoid : float
        Nodes of trapezoids, in units of ``NODES_PER_DEVIATION`` and ``NODES_PER_WIDTH``.
    panels : float
        Panels of losses with stated kinks, in units of ``EQUAL_PANELS`` and ``GRADED_PANELS``.
    unknown : int
        Panels of losses that state neither kink nor bend.
    """

    trapezoid: float
    panels: float
    unknown: int

    def coarser(self) -> Rule:
        """Half of the points, which tells the error."""
        return Rule(self.trapezoid / 2, self.panels / 2, self.unknown // 2)


#: An error below 1e-7 of log Z; of a slope that jumps by 1 where the loss does not state it, about 1e-5 beta.
COARSE = Rule(1.0, 0.875, 80)
#: An error below 1e-10.
FINE = Rule(2.0, 1.0, EQUAL_PANELS)


def tilted_average(
    formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray, rule: Rule, widest: float
) -> Average:
    """log E exp(-beta f(mean + spread z)) over a standard normal z, its first and second derivative by the mean, and the mean of f under
    exp(-beta f).

    Parameters
    ----------
    formula : Formula
        f, its parameters being numbers.
    beta : float
        Finite.
    mean, spread : array
        Of one shape; of NumPy or CuPy.
    rule : Rule
        How fine.
    widest : float
        A spread that none exceeds. No point changes the bits of another one of the same ``widest``.

    Returns
    -------
    Average
        Arrays of the shape of ``mean``.
    """
    columns = mean.reshape(-1, 1), spread.reshape(-1, 1)
    half = half_trapezoid(formula, beta, widest, rule)
    if half:
        mode = _mode(formula, beta, *columns, widest)
        found = _by_blocks(partial(_trapezoid, formula, beta, half), (*columns, mode), 2 * half + 1)
    else:
        kinks = formula.kinks if formula.loss.bend is None else [0.0, *formula.kinks]
        ends = _by_blocks(partial(_support, formula, beta, kinks), columns, FIRST_PLACES)
        nodes = _panel_count(len(kinks), rule) * len(PANEL_NODES)
        found = _by_blocks(partial(_panels, formula, beta, kinks, rule), (*columns, *ends), nodes)
    return Average(*(column.reshape(mean.shape) for column in found))


def _by_blocks(
    function: Callable[..., tuple[np.ndarray, ...]], columns: Sequence[np.ndarray], width: int
) -> tuple[np.ndarray, ...]:
    """``function`` of ``columns`` (points, 1), which makes arrays (points, ``width``), for as many points at a time as memory likes."""
    points = max(1, chunk(columns[0]) // width)
    blocks = [
        function(*(column[i : i + points] for column in columns)) for i in range(0, max(1, len(columns[0])), points)
    ]
    xp = array_module(columns[0])
    return blocks[0] if len(blocks) == 1 else tuple(xp.concatenate(of) for of in zip(*blocks, strict=True))


def _moments(
    formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray, z: np.ndarray, share: np.ndarray | float
) -> tuple[np.ndarray, ...]:
    """An `Average` of ``mean`` and ``spread`` (points, 1), by nodes ``z`` (points, nodes) and their weights."""
    xp = array_module(mean)
    losses = formula.values(mean + spread * z)
    exponent = -beta * losses - z * z / 2
    top = exponent.max(axis=1, keepdims=True)
    weight = xp.exp(exponent - top) * share
    total, first, energy = (of.sum(axis=1, keepdims=True) for of in (weight, weight * z, weight * losses))
    first, energy = first / total, energy / total
    variance = (weight * (z - first) ** 2).sum(axis=1, keepdims=True) / total
    log_z = top + xp.log(total) - LOG_2PI / 2
    return log_z, first / spread, (variance - 1) / spread**2, energy


def half_trapezoid(formula: Formula, beta: float, widest: float, rule: Rule) -> int:
    """Nodes of a trapezoid to either side of the mode; 0 where panels are to be taken. The average by it of a loss that has a kernel is in
    ``kernels/tilted.cu``."""
    if formula.loss.bend is None:
        return 0
    widths = widest / formula.loss.bend
    per_deviation = NODES_PER_DEVIATION * math.sqrt(1 + beta * formula.sweep * widest * widths / 4)
    half = math.ceil(TRAPEZOID_REACH * rule.trapezoid * max(per_deviation, NODES_PER_WIDTH * widths))
    return half if half <= MOST_NODES else 0


def _mode(formula: Formula, beta: float, mean: np.ndarray, spread: np.ndarray, widest: float) -> np.ndarray:
    """Near the z where the integrand is largest, which lies between 0 and where the slope at 0 would pull."""
    xp = array_module(mean)
    pull = -beta * spread
    start = pull * formula.slopes(mean)
    low, high = xp.minimum(start, 0), xp.maximum(start, 0)
    for _ in range(math.ceil(math.log2(max(1.0, beta * formula.sweep * widest) / MODE_ERROR)) - 1):
        middle = (low + high) / 2
        beyond = middle > pull * formula.slopes(mean + spread * middle)
        low, high = xp.where(beyond, low, middle), xp.where(beyond, middle, high)
    return (low + high) / 2


def _trapezoid(
    formula: Formula, beta: float, half: int, mean: np.ndarray, spread: np.ndarray, mode: np.ndarray
) -> tuple[np.ndarray, ...]:
    """An `Average` by ``half`` nodes to either side of the ``mode``, and one there."""
    nodes = array_module(mean).linspace(-TRAPEZOID_REACH, TRAPEZOID_REACH, 2 * half + 1)
    return _moments(formula, beta, mean, spread, mode + nodes, TRAPEZOID_REACH / half)


def _panel_count(kinks: int, rule: Rule) -> int:
    """Panels of a loss that states so many kinks; some are empty."""
    graded = 2 * int(GRADED_PANELS * rule.panels) + 1
    return int(EQUAL_PANELS * rule.panels) + kinks * graded if kinks else rule.unknown


def _panels(
    formula: Formula,
    beta: float,
    kinks: Sequence[float],
    rule: Rule,
    mean: np.ndarray,
    spread: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """An `Average` by Gauss-Legendre panels between the ends ``low`` and ``high`` of the integrand, in z."""
    xp = array_module(mean)
    equal = int(EQUAL_PANELS * rule.panels) if kinks else rule.unknown
    graded = WIDEST_PANEL * NARROWING ** (-np.arange(int(GRADED_PANELS * rule.panels)) / rule.panels)
    from_kink = xp.asarray(np.concatenate([-graded, [0.0], graded]))
    ends = [low + (high - low) * xp.linspace(0, 1, equal + 1), *((kink - mean) / spread + from_kink for kink in kinks)]
    panels = xp.sort(xp.clip(xp.concatenate(ends, axis=1), low, high), axis=1)[:, None]
    middle, half = (panels[..., 1:] + panels[..., :-1]) / 2, (panels[..., 1:] - panels[..., :-1]) / 2
    nodes, weights = (xp.asarray(of[:, None]) for of in (PANEL_NODES, PANEL_WEIGHTS))
    z, share = (of.reshape(len(mean), -1) for of in (middle + half * nodes, half * weights))
    return _moments(formula, beta, mean, spread, z, share)


def _support(
    formula: Formula, beta: float, kinks: Sequence[float], mean: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """From where to where in z, (points, 1), the integrand is not negligible."""
    xp = array_module(mean)

    def exponent(z: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too far out for a formula
            value = -beta * formula.values(mean + spread * z) - z * z / 2
        return xp.where(xp.isnan(value), -np.inf, value)

    places = xp.sinh(xp.linspace(-LAST_PLACE, LAST_PLACE, FIRST_PLACES)) + 0 * mean
    if kinks:
        places = xp.sort(xp.concatenate([places, *((kink - mean) / spread for kink in kinks)], axis=1), axis=1)
    values = exponent(places)
    mode, top = _maximum(xp, exponent, places, values)
    least = top - NEGLIGIBLE
    known = xp.where(values >= least, places, mode)
    inner = xp.minimum(known.min(axis=1, keepdims=True), mode), xp.maximum(known.max(axis=1, keepdims=True), mode)
    outer = (
        _column(xp, places, (places < inner[0]).sum(axis=1) - 1),
        _column(xp, places, (places <= inner[1]).sum(axis=1)),
    )
    inside, outside = xp.concatenate(inner, axis=1), xp.concatenate(outer, axis=1)
    for _ in range(MOST_BISECTIONS):
        inexact = xp.abs(outside - inside) > END_ERROR * xp.abs(inside[:, 1:] - inside[:, :1])
        if not inexact.any():
            break
        middle = (inside + outside) / 2
        above = exponent(middle) >= least
        inside, outside = xp.where(inexact & above, middle, inside), xp.where(inexact & ~above, middle, outside)
    return outside[:, :1], outside[:, 1:]


def _maximum(xp: Any, exponent: Exponent, places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Near the maximum of the exponent, and its value there, (points, 1), given its ``values`` at ``places`` (points, places)."""
    best = values.argmax(axis=1)
    mode, left, right = (_column(xp, places, best + side) for side in (0, -1, 1))
    top = _column(xp, values, best)
    for _ in range(MOST_REFINEMENTS):
        steep = top - xp.minimum(exponent(left), exponent(right)) >= FLAT
        if not steep.any():
            break
        finer = left + (right - left) * xp.linspace(0, 1, FINER_STEPS)
        values = exponent(finer)
        best = values.argmax(axis=1)
        higher = steep & (_column(xp, values, best) > top)
        mode, top = xp.where(higher, _column(xp, finer, best), mode), xp.where(higher, _column(xp, values, best), top)
        left, right = (xp.where(steep, _column(xp, finer, best + side), end) for side, end in ((-1, left), (1, right)))
    return mode, top


def _column(xp: Any, values: np.ndarray, number: np.ndarray) -> np.ndarray:
    """One number of every row, (rows, 1); the last one at an end where ``number`` is beyond."""
    return xp.take_along_axis(values, xp.clip(number, 0, values.shape[1] - 1)[:, None], axis=1)
