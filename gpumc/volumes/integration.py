"""Entropies by sampling, an independent check of belief propagation: thermodynamic integration with replica exchange.

log Z falls by the integral of <L> over beta from 0, where it is known; at beta = inf the log of the fraction of samples without
error is what is left of it. Configurations at neighbouring beta are exchanged (K. Hukushima, K. Nemoto, J. Phys. Soc. Jpn. 65,
1604 (1996)), without which those at large beta stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.interpolate import CubicSpline

from gpumc.checks import keep, whole
from gpumc.device import Device, to_host
from gpumc.device.constants import Stream
from gpumc.device.philox import SEED_LIMIT, philox
from gpumc.entropy_problems import Problems
from gpumc.errors import ConfigError
from gpumc.grid import distinct_points
from gpumc.losses import Loss
from gpumc.machines import Machine, require_binary
from gpumc.measures import Gibbs, LocalEntropy
from gpumc.parts import Part
from gpumc.patterns import Patterns
from gpumc.sampling import HeatBath, dynamics

#: Where an integration over beta ends if beta is inf, and the least fraction of samples without error that is trusted there.
COLD, LEAST = 6.0, 0.01
#: Standard errors by which the two halves of the samples may differ: beyond, the sampling had not settled.
STEADY = 4.0
#: Places on a curve where its maximum or minimum is looked for.
FINE = 4001
#: Sampled couplings, as distances without patterns: from a part of the smallest wanted distance to a multiple of the largest.
INWARDS, OUTWARDS, FARTHEST = 0.5, 3.5, 0.4999
#: Couplings of which a curve is made, at the least.
FEWEST = 4


@dataclass(frozen=True)
class ThermodynamicIntegration:
    """Entropies of binary weights by thermodynamic integration, with replica exchange between temperatures.

    Parameters
    ----------
    temperatures : int
        Gauss-Legendre nodes in 1 - exp(-beta).
    couplings : int
        Around references, the couplings that a curve is made of.
    chains : int
        2 or more: error bars are over them.
    burn_in, sweeps : int
    every : int
        Sweeps between two exchanges, and two measurements.
    seed : int

    References
    ----------
    K. Hukushima, K. Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996).

    Examples
    --------
    >>> import gpumc
    >>> gpumc.ThermodynamicIntegration(sweeps=6000).chains
    8
    """

    name: ClassVar[str] = "ti"

    temperatures: int = 28
    couplings: int = 14
    chains: int = 8
    burn_in: int = 1000
    sweeps: int = 3000
    every: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, limit in (
            ("temperatures", 4, None),
            ("couplings", 6, None),
            ("chains", 2, None),
            ("burn_in", 0, None),
            ("sweeps", 1, None),
            ("every", 1, None),
            ("seed", 0, SEED_LIMIT),
        ):
            keep(self, **{name: whole(f"thermodynamic integration: {name}", getattr(self, name), least, limit)})
        if self.every > self.sweeps:
            raise ConfigError(
                f"thermodynamic integration: every = {self.every} is more than sweeps = {self.sweeps}: nothing would be measured"
            )

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the method."""
        return {"method": self.name, **asdict(self)}

    def supports(self, machine: Machine, measure: Gibbs, place: str | None = None) -> None:
        """Raise ConfigError unless it can solve problems of ``machine`` and ``measure`` at any ``place`` ("distance" or "field", None for
        all configurations)."""
        require_binary(machine, "thermodynamic integration")
        if place == "field":
            raise ConfigError("method = 'ti' needs distances: give distance instead of field")

    def solve(self, problems: Problems, device: Device) -> dict[str, np.ndarray]:
        """Columns (rows,): ``entropy`` per weight (nats), its standard error ``entropy_error``, ``converged`` and, around references, the
        ``field`` toward them."""
        return _everywhere(problems, self, device) if problems.reference is None else _curves(problems, self, device)


