"""Volumes of spherical machines by multilevel splitting, independent of belief propagation.

Every pattern has a margin, above its floor where it is right; configurations whose least margin exceeds its floor by more than a level are
cloned in the place of the others and moved, the level rising so that a fixed part of them survives, until it is 0. The product of these
parts is the fraction of the sphere (or cap) that makes no error (F. Cerou, P. Del Moral, T. Furon, A. Guyader, Stat. Comput. 22, 795
(2012)).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from gpumc.channels.formulae import check_values
from gpumc.checks import keep, whole
from gpumc.device import Device, array_module, to_host
from gpumc.device.constants import Stream
from gpumc.device.philox import SEED_LIMIT, philox
from gpumc.entropy_problems import Problems, entropy_bound
from gpumc.errors import ConfigError
from gpumc.machines import Machine
from gpumc.measures import Gibbs
from gpumc.ramps import values_of
from gpumc.sampling.spheres.geometry import normalised
from gpumc.volumes.billiards import Billiards
from gpumc.volumes.regions import Place, Region
from gpumc.volumes.slices import Slices
from gpumc.volumes.walls import Walls, check_walls

#: The part that survives a level.
SURVIVORS = 0.5
#: Levels for each weight after which there is taken to be no solution: the fraction is then below exp(-7) for each weight.
MOST_LEVELS = 10
#: Populations that differ by more than so many times what independent particles would have not settled.
SETTLED = 3.0


@dataclass(frozen=True)
class Splitting:
    """Volumes of spherical weights without error by multilevel splitting.

    Parameters
    ----------
    particles : int
        Of a population.
    populations : int
        2 or more: error bars are over them, so that 8 have 7 degrees of freedom.
    moves : int
        Of a particle at each level; for a perceptron, whose particles play billiards, a path of ``moves`` times 0.03 of their spread.
    seed : int

    References
    ----------
    F. Cerou, P. Del Moral, T. Furon, A. Guyader, Stat. Comput. 22, 795 (2012).

    Examples
    --------
    >>> import gpumc
    >>> gpumc.Splitting(particles=1024).populations
    8
    """

    name: ClassVar[str] = "splitting"

    particles: int = 512
    populations: int = 8
    moves: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, limit in (
            ("particles", 16, 2**20),
            ("populations", 2, 2**12),
            ("moves", 1, 2**12),
            ("seed", 0, SEED_LIMIT),
        ):
            keep(self, **{name: whole(f"splitting: {name}", getattr(self, name), least, limit)})

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the method."""
        return {"method": self.name, **asdict(self)}

    def supports(self, machine: Machine, measure: Gibbs, place: str | None = None) -> None:
        """Raise ConfigError unless it can solve problems of ``machine`` and ``measure`` at any ``place`` ("distance" or "field", None for
        all configurations)."""
        if not machine.spherical or machine.fan_in < 3:
            raise ConfigError(f"splitting is for spherical weights, 3 or more a unit, and this is {machine}")
        check_values(machine, measure.loss)
        check_walls(machine, measure.loss)
        if place == "field":
            raise ConfigError("method = 'splitting' needs distances: give distance instead of field")
        if not np.all(np.isinf(values_of(measure.beta))):
            raise ConfigError("splitting measures configurations without error: use beta = inf")

    def solve(self, problems: Problems, device: Device) -> dict[str, np.ndarray]:
        """Columns (rows,): the ``entropy`` of the configurations without error relative to the sphere, its standard error
        ``entropy_error`` (nats per weight), the ``overlap`` of two of them, and ``converged``; around references ``log_volume`` too, the
        fraction of the sphere's part at that distance."""
        machine, patterns = problems.machine, problems.patterns
        rows = []
        for row, number in enumerate(problems.instance):
            place = Place(None, 0.0)
            if problems.reference is not None and problems.distance is not None:
                reference = problems.reference[row].reshape(machine.k, machine.fan_in)
                place = Place(device.asarray(reference), 1 - 2 * float(problems.distance[row]))
            walls = Walls.of(machine, problems.loss.take(row), patterns.xi[number], patterns.labels[number])
            rows.append(log_fraction(device, machine, walls, place, int(number), self))
        logs, errors, overlap, reached = np.array(rows, float).reshape(-1, 4).T
        count = machine.weight_count
        columns = {"entropy_error": errors / count, "overlap": overlap, "converged": reached > 0}
        if problems.distance is None:
            return {"entropy": logs / count, **columns}
        entropy = logs / count + entropy_bound(machine, problems.distance)
        return {"entropy": entropy, "log_volume": logs / count, **columns}


