"""The arguments of ``gpumc theory``: lists of numbers, machines and losses, and the function that they are for."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from gpumc import theory
from gpumc.checks import evenly, shown, text
from gpumc.errors import ConfigError, first_line
from gpumc.losses import BandCount, CrossEntropy, ErrorCount, LogBarrier, Loss, SquaredHinge, loss_class
from gpumc.measures import Gibbs, LocalEntropy
from gpumc.schema import described
from gpumc.theory.infinite_machines import KINDS
from gpumc.weights import WEIGHTS

#: One number, or several.
Numbers = float | list[float]
#: In a range or list, and points in all.
MOST_NUMBERS = 10_000
#: The loss that has a parameter of this name.
BY_PARAMETER = {"gamma": CrossEntropy, "margin": SquaredHinge, "width": BandCount, "cut": LogBarrier}


def numbers(name: str, typed: str) -> Numbers:
    """One number, a list "0.5,1,2", or a range "0.02:0.3:15" of 15 numbers. Raises ConfigError."""
    option = f"--{name} {shown(typed)[1:-1]}"
    try:
        if ":" not in typed:
            values = [float(part) for part in typed.split(",")]
            if len(values) > MOST_NUMBERS:
                raise ConfigError(f"{option}: lists of at most {MOST_NUMBERS} numbers are possible")
            return values if "," in typed else values[0]
        first, last, count = typed.split(":")
        start, stop, points = float(first), float(last), int(count)
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError(
            f"{option}: a number, a list such as 0.5,1,2, or a range such as 0.02:0.3:15 is needed"
        ) from None
    if not 1 <= points <= MOST_NUMBERS or not np.isfinite([start, stop]).all():
        raise ConfigError(f"{option}: ranges of 1 to {MOST_NUMBERS} numbers between finite ends are possible")
    return evenly(start, stop, points)


def loss_of(kind: str | None, given: Mapping[str, str]) -> Loss:
    """The loss of a ``kind`` with the parameters ``given``, or the one that its parameter says; the error count where nothing is given.
    Raises ConfigError."""
    if kind is None and len(given) > 1:
        raise ConfigError(f"--{' and --'.join(given)}: a loss has one of them; --loss says which it is")
    found = loss_class(kind) if kind else next((BY_PARAMETER[name] for name in given), ErrorCount)
    for name in given:
        if name not in found.axes:
            raise ConfigError(f"--{name} has no meaning for the loss {found.kind!r}: leave it out")
    parameters = {name: numbers(name, typed) for name, typed in given.items()}
    try:
        return found(**parameters)
    except TypeError as error:  # a user's class that needs what is not there
        raise ConfigError(f"--loss {kind}: it cannot be made ({first_line(error)})") from None


def limit_of(machine: str, k: float | None, activation: str) -> theory.Limit:
    """The machine of a name such as "binary-perceptron" with ``k`` hidden units, of a perceptron 1. Raises ConfigError."""
    names = [f"{weights}-{kind}" for weights in WEIGHTS for kind in KINDS]
    weights, kind = text("theory: machine", machine, names).split("-", 1)
    if k is None and kind != "perceptron":
        raise ConfigError(f"{machine}: the number of hidden units is needed, --k 3, or --k inf for a committee of many")
    return theory.Limit(kind, weights, 1 if k is None else k, activation)


def capacity_text(machine: theory.Limit) -> str:
    """A sentence about the capacity."""
    return f"alpha_c = {theory.capacity(machine):.6g}, replica-symmetric"


def dataset_of(
    machine: theory.Limit, loss: Loss, alpha: Numbers, beta: Numbers, places: Mapping[str, Numbers]
) -> xr.Dataset:
    """Dense clusters where there are distances and replicas, Franz-Parisi entropies where there are distances, the local-entropy measure
    where there are replicas and a coupling, else the theory of a single machine. Raises ConfigError for other combinations."""
    points = math.prod(np.size(values) for values in (alpha, beta, *loss.parameters.values(), *places.values()))
    if points > MOST_NUMBERS:
        raise ConfigError(f"{points} points: at most {MOST_NUMBERS} are possible at a time")
    given = set(places)
    if given == {"distance", "replicas"}:
        if loss != ErrorCount() or not np.all(np.isinf(beta)):
            raise ConfigError("dense clusters are of configurations without error: leave --beta and the loss out")
        return theory.dense_clusters(machine, alpha=alpha, **places)
    if given == {"distance"}:
        return theory.franz_parisi(machine, Gibbs(loss, beta), alpha=alpha, distance=places["distance"])
    if given == {"replicas", "coupling"}:
        counts = [int(y) if y % 1 == 0 else y for y in np.atleast_1d(places["replicas"]).tolist()]
        measures = [LocalEntropy(loss, beta, places["coupling"], y) for y in counts]
        found = [theory.replica_symmetric(machine, measure, alpha=alpha) for measure in measures]
        if not np.ndim(places["replicas"]):
            return found[0]
        return described(xr.concat(found, xr.Variable("replicas", counts), combine_attrs="drop_conflicts"), *loss.axes)
    if given:
        raise ConfigError(
            f"--{' and --'.join(sorted(given))}: --distance, --distance with --replicas, or --replicas with --coupling are possible"
        )
    return theory.replica_symmetric(machine, Gibbs(loss, beta), alpha=alpha)