def _everywhere(problems: Problems, how: ThermodynamicIntegration, device: Device) -> dict[str, np.ndarray]:
    """The columns of problems of all configurations; all instances are sampled together."""
    columns = _columns("entropy", "entropy_error", shape=(len(problems),))
    for rows in _alike(problems):
        loss, beta = problems.loss_at(rows[0]), float(problems.beta[rows[0]])
        estimate = over_all(problems.machine, problems.patterns, loss, beta, how, device)
        number = problems.instance[rows]
        for name, values in zip(columns, (estimate.entropy, estimate.error, estimate.reached), strict=True):
            columns[name][rows] = values[number]
    return columns


def _curves(problems: Problems, how: ThermodynamicIntegration, device: Device) -> dict[str, np.ndarray]:
    """The columns of problems around references, each of which is sampled as an instance of its own at all distances."""
    assert problems.distance is not None
    _, first, curve = np.unique(problems.curve, return_index=True, return_inverse=True)
    wanted, place = np.unique(problems.distance, return_inverse=True)
    heads = problems.rows(first)
    assert heads.reference is not None
    columns = _columns("entropy", "entropy_error", "field", shape=(len(heads), len(wanted)))
    for rows in _alike(heads):
        patterns = Patterns(heads.patterns.xi[heads.instance[rows]], heads.patterns.labels[heads.instance[rows]])
        loss, beta = heads.loss_at(rows[0]), float(heads.beta[rows[0]])
        estimate = around(heads.machine, patterns, loss, beta, heads.reference[rows], wanted, how, device)
        found = estimate.entropy, estimate.error, estimate.field, estimate.reached
        for name, values in zip(columns, found, strict=True):
            columns[name][rows] = values
    return {name: values[curve, place] for name, values in columns.items()}


