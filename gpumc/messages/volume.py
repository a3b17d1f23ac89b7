"""Entropies by belief propagation: rows of problems in, arrays of numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from gpumc.checks import keep, real, shown, text, whole
from gpumc.device import Device, to_host
from gpumc.errors import ConfigError
from gpumc.losses import Loss
from gpumc.machines import Machine
from gpumc.messages.amp import Amp
from gpumc.messages.constraints import Constraints, constraints_of
from gpumc.messages.converge import Form, Messages, converge
from gpumc.messages.edges import Exact, Relaxed
from gpumc.messages.factors import channel, takes_fields
from gpumc.messages.formulae import check_values
from gpumc.messages.graph import Graph
from gpumc.messages.priors import Distance, Pull
from gpumc.messages.spheres import SphericalDistance, SphericalPull
from gpumc.patterns import Patterns

FORMS: dict[str, type[Amp] | type[Relaxed] | type[Exact]] = {"amp": Amp, "relaxed": Relaxed, "exact": Exact}
Outer = Distance | Pull | SphericalDistance | SphericalPull

#: The largest fan-in whose nodes are exact unless another form is asked for.
SMALL = 32
#: Damping of a first attempt and of those that follow where it does not converge, and their shares of the iterations.
ATTEMPTS = ((0.2, 0.2), (0.6, 0.3), (0.85, 0.5))
#: With fewer configurations than exp(-3) expected, there are none.
FEWEST = -3.0
#: With more configurations than exp(1) times those that there are without patterns, a closure has failed.
MOST = 1.0
#: What single precision may add to an entropy per weight.
ROUNDING = 1e-4
#: Entropy per weight on spheres below which there is taken to be no volume.
VOID = -20.0
#: Part of the free memory that messages may take.
MEMORY_SHARE = 0.25


@dataclass(frozen=True)
class BeliefPropagation:
    """How messages are passed: ``form`` "amp", "relaxed", "exact" or "auto"; the residual at which they have converged; the
    iterations that may be made; and their precision."""

    form: str = "auto"
    tolerance: float = 1e-8
    iterations: int = 1000
    dtype: type = np.float64

    def __post_init__(self) -> None:
        keep(
            self,
            form=text("form", self.form, ("auto", *FORMS)),
            tolerance=real("tolerance", self.tolerance, lambda t: 0 < t < np.inf, "a positive finite number"),
            iterations=whole("iterations", self.iterations, 1),
        )
        if not isinstance(self.dtype, (type, str, np.dtype)) or self.dtype not in (float, np.float64, np.float32):
            raise ConfigError(f"dtype = {shown(self.dtype)}: numpy.float64 or numpy.float32 is needed")
        keep(self, dtype=np.dtype(self.dtype).type)

    def form_of(self, machine: Machine) -> type[Amp] | type[Relaxed] | type[Exact]:
        """The form of message passing for ``machine``."""
        if machine.spherical:
            return Amp
        small = "exact" if machine.fan_in <= SMALL else "amp"
        return FORMS[small if self.form == "auto" else self.form]


def check_problem(machine: Machine, loss: Loss) -> None:
    """Raise ConfigError for hidden units and spherical weights that belief propagation is not for, and for losses without right values."""
    if machine.readout.rectified and not machine.spherical:
        raise ConfigError(
            f"belief propagation is for hidden signs, and this {machine.kind} has relu units: use method 'ti', or sample it"
        )
    if machine.spherical and (machine.activation != "sign" or machine.kind == "full-committee"):
        what = machine.kind if machine.kind == "full-committee" else f"{machine.activation} units"
        raise ConfigError(
            f"belief propagation of spherical weights is for perceptrons, tree committees and tree parities of sign units, not for {what}"
        )
    check_values(machine, loss)


@dataclass(frozen=True)
class Problems:
    """Rows in any order, each with its ``instance`` and ``beta`` (rows,), the parameters of the ``loss`` of rows, a ``reference`` +-1, or
    real, (rows, weights), and either the field ``h`` toward it or the mean ``distance`` D from it; rows of one ``curve`` differ in these
    alone."""

    instance: np.ndarray
    beta: np.ndarray
    loss: Loss
    reference: np.ndarray
    curve: np.ndarray
    h: np.ndarray | None = None
    distance: np.ndarray | None = None

    def rows(self, chosen) -> Problems:
        """Some of the rows."""
        h, distance = (None if a is None else a[chosen] for a in (self.h, self.distance))
        beta, loss, reference = self.beta[chosen], self.loss.take(chosen), self.reference[chosen]
        return Problems(self.instance[chosen], beta, loss, reference, self.curve[chosen], h, distance)


@dataclass(frozen=True)
class Volumes:
    """For each row, on the host: ``entropy``, ``energy`` and ``free_entropy`` per weight (nats, the loss's unit, nats),
    ``field`` h, ``distance`` D, ``norm_spread`` the standard deviation over units of their squared norms divided by fan_in,
    ``magnetisation`` (rows, weights), ``converged``, ``iterations``, ``residual``. NaN where not
    converged."""

    entropy: np.ndarray
    energy: np.ndarray
    free_entropy: np.ndarray
    field: np.ndarray
    distance: np.ndarray
    norm_spread: np.ndarray
    magnetisation: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    residual: np.ndarray


def volumes(
    device: Device, machine: Machine, patterns: Patterns, problems: Problems, how: BeliefPropagation
) -> Volumes:
    """Solve every row, instance by instance, in batches that fit the device's memory. Patterns that are one to the machine are taken as one
    (`gpumc.messages.constraints`); those that are nearly so are warned of."""
    if not len(problems.instance):
        none = np.zeros(0)
        return Volumes(
            none, none, none, none, none, none, np.zeros((0, machine.weight_count)), none > 0, none.astype(int), none
        )
    constraints = constraints_of(machine, patterns, problems.instance, scaled=not takes_fields(machine, problems.loss))
    order = np.lexsort((problems.instance, np.array([len(constraints[i]) for i in problems.instance])))
    problems, back = problems.rows(order), np.argsort(order)
    with np.errstate(all="ignore"):  # rows that are no numbers any more are given up
        parts = device.in_halves(
            _batches(device, machine, constraints, problems, how),
            lambda rows: _solved(device, machine, constraints, problems.rows(rows), how),
            lambda rows: np.array_split(rows, 2) if len(rows) > 1 else [],
        )
    return Volumes(
        **{name: np.concatenate([getattr(part, name) for part in parts])[back] for name in Volumes.__dataclass_fields__}
    )


def _batches(
    device: Device,
    machine: Machine,
    constraints: dict[int, Constraints],
    problems: Problems,
    how: BeliefPropagation,
) -> Iterator[np.ndarray]:
    """Row numbers; rows of several instances of as many constraints come together where they fit."""
    size = np.dtype(how.dtype).itemsize
    most = max(len(constraints[instance]) for instance in set(problems.instance.tolist()))
    device.need(
        size * (_row_size(machine, most, how) + machine.n * most),
        f"belief propagation of {machine.weight_count} weights and {most} patterns",
    )
    room = MEMORY_SHARE * device.free_memory() / size
    batch: list[int] = []
    used, last, last_count = 0, -1, -1
    for number, instance in enumerate(problems.instance):
        count = len(constraints[instance])
        row, matrix = _row_size(machine, count, how), machine.n * count
        cost = row + (matrix if instance != last else 0)
        if batch and (used + cost > room or count != last_count):
            yield np.array(batch)
            batch, used, cost = [], 0, row + matrix
        batch.append(number)
        used, last, last_count = used + cost, instance, count
    if batch:
        yield np.array(batch)


def _row_size(machine: Machine, patterns: int, how: BeliefPropagation) -> int:
    """The numbers that a row takes."""
    edges = machine.weight_count * patterns
    row = 10 * (machine.weight_count + (machine.k + 1) ** 2 * patterns)
    if how.form_of(machine) is Amp:
        return row
    return row + (12 * edges if how.form_of(machine) is Relaxed else 4 * edges * (machine.fan_in + 1))


def _solved(
    device: Device,
    machine: Machine,
    constraints: dict[int, Constraints],
    problems: Problems,
    how: BeliefPropagation,
) -> Volumes:
    shape = (len(problems.instance), machine.k, machine.fan_in)
    dtype = how.dtype
    instances, own = np.unique(problems.instance, return_inverse=True)
    graph = Graph.of(device, machine, [constraints[i] for i in instances], own, dtype)
    factors = channel(device, machine, problems.loss, problems.beta, graph.multiplicities(), dtype)
    form = how.form_of(machine)(graph, factors)
    reference = device.asarray(problems.reference.reshape(shape).astype(dtype))
    held = (SphericalDistance, SphericalPull) if machine.spherical else (Distance, Pull)
    if problems.distance is not None:
        prior: Outer = held[0](reference, device.asarray(problems.distance.astype(dtype)))
    else:
        prior = held[1](reference, device.asarray(np.asarray(problems.h, dtype)))
    start = (2, *shape[1:]) if machine.spherical else shape[1:]
    messages = Messages.start(device.xp.zeros((shape[0], *start), dtype), form.memory(dtype))
    for damping, share in ATTEMPTS:
        left = np.flatnonzero(~messages.converged)
        if damping != ATTEMPTS[0][0]:
            left = left[~_hopeless(problems, _measured(form, prior, messages, problems.beta), machine.spherical)[left]]
        if not len(left):
            break
        attempt = Messages.start(device.xp.zeros((len(left), *start), dtype), form.rows(left).memory(dtype))
        iterations = math.ceil(share * how.iterations)
        converge(
            form.rows(left), prior.rows(left), attempt, damping=damping, tolerance=how.tolerance, iterations=iterations
        )
        attempt.iterations += messages.iterations[left]
        messages.put(left, attempt)
    return _measured(form, prior, messages, problems.beta)


def _hopeless(problems: Problems, found: Volumes, spherical: bool) -> np.ndarray:
    """Rows that a tangent to the entropy's curve, which is concave, puts below the fewest configurations: bool (rows,)."""
    hopeless = np.zeros(len(problems.instance), bool)
    if problems.distance is None or spherical:
        return hopeless
    for curve in np.unique(problems.curve):
        rows = np.flatnonzero(problems.curve == curve)
        known = rows[np.isfinite(found.entropy[rows])]
        if len(known):
            beyond = problems.distance[rows][:, None] - problems.distance[known]
            tangents = found.entropy[known] + found.field[known] * beyond
            hopeless[rows] = tangents.min(axis=1) * problems.reference.shape[1] < FEWEST
    return hopeless


def possible(entropy: np.ndarray, distance: np.ndarray, machine: Machine) -> np.ndarray:
    """Whether there may be so many configurations at mean distances D: bool (rows,). Where a closure fails they are too few, or more than
    there are without patterns."""
    slack = max(MOST / machine.weight_count, ROUNDING)
    if machine.spherical:
        return (entropy >= VOID) & (entropy <= 0.5 * np.log(4 * distance * (1 - distance)) + slack)
    apart = np.clip(distance, 0, 1)
    return (entropy >= FEWEST / machine.weight_count) & (entropy <= entr(apart) + entr(1 - apart) + slack)


def _measured(form: Form, prior: Outer, messages: Messages, beta: np.ndarray) -> Volumes:
    """The thermodynamics of fixed points; NaN in rows that are none."""
    said, memory = messages.said, messages.memory
    pull = prior.pull(said) if isinstance(prior, Distance | SphericalDistance) else prior
    fields = pull.fields(said)
    count = form.graph.machine.weight_count
    free = to_host(pull.log_partition(said) + form.interaction(fields, said, memory)) / count
    energy = to_host(form.energy(fields, memory)) / count
    h, distance = to_host(pull.h), to_host(pull.distance(said))
    heat = np.where(np.isinf(beta), 0.0, beta) * energy
    entropy = free + heat + h * distance
    found = messages.converged & possible(entropy, distance, form.graph.machine)
    mean, variance = map(to_host, form.graph.moments(fields))
    magnetisation = mean.reshape(len(h), -1)
    norms = (mean**2 + variance).mean(axis=2)

    def kept(values: np.ndarray) -> np.ndarray:
        return np.where(found.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)

    return Volumes(
        entropy=kept(entropy),
        energy=kept(energy),
        free_entropy=kept(free),
        field=kept(h),
        distance=kept(distance),
        norm_spread=kept(norms.std(axis=1)),
        magnetisation=kept(magnetisation),
        converged=found,
        iterations=messages.iterations,
        residual=messages.residual,
    )
