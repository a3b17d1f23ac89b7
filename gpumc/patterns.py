"""Patterns and labels: random, from a teacher, from arrays, from files."""

from __future__ import annotations

import gzip
import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpumc.checks import a_path, keep, numbers, one_of, real, reals, signs, text, whole
from gpumc.device import Device
from gpumc.device.constants import Stream
from gpumc.device.philox import SEED_LIMIT, philox, random_bits, random_normals
from gpumc.errors import ConfigError, RunError
from gpumc.machines import Machine, check_machine
from gpumc.named import by_name, named
from gpumc.reading import ENCODING, regular

#: Inputs are equal where no two entries differ by more, the largest being 1 where a positive factor does not matter; an entry below
#: the second does not decide which of two opposite inputs is taken.
EQUAL, SMALL = 1e-12, 1e-6
#: The largest entry of a pattern, and of a hidden sign's inputs, is at least, and at most: within, squares neither vanish nor overflow.
SIZES = 1e-50, 1e50
#: What inputs are drawn from: signs, or standard normals.
INPUTS = {"binary": random_bits, "gaussian": random_normals}
#: How often inputs that a teacher gives no label are drawn again.
TRIES = 200


@dataclass(frozen=True, eq=False)
class Patterns:
    """Inputs ``xi`` (instances, M, n), ``labels`` int8 +-1 (instances, M); (M, n) and (M,) are one instance.

    Inputs that are all +-1 are kept as int8, others as float64, which machines of real weights take. DataArrays have the dimensions
    ("instance",) "pattern" and "input", in any order. ``test`` holds as many instances of further patterns, on which learners measure
    errors; ``facts`` are numbers that datasets record. Raises ConfigError for shapes that do not belong together, labels that are not +-1,
    and inputs that are not finite, masked, all 0, or too large or too small to be squared.
    """

    xi: np.ndarray
    labels: np.ndarray
    test: Patterns | None = None
    facts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _agree(self.xi, self.labels)
        xi = numbers("xi", by_name("xi", self.xi, "instance", "pattern", "input"))
        labels = signs("labels", by_name("labels", self.labels, "instance", "pattern"))
        shapes = xi.shape, labels.shape
        xi = xi.astype(np.int8) if np.all((xi == 1) | (xi == -1)) else reals("xi", xi)
        if xi.ndim == 2:
            xi, labels = xi[None], labels[None]
        if xi.ndim != 3 or 0 in xi.shape:
            raise ConfigError(
                f"xi has shape {shapes[0]}: (instances, patterns, n) or (patterns, n) is needed, none of them 0"
            )
        if labels.shape != xi.shape[:2]:
            raise ConfigError(f"labels have shape {shapes[1]}, and xi {shapes[0]}: one label a pattern is needed")
        zero = np.argwhere(~xi.any(axis=-1))
        if len(zero):
            raise ConfigError(f"xi{zero[0].tolist()} is 0 throughout: no weights could classify it, leave it out")
        largest = np.abs(xi).max(axis=-1)
        beyond = np.argwhere((largest < SIZES[0]) | (largest > SIZES[1]))
        if len(beyond):
            raise ConfigError(
                f"xi{beyond[0].tolist()} has {largest[tuple(beyond[0])]:.3g} as its largest entry: between {SIZES[0]:g} and "
                f"{SIZES[1]:g} is needed, multiply all inputs by a factor"
            )
        if self.test is not None:
            of_test = one_of("test", self.test, Patterns, "Patterns, or None,").xi.shape
            if (of_test[0], of_test[2]) != (xi.shape[0], xi.shape[2]):
                raise ConfigError(
                    f"test has {of_test[0]} instances of {of_test[2]} inputs, and xi {xi.shape[0]} of {xi.shape[2]}: as many are needed"
                )
        keep(self, xi=xi, labels=labels)

    def __repr__(self) -> str:
        return f"Patterns(instances={self.instances}, count={self.count}, n={self.n})"

    @property
    def instances(self) -> int:
        """The number of instances."""
        return self.xi.shape[0]

    @property
    def count(self) -> int:
        """M, the number of patterns of an instance."""
        return self.xi.shape[1]

    @property
    def n(self) -> int:
        """The number of inputs."""
        return self.xi.shape[2]

    @property
    def digest(self) -> str:
        """A short hash of shapes and entries, which tells sets of patterns apart."""
        inputs = np.packbits(self.xi > 0) if self.xi.dtype == np.int8 else self.xi
        content = str(self.xi.shape).encode() + inputs.tobytes() + np.packbits(self.labels > 0).tobytes()
        return hashlib.sha256(content).hexdigest()[:16]

    def attributes(self, machine: Machine) -> dict[str, Any]:
        """What a dataset says of these patterns, learned by ``machine``."""
        return {"alpha": self.count / machine.weight_count, "patterns_digest": self.digest, **self.facts}

    def contradictions(self, machine: Machine) -> np.ndarray:
        """Whether an instance wants both outputs of inputs that are equal, or that ``machine`` cannot tell apart (`alike`): bool
        (instances,)."""
        return np.array([(alike(machine, *one)[1] < 0).any() for one in zip(self.xi, self.labels, strict=True)])

    def check(self, machine: Machine) -> None:
        """Raise ConfigError unless these patterns have the inputs of ``machine``, +-1 where its weights are binary, and none leaves a
        hidden sign without any."""
        if self.n != machine.n:
            raise ConfigError(
                f"the patterns have {self.n} inputs and the {machine.kind} has n = {machine.n}: they must be equal"
            )
        if not machine.continuous:
            signs("xi", self.xi)
        if machine.activation == "sign":
            units = self.xi.reshape(self.instances, self.count, -1, machine.fan_in)
            silent = np.argwhere(~units.any(axis=-1))
            if len(silent):
                instance, pattern, unit = silent[0]
                raise ConfigError(
                    f"xi[{instance}, {pattern}] is 0 on all inputs of hidden unit {unit}, which then has no sign: leave this pattern out, "
                    "or use units of activation 'tanh' or 'erf'"
                )
            faint = np.argwhere(np.abs(units).max(axis=-1) < SIZES[0])
            if len(faint):
                instance, pattern, unit = faint[0]
                raise ConfigError(
                    f"xi[{instance}, {pattern}] is below {SIZES[0]:g} on all inputs of hidden unit {unit}: multiply these by a factor, "
                    "which leaves the unit's sign as it is"
                )


