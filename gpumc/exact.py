"""Enumeration of small machines: every configuration's loss, exactly. The oracle of the tests and of users in doubt.

Configurations are numbered in binary-reflected Gray-code order, in which neighbours differ by one weight: bit i of
s ^ (s >> 1) is 1 where weight i of configuration s is +1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

from gpumc.checks import one_of, shown, signs, whole
from gpumc.errors import ConfigError
from gpumc.grid import Grid
from gpumc.losses import ErrorCount, Loss
from gpumc.machines import Machine, require_binary
from gpumc.measures import LocalEntropy, Measure, check_loss
from gpumc.named import placed
from gpumc.patterns import Patterns, check_together
from gpumc.ramps import Ramp
from gpumc.schema import Started, attributes, described, provenance

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
    """Every configuration's loss and errors.

    Parameters
    ----------
    machine : Machine
        Of at most 24 binary weights.
    patterns : Patterns
    loss : Loss
        The error count unless one is given; those of its parameters that are several numbers become dimensions.

    Returns
    -------
    xarray.Dataset
        Over (instance, [parameters of the loss,] state), in the order of :func:`states`: ``energy``, float64, the sum of the loss's own
        integers, to the last bit what ``sample`` records; ``energy_per_pattern``; ``errors``, int64, the patterns that the loss calls
        wrong; ``error_rate``.

    Raises
    ------
    ConfigError
        For more than 24 weights, and for a parameter that is a ramp.

    Examples
    --------
    >>> import gpumc
    >>> machine = gpumc.Perceptron(3)
    >>> gpumc.exact.enumerate_states(machine, gpumc.random_patterns(machine, alpha=1.0)).sizes["state"]
    8
    """
    started = Started.now()
    loss = ErrorCount() if loss is None else loss
    check_loss(loss)
    check_together(machine, patterns)
    data = _enumerated(machine, patterns, loss)
    data = data.assign(energy_per_pattern=data.energy / patterns.count, error_rate=data.errors / patterns.count)
    numbers = {name: value for name, value in loss.parameters.items() if name not in data.dims}
    asked = machine.attributes, patterns.attributes(machine), {"loss": loss.kind}, numbers
    data.attrs = provenance(started, *asked, device="numpy")
    return described(data, *loss.axes)


def _enumerated(machine: Machine, patterns: Patterns, loss: Loss) -> xr.Dataset:
    """``energy`` and ``errors`` of every configuration, without their names. Raises ConfigError."""
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
    return xr.Dataset(
        {"energy": (dims, energy.reshape(shape)), "errors": (dims, errors.reshape(shape))},
        {"instance": np.arange(len(energy)), **{name: list(values) for name, values in axes.items()}},
    )


@np.errstate(under="ignore")
def averages(machine: Machine, patterns: Patterns, measure: Measure) -> xr.Dataset:
    """Averages under a measure, by sums over all configurations.

    Parameters
    ----------
    machine : Machine
        Of at most 24 binary weights; under a `LocalEntropy` of at most 12, as the centre is summed over too, unless that is fixed.
    patterns : Patterns
    measure : Gibbs or LocalEntropy
        Its parameters that are several numbers become dimensions. A traced centre gives the averages of the explicit one.

    Returns
    -------
    xarray.Dataset
        Over (instance, [parameters]), float64: ``energy``, ``energy_per_pattern``, ``error_rate`` of one replica; under a `Gibbs`
        ``log_partition`` (nats); under a `LocalEntropy` ``overlap_centre`` and ``overlap_replicas``, which is NaN for one replica.

    Raises
    ------
    ConfigError
        For more weights, and for parameters that are ramps or infinite.

    Examples
    --------
    >>> import gpumc
    >>> machine = gpumc.Perceptron(5)
    >>> patterns = gpumc.random_patterns(machine, alpha=0.6)
    >>> gpumc.exact.averages(machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(), beta=[1.0, 2.0])).energy.dims
    ('instance', 'beta')
    """
    started = Started.now()
    check_together(machine, patterns)
    one_of("measure", measure, Measure, "a Gibbs(loss, beta) or a LocalEntropy(loss, beta, coupling, replicas)")
    for name, value in measure.parameters.items():
        if isinstance(value, Ramp) or not np.all(np.isfinite(value)):
            raise ConfigError(f"{name} = {shown(value)}: exact averages take finite numbers")
    if isinstance(measure, LocalEntropy):
        centres = _centres(machine, patterns, measure)
        data = _replicated(_enumerated(machine, patterns, measure.loss), centres, machine, measure)
    else:
        data = _boltzmann(_enumerated(machine, patterns, measure.loss), measure.beta)
    data = data.assign(energy_per_pattern=data.energy / patterns.count, error_rate=data.errors / patterns.count)
    asked = machine.attributes, patterns.attributes(machine), measure.attributes
    data.attrs = provenance(started, *asked, device="numpy")
    return described(data.drop_vars("errors"), *measure.loss.axes)


def _boltzmann(states: xr.Dataset, beta: Any) -> xr.Dataset:
    """``energy``, ``errors`` and ``log_partition`` under exp(-beta L)."""
    axis = xr.DataArray(
        np.array(beta), {"beta": list(beta)} if isinstance(beta, tuple) else {}, ["beta"] * np.ndim(beta)
    )
    lowest = states.energy.min("state")
    weight = np.exp((lowest - states.energy) * axis)
    total = weight.sum("state")
    return xr.Dataset(
        {
            "energy": (weight * states.energy).sum("state") / total,
            "errors": (weight * states.errors).sum("state") / total,
            "log_partition": np.log(total) - lowest * axis,
        }
    )


def _replicated(states_of: xr.Dataset, centres: np.ndarray, machine: Machine, measure: LocalEntropy) -> xr.Dataset:
    """``energy``, ``errors``, ``overlap_centre`` and ``overlap_replicas`` of replicas around ``centres`` (instances, centres, weights).

    Given the centre the replicas are independent, so that any number of them costs as much as one.
    """
    axes, weights = Grid.of(measure).axes, states(machine.weight_count)
    dims, shape = ("instance", *axes), (len(centres), *map(len, axes.values()))
    columns = np.empty((4, *shape))
    for place in np.ndindex(*shape):
        at = dict(zip(dims, place, strict=True))
        one = states_of.isel({dim: at[dim] for dim in states_of.energy.dims if dim != "state"})
        beta, coupling = (
            axes[name][at[name]] if name in axes else getattr(measure, name) for name in ("beta", "coupling")
        )
        own = weights, centres[at["instance"]], beta, coupling
        columns[:, *place] = _replicated_averages(one.energy.values, one.errors.values, *own, measure.replicas)
    names = ("energy", "errors", "overlap_centre", "overlap_replicas")
    coordinates = {"instance": np.arange(len(centres)), **{name: list(values) for name, values in axes.items()}}
    return xr.Dataset({name: (dims, values) for name, values in zip(names, columns, strict=True)}, coordinates)


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
    errors = _enumerated(machine, patterns, ErrorCount()).errors.values
    gray = _gray(np.arange(2**count))
    counts = []
    for row, centre in zip(errors, centres, strict=True):
        code = int(((centre > 0) << np.arange(count)).sum())
        counts.append(np.bincount(np.bitwise_count(gray ^ code)[row == 0], minlength=count + 1))
    return xr.DataArray(
        np.array(counts),
        dims=("instance", "flipped"),
        coords={"flipped": ("flipped", np.arange(count + 1), attributes("flipped"))},
        name="solutions",
        attrs=attributes("solutions"),
    )


@np.errstate(under="ignore")
def joint_distribution(machine: Machine, patterns: Patterns, measure: LocalEntropy) -> xr.DataArray:
    """P(W^1, .., W^y, W~) of every joint state: float64 (instance, replica_0, .., replica_{y-1}, [centre]).

    Every axis but the first counts states in the order of :func:`states`. Only an explicit centre has an axis: a traced
    one is summed over. Raises ConfigError where weights x (replicas + a sampled centre) exceeds 24.
    """
    check_together(machine, patterns)
    one_of("measure", measure, LocalEntropy, "a LocalEntropy(loss, beta, coupling, replicas)")
    for name, value in measure.parameters.items():
        if not isinstance(value, float) or not np.isfinite(value):
            raise ConfigError(f"{name} = {shown(value)}: a joint distribution takes a single finite number")
    beta, coupling = (float(getattr(measure, name)) for name in ("beta", "coupling"))
    centres = _centres(machine, patterns, measure)
    sampled, explicit = measure.centre_kind != "fixed", measure.centre_kind == "explicit"
    _affordable(machine.weight_count * (measure.replicas + sampled), "weights of replicas and centre")
    weights = states(machine.weight_count)
    dims = ["instance", *(f"replica_{a}" for a in range(measure.replicas)), *["centre"] * explicit]
    rows = []
    for energy, centre in zip(_enumerated(machine, patterns, measure.loss).energy.values, centres, strict=True):
        factor = np.exp(_exponent(energy, weights, centre, beta, coupling)).T  # (state, centre)
        joint = np.ones((1, len(centre)))
        for _ in range(measure.replicas):
            joint = joint[..., None, :] * factor
        joint = joint[0] if explicit else joint[0].sum(axis=-1)
        rows.append(joint / joint.sum())
    return xr.DataArray(np.array(rows), dims=dims, name="probability", attrs=attributes("probability"))


def _centres(machine: Machine, patterns: Patterns, measure: LocalEntropy) -> np.ndarray:
    """The centres of each instance, (instances, centres, weights): all states, or the fixed one. Raises ConfigError."""
    require_binary(machine, "enumeration")
    count, instances = machine.weight_count, patterns.instances
    if measure.centre_kind != "fixed":
        _affordable(2 * count, "weights of a replica and the centre")
        return np.broadcast_to(states(count), (instances, 2**count, count))
    _affordable(count, "weights")
    dims = {"instance": np.arange(instances), "weight": np.arange(count)}
    return np.broadcast_to(placed("centre", measure.centre, dims, signs), (instances, count))[:, None]


def _exponent(energy: np.ndarray, weights: np.ndarray, centre: np.ndarray, beta: float, coupling: float) -> np.ndarray:
    """-beta L(W) - coupling d(W, W~) of one replica, up to a constant: (centre, state). d is N - W.W~ for signs."""
    overlap = centre.astype(float) @ weights.T.astype(float)
    return coupling * (overlap - weights.shape[1]) - beta * (energy - energy.min())


def _replicated_averages(
    energy: np.ndarray,
    errors: np.ndarray,
    weights: np.ndarray,
    centre: np.ndarray,
    beta: float,
    coupling: float,
    replicas: int,
) -> tuple[float, float, float, float]:
    """<f> = sum_c z_c^y <f>_c / sum_c z_c^y, z_c the sum over one replica; given c, two overlap as their means do."""
    exponent = _exponent(energy, weights, centre, beta, coupling)
    log_single = logsumexp(exponent, axis=1)
    given = np.exp(exponent - log_single[:, None])
    weight = softmax(replicas * log_single)
    mean = given @ weights.astype(float)  # (centre, weight)
    to_centre = (mean * centre).mean(axis=1)
    pair = (mean**2).mean(axis=1) if replicas > 1 else np.nan * to_centre
    return weight @ (given @ energy), weight @ (given @ errors), weight @ to_centre, weight @ pair


def _gray(rank: np.ndarray) -> np.ndarray:
    return rank ^ (rank >> 1)


def _states(ranks: np.ndarray, count: int) -> np.ndarray:
    codes = _gray(ranks).astype("<u4").view(np.uint8).reshape(-1, 4)
    bits = np.unpackbits(codes, axis=1, count=count, bitorder="little").view(np.int8)
    return 2 * bits - 1


def _affordable(count: int, what: str) -> None:
    if count > LARGEST:
        raise ConfigError(f"{count} {what} in all: enumeration goes up to {LARGEST}, which is {2**LARGEST:,} states")
