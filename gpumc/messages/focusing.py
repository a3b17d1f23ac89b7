"""Focusing belief propagation: y replicas that attract each other, as one machine whose weights hear of the others through a
centre.

C. Baldassi, C. Borgs, J. T. Chayes, A. Ingrosso, C. Lucibello, L. Saglietti, R. Zecchina, PNAS 113, E7655 (2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

import gpumc
from gpumc.checks import nearest, real, whole
from gpumc.device import Device, choose, to_host
from gpumc.device.philox import SEED_LIMIT, Stream, philox
from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount
from gpumc.machines import Machine
from gpumc.messages.converge import Form, Messages, converge
from gpumc.messages.factors import channel
from gpumc.messages.graph import Graph
from gpumc.messages.priors import Replicas
from gpumc.messages.protocols import Protocol, PseudoReinforcement, Scoping, StandardReinforcement
from gpumc.messages.spheres import SphericalReplicas, normalised
from gpumc.messages.volume import BeliefPropagation, check_problem
from gpumc.patterns import Patterns

#: Protocols that need no arguments, by name.
PROTOCOLS: dict[str, type[StandardReinforcement] | type[Scoping] | type[PseudoReinforcement]] = {
    "standard-reinforcement": StandardReinforcement,
    "scoping": Scoping,
    "pseudo-reinforcement": PseudoReinforcement,
}
LONG_NAMES = {
    "weights": "signs of the weights' magnetisations, or their means on the spheres, at the end",
    "errors": "patterns that these get wrong",
    "solved": "whether there are none",
    "steps": "steps of the protocol that were taken",
    "local_entropy": "local entropy per weight around the centre",
    "overlap_centre": "overlap of a replica with the centre, W.W~/N",
    "q": "mean squared magnetisation of a replica's weights",
    "q_centre": "mean squared magnetisation of the centre's weights",
    "replicas": "number of replicas y",
    "coupling": "coupling to the centre",
    "instance": "instance of the patterns",
    "start": "random start",
}
#: The strength of the random fields from which messages start.
SPREAD = 0.01


@dataclass(frozen=True)
class Focused:
    """For each row: ``weights`` int8 (rows, weights), their ``errors`` and the ``steps`` (rows,), and, over (rows, steps), NaN where a
    row had been solved, or given up, before: ``local_entropy``, ``overlap_centre`` <W W~>, ``q`` mean squared magnetisation of a replica,
    ``q_centre`` of the centre."""

    weights: np.ndarray
    errors: np.ndarray
    steps: np.ndarray
    local_entropy: np.ndarray
    overlap_centre: np.ndarray
    q: np.ndarray
    q_centre: np.ndarray


def focusing_bp(
    machine: Machine,
    patterns: Patterns,
    *,
    protocol: Protocol | str = "pseudo-reinforcement",
    starts: int = 1,
    seed: int = 0,
    iterations: int = 20,
    damping: float = 0.6,
    tolerance: float = 1e-3,
    form: str = "auto",
    device: str = "auto",
) -> xr.Dataset:
    """Search for weights without error, ``starts`` times for each instance, by focusing belief propagation.

    ``protocol``: a `StandardReinforcement`, `Scoping`, `PseudoReinforcement` or `FreeScoping`, or the name of one of the first
    three. At each of its steps at most ``iterations`` are made, messages keeping ``damping`` of the old; a start ends where the
    signs of its weights' magnetisations make no error. Returns, over (instance, start): ``weights`` (..., weight),
    int8 or, each unit on its sphere, float64;
    ``errors``, ``solved``, ``steps``; and along the protocol, over (..., step), NaN past the end: ``local_entropy`` around the
    centre (nats per weight), ``overlap_centre`` <W W~>, ``q`` and ``q_centre``, the mean squared magnetisations of a replica
    and of the centre. Raises ConfigError for a protocol that never starts.
    """
    check_problem(machine, ErrorCount())
    patterns.check(machine)
    if not isinstance(protocol, Protocol):
        if protocol not in tuple(PROTOCOLS):
            raise ConfigError(f"protocol = {protocol!r}: {nearest(str(protocol), PROTOCOLS)}, or a FreeScoping")
        protocol = PROTOCOLS[protocol]()
    whole("starts", starts, 1)
    whole("seed", seed, 0, SEED_LIMIT)
    real("damping", damping, lambda d: 0 <= d < 1, "a number from 0 to below 1")
    how = BeliefPropagation(form, tolerance, iterations)
    steps = protocol.steps()
    with np.errstate(all="ignore"):  # starts that are no numbers any more are given up
        found = [
            _focused(choose(device), machine, part, steps, range(i * starts, (i + 1) * starts), seed, damping, how)
            for i, part in _each(patterns)
        ]
    return _dataset(machine, patterns, steps, found, {"protocol": type(protocol).__name__, "seed": seed})


def _each(patterns: Patterns):
    """One instance at a time: its matrix is all that needs to stay in the cache."""
    for i in range(patterns.instances):
        yield i, Patterns(patterns.xi[i], patterns.labels[i])


def _focused(
    device: Device,
    machine: Machine,
    patterns: Patterns,
    steps: list[tuple[float, float]],
    ranks: range,
    seed: int,
    damping: float,
    how: BeliefPropagation,
) -> Focused:
    """Follow the protocol's ``steps`` from one random start for each of ``ranks``, on one instance."""
    rows = len(ranks)
    graph = Graph.of(device, machine, patterns, np.zeros(rows, int), how.dtype)
    hard = channel(device, machine, ErrorCount(), np.full(rows, np.inf), np.zeros(rows), how.dtype)
    form = how.form_of(machine)(graph, hard)
    start = SPREAD * _random_fields(seed, ranks, machine.weight_count).reshape(rows, machine.k, machine.fan_in)
    if machine.spherical:
        start = np.stack([start, np.zeros_like(start)], axis=1)
    said = device.asarray(start.astype(how.dtype))
    around = SphericalReplicas if machine.spherical else Replicas
    messages = Messages.start(said, form.memory(how.dtype))
    weights, errors = _weights(
        form, form.graph.moments(_prior(around, steps[0], rows, device, how.dtype).fields(said))[0]
    )
    kind = np.float64 if machine.spherical else np.int8
    found = Focused(weights.astype(kind), errors, np.zeros(rows, int), *np.full((4, rows, len(steps)), np.nan))
    left = np.arange(rows)
    for number, step in enumerate(steps):
        prior = _prior(around, step, len(left), device, how.dtype)
        converge(form, prior, messages, damping=damping, tolerance=how.tolerance, iterations=how.iterations)
        _measure(found, left, number, form, prior, messages)
        unsolved = found.errors[left] > 0
        unsolved &= ~np.isnan(messages.residual)
        if not unsolved.any():
            break
        left, messages, form = left[unsolved], messages.take(unsolved), form.rows(unsolved)
    return found


