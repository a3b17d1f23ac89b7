"""Integrals over x of exp(h(x) - x^2 / 2) for any h that is piecewise smooth: Gauss-Legendre rules on panels that cover where the integrand
is not negligible, and that narrow toward where h jumps or bends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

#: Panels of a rule, nodes of each, and panels to either side of a kink: each by NARROWING narrower, the widest from WIDEST on.
PANELS, GRADED = 12, 8
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(10)
WIDEST, NARROWING = 2.0, 4.0
#: The integrand is negligible where its log is lower by this than where it is highest.
NEGLIGIBLE = 40.0
#: Places at which the highest value is looked for, the finer steps between two of them, how often these are made, and within what the
#: integrand's log is flat enough.
PLACES = np.sinh(np.linspace(-14.5, 14.5, 97))
FINER = np.linspace(0.0, 1.0, 9)
ROUNDS, FLAT = 10, 1.0
#: Bisections to where the integrand gets negligible, and how exact these are, in units of the part that is not.
BISECTIONS, EXACT = 16, 0.05

#: h at x (rows, points).
Height = Callable[[np.ndarray], np.ndarray]


def panels(height: Height, kinks: Sequence[np.ndarray], rows: int, coarse: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and the logs of their weights, (rows, nodes); ``kinks`` are x (rows,), ``coarse`` = 2 gives half of the panels."""

    def whole(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too far out for a formula
            value = height(x) - x**2 / 2
        return np.where(np.isnan(value), -np.inf, value)

    low, high = _window(whole, kinks, rows)
    breaks = [low + (high - low) * np.linspace(0, 1, int(PANELS / coarse) + 1)]
    nearness = WIDEST * NARROWING ** (-coarse * np.arange(GRADED / coarse))
    for kink in kinks:
        breaks.append(kink[:, None] + np.concatenate([-nearness, [0.0], nearness]))
    ends = np.sort(np.clip(np.concatenate(breaks, axis=1), low, high), axis=1)
    middle, half = (ends[:, 1:] + ends[:, :-1]) / 2, (ends[:, 1:] - ends[:, :-1]) / 2
    x = middle[:, :, None] + half[:, :, None] * NODES
    with np.errstate(divide="ignore"):  # panels that are clipped away
        log_weight = np.log(half)[:, :, None] + np.log(NODE_WEIGHTS)
    return x.reshape(rows, -1), np.broadcast_to(log_weight, x.shape).reshape(rows, -1)


def _window(whole: Height, kinks: Sequence[np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """From where to where, (rows, 1), the integrand is not negligible."""
    places = np.broadcast_to(PLACES, (rows, len(PLACES)))
    places = np.sort(np.concatenate([places, *(kink[:, None] for kink in kinks)], axis=1))
    heights = whole(places)
    best = heights.argmax(axis=1)
    top, highest = _at(places, best), _at(heights, best)
    left, right = _at(places, best - 1), _at(places, best + 1)
    for _ in range(ROUNDS):
        if (highest - np.minimum(whole(left), whole(right)) < FLAT).all():
            break
        finer = left + (right - left) * FINER
        values = whole(finer)
        best = values.argmax(axis=1)
        higher = _at(values, best) > highest
        top, highest = np.where(higher, _at(finer, best), top), np.where(higher, _at(values, best), highest)
        left, right = _at(finer, best - 1), _at(finer, best + 1)
    least = highest - NEGLIGIBLE
    above = heights >= least
    known = np.where(above, places, top)
    inner = known.min(axis=1, keepdims=True), known.max(axis=1, keepdims=True)
    inner = np.minimum(inner[0], top), np.maximum(inner[1], top)
    outer = _at(places, (places < inner[0]).sum(axis=1) - 1), _at(places, (places <= inner[1]).sum(axis=1))
    sides = (np.concatenate(side, axis=1) for side in (inner, outer))
    low, high = np.split(_ends(whole, least, *sides), 2, axis=1)
    return low, high


def _at(values: np.ndarray, column: np.ndarray) -> np.ndarray:
    """One of every row's, (rows, 1); an end's where the column is beyond."""
    return np.take_along_axis(values, np.clip(column, 0, values.shape[1] - 1)[:, None], axis=1)


def _ends(whole: Height, least: np.ndarray, inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Where ``whole`` falls below ``least`` to either side, or just beyond: between places above and below it, (rows, 2)."""
    for _ in range(BISECTIONS):
        if (abs(outer - inner) <= EXACT * abs(inner[:, 1:] - inner[:, :1])).all():
            break
        middle = (inner + outer) / 2
        above = whole(middle) >= least
        inner, outer = np.where(above, middle, inner), np.where(above, outer, middle)
    return outer
