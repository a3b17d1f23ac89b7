"""Focusing belief propagation: y replicas that attract each other, as one machine whose weights are coupled to the others through a
centre.

C. Baldassi, C. Borgs, J. T. Chayes, A. Ingrosso, C. Lucibello, L. Saglietti, R. Zecchina, PNAS 113, E7655 (2016).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr

from gpumc.checks import one_of, real, text, whole
from gpumc.device import Device, choose, to_host
from gpumc.device.constants import Stream
from gpumc.device.philox import SEED_LIMIT, philox
from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount
from gpumc.machines import Machine
from gpumc.messages.belief_propagation import BeliefPropagation, check_machine, possible
from gpumc.messages.constraints import Constraints, constraints_of
from gpumc.messages.converge import Form, Messages, converge
from gpumc.messages.graph import Graph
from gpumc.messages.likelihoods import channel
from gpumc.messages.priors import Replicas, replicas_of
from gpumc.messages.protocols import Protocol, PseudoReinforcement, Scoping, StandardReinforcement
from gpumc.messages.spherical_priors import SphericalReplicas
from gpumc.parts import Part
from gpumc.patterns import Patterns, check_together
from gpumc.schema import Started, described, provenance

#: Protocols that need no arguments, by name.
PROTOCOLS: dict[str, type[StandardReinforcement] | type[Scoping] | type[PseudoReinforcement]] = {
    "standard-reinforcement": StandardReinforcement,
    "scoping": Scoping,
    "pseudo-reinforcement": PseudoReinforcement,
}
#: The strength of the random fields from which messages start.
SPREAD = 0.01
#: Mean squared magnetisation below which messages are at a symmetric point: that of the start is SPREAD^2 / 3.
SYMMETRIC = 1e-6
#: Starts of an instance are fewer.
MOST_STARTS = 2**20


@dataclass(frozen=True)
class Focused:
    """For each row: ``weights`` int8 (rows, weights), their ``errors``, the ``steps`` and the ``last_q`` (rows,), and, over (rows, steps),
    whether a step ``converged``; NaN where not, or where a row had been solved, or given up, before: ``local_entropy``, ``overlap_centre``
    <W W~>, ``overlap_others`` mean squared magnetisation of a replica, ``overlap_between_centres`` of the centre."""

    weights: np.ndarray
    errors: np.ndarray
    steps: np.ndarray
    last_q: np.ndarray
    converged: np.ndarray
    local_entropy: np.ndarray
    overlap_centre: np.ndarray
    overlap_others: np.ndarray
    overlap_between_centres: np.ndarray


def check_focusing(machine: Machine) -> None:
    """Raise ConfigError for machines that focusing is not for."""
    check_machine(machine)
    if machine.readout.rectified:
        raise ConfigError(f"focusing: this {machine.kind} has relu units: use sign units, or sample it")
    if machine.correlated:
        raise ConfigError(
            f"focusing: the units of this {machine.kind} share inputs through spherical weights: use binary ones, or a tree-committee"
        )


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
    device: str | Device = "auto",
    part: Part | None = None,
) -> xr.Dataset:
    """Search for weights without error, ``starts`` times for each instance, by focusing belief propagation.

    At each step of the protocol at most ``iterations`` are made; a start ends where the signs of its weights' magnetisations make no
    error. The replicas are taken as independent given a pattern, as in Baldassi et al., PNAS 113, E7655 (2016): overlaps and entropies
    are those of this approximation, and differ from those of `LocalEntropy` at the same replicas and coupling (docs/volumes.md).

    Parameters
    ----------
    machine : Machine
        Of sign units; spherical weights for perceptrons, tree committees and tree parities.
    patterns : Patterns
        Those that the machine cannot tell apart are one constraint; ``errors`` counts all of them.
    protocol : Protocol or str
        A `StandardReinforcement`, `Scoping`, `PseudoReinforcement` or `FreeScoping`, or the name of one of the first three.
    starts : int
        Random starts of each instance.
    seed : int
        Of the starts.
    iterations, damping, tolerance
        At most so many iterations a step, messages keeping ``damping`` of the old; a step ends earlier where the magnetisations change by
        less than ``tolerance``. The defaults are for the search: curves along a protocol need a smaller tolerance and more
        iterations.
    form : str
        "amp", "relaxed", "exact" or "auto", as for `BeliefPropagation`.
    device : str or Device
        Where it is computed.
    part : Part, optional
        Some of the instances and starts (its chains): they start as in the whole run.

    Returns
    -------
    xarray.Dataset
        Over (instance, start): ``weights`` (..., weight), the signs of magnetisations, int8, or their directions, each unit on its sphere,
        float64; ``errors`` and ``error_rate`` of these, ``solved``, ``steps``.
        Along the protocol, over (..., step): ``converged``, false past the end, judged by a step without damping; and, NaN where it is
        false, ``local_entropy`` around the centre (nats per weight; NaN too where the coupling is inf, as in standard reinforcement,
        since replicas on their centre leave nothing to count), ``overlap_centre`` <W W~>, ``overlap_others`` and
        ``overlap_between_centres``, the mean squared magnetisations of a replica and of the centre.

    Raises
    ------
    ConfigError
        For machines that belief propagation is not for, and a protocol that never starts.

    Warns
    -----
    UserWarning
        Where patterns contradict each other or are nearly equal, and where magnetisations stay at 0, as in parities of three units: weights
        are then signs of rounding errors.
    """
    started = Started.now()
    check_together(machine, patterns)
    check_focusing(machine)
    protocol, damping, how = checked(protocol, damping, BeliefPropagation(form, tolerance, iterations))
    starts, seed = whole("starts", starts, 1, MOST_STARTS), whole("seed", seed, 0, SEED_LIMIT)
    steps = protocol.steps()
    part = (
        Part((0, patterns.instances), (0, starts)) if part is None else one_of("part", part, Part, "a Part, or None,")
    )
    part.check(patterns.instances, starts)
    on = choose(device)
    constraints = constraints_of(machine, patterns, np.arange(*part.instances))
    with np.errstate(all="ignore"):  # starts with NaN are given up
        found = [
            _focused(on, machine, one, steps, range(*(i * starts + end for end in part.chains)), seed, damping, how)
            for i, one in constraints.items()
        ]
    _warn(constraints, found)
    data = _dataset(patterns, part, steps, found)
    asked = (
        machine.attributes,
        patterns.attributes(machine),
        {"loss": ErrorCount.kind, "protocol": type(protocol).__name__},
    )
    settings = {"iterations": how.iterations, "damping": damping, "tolerance": how.tolerance, "form": how.form}
    data.attrs = provenance(started, *asked, **settings, seed=seed, device=on.name)
    return described(data)


def checked(
    protocol: Protocol | str, damping: float, how: BeliefPropagation
) -> tuple[Protocol, float, BeliefPropagation]:
    """The settings of a search, a protocol by its name made. Raises ConfigError for others than `focusing_bp` takes."""
    if not isinstance(protocol, Protocol):
        protocol = PROTOCOLS[text("protocol", protocol, PROTOCOLS, ", or a FreeScoping(path)")]()
    return protocol, real("damping", damping, lambda d: 0 <= d < 1, "a number from 0 to below 1"), how


def _warn(constraints: dict[int, Constraints], found: list[Focused]) -> None:
    """Of instances without a solution, and of starts that found no direction."""
    impossible = ", ".join(str(i) for i, one in constraints.items() if one.contradictory)
    if impossible:
        warnings.warn(
            f"patterns of instance {impossible} contradict each other: no weights are without error", stacklevel=3
        )
    last = np.concatenate([one.last_q for one in found])
    symmetric = int((last < SYMMETRIC).sum())
    if symmetric:
        warnings.warn(
            f"magnetisations of {symmetric} of {len(last)} starts stay at 0, the symmetric point, which parities of three or more "
            "units do not leave: their weights are signs of rounding errors; use `sample` to look for solutions",
            stacklevel=3,
        )


def _focused(
    device: Device,
    machine: Machine,
    constraints: Constraints,
    steps: list[tuple[float, float]],
    ranks: range,
    seed: int,
    damping: float,
    how: BeliefPropagation,
) -> Focused:
    """Follow the protocol's ``steps`` from one random start for each of ``ranks``, on one instance, whose matrix alone needs to stay in the
    cache."""
    rows = len(ranks)
    graph = Graph.of(device, machine, [constraints], np.zeros(rows, int), how.dtype)
    infinite = np.full(rows, np.inf)
    at_zero_temperature = channel(device, machine, ErrorCount().rows(rows), infinite, graph.multiplicities(), how.dtype)
    form = how.form_of(machine)(graph, at_zero_temperature)
    start = SPREAD * _random_fields(seed, ranks, machine.weight_count).reshape(rows, machine.k, machine.fan_in)
    linear = device.asarray(start.astype(how.dtype))
    incoming, of_replicas = graph.message(linear, 0 * linear), replicas_of(graph)
    messages = Messages.start(incoming, form.memory(how.dtype))
    weights, errors = _weights(
        form, form.graph.moments(_prior(of_replicas, steps[0], rows, device, how.dtype).fields(incoming))[0]
    )
    along = np.full((4, rows, len(steps)), np.nan)
    unknown = np.full(rows, np.nan)
    found = Focused(
        weights.astype(machine.weight_kind.dtype),
        errors,
        np.zeros(rows, int),
        unknown,
        np.zeros((rows, len(steps)), bool),
        *along,
    )
    unsolved = np.arange(rows)
    for number, step in enumerate(steps):
        prior = _prior(of_replicas, step, len(unsolved), device, how.dtype)
        converge(form, prior, messages, damping=damping, tolerance=how.tolerance, iterations=how.iterations)
        _measure(found, unsolved, number, form, prior, messages)
        going_on = (found.errors[unsolved] > 0) & ~np.isnan(messages.residual)
        if not going_on.any():
            break
        unsolved, messages, form = unsolved[going_on], messages.take(going_on), form.rows(going_on)
    return found


def _prior(
    of_replicas: type[Replicas] | type[SphericalReplicas],
    step: tuple[float, float],
    rows: int,
    device: Device,
    dtype: type,
) -> Replicas | SphericalReplicas:
    """The replicas and the coupling of a step of the protocol, for all rows."""
    return of_replicas(*(device.asarray(np.full(rows, value, dtype)) for value in step))


def _weights(form: Form, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights (rows, weights) that magnetisations ``mean`` stand for, and the patterns (rows,) that they get wrong, on the host."""
    graph = form.graph
    weights = graph.weights(mean)
    readout = graph.machine.readout.of(graph.to_patterns(weights))
    right, opposite = graph.multiplicities()
    errors = ((readout < 0) * right + (readout > 0) * opposite).sum(axis=-1)
    return to_host(weights).reshape(len(weights), -1), to_host(errors).astype(int)