def _prior(
    around: type[Replicas] | type[SphericalReplicas],
    step: tuple[float, float],
    rows: int,
    device: Device,
    dtype: type,
) -> Replicas | SphericalReplicas:
    """The replicas and the coupling of a step of the protocol, for all rows."""
    return around(*(device.asarray(np.full(rows, value, dtype)) for value in step))


def _weights(form: Form, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights (rows, weights) that magnetisations ``mean`` stand for, and the patterns (rows,) that they get wrong, on the host."""
    graph = form.graph
    weights = normalised(mean) if graph.machine.spherical else graph.device.xp.where(mean < 0, -1.0, 1.0)
    errors = (graph.machine.readout_of(graph.to_patterns(weights)) < 0).sum(axis=-1)
    return to_host(weights).reshape(len(weights), -1), to_host(errors)


def _measure(
    found: Focused, rows: np.ndarray, step: int, form: Form, prior: Replicas | SphericalReplicas, messages: Messages
) -> None:
    """What a step has reached, in all rows that are still numbers."""
    said, graph = messages.said, form.graph
    fields = prior.fields(said)
    mean, _ = graph.moments(fields)
    weights, errors = _weights(form, mean)
    numbers = ~np.isnan(messages.residual)
    at = rows[numbers]
    found.weights[at] = weights[numbers]
    found.errors[at], found.steps[at] = errors[numbers], step + 1
    centre = prior.centre_mean(said)
    found.q[at, step] = to_host((mean**2).mean(axis=(1, 2)))[numbers]
    found.q_centre[at, step] = to_host((centre**2).mean(axis=(1, 2)))[numbers]
    overlap = prior.overlap_centre(said)
    found.overlap_centre[at, step] = to_host(overlap)[numbers]
    # The log of what is around a centre, averaged over centres, is the derivative of all replicas' free entropy by their number.
    whole = prior.local_partition(said) + form.interaction(fields, said, messages.memory)
    around = to_host(whole / graph.machine.weight_count - prior.pull_of(overlap))
    found.local_entropy[at, step] = around[numbers]


def _random_fields(seed: int, ranks: range, count: int) -> np.ndarray:
    """Uniform in (-1, 1): float64 (ranks, count)."""
    words = philox(seed, Stream.MESSAGES, 0, np.arange((count + 3) // 4), np.array(ranks)[:, None])
    return np.moveaxis(words, 0, -1).reshape(len(ranks), -1)[:, :count] / 2.0**31 - 1 + 2.0**-32


def _dataset(
    machine: Machine, patterns: Patterns, steps: list[tuple[float, float]], found: list[Focused], attributes: dict
) -> xr.Dataset:
    lead = ("instance", "start")
    arrays = {name: np.stack([getattr(one, name) for one in found]) for name in Focused.__dataclass_fields__}
    last = max(1, int(arrays["steps"].max()))
    variables: dict = {name: (lead, arrays[name]) for name in ("errors", "steps")}
    variables["solved"] = (lead, arrays["errors"] == 0)
    variables["weights"] = ((*lead, "weight"), arrays["weights"])
    for name in ("local_entropy", "overlap_centre", "q", "q_centre"):
        variables[name] = ((*lead, "step"), arrays[name][..., :last])
    instances, starts = arrays["errors"].shape
    coordinates = {
        "instance": np.arange(instances),
        "start": np.arange(starts),
        "replicas": ("step", [y for y, _ in steps[:last]]),
        "coupling": ("step", [c for _, c in steps[:last]]),
    }
    attributes |= {
        "gpumc_version": gpumc.__version__,
        "machine": machine.kind,
        "n": machine.n,
        "k": machine.k,
        "alpha": patterns.count / machine.weight_count,
    }
    data = xr.Dataset(variables, coordinates, attributes)
    for label, array in data.variables.items():
        name = str(label)
        array.attrs = {
            "long_name": LONG_NAMES.get(name, name),
            "units": "nat" if name == "local_entropy" else "1",
        }
    return data
