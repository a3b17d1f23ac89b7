"""Priors of binary weights: an outer field, a given distance from a reference, or the other replicas.

``incoming`` (rows, units, fan_in) is the field of each weight from all patterns, half a log ratio, u in formulas; a
prior turns it into total fields.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpumc.device import array_module
from gpumc.messages.graph import Graph, SharedGraph
from gpumc.messages.spherical_priors import SphericalDistance, SphericalPull, SphericalReplicas
from gpumc.messages.unit_spheres import UnitSpheresDistance, UnitSpheresPull

#: Steps of the search for a field, and the overlap that it leaves.
SEARCH, CLOSE = 100, 1e-13
#: A coupling that holds replicas and centre together to double precision.
RIGID = 50.0


@dataclass(frozen=True)
class Pull:
    """exp(-h d_H(W, reference)): an outer field toward a reference, ``h`` (rows,) for each differing weight."""

    reference: np.ndarray
    h: np.ndarray

    def rows(self, chosen) -> Pull:
        """The same for some of the rows."""
        return Pull(self.reference[chosen], self.h[chosen])

    def fields(self, incoming: np.ndarray) -> np.ndarray:
        """Total fields of the weights."""
        return incoming + self.reference * (self.h / 2)[:, None, None]

    def pull(self, incoming: np.ndarray) -> Pull:
        """Itself, at any incoming fields."""
        return self

    def log_partition(self, incoming: np.ndarray) -> np.ndarray:
        """log sum_W P(W) exp(u W), (rows,), in nats."""
        return log_cosh2(self.fields(incoming)).sum(axis=(1, 2)) - self.h * incoming[0].size / 2

    def distance(self, incoming: np.ndarray) -> np.ndarray:
        """The mean fraction of weights that differ from the reference: (rows,)."""
        xp = array_module(incoming)
        return (1 - (self.reference * xp.tanh(self.fields(incoming))).mean(axis=(1, 2))) / 2


@dataclass(frozen=True)
class Distance:
    """A mean distance D (rows,) from a reference, held at every iteration by the field that gives it."""

    reference: np.ndarray
    distance: np.ndarray

    def rows(self, chosen) -> Distance:
        """The same for some of the rows."""
        return Distance(self.reference[chosen], self.distance[chosen])

    def fields(self, incoming: np.ndarray) -> np.ndarray:
        """Total fields of the weights."""
        return self.pull(incoming).fields(incoming)

    def pull(self, incoming: np.ndarray) -> Pull:
        """The field toward the reference at which the mean distance is `distance`."""
        return Pull(self.reference, 2 * _root(self.reference * incoming, 1 - 2 * self.distance))


def _root(aligned: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """x (rows,) such that the mean of tanh(aligned + x) is ``overlap``: Newton's steps, halving the bracket where they leave it."""
    xp = array_module(aligned)
    aligned = aligned.reshape(len(aligned), -1)
    alone = xp.arctanh(overlap)
    low, high = alone - aligned.max(axis=1), alone - aligned.min(axis=1)
    x = xp.clip(alone - aligned.mean(axis=1), low, high)
    for _ in range(SEARCH):
        tanh = xp.tanh(aligned + x[:, None])
        excess = tanh.mean(axis=1) - overlap
        moving = xp.abs(excess) > CLOSE
        if not bool(moving.any()):
            break
        low, high = xp.where(excess < 0, x, low), xp.where(excess > 0, x, high)
        step = x - excess / xp.maximum((1 - tanh**2).mean(axis=1), 1e-300)
        x = xp.where(moving, xp.where((step > low) & (step < high), step, (low + high) / 2), x)
    return x