def _measure(
    found: Focused, rows: np.ndarray, step: int, form: Form, prior: Replicas | SphericalReplicas, messages: Messages
) -> None:
    """Store the results of a step, in all rows without NaN."""
    incoming, graph = messages.incoming, form.graph
    fields = prior.fields(incoming)
    mean, _ = graph.moments(fields)
    weights, errors = _weights(form, mean)
    numbers = ~np.isnan(messages.residual)
    at = rows[numbers]
    found.weights[at] = weights[numbers]
    found.errors[at], found.steps[at] = errors[numbers], step + 1
    centre = prior.centre_mean(incoming)
    q = to_host((mean**2).mean(axis=(1, 2)))
    found.last_q[at] = q[numbers]
    overlap = prior.overlap_centre(incoming)
    # The log partition around a centre, averaged over centres, is the derivative of all replicas' free entropy by their number.
    log_partition = prior.local_partition(incoming) + form.interaction(fields, incoming, messages.memory)
    count = graph.machine.weight_count
    local_entropy = to_host(log_partition / count - prior.pull_of(overlap))
    rigid = np.isinf(to_host(prior.coupling))
    apart = to_host(prior.distance_centre(overlap))
    valid = messages.converged & (rigid | possible(local_entropy, apart, graph.machine))
    found.converged[rows, step] = valid
    for name, values in (
        ("local_entropy", np.where(rigid, np.nan, local_entropy)),
        ("overlap_centre", to_host(overlap)),
        ("overlap_others", q),
        ("overlap_between_centres", to_host((centre**2).mean(axis=(1, 2)))),
    ):
        getattr(found, name)[rows, step] = np.where(valid, values, np.nan)


