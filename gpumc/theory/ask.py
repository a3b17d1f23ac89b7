"""What a command line asks of the theory: lists of numbers, and which of its functions answers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from gpumc.checks import evenly, shown
from gpumc.errors import ConfigError, first_line
from gpumc.losses import BandCount, CrossEntropy, ErrorCount, LogBarrier, Loss, SquaredHinge, loss_class
from gpumc.theory.capacity import capacity
from gpumc.theory.clusters import dense_clusters
from gpumc.theory.franz_parisi import franz_parisi
from gpumc.theory.limits import Limit
from gpumc.theory.replica_symmetric import replica_symmetric
from gpumc.theory.replicated import local_entropy_measure

#: In a range or list, and points in all.
MOST_NUMBERS = 10_000
#: The loss that a parameter alone says.
SAID = {"gamma": CrossEntropy, "margin": SquaredHinge, "width": BandCount, "cut": LogBarrier}


def numbers(name: str, text: str) -> float | list[float]:
    """One number, a list "0.5,1,2", or a range "0.02:0.3:15" of 15 numbers. Raises ConfigError."""
    told = f"--{name} {shown(text)[1:-1]}"
    try:
        if ":" not in text:
            values = [float(part) for part in text.split(",")]
            if len(values) > MOST_NUMBERS:
                raise ConfigError(f"{told}: lists of at most {MOST_NUMBERS} numbers are possible")
            return values if "," in text else values[0]
        first, last, count = text.split(":")
        start, stop, points = float(first), float(last), int(count)
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError(
            f"{told}: a number, a list such as 0.5,1,2, or a range such as 0.02:0.3:15 is needed"
        ) from None
    if not 1 <= points <= MOST_NUMBERS or not np.isfinite([start, stop]).all():
        raise ConfigError(f"{told}: ranges of 1 to {MOST_NUMBERS} numbers between finite ends are possible")
    return evenly(start, stop, points)


def loss_of(kind: str | None, given: Mapping[str, str]) -> Loss:
    """The loss of a ``kind`` with the parameters ``given``, or the one that its parameter says; the error count where nothing is given.
    Raises ConfigError."""
    if kind is None and len(given) > 1:
        raise ConfigError(f"--{' and --'.join(given)}: a loss has one of them; --loss says which it is")
    found = loss_class(kind) if kind else next((SAID[name] for name in given), ErrorCount)
    for name in given:
        if name not in found.axes:
            raise ConfigError(f"--{name} has no meaning for the loss {found.kind!r}: leave it out")
    parameters = {name: numbers(name, text) for name, text in given.items()}
    try:
        return found(**parameters)
    except TypeError as error:  # a user's class that needs what is not there
        raise ConfigError(f"--loss {kind}: it cannot be made ({first_line(error)})") from None


def capacity_text(machine: str, k: float | None, activation: str) -> str:
    """A sentence about the capacity."""
    return f"alpha_c = {capacity(machine, k=k, activation=activation):.6g}, replica-symmetric"


def asked(
    machine: str, loss: Loss, alpha, beta, places: Mapping[str, float | list[float]], k: float | None, activation: str
) -> xr.Dataset:
    """Dense clusters where there are distances and replicas, Franz-Parisi entropies where there are distances, the local-entropy measure
    where there are replicas and a coupling, else replica symmetry. Raises ConfigError for other combinations."""
    points = math.prod(np.size(values) for values in (alpha, beta, *loss.parameters.values(), *places.values()))
    if points > MOST_NUMBERS:
        raise ConfigError(f"{points} points: at most {MOST_NUMBERS} are possible at a time")
    given = set(places)
    if given == {"distance", "replicas"}:
        if loss != ErrorCount() or not np.all(np.isinf(beta)):
            raise ConfigError("dense clusters are of configurations without error: leave --beta and the loss out")
        return dense_clusters(machine, alpha=alpha, k=k, activation=activation, **places)
    limit = Limit.of(machine, k, activation)
    if given == {"distance"}:
        return franz_parisi(machine=limit, alpha=alpha, reference_loss=loss, reference_beta=beta, **places)
    if given == {"replicas", "coupling"}:
        return local_entropy_measure(limit, alpha=alpha, beta=beta, loss=loss, **places)
    if given:
        raise ConfigError(
            f"--{' and --'.join(sorted(given))}: --distance, --distance with --replicas, or --replicas with --coupling are possible"
        )
    return replica_symmetric(limit, alpha=alpha, loss=loss, beta=beta)
