"""Acceptance by comparing integers, so that every twin decides alike.

A proposal has an energy change and a *pull*: the sign of the centre's weight, or the sum of the other replicas' weights where
the centre is traced out. For error counts the probability is a table of thresholds, made once for each (pull, change), that a
31-bit random integer is compared with. For the cross-entropy, whose changes are too many, beta times the change is compared with a
variate, the fixed-point -log of the random word (or its logit, for the heat bath).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gpumc.device import Device
from gpumc.device.constants import LOG_BITS
from gpumc.errors import ConfigError
from gpumc.grid import Grid
from gpumc.losses import FIXED_POINT, Loss
from gpumc.measures import Measure
from gpumc.ramps import ramps, values_of

if TYPE_CHECKING:
    from gpumc.sampling.samplers import FlipSampler

#: Thresholds are probabilities times this.
CERTAIN = 2**31
#: The beta at which the threshold of one more error rounds to 0.
NEVER = float(np.log(2 * CERTAIN))
#: The product of beta with an energy change, in fixed point.
PRODUCT_UNIT = FIXED_POINT**2
#: What beta and coupling must be below with binary weights and any loss but the error count, so that what is compared fits int64; and the
#: coupling of spherical weights and of the error count, so that nothing overflows.
MOST_BETA, MOST_COUPLING, MOST_COUNTED = 2**11, 2e6, 1e100

LN2 = int(np.rint(np.log(2) / PRODUCT_UNIT))
#: log(1 + j / 2^LOG_BITS), j = 0..2^LOG_BITS, in units of 2^-40.
LOG_TABLE = np.rint(np.log1p(np.arange(2**LOG_BITS + 1) / 2**LOG_BITS) / PRODUCT_UNIT).astype(np.int64)


@functools.cache
def log_table(device: Device) -> np.ndarray:
    """LOG_TABLE on ``device``."""
    return device.asarray(LOG_TABLE)


def exponential(words: np.ndarray) -> np.ndarray:
    """-log((u + 1/2) / 2^32) of random words u (uint32): int64 in units of 2^-40, by table and linear interpolation.

    The error is below 1.3e-7, and the largest value 33 log 2 = 22.9.
    """
    doubled = words.astype(np.float64)
    doubled *= 2
    doubled += 1
    bits = doubled.view(np.int64)
    row = (bits >> (52 - LOG_BITS)) & (2**LOG_BITS - 1)
    fraction = (bits >> (32 - LOG_BITS)) & (2**20 - 1)
    low = LOG_TABLE.take(row)
    slope = LOG_TABLE.take(row + 1) - low
    return (33 + 1023 - (bits >> 52)) * LN2 - low - ((slope * fraction) >> 20)


def logistic(words: np.ndarray) -> np.ndarray:
    """logit of (u + 1/2) / 2^32 with its sign turned, int64 in units of 2^-40: x <= it with probability 1 / (1 + exp(x))."""
    return exponential(words) - exponential(~words)


def pulls(measure: Measure) -> np.ndarray:
    """The values a pull can take: int64, in steps of 2 (0 alone where nothing pulls)."""
    if measure.centre_kind is None:
        return np.zeros(1, np.int64)
    largest = measure.replicas - 1 if traced(measure) else 1
    return np.arange(-largest, largest + 1, 2)


def traced(measure: Measure) -> bool:
    """Whether the centre is summed out."""
    return measure.centre_kind == "traced"


def moving_centre(measure: Measure) -> bool:
    """Whether the centre is sampled along."""
    return measure.centre_kind == "explicit"


def log_weight_gain(measure: Measure, coupling: np.ndarray, aligned: np.ndarray) -> np.ndarray:
    """What flipping a weight adds to the coupling's part of the log probability; ``aligned`` is weight times pull.

    Explicit centre: -2 coupling aligned. Traced: log cosh(coupling (s - 1)) - log cosh(coupling (s + 1)), s = aligned.
    """
    if measure.centre_kind is None:
        return np.zeros(np.broadcast_shapes(np.shape(coupling), np.shape(aligned)))
    if not traced(measure):
        return -2.0 * coupling * aligned
    below, above = coupling * (aligned - 1), coupling * (aligned + 1)
    with np.errstate(under="ignore"):  # of the smaller terms
        return np.logaddexp(below, -below) - np.logaddexp(above, -above)


@dataclass(frozen=True)
class Rule:
    """The integers that decide, for some sweeps of every grid point; T = ``rows`` is 1 where nothing ramps.

    Losses that count: ``thresholds`` uint32 (T, G, pulls, 2 M + 1), at the change plus M. Others: ``beta`` int64 (T, G) and
    ``gain`` int64 (T, G, pulls), and a proposal passes where beta x change - gain <= variate. Metropolis reads them at the change and
    weight x pull of the flip; the heat bath at the change and pull of *becoming +1*. ``centre`` uint32 (T, G, y + 1): the
    threshold of a centre's weight being +1 given that (s + y) / 2 of its y replicas are.
    """

    rows: int
    thresholds: np.ndarray | None
    beta: np.ndarray | None
    gain: np.ndarray | None
    centre: np.ndarray | None

    def on(self, device: Device) -> Rule:
        """The same with its arrays on ``device``, copied once."""
        if device not in self._copies:
            arrays = self.thresholds, self.beta, self.gain, self.centre
            self._copies[device] = Rule(
                self.rows, *(None if array is None else device.asarray(array) for array in arrays)
            )
        return self._copies[device]

    @cached_property
    def _copies(self) -> dict[Device, Rule]:
        return {}


@dataclass(frozen=True)
class Schedule:
    """The parameters at every sweep of a run: float64 (T, G), T being 1 where nothing ramps; ``own`` are the loss's."""

    beta: np.ndarray
    coupling: np.ndarray
    own: dict[str, np.ndarray]

    @classmethod
    def of(cls, measure: Measure, burn_in: int, sweeps: int) -> Schedule:
        """The schedule of a whole run."""
        grid = Grid.of(measure)
        length = burn_in + sweeps if ramps(grid.parameters) else 1
        columns = {name: grid.values(name, burn_in, sweeps, length) for name in grid.parameters}
        return cls(columns.pop("beta"), columns.pop("coupling"), columns)

    def losses(self, loss: Loss, sweep: int) -> list[Loss]:
        """``loss`` at every grid point in a sweep."""
        rows = {name: values[self.row(sweep)].tolist() for name, values in self.own.items()}
        return [loss.at(**{name: row[point] for name, row in rows.items()}) for point in range(self.beta.shape[1])]

    @property
    def ramps(self) -> bool:
        """Whether anything moves with the sweeps."""
        return len(self.beta) > 1

    def row(self, sweep: Any) -> Any:
        """The row of a sweep, or of several: behind the last one nothing moves."""
        return np.clip(sweep, 0, len(self.beta) - 1)

    def bytes_per_sweep(self, measure: Measure, pattern_count: int) -> int:
        """An upper estimate of the memory in which :meth:`rule` makes the integers of a sweep."""
        cases = self.beta.shape[1] * (len(pulls(measure)) + 1)
        return 48 * cases * (2 * pattern_count + 1 if measure.loss.counts else 1)

    def rule(self, measure: Measure, sampler: FlipSampler, pattern_count: int, first: int, count: int) -> Rule:
        """The integers of sweeps first .. first + count - 1."""
        span = self.row(np.arange(first, first + count)) if self.ramps else slice(None)
        beta, coupling = self.beta[span], self.coupling[span]
        heat_bath = sampler.heat_bath
        aligned = -pulls(measure) if heat_bath else pulls(measure)
        gain = log_weight_gain(measure, coupling[..., None], aligned)
        centre = None if measure.centre_kind is None else centre_thresholds(coupling, measure.replicas)
        if measure.loss.counts:
            return Rule(len(beta), _thresholds(beta, gain, pattern_count, heat_bath), None, None, centre)
        costs, gains = (
            np.rint(v / unit).astype(np.int64) for v, unit in ((beta, beta_unit(measure.loss)), (gain, PRODUCT_UNIT))
        )
        return Rule(len(beta), None, costs, gains, centre)


