"""Single-flip Metropolis of binary machines in Numba: compiled loops over chains, sweeps, sites and patterns.

A proposal computes the loss after the flip in one pass over the patterns. Labels are multiplied into the inputs, and
inputs stored site by site, so that the pass reads contiguous int8 and int16 and is turned into vector instructions; a
chain stays in the cache.
"""

from math import exp

import numpy as np
from numba import njit

#: Walkers with which this is fastest.
WALKERS = 8


class Peer:
    """Chains of replicas of one machine around an explicit centre; the Gibbs measure where ``coupling`` is 0.

    ``patterns`` int8 (M, n) and ``labels`` int8 (M,), all +-1; ``k`` hidden units on n / k inputs each, 1 for the
    perceptron; ``gamma`` of the cross-entropy of a perceptron, None for the error count. M and 2 n are less than 2^15.
    """

    def __init__(
        self,
        patterns: np.ndarray,
        labels: np.ndarray,
        k: int,
        beta: float,
        gamma: float | None,
        replicas: int,
        coupling: float,
        chains: int,
        seed: int,
    ):
        if gamma is not None and k > 1:
            raise ValueError("the cross-entropy is for the perceptron, k = 1")
        count, n = patterns.shape
        self.inputs = np.ascontiguousarray((labels[:, None] * patterns).T.reshape(k, n // k, count))
        self.shape = (chains, replicas, k, n // k)
        self.table = np.empty(0, np.float32) if gamma is None else cross_entropy(n, gamma)
        self.beta, self.coupling = float(beta), float(coupling)
        self.rng = np.random.default_rng(seed)

    def start(self, weights: np.ndarray) -> None:
        """Start from ``weights`` int8 (chains, replicas, n) and a centre drawn from its conditional."""
        self.weights = np.array(weights, np.int8).reshape(self.shape)
        by_unit = self.weights.astype(np.float32).transpose(0, 2, 1, 3)
        fields = (by_unit @ self.inputs.astype(np.float32)).astype(np.int16).swapaxes(1, 2)
        table = self.table
        losses = table[fields[:, :, 0] + len(table) // 2] if len(table) else np.sign(fields).sum(axis=2) < 0
        self.fields, self.losses = np.ascontiguousarray(fields), losses.sum(axis=-1, dtype=np.float64)
        self.centre = np.zeros((len(self.weights), *self.shape[2:]), np.int8)
        if self.coupling > 0:
            for chain, centre in enumerate(self.centre):
                _draw_centre(self.weights[chain], centre, self.coupling, self.rng)

    def sweep(self, count: int) -> None:
        """Make ``count`` sweeps of every chain."""
        state = self.weights, self.fields, self.centre, self.losses
        _sweep(count, *state, self.inputs, self.table, self.beta, self.coupling, self.rng)

    def energy(self) -> np.ndarray:
        """The losses, float64 (chains, replicas)."""
        return self.losses.copy()


def cross_entropy(n: int, gamma: float) -> np.ndarray:
    """f_gamma at the fields -n, ..., n of a perceptron: float32 (2 n + 1,)."""
    stability = np.arange(-n, n + 1) / np.sqrt(n)
    return (np.logaddexp(0, -2 * gamma * stability) / (2 * gamma)).astype(np.float32)


@njit(nogil=True, fastmath=True)
def _sweep(count, weights, fields, centre, energy, inputs, table, beta, coupling, rng):
    for chain in range(len(weights)):
        for _ in range(count):
            for replica in range(weights.shape[1]):
                now = energy[chain, replica]
                walker = weights[chain, replica], fields[chain, replica]
                energy[chain, replica] = _visit(*walker, centre[chain], now, inputs, table, beta, coupling, rng)
            if coupling > 0:
                _draw_centre(weights[chain], centre[chain], coupling, rng)


@njit(nogil=True, fastmath=True)
def _visit(weights, fields, centre, energy, inputs, table, beta, coupling, rng):
    """Propose to flip every weight of one replica, ``weights`` (k, n/k) with ``fields`` (k, M); returns its energy."""
    units, size, _ = inputs.shape
    signs = _signs(fields)
    for unit in range(units):
        before = _margins(fields[unit], signs, size)
        margins = before.copy()
        for site in range(size):
            step = 2 * weights[unit, site]
            after = _loss(margins, inputs[unit, site], step, table)
            cost = beta * (after - energy) + coupling * step * centre[unit, site]
            if rng.standard_exponential() > cost:
                weights[unit, site] = -weights[unit, site]
                energy = after
                _shift(margins, inputs[unit, site], step)
        for m in range(margins.size):
            old = fields[unit, m]
            new = old + margins[m] - before[m]
            signs[m] += 2 * ((new > 0) - (old > 0))
            fields[unit, m] = new
    return energy


@njit(nogil=True, fastmath=True)
def _loss(margins, inputs, step, table):
    """The loss of the fields or margins int16 (M,), less ``step`` times ``inputs`` int8 (M,)."""
    if table.size == 0:
        # Numba widens integers: cast back, so that 32 patterns fill a vector register.
        step = np.int16(step)
        errors = np.int16(0)
        for m in range(margins.size):
            errors = np.int16(errors + (margins[m] < np.int16(step * inputs[m])))
        return float(errors)
    loss = np.float32(0)
    for m in range(margins.size):
        loss += table[np.uint64(margins[m] - step * inputs[m] + table.size // 2)]  # unsigned: no wrap-around to test
    return float(loss)


@njit(nogil=True, fastmath=True)
def _shift(margins, inputs, step):
    step = np.int16(step)
    for m in range(margins.size):
        margins[m] = np.int16(margins[m] - np.int16(step * inputs[m]))


@njit(nogil=True)
def _signs(fields):
    """The sum of the hidden units' signs, int16 (M,), of ``fields`` int16 (k, M)."""
    signs = np.zeros(fields.shape[1], np.int16)
    for unit in range(len(fields)):
        for m in range(signs.size):
            signs[m] += 2 * (fields[unit, m] > 0) - 1
    return signs


@njit(nogil=True)
def _margins(field, signs, size):
    """Fields of a unit plus n/k times the other units' signs: negative just where the machine errs; int16 (M,)."""
    margins = np.empty_like(field)
    for m in range(field.size):
        margins[m] = field[m] + size * (signs[m] - (1 if field[m] > 0 else -1))
    return margins


@njit(nogil=True)
def _draw_centre(weights, centre, coupling, rng):
    """Draw ``centre`` (k, n/k) given the replicas' ``weights`` (replicas, k, n/k)."""
    for unit in range(centre.shape[0]):
        for site in range(centre.shape[1]):
            total = 0
            for replica in range(len(weights)):
                total += weights[replica, unit, site]
            up = rng.random() * (1 + exp(-2 * coupling * total)) < 1
            centre[unit, site] = 1 if up else -1
