"""Fixed points of many rows at once: damped iteration, then Newton's method; rows that are done stop costing time, and neighbours help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize.elementwise import find_root

#: x (rows, unknowns) and the rows' places in the whole to the next x.
Step = Callable[[np.ndarray, np.ndarray], np.ndarray]
TOLERANCE = 1e-10
#: How near to the upper end unknowns are lost.
EDGE_WIDTH = 1e-8
#: The part of a change that an iteration makes.
DAMPING = 0.5
#: Iterations before Newton's method, and in all.
DAMPED_ITERATIONS, MOST_ITERATIONS = 6, 150


@dataclass(frozen=True)
class FixedPoint:
    """``x`` (rows, unknowns), NaN where not ``converged`` (rows,); ``residual``, the largest |step(x) - x|; ``iterations``."""

    x: np.ndarray
    converged: np.ndarray
    residual: np.ndarray
    iterations: np.ndarray


def fixed_point(
    step: Step, starts: Sequence[np.ndarray], low: float, high: float, *, edge: float = EDGE_WIDTH
) -> FixedPoint:
    """Solve step(x) = x within ``low`` < x < ``high`` for all rows, from each of ``starts`` (rows, unknowns) until one leads there, then
    from neighbouring rows.

    Rows that come as near to ``high`` as ``edge``, or to no number, are given up."""
    found = _from(step, np.array(starts[0], float), np.arange(len(starts[0])), low, high, edge)
    for start in starts[1:]:
        _again(found, np.flatnonzero(~found.converged), start, step, low, high, edge)
    # Continuation along curves: those that are left start from a solved neighbour, as long as this solves more of them.
    more = found.converged.any()
    while more:
        solved = found.converged
        before, after = np.append(False, solved[:-1]), np.append(solved[1:], False)
        left = np.flatnonzero(~solved & (before | after))
        start = found.x.copy()
        start[left] = np.where(before[left, None], found.x[left - 1], found.x[np.minimum(left + 1, len(solved) - 1)])
        _again(found, left, start, step, low, high, edge)
        more = found.converged[left].any()
    return found


def _again(
    found: FixedPoint, left: np.ndarray, start: np.ndarray, step: Step, low: float, high: float, edge: float
) -> None:
    """Try the rows ``left`` from ``start`` (all rows, unknowns), in place."""
    if len(left) == 0:
        return
    again = _from(step, np.array(start[left], float), left, low, high, edge)
    for name in ("x", "converged", "residual"):
        getattr(found, name)[left] = getattr(again, name)
    found.iterations[left] += again.iterations


def _from(step: Step, x: np.ndarray, rows: np.ndarray, low: float, high: float, edge: float) -> FixedPoint:
    residual, iterations = np.full(len(x), np.inf), np.zeros(len(x), int)
    left = np.arange(len(x))
    moved = step(x, rows)
    for iteration in range(MOST_ITERATIONS):
        change = moved - x[left]
        residual[left] = np.where(np.isfinite(change).all(axis=1), np.abs(change).max(axis=1), np.inf)
        # Who reaches the upper end, where replicas are one, stays there.
        within = (moved < high - edge).all(axis=1)
        going = (residual[left] > TOLERANCE) & np.isfinite(residual[left]) & within
        left, change, moved = left[going], change[going], moved[going]
        if len(left) == 0:
            break
        iterations[left] += 1
        here, own = x[left], rows[left]
        guess, ahead = here + DAMPING * change, None
        if iteration >= DAMPED_ITERATIONS:
            newton = here + _newton(step, here, change, own)
            inside = np.isfinite(newton).all(axis=1) & ((newton > low) & (newton < high)).all(axis=1)
            guess = np.where(inside[:, None], newton, guess)
            ahead = step(guess, own)
            worse = ~(np.abs(ahead - guess).max(axis=1) < residual[left])
            if worse.any():
                guess[worse] = (here + DAMPING * change)[worse]
                ahead[worse] = step(guess[worse], own[worse])
        x[left] = guess
        moved = step(guess, own) if ahead is None else ahead
    converged = (residual <= TOLERANCE) & (x < high - edge).all(axis=1)
    x[~converged] = np.nan
    return FixedPoint(x, converged, residual, iterations)


def _newton(step: Step, x: np.ndarray, change: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Newton's step toward step(x) = x, derivatives by differences; NaN where they are singular."""
    unknowns = x.shape[1]
    jacobian = np.empty((len(x), unknowns, unknowns))
    for j in range(unknowns):
        shift = np.zeros(unknowns)
        shift[j] = 1e-7
        jacobian[:, :, j] = (step(x + shift, rows) - x - shift - change) / 1e-7
    try:
        return np.linalg.solve(jacobian, -change[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return np.full_like(x, np.nan)


def root(function: Callable[[np.ndarray, np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The root x of a rising function(x, rows) between ``low`` and ``high`` (rows,), for the rows given; an end where it is beyond that."""
    rows = np.arange(len(low))
    # The rows come back as numbers of the ends' kind.
    found = find_root(
        lambda x, own: function(x, own.astype(int)),
        (low, high),
        args=(rows,),
        tolerances={"xatol": 1e-13, "xrtol": 1e-13},
    )
    beyond = np.where(function(low, rows) >= 0, low, high)
    return np.where(found.success, found.x, beyond)
