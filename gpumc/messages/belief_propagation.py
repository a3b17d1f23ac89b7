"""Entropies by belief propagation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from gpumc.channels.formulae import check_values
from gpumc.checks import keep, real, shown, text, whole
from gpumc.device import Device, to_host
from gpumc.entropy_problems import Problems
from gpumc.errors import ConfigError
from gpumc.losses import Loss
from gpumc.machines import Machine, require_fixed_norm
from gpumc.measures import Gibbs
from gpumc.messages.amp import Amp
from gpumc.messages.constraints import Constraints, constraints_of
from gpumc.messages.converge import Form, Messages, converge
from gpumc.messages.edges import Exact, Relaxed
from gpumc.messages.graph import Graph
from gpumc.messages.likelihoods import channel, takes_fields
from gpumc.messages.priors import Outer, at_distance, in_field
from gpumc.messages.shared_inputs import SharedAmp

FORMS: dict[str, type[Form]] = {"amp": Amp, "relaxed": Relaxed, "exact": Exact}
#: Arrays (rows, ...) by the name of the quantity, on the host.
Columns = dict[str, np.ndarray]

#: The largest fan-in whose nodes are exact unless another form is asked for.
SMALL = 32
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
    """Entropies by belief propagation: exact on trees, and for large machines where correlations are those of the replica-symmetric phase.

    Parameters
    ----------
    form : str
        "amp", "relaxed" (messages on all edges, Gaussian), "exact" (messages on all edges, for small fan-in), or "auto".
    tolerance : float
        The residual at which messages have converged.
    iterations : int
        The most iterations of a problem, all attempts together.
    dtype : type
        numpy.float64 or numpy.float32.

    Examples
    --------
    >>> import gpumc
    >>> gpumc.BeliefPropagation("relaxed", tolerance=1e-6).iterations
    1000
    """

    name: ClassVar[str] = "bp"

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

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of a dataset for the method."""
        settings = {"form": self.form, "tolerance": self.tolerance, "iterations": self.iterations}
        return {"method": self.name, **settings, "dtype": np.dtype(self.dtype).name}

    def form_of(self, machine: Machine) -> type[Form]:
        """The form of message passing for ``machine``."""
        if machine.spherical:
            return SharedAmp if machine.correlated else Amp
        small = "exact" if machine.fan_in <= SMALL else "amp"
        return FORMS[small if self.form == "auto" else self.form]

    def supports(self, machine: Machine, measure: Gibbs, place: str | None = None) -> None:
        """Raise ConfigError unless it can solve problems of ``machine`` and ``measure`` at any ``place`` ("distance" or "field", None for
        all configurations)."""
        check_machine(machine)
        _check_rectified(machine, measure.loss)
        check_values(machine, measure.loss)

    def solve(self, problems: Problems, device: Device) -> dict[str, np.ndarray]:
        """Columns (rows,): ``entropy`` and ``free_entropy`` per weight (nats), ``energy`` the mean loss, ``converged``, ``iterations``,
        ``residual``; of spherical weights ``norm_spread``; the ``field`` toward references at distances, the ``distance`` in a field, or,
        of all configurations, ``magnetisation`` (rows, weights). NaN where not converged."""
        machine, names = problems.machine, ["entropy", "free_entropy", "energy", "converged", "iterations", "residual"]
        names += ["norm_spread"] if machine.spherical else []
        if problems.reference is None:
            names.append("magnetisation")
            nowhere = np.ones((len(problems), machine.weight_count), np.int8)
            problems = replace(problems, reference=nowhere, field=np.zeros(len(problems)))
        else:
            names.append("distance" if problems.distance is None else "field")
        columns = _columns(device, problems, self)
        return {name: columns[name] for name in names}


def check_machine(machine: Machine) -> None:
    """Raise ConfigError for hidden units and weights that belief propagation is not for."""
    require_fixed_norm(machine, "belief propagation")
    if machine.activation not in ("sign", "relu"):
        raise ConfigError(
            f"belief propagation is for sign and relu units, and this {machine.kind} has {machine.activation} units: use method "
            "'splitting', or sample it"
        )


def _check_rectified(machine: Machine, loss: Loss) -> None:
    """Raise ConfigError for losses that depend on more than the sign of the output, of ReLU units with spherical weights."""
    if machine.spherical and machine.readout.rectified and not all(point.of_sign for point in loss.points()):
        raise ConfigError(
            "belief propagation of relu units with spherical weights is for losses of the output's sign, such as the error count at "
            f"margin 0, and this is the loss {loss.kind!r}: use method 'splitting' for margins, or sample it"
        )


def _columns(device: Device, problems: Problems, how: BeliefPropagation) -> Columns:
    """All columns of every row, instance by instance, in batches that fit the device's memory. Patterns that are one to the machine are
    taken as one (`gpumc.messages.constraints`); those that are nearly so are warned of."""
    machine = problems.machine
    if not len(problems):
        empty = np.zeros(0)
        columns = dict.fromkeys(
            ("entropy", "energy", "free_entropy", "field", "distance", "norm_spread", "residual"), empty
        )
        counts = {"converged": empty > 0, "iterations": empty.astype(int)}
        return columns | counts | {"magnetisation": np.zeros((0, machine.weight_count))}
    scaled = not takes_fields(machine, problems.loss)
    constraints = constraints_of(machine, problems.patterns, problems.instance, scaled=scaled)
    order = np.lexsort((problems.instance, np.array([len(constraints[i]) for i in problems.instance])))
    problems, back = problems.rows(order), np.argsort(order)
    with np.errstate(all="ignore"):  # rows with NaN are given up
        solved = device.in_halves(
            _batches(device, constraints, problems, how),
            lambda rows: _solved(device, constraints, problems.rows(rows), how),
            lambda rows: np.array_split(rows, 2) if len(rows) > 1 else [],
        )
    return {name: np.concatenate([columns[name] for columns in solved])[back] for name in solved[0]}


