"""Enumeration of small machines: every configuration's loss, exactly. The oracle of the tests, and of users who doubt us.

Configurations are numbered in binary-reflected Gray-code order, in which neighbours differ by one weight: bit i of
s ^ (s >> 1) is 1 where weight i of configuration s is +1.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount, Loss
from gpumc.machines import Machine
from gpumc.measures import LocalEntropy, Ramp, signs
from gpumc.patterns import Patterns

#: The largest number of binary weights, and of binary variables of a joint system, that is enumerated.
LARGEST = 24
#: Configurations whose fields are held at once.
CHUNK = 2**12


def states(count: int) -> np.ndarray:
    """All 2^count configurations of ``count`` weights, in Gray-code order: int8 +-1 (2^count, count)."""
    _affordable(count, "weights")
    return _states(np.arange(2**count), count)


def enumerate_states(machine: Machine, patterns: Patterns, loss: Loss | None = None) -> xr.Dataset:
    """Every configuration's ``energy`` (float64) and ``errors`` (int64), over (instance, [gamma,] state) and (instance, state).

    ``loss`` is the error count unless one is given. ``energy`` is the sum of the loss's own integers, to the last bit what
    ``sample`` records. Raises ConfigError for more than 24 weights.
    """
    loss = loss or ErrorCount()
    patterns.check(machine)
    count = machine.weight_count
    _affordable(count, "weights")
    tables = loss.tables(machine)
    energy = np.empty((patterns.instances, len(tables), 2**count))
    errors = np.empty((patterns.instances, 2**count), np.int64)
    for i, (xi, labels) in enumerate(zip(patterns.xi, patterns.labels, strict=True)):
        gauged = machine.gauge(xi, labels)
        for first in range(0, 2**count, CHUNK):
            chunk = np.arange(first, min(first + CHUNK, 2**count))
            readout = machine.readout_of(machine.fields(_states(chunk, count), gauged))
            energy[i][:, chunk] = tables[:, (readout + machine.largest_readout) // 2].sum(axis=-1) * loss.unit
            errors[i, chunk] = (readout < 0).sum(axis=-1)
    several = isinstance(loss.gamma, tuple)
    dims = ("instance", "gamma", "state") if several else ("instance", "state")
    data = xr.Dataset(
        {"energy": (dims, energy if several else energy[:, 0]), "errors": (("instance", "state"), errors)},
        {"gamma": list(loss.gamma)} if isinstance(loss.gamma, tuple) else {},
        {"machine": machine.kind, "n": machine.n, "k": machine.k, "loss": loss.kind},
    )
    data.energy.attrs = {"long_name": "loss of a configuration", "units": "1"}
    data.errors.attrs = {"long_name": "patterns that a configuration gets wrong", "units": "1"}
    return data


def boltzmann(machine: Machine, patterns: Patterns, loss: Loss, beta: ArrayLike) -> xr.Dataset:
    """Averages under exp(-beta L): ``energy``, ``error_rate`` and ``log_partition`` (nats), over (instance, [gamma,] [beta])."""
    data = enumerate_states(machine, patterns, loss)
    values = np.asarray(beta, float)
    if values.ndim > 1 or not np.all(np.isfinite(values) & (values >= 0)):
        raise ConfigError(f"beta = {beta}: finite non-negative numbers are needed")
    axis = xr.DataArray(values, dims=["beta"] if values.ndim else [], coords={"beta": values})
    lowest = data.energy.min("state")
    weight = np.exp(-axis * (data.energy - lowest))
    total = weight.sum("state")
    return xr.Dataset(
        {
            "energy": (weight * data.energy).sum("state") / total,
            "error_rate": (weight * data.errors).sum("state") / total / patterns.count,
            "log_partition": np.log(total) - axis * lowest,
        }
    )


def solutions_by_distance(machine: Machine, patterns: Patterns, reference: ArrayLike) -> xr.DataArray:
    """The number of configurations without error at each Hamming distance from ``reference`` (weights,): int64 (instance, flipped).

    ``flipped`` is the number of differing weights, 0 to N; the normalised distance D is flipped / N.
    """
    count = machine.weight_count
    centre = signs("reference", reference)
    if centre.shape != (count,):
        raise ConfigError(f"reference has shape {centre.shape}: ({count},) is needed")
    errors = enumerate_states(machine, patterns).errors.values
    code = int(((centre > 0) << np.arange(count)).sum())
    flipped = np.bitwise_count(_gray(np.arange(2**count)) ^ code)
    counts = [np.bincount(flipped[row == 0], minlength=count + 1) for row in errors]
    return xr.DataArray(
        np.array(counts),
        dims=("instance", "flipped"),
        coords={"flipped": np.arange(count + 1)},
        name="solutions",
        attrs={"long_name": "configurations without error", "units": "1"},
    )


def replicated(machine: Machine, patterns: Patterns, measure: LocalEntropy) -> xr.Dataset:
    """Averages of a replicated system: ``energy`` and ``overlap_centre`` of a replica, ``overlap_replicas``, over (instance,).

    All states of weights x (replicas + a sampled centre) of up to 24 binary variables are summed over; a traced centre gives the
    averages of the explicit one. Single values of beta, gamma and coupling. Raises ConfigError for a larger system.
    """
    count, replicas = machine.weight_count, measure.replicas
    if any(isinstance(p, (tuple, Ramp)) for p in (measure.beta, measure.coupling, measure.loss.gamma)):
        raise ConfigError("exact averages of replicas take single values of beta, gamma and coupling")
    fixed = not isinstance(measure.centre, str)
    _affordable(count * (replicas + (not fixed)), "weights of replicas and centre")
    weights = states(count).astype(float)
    overlap = weights @ weights.T  # (state, state)
    centres = np.asarray(measure.centre, float).reshape(1, count) if fixed else weights
    to_centre = centres @ weights.T  # (centre, state)
    energies = enumerate_states(machine, patterns, measure.loss).energy.values
    rows = [_replicated_averages(e, overlap, to_centre, measure) for e in energies]
    names = ("energy", "overlap_centre", "overlap_replicas")
    scales = (1, count, count)
    return xr.Dataset({name: ("instance", [row[j] / scales[j] for row in rows]) for j, name in enumerate(names)})


def _replicated_averages(energy, overlap, to_centre, measure: LocalEntropy) -> tuple[float, float, float]:
    """Given the centre the replicas are independent: <f> = sum_c z_c^y <f>_c / sum_c z_c^y, z_c the sum over one replica."""
    exponent = -measure.beta * (energy - energy.min()) + measure.coupling * (to_centre - to_centre.max())
    boltzmann = np.exp(exponent)
    single = boltzmann.sum(axis=1)
    given = boltzmann / single[:, None]
    weight = single**measure.replicas
    weight /= weight.sum()
    pair = np.einsum("cs,st,ct->c", given, overlap, given, optimize=True)
    return weight @ (given @ energy), weight @ (given * to_centre).sum(axis=1), weight @ pair


def _gray(rank: np.ndarray) -> np.ndarray:
    return rank ^ (rank >> 1)


def _states(ranks: np.ndarray, count: int) -> np.ndarray:
    return (2 * ((_gray(ranks)[:, None] >> np.arange(count)) & 1) - 1).astype(np.int8)


def _affordable(count: int, what: str) -> None:
    if count > LARGEST:
        raise ConfigError(f"{count} {what}: enumeration goes up to {LARGEST}, which is {2**LARGEST:,} states")