def check_together(machine: object, patterns: object) -> None:
    """Raise ConfigError unless these are a machine and patterns that it can read."""
    check_machine(machine)
    one_of("patterns", patterns, Patterns, "a Patterns(xi, labels), such as random_patterns(...)")
    patterns.check(machine)  # type: ignore[attr-defined]


def _agree(xi: object, labels: object) -> None:
    """Raise ConfigError where both have coordinates, and these differ."""
    arrays = [array for array in (named("xi", xi), named("labels", labels)) if array is not None]
    try:
        xr.align(*arrays, join="exact", copy=False)
    except ValueError:
        raise ConfigError("xi and labels have other coordinates, or sizes, along a dimension of one name") from None


def alike(
    machine: Machine, xi: np.ndarray, labels: np.ndarray, *, scaled: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Of every input of xi (M, n), the first that ``machine`` cannot tell apart from it, int64 (M,), and +1 where their ``labels`` (M,)
    then want the same, -1 where they contradict each other, int8 (M,).

    A positive factor changes no sign of a sign unit, nor of a parity, if it multiplies the inputs of one unit; nor of a ReLU committee,
    if it multiplies all; unless ``scaled`` is false, for losses that depend on it. An opposite input has the opposite label: of odd
    units in a parity for each unit, in a committee as a whole.
    """
    parity = machine.readout.by_unit
    by_unit = parity or machine.activation == "sign"
    blocks = xi.reshape(len(xi), -1, machine.fan_in if by_unit else machine.n)
    extent = np.ones((len(xi), 0))
    if xi.dtype != np.int8 and (by_unit or machine.readout.rectified):
        largest = np.abs(blocks).max(axis=2, keepdims=True)
        blocks = blocks / np.where(largest > 0, largest, 1)
        if not scaled:
            extent = np.log(largest[..., 0])
    turning = blocks if parity else blocks.reshape(len(xi), 1, -1)
    place = (np.abs(turning) > SMALL * np.abs(turning).max(axis=2, keepdims=True)).argmax(axis=2)
    leading = np.take_along_axis(turning, place[..., None], axis=2)
    sign = np.ones_like(leading) if machine.readout.rectified else np.sign(leading)
    turned = (blocks * sign).reshape(len(xi), -1)
    first = _first_equal(np.concatenate([turned, extent], axis=1) if extent.size else turned)
    wanted = labels * np.sign(sign.prod(axis=1)[:, 0]).astype(np.int8)
    return first, wanted * wanted[first]


def _first_equal(rows: np.ndarray) -> np.ndarray:
    """Of each of ``rows`` (M, n), the first that equals it: int64 (M,). Only rows of equal projection on one direction are compared."""
    direction = np.cos(np.arange(rows.shape[1]))
    projection = np.array([row @ direction for row in rows])
    order = np.argsort(projection, kind="stable")
    ends = np.flatnonzero(np.diff(projection[order]) > EQUAL * rows.shape[1]) + 1
    first = np.arange(len(rows))
    for run in np.split(order, ends):
        left = np.sort(run)
        while len(left) > 1:
            same = np.abs(rows[left] - rows[left[0]]).max(axis=1) <= EQUAL
            first[left[same]] = left[0]
            left = left[~same]
    return first


def random_patterns(
    machine: Machine, alpha: float, instances: int = 1, seed: int = 0, inputs: str = "binary"
) -> Patterns:
    """round(alpha x weights) random patterns and labels +-1; instance i is the same however many there are.

    ``inputs`` are "binary", +-1, or "gaussian", standard normals, which machines of real weights take.

    Sets of one seed are nested: those of a smaller alpha, fewer instances or fewer inputs n are parts of the larger ones (the first
    patterns, instances and inputs), and so are not independent. Use another seed for each alpha and n whose results are compared, or
    counted as independent. Raises ConfigError for an alpha that gives no pattern, and for a wrong number of instances or seed.
    """
    check_machine(machine)
    count, instances, seed = _sizes(machine, alpha, instances, seed, inputs)
    xi = _random_inputs(machine, count, instances, seed, inputs)
    return Patterns(xi, _random_signs(seed, Stream.LABELS, instances, count))


def teacher_patterns(
    machine: Machine,
    alpha: float,
    instances: int = 1,
    seed: int = 0,
    teacher: Machine | None = None,
    flip: float = 0.0,
    inputs: str = "binary",
) -> Patterns:
    """Random inputs with the labels of a ``teacher`` (default: a machine like ``machine``) of random weights.

    Each instance has its own teacher, spherical ones with every unit on its sphere; each label is turned with probability ``flip``.
    ``inputs`` are those of `random_patterns`.
    Inputs to which the teacher's output is 0, as it is where all ReLU units are silent, are drawn again, so that a teacher makes no error
    on its labels. As of `random_patterns`, sets of one seed are nested. Raises ConfigError unless the teacher's n is the machine's.
    """
    check_machine(machine)
    teacher = machine if teacher is None else teacher
    one_of("teacher", teacher, Machine, "a machine, or None,")
    if teacher.n != machine.n:
        raise ConfigError(f"the teacher has n = {teacher.n} and the {machine.kind} n = {machine.n}: they must be equal")
    flip = real("flip", flip, lambda f: 0 <= f <= 1, "a probability from 0 to 1")
    count, instances, seed = _sizes(machine, alpha, instances, seed, inputs)
    check_inputs(teacher, inputs)
    xi = _random_inputs(machine, count, instances, seed, inputs)
    drawn = teacher.weight_kind.drawn(seed, Stream.TEACHER, 0, np.arange(instances), teacher.weight_count)
    weights = teacher.normalised(drawn)
    labels = np.stack(
        [_taught(teacher, w, x, i, seed, inputs) for i, (w, x) in enumerate(zip(weights, xi, strict=True))]
    )
    words = philox(seed, Stream.FLIPS, 0, np.arange((count + 3) // 4), np.arange(instances)[:, None])
    noise = np.moveaxis(words, 0, -1).reshape(instances, -1)[:, :count]
    labels[(noise >> np.uint32(1)) < np.uint32(round(flip * 2**31))] *= -1
    return Patterns(xi, labels)


def _taught(teacher: Machine, weights: np.ndarray, xi: np.ndarray, instance: int, seed: int, inputs: str) -> np.ndarray:
    """Labels (M,) of inputs xi (M, n) by a teacher's ``weights``; inputs without one are drawn again in place. Raises ConfigError where
    the teacher has no label for any."""
    outputs = teacher.stabilities(weights[None], xi, np.ones(len(xi), np.int8))[0]
    for attempt in range(TRIES):
        tied = np.flatnonzero(outputs == 0)
        if not len(tied):
            return np.sign(outputs).astype(np.int8)
        xi[tied] = INPUTS[inputs](seed, Stream.REDRAWN, tied, attempt << 32 | instance, xi.shape[1])
        outputs[tied] = teacher.stabilities(weights[None], xi[tied], np.ones(len(tied), np.int8))[0]
    raise ConfigError(
        f"the teacher of instance {instance} has the output 0 for {len(tied)} of {len(xi)} inputs, however often they are drawn: "
        f"use another seed, or a larger n than {teacher.n}"
    )


def load_patterns(path: str | os.PathLike) -> Patterns:
    """Patterns from a file.

    ``.npz``: arrays ``xi`` and ``labels``. Anything else is text, gzipped where it ends in ``.gz``: a pattern a line,
    numbers separated by blanks or commas, the last one the label +-1; ``#`` starts a comment. Raises RunError for a file
    that cannot be read, and ConfigError, with the file and (in text) the line and column, for what is wrong in it.
    """
    path = regular(a_path(path))
    if path.suffix == ".npz":
        arrays = load_arrays(path, ("xi", "labels"))
        try:
            return Patterns(arrays["xi"], arrays["labels"])
        except ValueError as error:  # ConfigError, and what numpy says of arrays of objects
            raise ConfigError(f"{path}: {error}") from None
    try:
        with gzip.open(path, "rt", encoding=ENCODING) if path.suffix == ".gz" else path.open(encoding=ENCODING) as file:
            lines = file.read().splitlines()
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        raise RunError(f"patterns cannot be read from {path}: {error}") from None
    words = ((number, line.partition("#")[0].replace(",", " ").split()) for number, line in enumerate(lines, 1))
    rows = [(number, text) for number, text in words if text]
    if not rows:
        raise ConfigError(f"{path} holds no pattern: one a line is needed, the label last")
    table = np.array([_row(path, number, text, len(rows[0][1])) for number, text in rows])
    return Patterns(table[:, :-1], table[:, -1])


def load_arrays(path: str | os.PathLike, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays ``names`` of an ``.npz`` file. Raises RunError for a file that cannot be read, and ConfigError where one is missing, or
    is of objects."""
    path = regular(a_path(path))
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it is not an .npz archive, or it was cut short")
        with np.load(path, allow_pickle=False) as arrays:
            missing = set(names) - set(arrays)
            if missing:
                raise ConfigError(
                    f"{path} has no array {' and '.join(sorted(missing))}: found {', '.join(arrays) or 'none'}"
                )
            try:
                return {name: arrays[name] for name in names}
            except ValueError as error:  # what numpy says of arrays of objects
                raise ConfigError(f"{path}: {error}") from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"patterns cannot be read from {path}: {error}") from None


