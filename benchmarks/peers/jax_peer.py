"""Single-flip Metropolis of binary machines in JAX: a scan over the sites, each a few array operations on all walkers.

Fields are int16 with walkers in the last dimension: sums over patterns then run along vector registers, which for the
error count takes a CPU about two thirds of the time of ``vmap`` over walkers. About a hundred walkers are fastest
there: they fill the registers and stay in the cache. Labels are multiplied into the inputs.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

#: Walkers with which this is fastest.
WALKERS = 96


class State(NamedTuple):
    """What sweeps change; W = chains x replicas walkers."""

    weights: jax.Array  # int8 (k, n/k, W)
    fields: jax.Array  # int16 (k, M, W)
    centre: jax.Array  # int8 (k, n/k, chains)
    energy: jax.Array  # int16 or float32 (W,)
    key: jax.Array


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
        self.inputs = jnp.asarray((labels[:, None] * patterns).T.reshape(k, n // k, count), jnp.int8)
        self.shape = (chains, replicas)
        self.key = jax.random.key(seed)
        self.table = None if gamma is None else jnp.asarray(cross_entropy(n, gamma))
        self.constants = {"replicas": replicas, "beta": float(beta), "coupling": float(coupling)}

    def start(self, weights: np.ndarray) -> None:
        """Start from ``weights`` int8 (chains, replicas, n) and a centre drawn from its conditional."""
        k, size, _ = self.inputs.shape
        weights = jnp.asarray(weights, jnp.int8).reshape(-1, k, size).transpose(1, 2, 0)
        fields = jnp.einsum("ksm,ksw->kmw", *(a.astype(jnp.float32) for a in (self.inputs, weights))).astype(jnp.int16)
        energy = loss(margins_of(fields[0], signs_of(fields).sum(axis=0), size), self.table)
        self.key, key, sweeps = jax.random.split(self.key, 3)
        centre = draw_centre(weights, self.shape[1], self.constants["coupling"], key)
        self.state = State(weights, fields, centre, energy, sweeps)

    def sweep(self, count: int) -> None:
        """Make ``count`` sweeps of every chain."""
        self.state = jax.block_until_ready(sweep(self.state, self.inputs, self.table, count, **self.constants))

    def energy(self) -> np.ndarray:
        """The losses, float64 (chains, replicas)."""
        return np.asarray(self.state.energy, np.float64).reshape(self.shape)


def cross_entropy(n: int, gamma: float) -> np.ndarray:
    """f_gamma at the fields -n, ..., n of a perceptron: float32 (2 n + 1,)."""
    stability = np.arange(-n, n + 1) / np.sqrt(n)
    return (np.logaddexp(0, -2 * gamma * stability) / (2 * gamma)).astype(np.float32)


@partial(jax.jit, donate_argnums=0, static_argnames=("replicas", "beta", "coupling"))
def sweep(state: State, inputs, table, count, *, replicas: int, beta: float, coupling: float) -> State:
    """``count`` sweeps; ``inputs`` int8 (k, n/k, M), ``table`` float32 (2 n + 1,) or None for the error count."""
    size = inputs.shape[1]

    def propose(carry, site):
        margins, energy = carry
        x, weight, pull, threshold = site
        moved = margins - 2 * x[:, None] * weight
        after = loss(moved, table)
        accept = -beta * (after - energy) - 2 * coupling * weight * pull > threshold
        return (jnp.where(accept, moved, margins), jnp.where(accept, after, energy)), jnp.where(accept, -weight, weight)

    def visit(carry, unit):
        signs, energy = carry
        field, *sites = unit
        before = margins_of(field, signs, size)
        (after, energy), weights = jax.lax.scan(propose, (before, energy), sites)
        moved = field + after - before
        return (signs + signs_of(moved) - signs_of(field), energy), (moved, weights)

    def once(_, state):
        key, accept, draw = jax.random.split(state.key, 3)
        pull = jnp.repeat(state.centre, replicas, axis=-1)
        thresholds = -jax.random.exponential(accept, state.weights.shape)
        carry = signs_of(state.fields).sum(axis=0, dtype=jnp.int16), state.energy
        units = state.fields, inputs, state.weights, pull, thresholds
        (_, energy), (fields, weights) = jax.lax.scan(visit, carry, units)
        return State(weights, fields, draw_centre(weights, replicas, coupling, draw), energy, key)

    return jax.lax.fori_loop(0, count, once, state)


def loss(margins, table):
    """The losses (W,) of the fields or margins int16 (M, W)."""
    if table is None:
        return jnp.sum(margins < 0, axis=0, dtype=jnp.int16)
    rows = (margins + len(table) // 2).astype(jnp.uint32)  # unsigned: no wrap-around to test
    return jnp.sum(table.at[rows].get(mode="promise_in_bounds"), axis=0)


def signs_of(fields):
    """Signs int16 of odd ``fields``."""
    return jnp.where(fields > 0, 1, -1).astype(jnp.int16)


def margins_of(field, signs, size: int):
    """Fields of a unit plus n/k times the other units' signs: negative just where the machine errs; int16 (M, W).

    ``signs`` int16 (M, W): the sum of all units' signs.
    """
    return field + size * (signs - signs_of(field))


def draw_centre(weights, replicas: int, coupling: float, key):
    """The centre given the replicas, int8 (k, n/k, chains); zeros, which pull at nothing, without a coupling."""
    totals = weights.reshape(*weights.shape[:2], -1, replicas).sum(axis=-1)
    if coupling == 0:
        return jnp.zeros(totals.shape, jnp.int8)
    up = jax.random.uniform(key, totals.shape) < jax.nn.sigmoid(2 * coupling * totals)
    return jnp.where(up, 1, -1).astype(jnp.int8)