@dataclass(frozen=True)
class Replicas:
    """y - 1 other replicas around a centre that all are coupled to (Baldassi et al., PNAS 113, E7655 (2016), eq. 10).

    ``replicas`` and ``coupling`` (rows,); a coupling of inf lets all move as one.
    """

    replicas: np.ndarray
    coupling: np.ndarray

    def rows(self, chosen) -> Replicas:
        """The same for some of the rows."""
        return Replicas(self.replicas[chosen], self.coupling[chosen])

    def fields(self, incoming: np.ndarray) -> np.ndarray:
        """Total fields of the weights of a replica: the tanh of the added field is tanh(c) tanh((y - 1) atanh(tanh(u) tanh(c)))."""
        y, c = self._parameters()
        return incoming + _across((y - 1) * _across(incoming, c), c)

    def centre(self, incoming: np.ndarray) -> np.ndarray:
        """Total fields of the centre."""
        y, c = self._parameters()
        return y * _across(incoming, c)

    def local_partition(self, incoming: np.ndarray) -> np.ndarray:
        """The mean over centres of sum_i log sum_W exp(u W + c W W~), (rows,): the centre is chosen by all replicas."""
        xp = array_module(incoming)
        _, c = self._parameters()
        towards = (1 + xp.tanh(self.centre(incoming))) / 2
        return (towards * log_cosh2(incoming + c) + (1 - towards) * log_cosh2(incoming - c)).sum(axis=(1, 2))

    def overlap_centre(self, incoming: np.ndarray) -> np.ndarray:
        """The mean of W W~ over weights, (rows,)."""
        xp = array_module(incoming)
        _, c = self._parameters()
        towards = (1 + xp.tanh(self.centre(incoming))) / 2
        return (towards * xp.tanh(incoming + c) - (1 - towards) * xp.tanh(incoming - c)).mean(axis=(1, 2))

    def centre_mean(self, incoming: np.ndarray) -> np.ndarray:
        """The magnetisations of the centre's weights: (rows, units, fan_in)."""
        return array_module(incoming).tanh(self.centre(incoming))

    def distance_centre(self, overlap: np.ndarray) -> np.ndarray:
        """The mean distance from the centre: (rows,)."""
        return (1 - overlap) / 2

    def pull_of(self, overlap: np.ndarray) -> np.ndarray:
        """c W W~ for each weight: (rows,)."""
        return array_module(self.coupling).minimum(self.coupling, RIGID) * overlap

    def _parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """y, and c where it is at most `RIGID`."""
        return self.replicas[:, None, None], array_module(self.coupling).minimum(self.coupling, RIGID)[:, None, None]


def log_cosh2(x: np.ndarray) -> np.ndarray:
    """log(2 cosh x)."""
    return array_module(x).logaddexp(x, -x)


def _across(field: np.ndarray, coupling: np.ndarray) -> np.ndarray:
    """atanh(tanh(field) tanh(coupling)): the field that ``field`` makes across a coupling."""
    return (log_cosh2(field + coupling) - log_cosh2(field - coupling)) / 2


Outer = Pull | Distance | SphericalPull | SphericalDistance | UnitSpheresPull | UnitSpheresDistance
Prior = Outer | Replicas | SphericalReplicas


def at_distance(graph: Graph, reference: np.ndarray, wanted: np.ndarray) -> Outer:
    """The prior of the graph's weights at mean distances ``wanted`` (rows,) from a reference (rows, units, fan_in)."""
    if isinstance(graph, SharedGraph):
        return UnitSpheresDistance(reference, wanted, graph.squares is None)
    return (SphericalDistance if graph.machine.spherical else Distance)(reference, wanted)


def in_field(graph: Graph, reference: np.ndarray, h: np.ndarray) -> Outer:
    """The prior of the graph's weights in fields ``h`` (rows,) toward a reference (rows, units, fan_in)."""
    if isinstance(graph, SharedGraph):
        return UnitSpheresPull(reference, h, graph.squares is None)
    return (SphericalPull if graph.machine.spherical else Pull)(reference, h)


def replicas_of(graph: Graph) -> type[Replicas] | type[SphericalReplicas]:
    """The prior of replicas of the graph's weights around a centre."""
    return SphericalReplicas if graph.machine.spherical else Replicas