def log_fraction(
    device: Device, machine: Machine, walls: Walls, place: Place, instance: int, how: Splitting
) -> tuple[float, float, float, bool]:
    """log of the fraction of ``place`` between ``walls``, its standard error, the mean overlap of two configurations there, and whether all
    could be had.

    The mean over populations of the log of the product, each without its bias of first order in 1/particles; overlaps are of
    different populations.
    """
    count = how.populations * how.particles
    walkers = (instance * count + np.arange(count)).astype(np.uint64)
    device.need(
        64 * count * (machine.weight_count + machine.k * len(walls.labels)) + 16 * walls.xi.size,
        f"splitting with {how.populations} populations of {how.particles} particles",
    )
    region = Region.of(device, machine, *walls, place, walkers, how.seed)
    if machine.readout.linear and region.empty():
        return math.nan, math.nan, math.nan, False
    logs, levels, means = _populations(region, how)
    expected = math.sqrt(max(levels, 1) * (1 - SURVIVORS) / SURVIVORS / how.particles)
    spread = logs.std(ddof=1)
    if not np.isfinite(logs).all() or spread >= SETTLED * expected:
        return math.nan, math.nan, math.nan, False
    pairs = np.triu_indices(how.populations, 1)
    overlap = (means @ means.T)[pairs].mean() / machine.weight_count
    return logs.mean(), spread / math.sqrt(how.populations), overlap, True


@np.errstate(under="ignore")
def _populations(region: Region, how: Splitting) -> tuple[np.ndarray, int, np.ndarray]:
    """The log of every population's product, NaN where it found no solution, the levels made, and the mean of every population's
    solutions, (populations, weights)."""
    shape, device, machine = (how.populations, how.particles), region.device, region.machine
    own = np.arange(len(region.walkers))
    moves = (Billiards if machine.readout.linear else Slices)(region, how.moves)
    u = normalised(region.directions(0, 1, region.walkers)[0])
    scores = region.least_margin(region.fields(u))
    logs, over = np.zeros(how.populations), np.zeros(how.populations, bool)
    for level in range(1, MOST_LEVELS * machine.weight_count + 100):
        kept, fraction, bound, done = _levels(scores.reshape(shape))
        # The log of a part counted at a given level is low by its half squared relative error; at a level put where the part
        # is a given one, that of what is beyond it is low instead.
        bias = (1 - fraction) / (2 * fraction * how.particles)
        logs += np.where(over, 0.0, np.log(fraction) + np.where(done, bias, -bias))
        over |= done
        if over.all():
            break
        chosen = _cloned(device, kept, level, region.walkers, how.seed).reshape(-1)
        u, scores = moves.moved(u[chosen], to_host(chosen) != own, scores[chosen], bound, level)
    right = region.place.weights(u).reshape(*shape, -1) * kept[..., None]
    return np.where(over, logs, np.nan), level, to_host(right.sum(axis=1) / kept.sum(axis=1)[:, None])


def _levels(scores: Any) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Of ``scores`` (populations, particles): who survives the next level, what part of them, the level, at most 0, and whether it is 0."""
    xp = array_module(scores)
    bound = xp.minimum(xp.quantile(scores, 1 - SURVIVORS, axis=1), 0.0)
    kept = scores > bound[:, None]
    # A population all of whose particles are equal has collapsed.
    alone = ~kept.any(axis=1)
    kept = kept | alone[:, None]
    fraction = np.where(to_host(alone), np.nan, to_host(kept.mean(axis=1)))
    return kept, fraction, bound, to_host(bound == 0) | to_host(alone)


def _cloned(device: Device, kept: Any, level: int, walkers: np.ndarray, seed: int) -> Any:
    """For each particle itself, or one of its population that was ``kept``: places in the flattened array."""
    xp = device.xp
    populations, particles = kept.shape
    words = philox(seed, Stream.CLONES, level, 0, walkers)[0].reshape(kept.shape)
    count = kept.sum(axis=1)[:, None]
    rank = xp.minimum((device.asarray(words / 2.0**32) * count).astype(np.int64), count - 1)
    order = xp.argsort(~kept, axis=1, kind="stable")
    own = xp.broadcast_to(xp.arange(particles), kept.shape)
    chosen = xp.where(kept, own, xp.take_along_axis(order, rank, axis=1))
    return chosen + xp.arange(populations)[:, None] * particles
