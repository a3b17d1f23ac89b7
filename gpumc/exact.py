"""Enumeration of small machines: every configuration's loss, exactly. The oracle of the tests and of users in doubt.

Configurations are numbered in binary-reflected Gray-code order, in which neighbours differ by one weight: bit i of
s ^ (s >> 1) is 1 where weight i of configuration s is +1.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

from gpumc.checks import one_of, series, signs, whole
from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount, Loss
from gpumc.machines import Machine, require_binary
from gpumc.measures import LocalEntropy, check_loss
from gpumc.named import placed
from gpumc.patterns import Patterns, check_together

#: The largest number of binary weights, and of binary variables of a joint system, that is enumerated.
LARGEST = 24
#: Configurations whose fields are held at once.
CHUNK = 2**12


def states(count: int) -> np.ndarray:
    """All 2^count configurations of ``count`` weights, in Gray-code order: int8 +-1 (2^count, count)."""
    count = whole("count", count, 1)
    _affordable(count, "weights")
    return _states(np.arange(2**count), count)


@np.errstate(under="ignore")
def enumerate_states(machine: Machine, patterns: Patterns, loss: Loss | None = None) -> xr.Dataset:
    """Every configuration's loss ``energy``, float64, and ``errors``, int64: (instance, [the loss's axes,] state).

    ``loss`` is the error count unless one is given; those of its parameters that are several numbers are axes. ``energy`` is the sum of the
    loss's own integers, to the last bit what ``sample`` records; ``errors`` counts what the loss calls wrong. Raises ConfigError for more
    than 24 weights, and for a parameter that moves.
    """
    loss = ErrorCount() if loss is None else loss
    check_loss(loss)
    check_together(machine, patterns)
    require_binary(machine, "enumeration")
    count = machine.weight_count
    _affordable(count, "weights")
    if loss.ramps:
        raise ConfigError(f"the loss {loss.kind!r} has a ramp: enumeration takes numbers")
    tables = loss.tables(machine)
    wrong = np.stack([point.wrong(machine.possible_stabilities) for point in loss.points()])
    energy = np.empty((patterns.instances, len(tables), 2**count))
    errors = np.empty(energy.shape, np.int64)
    for i, (xi, labels) in enumerate(zip(patterns.xi, patterns.labels, strict=True)):
        gauged = machine.readout.gauge(xi, labels)
        for first in range(0, 2**count, CHUNK):
            chunk = slice(first, min(first + CHUNK, 2**count))
            weights = _states(np.arange(chunk.start, chunk.stop), count)
            readout = machine.readout.of(machine.fields(weights, gauged)) * machine.readout.remaining(labels)
            place = (readout + machine.readout.largest) // 2
            energy[i][:, chunk] = tables[:, place].sum(axis=-1) * loss.unit
            errors[i][:, chunk] = wrong[:, place].sum(axis=-1)
    axes = {name: value for name, value in loss.parameters.items() if isinstance(value, tuple)}
    dims, shape = ("instance", *axes, "state"), (len(energy), *map(len, axes.values()), 2**count)
    data = xr.Dataset(
        {"energy": (dims, energy.reshape(shape)), "errors": (dims, errors.reshape(shape))},
        {name: list(values) for name, values in axes.items()},
        {"machine": machine.kind, "n": machine.n, "k": machine.k, "loss": loss.kind},
    )
    data.energy.attrs = {"long_name": "loss of a configuration", "units": "1"}
    data.errors.attrs = {"long_name": "patterns that a configuration gets wrong", "units": "1"}
    return data


@np.errstate(under="ignore")
def boltzmann(machine: Machine, patterns: Patterns, loss: Loss, beta: ArrayLike) -> xr.Dataset:
    """Averages under exp(-beta L), over (instance, [the loss's axes,] [beta]): ``energy``, ``error_rate``, ``log_partition`` (nats)."""
    data = enumerate_states(machine, patterns, loss)
    values = series("beta", beta, lambda b: np.isfinite(b) & (b >= 0), "finite non-negative numbers")
    axis = xr.DataArray(values, dims=["beta"] if values.ndim else [], coords={"beta": values})
    lowest = data.energy.min("state")
    weight = np.exp((lowest - data.energy) * axis)
    total = weight.sum("state")
    return xr.Dataset(
        {
            "energy": (weight * data.energy).sum("state") / total,
            "error_rate": (weight * data.errors).sum("state") / total / patterns.count,
            "log_partition": np.log(total) - lowest * axis,
        }
    )


def solutions_by_distance(machine: Machine, patterns: Patterns, reference: ArrayLike) -> xr.DataArray:
    """How many configurations have no error at each distance from ``reference`` (weights,) or (instances, weights), int64 (instance,
    flipped).

    ``flipped`` is the number of differing weights, 0 to N; the normalised distance D is flipped / N.
    """
    check_together(machine, patterns)
    require_binary(machine, "enumeration")
    count = machine.weight_count
    dims = {"instance": np.arange(patterns.instances), "weight": np.arange(count)}
    centres = np.broadcast_to(placed("reference", reference, dims, signs), (patterns.instances, count))
    errors = enumerate_states(machine, patterns).errors.values
    gray = _gray(np.arange(2**count))
    counts = []
    for row, centre in zip(errors, centres, strict=True):
        code = int(((centre > 0) << np.arange(count)).sum())
        counts.append(np.bincount(np.bitwise_count(gray ^ code)[row == 0], minlength=count + 1))
    return xr.DataArray(
        np.array(counts),
        dims=("instance", "flipped"),
        coords={"flipped": np.arange(count + 1)},
        name="solutions",
        attrs={"long_name": "configurations without error", "units": "1"},
    )


@np.errstate(under="ignore")
def replicated(machine: Machine, patterns: Patterns, measure: LocalEntropy) -> xr.Dataset:
    """Averages over replicas around a centre, float64 (instance,): ``energy``, ``overlap_centre``, ``overlap_replicas``.

    Given the centre the replicas are independent, so that any number of them costs 2^(2 weights) terms, or 2^weights
    with a fixed centre; a traced centre gives the averages of the explicit one. ``overlap_replicas`` is NaN for one
    replica. Raises ConfigError for more than 12 weights (24 with a fixed centre), and unless all parameters are
    single finite numbers.
    """
    centres = _centres(machine, patterns, measure)
    weights = states(machine.weight_count)
    energies = enumerate_states(machine, patterns, measure.loss).energy.values
    rows = [_replicated_averages(e, weights, c, measure) for e, c in zip(energies, centres, strict=True)]
    names = ("energy", "overlap_centre", "overlap_replicas")
    return xr.Dataset({name: ("instance", values) for name, values in zip(names, np.transpose(rows), strict=True)})


@np.errstate(under="ignore")
def joint_distribution(machine: Machine, patterns: Patterns, measure: LocalEntropy) -> xr.DataArray:
    """P(W^1, .., W^y, W~) of every joint state: float64 (instance, replica_0, .., replica_{y-1}, [centre]).

    Every axis but the first counts states in the order of :func:`states`. Only an explicit centre has an axis: a traced
    one is summed over. Raises ConfigError where weights x (replicas + a sampled centre) exceeds 24.
    """
    centres = _centres(machine, patterns, measure)
    sampled = isinstance(measure.centre, str)
    explicit = sampled and measure.centre == "explicit"
    _affordable(machine.weight_count * (measure.replicas + sampled), "weights of replicas and centre")
    weights = states(machine.weight_count)
    dims = ["instance", *(f"replica_{a}" for a in range(measure.replicas)), *["centre"] * explicit]
    rows = []
    for energy, centre in zip(enumerate_states(machine, patterns, measure.loss).energy.values, centres, strict=True):
        factor = np.exp(_exponent(energy, weights, centre, measure)).T  # (state, centre)
        joint = np.ones((1, len(centre)))
        for _ in range(measure.replicas):
            joint = joint[..., None, :] * factor
        joint = joint[0] if explicit else joint[0].sum(axis=-1)
        rows.append(joint / joint.sum())
    return xr.DataArray(np.array(rows), dims=dims, name="probability", attrs={"long_name": "probability", "units": "1"})


def _centres(machine: Machine, patterns: Patterns, measure: LocalEntropy) -> np.ndarray:
    """The centres of each instance, (instances, centres, weights): all states, or the fixed one. Checks the measure."""
    check_together(machine, patterns)
    require_binary(machine, "enumeration")
    one_of("measure", measure, LocalEntropy, "a LocalEntropy (exact.boltzmann takes a loss and beta)")
    for name, value in {"beta": measure.beta, "coupling": measure.coupling, **measure.loss.parameters}.items():
        if not isinstance(value, float) or not np.isfinite(value):
            raise ConfigError(f"{name} = {value}: exact averages of replicas take a single finite number")
    count, instances = machine.weight_count, patterns.instances
    if isinstance(measure.centre, str):
        _affordable(2 * count, "weights of a replica and the centre")
        return np.broadcast_to(states(count), (instances, 2**count, count))
    _affordable(count, "weights")
    dims = {"instance": np.arange(instances), "weight": np.arange(count)}
    return np.broadcast_to(placed("centre", measure.centre, dims, signs), (instances, count))[:, None]


def _exponent(energy: np.ndarray, weights: np.ndarray, centre: np.ndarray, measure: LocalEntropy) -> np.ndarray:
    """-beta L(W) - coupling d(W, W~) of one replica, up to a constant: (centre, state). d is N - W.W~ for signs."""
    overlap = centre.astype(float) @ weights.T.astype(float)
    return measure.coupling * (overlap - weights.shape[1]) - measure.beta * (energy - energy.min())


def _replicated_averages(
    energy: np.ndarray, weights: np.ndarray, centre: np.ndarray, measure: LocalEntropy
) -> tuple[float, float, float]:
    """<f> = sum_c z_c^y <f>_c / sum_c z_c^y, z_c the sum over one replica; given c, two overlap as their means do."""
    exponent = _exponent(energy, weights, centre, measure)
    log_single = logsumexp(exponent, axis=1)
    given = np.exp(exponent - log_single[:, None])
    weight = softmax(measure.replicas * log_single)
    mean = given @ weights.astype(float)  # (centre, weight)
    to_centre = (mean * centre).mean(axis=1)
    pair = (mean**2).mean(axis=1) if measure.replicas > 1 else np.nan * to_centre
    return weight @ (given @ energy), weight @ to_centre, weight @ pair


def _gray(rank: np.ndarray) -> np.ndarray:
    return rank ^ (rank >> 1)


def _states(ranks: np.ndarray, count: int) -> np.ndarray:
    codes = _gray(ranks).astype("<u4").view(np.uint8).reshape(-1, 4)
    bits = np.unpackbits(codes, axis=1, count=count, bitorder="little").view(np.int8)
    return 2 * bits - 1


def _affordable(count: int, what: str) -> None:
    if count > LARGEST:
        raise ConfigError(f"{count} {what} in all: enumeration goes up to {LARGEST}, which is {2**LARGEST:,} states")