def beta_unit(loss: Loss) -> float:
    """beta in fixed point: times an energy change it is in units of PRODUCT_UNIT."""
    return PRODUCT_UNIT / loss.unit


def _thresholds(beta: np.ndarray, gain: np.ndarray, pattern_count: int, heat_bath: bool) -> np.ndarray:
    change = np.arange(-pattern_count, pattern_count + 1)
    with np.errstate(over="ignore"):  # a cost beyond all numbers is infinite
        cost = np.where(change == 0, 0.0, beta[..., None] * np.where(change, change, 1))
    exponent = gain[..., None] - cost[..., None, :]
    with np.errstate(under="ignore"):  # what is accepted with probability 0
        probability = 0.5 * (1 + np.tanh(exponent / 2)) if heat_bath else np.exp(np.minimum(exponent, 0))
    return np.rint(probability * CERTAIN).astype(np.uint32)


def check_range(measure: Measure, continuous: bool) -> None:
    """Raise ConfigError for a beta or coupling that is too large for the numbers that hold it."""
    counts = measure.loss.counts
    limits: dict[str, float] = {"beta": MOST_BETA, "coupling": MOST_COUPLING}
    for name, limit in ({"coupling": MOST_COUNTED} if continuous or counts else limits).items():
        largest = values_of(getattr(measure, name)).max()
        if largest >= limit:
            which = (
                "real weights or a count of errors"
                if continuous or counts
                else "binary weights and any loss but a count of errors"
            )
            raise ConfigError(f"{name} = {largest:g}: with {which} {name} must be below {limit:g}")


def centre_thresholds(coupling: np.ndarray, replicas: int) -> np.ndarray:
    """Thresholds of W~_i = +1 given sum_a W_i^a = s: 1 / (1 + exp(-2 coupling s)), for s = -y, -y + 2, ..., y: uint32 (..., y + 1)."""
    total = np.arange(-replicas, replicas + 1, 2)
    return np.rint(0.5 * (1 + np.tanh(coupling[..., None] * total)) * CERTAIN).astype(np.uint32)