def _random_fields(seed: int, ranks: range, count: int) -> np.ndarray:
    """Uniform in (-1, 1): float64 (ranks, count)."""
    words = philox(seed, Stream.MESSAGES, 0, np.arange((count + 3) // 4), np.array(ranks)[:, None])
    return np.moveaxis(words, 0, -1).reshape(len(ranks), -1)[:, :count] / 2.0**31 - 1 + 2.0**-32


def _dataset(patterns: Patterns, part: Part, steps: list[tuple[float, float]], found: list[Focused]) -> xr.Dataset:
    """The rows of all instances, over (instance, start, [step])."""
    lead = ("instance", "start")
    arrays = {name: np.stack([getattr(one, name) for one in found]) for name in Focused.__dataclass_fields__}
    last = max(1, int(arrays["steps"].max()))
    variables: dict = {name: (lead, arrays[name]) for name in ("errors", "steps")}
    variables["error_rate"] = (lead, arrays["errors"] / patterns.count)
    variables["solved"] = (lead, arrays["errors"] == 0)
    variables["weights"] = ((*lead, "weight"), arrays["weights"])
    for name in ("converged", "local_entropy", "overlap_centre", "overlap_others", "overlap_between_centres"):
        variables[name] = ((*lead, "step"), arrays[name][..., :last])
    coordinates = {
        "instance": np.arange(*part.instances),
        "start": np.arange(*part.chains),
        "replicas": ("step", [y for y, _ in steps[:last]]),
        "coupling": ("step", [c for _, c in steps[:last]]),
    }
    return xr.Dataset(variables, coordinates)