def _columns(*names: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Numbers that are not known yet, and ``converged``."""
    return {name: np.full(shape, np.nan) for name in names} | {"converged": np.zeros(shape, bool)}


def _alike(problems: Problems) -> list[np.ndarray]:
    """Row numbers of the problems of each beta and loss."""
    different, kind = distinct_points(problems.beta, *problems.loss.parameters.values())
    return [np.flatnonzero(kind == number) for number in range(len(different))]


@dataclass(frozen=True)
class Estimate:
    """An entropy per weight (nats), its standard error over chains, the field h toward the reference, and whether it could be
    had."""

    entropy: np.ndarray
    error: np.ndarray
    field: np.ndarray
    reached: np.ndarray


@np.errstate(under="ignore")
def around(
    machine: Machine,
    patterns: Patterns,
    loss: Loss,
    beta: float,
    references: np.ndarray,
    wanted: np.ndarray,
    how: ThermodynamicIntegration,
    device: Device,
) -> Estimate:
    """S(D) at the distances ``wanted`` around each of ``references`` int8 (instances, weights), one for each instance of
    ``patterns``.

    S is the minimum over couplings c of log Z(c) / N + 2 c D, with the heat beta <L> / N. Arrays (instances, distances); a
    distance that belongs to none of the couplings sampled is not reached.
    """
    free = np.geomspace(INWARDS * wanted.min(), min(FARTHEST, OUTWARDS * wanted.max()), how.couplings)
    betas, weights = _path(how.temperatures, beta)
    energy = _exchanged(machine, patterns, loss, betas, references, np.arctanh(1 - 2 * free), how, device)
    value, error, steady = _judged(energy, weights, beta, machine.weight_count, _curve, free, wanted)
    reached = steady[:, 0] & np.isfinite(value[:, 0]) & np.isfinite(error[:, 0])
    entropy, error, field = (np.where(reached, array, np.nan) for array in (value[:, 0], error[:, 0], value[:, 1]))
    return Estimate(entropy, error, field, reached)


@np.errstate(under="ignore")
def over_all(
    machine: Machine, patterns: Patterns, loss: Loss, beta: float, how: ThermodynamicIntegration, device: Device
) -> Estimate:
    """The entropy per weight of exp(-beta L) for each instance: arrays (instances,)."""
    betas, weights = _path(how.temperatures, beta)
    energy = _exchanged(machine, patterns, loss, betas, None, np.zeros(1), how, device)
    value, error, steady = _judged(energy, weights, beta, machine.weight_count, _total)
    reached = steady & np.isfinite(value)
    value, error = (np.where(reached, array, np.nan) for array in (value, error))
    return Estimate(value, error, np.where(reached, 0.0, np.nan), reached)


def _path(temperatures: int, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """The betas to sample at, the last of which is where the integration ends, and the weights of the others in the integral."""
    last = COLD if np.isinf(beta) else beta
    nodes, weights = np.polynomial.legendre.leggauss(temperatures)
    t = -np.expm1(-last) * (nodes + 1) / 2
    return np.append(-np.log1p(-t), last), -np.expm1(-last) * weights / 2 / (1 - t)


def _judged(
    energy: np.ndarray, weights: np.ndarray, beta: float, count: int, estimator: Callable, *arguments
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What ``estimator`` makes of sampled losses (instances, ...), its standard error, and whether both halves of the samples agree."""
    half = energy.shape[-1] // 2
    value, error = _estimated(energy, weights, beta, count, estimator, *arguments)
    parts = [
        _estimated(part, weights, beta, count, estimator, *arguments)
        for part in (energy[..., :half], energy[..., half:])
    ]
    (early, early_error), (late, late_error) = parts
    return value, error, np.abs(early - late) <= STEADY * np.hypot(early_error, late_error)


def _estimated(
    energy: np.ndarray, weights: np.ndarray, beta: float, count: int, estimator: Callable, *arguments
) -> np.ndarray:
    instances = zip(*_integrated(energy, weights, beta), strict=True)
    return np.stack([_jackknife(estimator, count, *one, *arguments) for one in instances], axis=1)


def _jackknife(
    estimator: Callable, count: int, log_weight: np.ndarray, heat: np.ndarray, solved: np.ndarray, *arguments
) -> np.ndarray:
    """The estimate from all chains (chains, couplings) of ``count`` weights, and its standard error from leaving out one after the other:
    stacked. A fraction ``solved`` that is too small, or of one chain alone, is not trusted."""
    trusted = (solved.mean(axis=0) >= LEAST) & ((solved > 0).sum(axis=0) > 1)

    def estimate(*left_out: int) -> np.ndarray:
        log_weights, heats, parts = (np.delete(of, left_out, axis=0).mean(axis=0) for of in (log_weight, heat, solved))
        log_weights = log_weights + np.log(np.where(trusted, parts, np.nan))
        return estimator(log_weights / count, heats / count, *arguments)

    chains = len(heat)
    others = np.stack([estimate(chain) for chain in range(chains)])
    return np.stack([estimate(), np.sqrt((chains - 1) * others.var(axis=0))])


def _total(log_weight: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The entropy per weight, from means over chains (1,)."""
    return np.log(2) + log_weight[0] + heat[0]


def _curve(log_weight: np.ndarray, heat: np.ndarray, free: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Entropy and field (2, distances), from means over chains (couplings,) at the distances ``free`` without patterns; couplings without
    an answer are left out."""
    known = np.isfinite(log_weight)
    if known.sum() < FEWEST:
        return np.full((2, len(wanted)), np.nan)
    log_weight, heat, x = log_weight[known], heat[known], np.log(free[known])
    fine = np.linspace(x[0], x[-1], FINE)
    u = np.exp(fine)
    h = 2 * np.arctanh(1 - 2 * u)
    # Without patterns log Z is -log(1 - u) for each weight.
    free_entropy = CubicSpline(x, log_weight)(fine) - np.log1p(-u)
    legendre = free_entropy + h * wanted[:, None]
    least = legendre.argmin(axis=1)
    inside = (least > 0) & (least < FINE - 1)
    entropy = np.take_along_axis(legendre, least[:, None], axis=1)[:, 0] + CubicSpline(x, heat)(fine[least])
    return np.where(inside, [entropy, h[least]], np.nan)


def _integrated(energy: np.ndarray, weights: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The patterns' part of log Z where the integration ends, the heat beta <L>, and the fraction of its samples left at ``beta``,
    which where it is infinite are those without error: (instances, chains, couplings)."""
    log_weight = -np.einsum("ibcxr,b->ixc", energy[:, :-1], weights) / energy.shape[-1]
    coldest = energy[:, -1].transpose(0, 2, 1, 3)
    if not np.isinf(beta):
        return log_weight, beta * coldest.mean(axis=-1), np.ones_like(log_weight)
    return log_weight, np.zeros_like(log_weight), (coldest == 0).mean(axis=-1)


def _exchanged(
    machine: Machine,
    patterns: Patterns,
    loss: Loss,
    betas: np.ndarray,
    references: np.ndarray | None,
    couplings: np.ndarray,
    how: ThermodynamicIntegration,
    device: Device,
) -> np.ndarray:
    """Losses sampled by the heat bath, (instances, betas, couplings, chains, times), neighbouring betas being exchanged in between."""
    if references is None:
        measure: Gibbs | LocalEntropy = Gibbs(loss, betas.tolist())
    else:
        measure = LocalEntropy(loss, betas.tolist(), coupling=couplings.tolist(), replicas=1, centre=references)
    walks = dynamics(machine, patterns, measure, sampler=HeatBath(), seed=how.seed, device=device)
    whole = walks.whole(how.chains)
    starts = walks.starts(how.chains, "random" if references is None else references, whole)
    discarded, kept = -(-how.burn_in // how.every), how.sweeps // how.every
    steps = walks.device.asarray(np.diff(betas))
    energies = np.empty((patterns.instances, len(betas), len(couplings), how.chains, kept))

    def sampled(part: Part) -> None:
        instances, chains = part.within(whole)
        walk = walks.walk(part, how.chains)
        population = walk.start(starts.within(instances, chains))
        shape = energies[instances, :, :, chains, 0].shape
        found = walks.device.xp.empty((*shape, kept), np.int64)
        for number in range(discarded + kept):
            walk.advance(population, how.every)
            energy = population.energy.reshape(shape)
            if number >= discarded:
                found[..., number - discarded] = energy
            source = _exchanges(walks.device, energy * loss.unit, steps, how, number, part)
            population.permute_grid(source.reshape(len(source), -1, source.shape[-1]))
        energies[instances, :, :, chains] = to_host(found) * loss.unit

    walks.device.in_halves(walks.batches(how.chains, whole), sampled, Part.halves)
    return energies


def _exchanges(device: Device, energy: Any, steps: Any, how: ThermodynamicIntegration, number: int, part: Part) -> Any:
    """The grid point whose configuration each gets when every other pair of neighbouring betas, which are ``steps`` apart, is exchanged by
    Metropolis' rule for the ``number``-th time, int64, as ``energy`` (instances, betas, couplings, chains), which are those of ``part``;
    arrays are on the device, random numbers come from the host."""
    xp, (_, betas, couplings, _) = device.xp, energy.shape
    first, pairs = number % 2, (betas - number % 2) // 2
    lower, upper = slice(first, first + 2 * pairs, 2), slice(first + 1, first + 1 + 2 * pairs, 2)
    gain = steps[lower, None, None] * (energy[:, upper] - energy[:, lower])
    pair, coupling = np.arange(pairs)[:, None, None], np.arange(couplings)[:, None]
    site = (pair * couplings + coupling) * how.chains + np.arange(*part.chains)
    instance = np.arange(*part.instances)[:, None, None, None]
    words = philox(how.seed, Stream.EXCHANGE, number, site, instance)[0]
    accepted = device.asarray(np.log((words + 0.5) / 2.0**32)) < gain
    partner = xp.broadcast_to(xp.arange(betas)[:, None, None], energy.shape).copy()
    partner[:, lower] += accepted
    partner[:, upper] -= accepted
    return partner * couplings + xp.arange(couplings)[:, None]