def _row(path: Path, number: int, fields: list[str], length: int) -> list[float]:
    place = f"{path}, line {number}"
    if len(fields) != length or length < 2:
        raise ConfigError(
            f"{place}: {len(fields)} numbers, where the first pattern has {length}: inputs and a label are needed"
        )
    row = []
    for column, word in enumerate(fields, 1):
        try:
            value = float(word)
        except ValueError:
            value = np.nan
        label = column == length
        if not np.isfinite(value) or (label and abs(value) != 1):
            raise ConfigError(
                f"{place}, column {column}: {word!r}: {'a label +1 or -1' if label else 'a finite number'} is needed"
            )
        row.append(value)
    return row


def _sizes(machine: Machine, alpha: object, instances: object, seed: object, inputs: str) -> tuple[int, int, int]:
    """The number of patterns, of instances, and the seed, checked, as the kind of ``inputs`` is."""
    check_inputs(machine, inputs)
    count, instances = machine.pattern_count(alpha), whole("instances", instances, 1, 2**32)
    each = 3 * instances + 4 if inputs == "binary" else 24 * instances
    needed, free = count * machine.n * each, Device("numpy").free_memory()
    if needed > free:
        raise ConfigError(
            f"{instances} x {count} patterns of {machine.n} inputs take {needed / 2**30:.3g} GiB while they are drawn, and "
            f"{free / 2**30:.3g} GiB are free: use fewer"
        )
    return count, instances, whole("seed", seed, 0, SEED_LIMIT)


def check_inputs(machine: Machine, inputs: object) -> None:
    """Raise ConfigError for inputs that are not among `INPUTS`, or that ``machine`` does not take."""
    if text("inputs", inputs, INPUTS) != "binary" and not machine.continuous:
        raise ConfigError(f"inputs = {inputs!r}: with binary weights inputs are +-1, use 'binary' ones or real weights")


def _random_inputs(machine: Machine, count: int, instances: int, seed: int, inputs: str) -> np.ndarray:
    drawn = INPUTS[inputs]
    return np.stack([drawn(seed, Stream.PATTERNS, np.arange(count), i, machine.n) for i in range(instances)])


def _random_signs(seed: int, stream: Stream, instances: int, count: int) -> np.ndarray:
    return random_bits(seed, stream, 0, np.arange(instances), count)