def _batches(
    device: Device, constraints: dict[int, Constraints], problems: Problems, how: BeliefPropagation
) -> Iterator[np.ndarray]:
    """Row numbers; rows of several instances of as many constraints come together where they fit."""
    machine, form = problems.machine, how.form_of(problems.machine)
    size = np.dtype(how.dtype).itemsize
    most = max(len(constraints[instance]) for instance in set(problems.instance.tolist()))
    device.need(
        size * (form.row_size(machine, most) + machine.n * most),
        f"belief propagation of {machine.weight_count} weights and {most} patterns",
    )
    room = MEMORY_SHARE * device.free_memory() / size
    batch: list[int] = []
    used, last, last_count = 0, -1, -1
    for number, instance in enumerate(problems.instance):
        count = len(constraints[instance])
        row, matrix = form.row_size(machine, count), machine.n * count
        cost = row + (matrix if instance != last else 0)
        if batch and (used + cost > room or count != last_count):
            yield np.array(batch)
            batch, used, cost = [], 0, row + matrix
        batch.append(number)
        used, last, last_count = used + cost, instance, count
    if batch:
        yield np.array(batch)


def _solved(device: Device, constraints: dict[int, Constraints], problems: Problems, how: BeliefPropagation) -> Columns:
    machine = problems.machine
    shape = (len(problems), machine.k, machine.fan_in)
    assert problems.reference is not None
    dtype = how.dtype
    instances, place = np.unique(problems.instance, return_inverse=True)
    form_type = how.form_of(machine)
    graph = Graph.of(device, machine, [constraints[i] for i in instances], place, dtype)
    factors = channel(device, machine, problems.loss, problems.beta, graph.multiplicities(), dtype)
    form = form_type(graph, factors)
    reference = device.asarray(problems.reference.reshape(shape).astype(dtype))
    if problems.distance is not None:
        prior: Outer = at_distance(graph, reference, device.asarray(problems.distance.astype(dtype)))
    else:
        prior = in_field(graph, reference, device.asarray(np.asarray(problems.field, dtype)))
    messages = Messages.start(graph.no_messages(dtype), form.memory(dtype))
    for damping, share in form.attempts:
        unconverged = np.flatnonzero(~messages.converged)
        if damping != form.attempts[0][0]:
            hopeless = _hopeless(problems, _measured(form, prior, messages, problems.beta))
            unconverged = unconverged[~hopeless[unconverged]]
        if not len(unconverged):
            break
        some, around = form.rows(unconverged), prior.rows(unconverged)
        attempt = Messages.start(some.graph.no_messages(dtype), some.memory(dtype))
        iterations = math.ceil(share * how.iterations)
        converge(some, around, attempt, damping=damping, tolerance=how.tolerance, iterations=iterations)
        attempt.iterations += messages.iterations[unconverged]
        messages.put(unconverged, attempt)
    return _measured(form, prior, messages, problems.beta)


def _hopeless(problems: Problems, found: Columns) -> np.ndarray:
    """Rows that a tangent to the entropy's curve, which is concave, puts below the fewest configurations: bool (rows,)."""
    hopeless = np.zeros(len(problems), bool)
    if problems.distance is None or problems.machine.spherical:
        return hopeless
    for curve in np.unique(problems.curve):
        rows = np.flatnonzero(problems.curve == curve)
        known = rows[np.isfinite(found["entropy"][rows])]
        if len(known):
            apart = problems.distance[rows][:, None] - problems.distance[known]
            tangents = found["entropy"][known] + found["field"][known] * apart
            hopeless[rows] = tangents.min(axis=1) * problems.machine.weight_count < FEWEST
    return hopeless


def possible(entropy: np.ndarray, distance: np.ndarray, machine: Machine) -> np.ndarray:
    """Whether there may be so many configurations at mean distances D: bool (rows,). Where a closure fails they are too few, or more than
    there are without patterns."""
    slack = max(MOST / machine.weight_count, ROUNDING)
    least = VOID if machine.spherical else FEWEST / machine.weight_count
    return (entropy >= least) & (entropy <= machine.weight_kind.entropy_bound(np.clip(distance, 0, 1)) + slack)


def _measured(form: Form, prior: Outer, messages: Messages, beta: np.ndarray) -> Columns:
    """The thermodynamics of fixed points, in columns; NaN in rows that are none."""
    incoming, memory = messages.incoming, messages.memory
    pull = prior.pull(incoming)
    fields = pull.fields(incoming)
    count = form.graph.machine.weight_count
    free = to_host(pull.log_partition(incoming) + form.interaction(fields, incoming, memory)) / count
    energy = to_host(form.energy(fields, memory)) / count
    h, distance = to_host(pull.h), to_host(pull.distance(incoming))
    thermal = np.where(np.isinf(beta), 0.0, beta) * energy
    entropy = free + thermal + h * distance
    valid = messages.converged & possible(entropy, distance, form.graph.machine)
    mean, variance = map(to_host, form.graph.moments(fields))
    magnetisation = mean.reshape(len(h), -1)
    norms = (mean**2 + variance).mean(axis=2)

    def where_valid(values: np.ndarray) -> np.ndarray:
        return np.where(valid.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)

    return {
        "entropy": where_valid(entropy),
        "energy": where_valid(energy * count),
        "free_entropy": where_valid(free),
        "field": where_valid(h),
        "distance": where_valid(distance),
        "norm_spread": where_valid(norms.std(axis=1)),
        "magnetisation": where_valid(magnetisation),
        "converged": valid,
        "iterations": messages.iterations,
        "residual": messages.residual,
    }
