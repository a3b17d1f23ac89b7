"""The marginals of weights in an iteration, and the messages that it makes and damps: over arrays, or by the kernels
``kernels/marginals.cu``, whose twins are the priors, and ``kernels/messages.cu``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gpumc.device import Device, kernel, to_host
from gpumc.messages.graph import Graph
from gpumc.messages.priors import Distance, Prior, Pull, Replicas
from gpumc.messages.spherical_priors import SphericalDistance, SphericalPull, SphericalReplicas

#: The definition that the kernel is compiled with for a prior, and the prior's arrays that it takes, None for those it does not need.
KERNELS: dict[type, tuple[str, tuple[str | None, str, str | None]]] = {
    Pull: ("PULL", ("reference", "h", None)),
    Distance: ("DISTANCE", ("reference", "distance", None)),
    Replicas: ("REPLICAS", (None, "replicas", "coupling")),
    SphericalPull: ("PULL", ("reference", "h", None)),
    SphericalDistance: ("DISTANCE", ("reference", "distance", None)),
    SphericalReplicas: ("REPLICAS", (None, "replicas", "coupling")),
}


#: Numbers that a thread makes in the time that it takes to wake another: 50 microseconds.
LIGHT = 2**12
#: About how many times a search looks at the weights.
LOOKS = 70


class Marginals(NamedTuple):
    """Total ``fields`` of the weights, (rows, [2,] units, fan_in), and their ``mean`` and ``variance``, (rows, units, fan_in)."""

    fields: Any
    mean: Any
    variance: Any

    def rows(self, chosen: np.ndarray) -> Marginals:
        """Those of some rows."""
        return Marginals(*(of_all[chosen] for of_all in self))


def light(numbers: int) -> bool:
    """Whether so many exponentials or quotients take less time than to wake a thread."""
    return numbers < LIGHT


def reals(array: Any) -> tuple[str, dict[str, object]]:
    """The dtype of ``array``, and what kernels are compiled with for it."""
    return ("float64", {}) if array.dtype == np.float64 else ("float32", {"REAL": "float"})


@dataclass(frozen=True)
class Stops:
    """When rows stop: at a residual of at most ``tolerance``, or at NaN.

    ``known`` is float64 (rows, 2) on the device: the iteration at which a row was stopped, 0 before, and its residual, the largest change
    of a mean over 1 - damping; where that is at most the tolerance, the change without damping. Kernels leave rows that were stopped as
    they are.
    """

    tolerance: float
    known: Any

    @classmethod
    def start(cls, device: Device, rows: int, tolerance: float) -> Stops:
        """Before the first iteration."""
        return cls(tolerance, device.xp.zeros((rows, 2)))

    def rows(self, chosen: np.ndarray) -> Stops:
        """Those of some rows."""
        return Stops(self.tolerance, self.known[chosen])

    def judge(
        self, graph: Graph, prior: Prior, undamped: Any, kept: float, before: Any, mean: Any, iteration: int
    ) -> None:
        """Follow an iteration that made ``mean`` of ``before``, and would have made more without damping."""
        xp = graph.device.xp
        residual = to_host(xp.abs(mean - before).max(axis=(1, 2))).astype(float) / (1 - kept)
        settled = residual <= self.tolerance
        if settled.any():
            free, _ = graph.rows(settled).moments(prior.rows(settled).fields(undamped[settled]))
            residual[settled] = to_host(xp.abs(free - before[settled]).max(axis=(1, 2)))
        stopped = np.where(settled | np.isnan(residual), iteration, 0)
        self.known[...] = graph.device.asarray(np.stack([stopped, residual], axis=1))


def marginals(
    graph: Graph,
    prior: Prior,
    incoming: Any,
    undamped: Any,
    kept: float,
    before: Any,
    stops: Stops,
    iteration: int,
) -> Marginals:
    """The marginals where ``incoming`` messages become ``undamped`` and ``kept`` of what they were, in place; ``stops`` follows how far
    that moved the means from ``before``."""
    if graph.by_arrays:
        incoming[...] = undamped + kept * (incoming - undamped)
        fields = prior.fields(incoming)
        now = Marginals(fields, *graph.moments(fields))
        stops.judge(graph, prior, undamped, kept, before, now.mean, iteration)
        return now
    xp = graph.device.xp
    kind, names = KERNELS[type(prior)]
    real, defines = reals(incoming)
    defines |= {kind: 1} | ({"SPHERICAL": 1} if graph.machine.spherical else {})
    signature = (
        *(f"{real}*", f"const {real}*", "float64", *[f"const {real}*"] * 4, *[f"{real}*"] * 3),
        *("float64*", "float64", "int64", "int64"),
    )
    run = kernel(graph.device, "marginals.cu", "marginals", signature, defines)
    now = Marginals(xp.empty_like(incoming), xp.empty_like(before), xp.empty_like(before))
    of_prior = [None if name is None else getattr(prior, name) for name in names]
    work = incoming.size * (LOOKS if graph.machine.spherical else 1)
    rows, count = len(incoming), before[0].size
    following = (stops.known, stops.tolerance, iteration, count)
    run(rows, incoming, undamped, kept, *of_prior, before, *now, *following, light=light(work))
    return now


def combined(graph: Graph, linear: Any, mean: Any, curvature: Any) -> Any:
    """Messages to the weights, of ``linear`` (rows, units, fan_in), what their ``mean`` (rows, units, fan_in) takes from it, and the
    ``curvature`` (rows, units, patterns) of the patterns' log likelihoods."""
    each = graph.squares is not None
    if graph.by_arrays:
        precision = -graph.spread_to_weights(curvature)
        return graph.message(linear + mean * precision, precision)
    real, defines = reals(linear)
    defines |= {"SPHERICAL": 1} if graph.machine.spherical else {}
    signature = (*[f"const {real}*"] * 3, f"{real}*", *["int64"] * 4)
    rows, units, fan_in = linear.shape
    found = graph.device.xp.empty((rows, 2, units, fan_in) if graph.machine.spherical else linear.shape, linear.dtype)
    bends = graph.spread_to_weights(curvature) if each else curvature
    run = kernel(graph.device, "messages.cu", "combine", signature, defines)
    run(rows * units, linear, mean, bends, found, units, fan_in, curvature.shape[2], each, light=light(linear.size))
    return found


def damp(device: Device, old: Any, wanted: Any, kept: float, stops: Stops, iteration: int) -> None:
    """``old`` (rows, ...) becomes ``wanted`` and ``kept`` of what it was, in place."""
    if device.kind == "numpy":
        old[...] = wanted + kept * (old - wanted)
        return
    real, defines = reals(old)
    signature = (f"{real}*", f"const {real}*", "float64", "const float64*", "int64", "int64")
    run = kernel(device, "messages.cu", "damp", signature, defines)
    rows, each = len(old), old[0].size
    run(rows * -(-each // 32), old, wanted, kept, stops.known, iteration, each, light=light(old.size // 16))
