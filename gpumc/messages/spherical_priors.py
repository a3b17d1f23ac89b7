"""Priors of spherical weights: the sphere, a pull toward a reference or a given distance, or the other replicas.

A message to a weight w is exp(B w - A w^2 / 2), kept as (B, A): mean over variance, and one over the variance, so that composing
messages is adding. Arrays of them are (rows, 2, units, fan_in). The sphere of all weights of a machine adds one number to every A, the
external field lambda that gives the weights their mean squared norm; it is adjusted at every iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpumc.device import array_module

#: Halvings of the bracket of a search, which begins as these bounds of lambda plus the least A.
LAMBDA_HALVINGS, LOWEST_LAMBDA, HIGHEST_LAMBDA = 70, 1e-12, 1e12


@dataclass(frozen=True)
class SphericalPull:
    """exp(-h N D(W, reference)) on the sphere: ``reference`` (rows, units, fan_in), ``h`` (rows,), 0 where nothing pulls."""

    reference: np.ndarray
    h: np.ndarray

    def rows(self, chosen) -> SphericalPull:
        """The same for some of the rows."""
        return SphericalPull(self.reference[chosen], self.h[chosen])

    def fields(self, incoming: np.ndarray) -> np.ndarray:
        """Total messages: (rows, 2, units, fan_in)."""
        linear = incoming[:, 0] + (self.h / 2)[:, None, None] * self.reference

        def excess(lam: np.ndarray) -> np.ndarray:
            return _norm(linear, incoming[:, 1] + lam[:, None, None]) - linear[0].size

        return _with_lambda(linear, incoming[:, 1], _root(excess, incoming[:, 1]))

    def pull(self, incoming: np.ndarray) -> SphericalPull:
        """Itself, at any incoming fields."""
        return self

    def log_partition(self, incoming: np.ndarray) -> np.ndarray:
        """log of the mean over the sphere of exp(B W - A W^2 / 2 - h N D): (rows,), in nats, lambda being integrated over at its saddle
        point."""
        fields = self.fields(incoming)
        lam = (fields[:, 1] - incoming[:, 1]).mean(axis=(1, 2))
        count = self.reference[0].size
        weights = 0.5 * (fields[:, 0] ** 2 / fields[:, 1] - array_module(incoming).log(fields[:, 1]))
        return weights.sum(axis=(1, 2)) + (lam - 1 - self.h) * count / 2

    def distance(self, incoming: np.ndarray) -> np.ndarray:
        """The mean normalised distance D from the reference: (rows,)."""
        fields = self.fields(incoming)
        return (1 - (self.reference * fields[:, 0] / fields[:, 1]).mean(axis=(1, 2))) / 2


@dataclass(frozen=True)
class SphericalDistance:
    """A mean distance D (rows,) from a reference, held at every iteration by the field that gives it."""

    reference: np.ndarray
    distance: np.ndarray

    def rows(self, chosen) -> SphericalDistance:
        """The same for some of the rows."""
        return SphericalDistance(self.reference[chosen], self.distance[chosen])

    def fields(self, incoming: np.ndarray) -> np.ndarray:
        """Total messages: (rows, 2, units, fan_in)."""
        return self.pull(incoming).fields(incoming)

    def pull(self, incoming: np.ndarray) -> SphericalPull:
        """The field toward the reference at which the mean distance is `distance`."""
        reference, overlap = self.reference, (1 - 2 * self.distance) * self.reference[0].size

        def strength(lam: np.ndarray) -> np.ndarray:
            """h / 2: given lambda, the overlap is linear in it."""
            precision = incoming[:, 1] + lam[:, None, None]
            alone = (reference * incoming[:, 0] / precision).sum(axis=(1, 2))
            return (overlap - alone) / (reference**2 / precision).sum(axis=(1, 2))

        def excess(lam: np.ndarray) -> np.ndarray:
            linear = incoming[:, 0] + strength(lam)[:, None, None] * reference
            return _norm(linear, incoming[:, 1] + lam[:, None, None]) - linear[0].size

        return SphericalPull(reference, 2 * strength(_root(excess, incoming[:, 1])))


@dataclass(frozen=True)
class SphericalReplicas:
    """y - 1 other replicas around a centre: on a weight of cavity mean m and variance v they act as a Gaussian of mean m and precision
    1 / (1/c + (v + 1/c) / (y - 1)) (C. Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020), supporting information).

    ``replicas`` and ``coupling`` (rows,); a coupling of inf lets all move as one. The centre is not held on the sphere.
    """

    replicas: np.ndarray
    coupling: np.ndarray

    def rows(self, chosen) -> SphericalReplicas:
        """The same for some of the rows."""
        return SphericalReplicas(self.replicas[chosen], self.coupling[chosen])

    def fields(self, incoming: np.ndarray) -> np.ndarray:
        """Total messages of the weights of a replica: (rows, 2, units, fan_in)."""
        cavity = self._cavity(incoming)
        precision = cavity + self._precision_of_others(cavity)
        return array_module(incoming).stack([incoming[:, 0] / cavity * precision, precision], axis=1)

    def centre_mean(self, incoming: np.ndarray) -> np.ndarray:
        """The means of the centre's weights, which are those of a replica's: (rows, units, fan_in)."""
        return incoming[:, 0] / self._cavity(incoming)

    def local_partition(self, incoming: np.ndarray) -> np.ndarray:
        """The mean over centres of log of the mean over the sphere of exp(B W - A W^2 / 2 + c W W~): (rows,); NaN where c is inf."""
        xp = array_module(incoming)
        y, c = self.replicas[:, None, None], self.coupling[:, None, None]
        cavity = self._cavity(incoming)
        lam = (cavity - incoming[:, 1]).mean(axis=(1, 2))
        with np.errstate(invalid="ignore"):
            # The square of c W~ has the variance c^2 (1 / cavity + 1 / c) / y beyond its mean's.
            linear = (incoming[:, 0] + c * incoming[:, 0] / cavity) ** 2 + c * (c / cavity + 1) / y
            weights = 0.5 * (linear / (cavity + c) - xp.log(cavity + c))
            return weights.sum(axis=(1, 2)) + (lam + self.coupling - 1) * incoming[0, 0].size / 2

    def overlap_centre(self, incoming: np.ndarray) -> np.ndarray:
        """The mean of W W~ over weights, (rows,)."""
        y, t = self._parameters()
        cavity = self._cavity(incoming)
        others = (y - 1) / (t / cavity + 1 - t)
        shared = 1 / ((1 - t) * others * cavity + cavity + t * others)
        return ((incoming[:, 0] / cavity) ** 2 + shared).mean(axis=(1, 2))

    def distance_centre(self, overlap: np.ndarray) -> np.ndarray:
        """1/2, at which the bound on entropies is largest: the centre is on no sphere, and has no distance."""
        return 0 * overlap + 0.5

    def pull_of(self, overlap: np.ndarray) -> np.ndarray:
        """c W W~ for each weight: (rows,)."""
        return self.coupling * overlap

    def _cavity(self, incoming: np.ndarray) -> np.ndarray:
        """The precision of every weight without the other replicas, at which all have their norm with them."""

        def excess(lam: np.ndarray) -> np.ndarray:
            cavity = incoming[:, 1] + lam[:, None, None]
            mean = incoming[:, 0] / cavity
            return (mean**2 + 1 / (cavity + self._precision_of_others(cavity))).sum(axis=(1, 2)) - mean[0].size

        return incoming[:, 1] + _root(excess, incoming[:, 1])[:, None, None]

    def _precision_of_others(self, cavity: np.ndarray) -> np.ndarray:
        """The precision of the message from the others, given that of a weight without them."""
        y, t = self._parameters()
        return t * (y - 1) / ((1 - t) * y + t / cavity)

    def _parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """y, and c / (1 + c), which is 1 where c is inf."""
        t = 1 - 1 / (1 + self.coupling)
        return self.replicas[:, None, None], t[:, None, None]


def _norm(linear: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """The mean squared norm of weights: (rows,)."""
    return ((linear / precision) ** 2 + 1 / precision).sum(axis=(1, 2))


def _with_lambda(linear: np.ndarray, precision: np.ndarray, lam: np.ndarray) -> np.ndarray:
    return array_module(linear).stack([linear, precision + lam[:, None, None]], axis=1)


def _root(excess: Callable[[np.ndarray], np.ndarray], precision: np.ndarray) -> np.ndarray:
    """lambda (rows,), above minus the least ``precision`` of a row, at which the falling function ``excess`` is 0; halved in logarithms."""
    xp = array_module(precision)
    least = precision.min(axis=(1, 2))
    low, high = (xp.full(len(precision), np.log(bound)) for bound in (LOWEST_LAMBDA, HIGHEST_LAMBDA))
    for _ in range(LAMBDA_HALVINGS):
        middle = (low + high) / 2
        beyond = excess(xp.exp(middle) - least) < 0
        low, high = xp.where(beyond, low, middle), xp.where(beyond, middle, high)
    return xp.exp((low + high) / 2) - least
