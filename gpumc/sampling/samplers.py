"""Samplers: what moves a population, with its settings, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpumc.checks import keep, real, shown, whole
from gpumc.errors import ConfigError
from gpumc.machines import Machine
from gpumc.measures import Measure
from gpumc.ramps import values_of
from gpumc.sampling.spheres.hit_and_run import hit_and_run
from gpumc.sampling.spheres.rotations import rotation

if TYPE_CHECKING:
    from gpumc.sampling.spheres.moves import Moves

#: Leapfrog steps of a trajectory are fewer; and moves of a sweep, whose directions are drawn at once.
MOST_STEPS, MOST_MOVES = 2**16, 2**8


class Sampler:
    """What advances a population by sweeps: a frozen dataclass of settings.

    Attributes
    ----------
    kind : str
        Its name in files and configs.
    weights : tuple of str
        The weights that it moves: "binary", "spherical", "gaussian".
    """

    kind: ClassVar[str]
    weights: ClassVar[tuple[str, ...]]

    @classmethod
    def settings(cls) -> tuple[str, ...]:
        """The names of its settings."""
        return tuple(getattr(cls, "__dataclass_fields__", ()))

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the sampler: its kind, and its settings with "sampler_" before their names."""
        return {"sampler": self.kind, **{f"sampler_{name}": getattr(self, name) for name in self.settings()}}

    def check(self, machine: Machine, measure: Measure) -> None:
        """Raise ConfigError where it cannot sample ``measure`` of ``machine``."""
        if machine.weights not in self.weights:
            raise ConfigError(
                f"the sampler {self.kind!r} moves {' or '.join(self.weights)} weights, and the {machine.kind} has {machine.weights} "
                f"weights: use {_written(*_moving(machine))}"
            )


class FlipSampler(Sampler):
    """A sampler of binary weights by single flips.

    Attributes
    ----------
    heat_bath : bool
        Whether a weight is drawn from its conditional; else its flip is proposed, and accepted by Metropolis' rule.
    """

    weights: ClassVar[tuple[str, ...]] = ("binary",)
    heat_bath: ClassVar[bool]


class SphereSampler(Sampler):
    """A sampler of spherical weights.

    Attributes
    ----------
    tuned : str
        What is tuned in burn-in, in words; "" where nothing is.
    first_size, largest_size : float
        Where its tuning starts, and the most that it may be.
    acceptance : float
        The mean chance of acceptance to which it is tuned.
    joint : bool
        Whether the replicas of a chain whose centre is integrated over move as one.
    must_move : bool
        Whether a burn-in in which nothing was ever accepted is an error.
    directions : int
        Random vectors of a row that are drawn at once, for estimates of memory.
    """

    weights: ClassVar[tuple[str, ...]] = ("spherical",)
    tuned: ClassVar[str] = ""
    first_size: ClassVar[float] = 1.0
    largest_size: ClassVar[float] = np.inf
    joint: ClassVar[bool] = False
    must_move: ClassVar[bool] = False
    acceptance: float

    @property
    def directions(self) -> int:
        """See the class."""
        return 1

    def sweep(self, moves: Moves, x: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A sweep of a block of rows: new weights, and the mean chance of acceptance of what moves as one.

        ``x`` float64 (rows, units, fan_in); ``size`` float64, one for each of what moves as one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no sweep(moves, x, size)")


@dataclass(frozen=True)
class Metropolis(FlipSampler):
    """Single flips of binary weights, accepted by Metropolis' rule: as many proposals a sweep as there are weights.

    Examples
    --------
    >>> import gpumc
    >>> gpumc.Metropolis().kind
    'metropolis'
    """

    kind = "metropolis"
    heat_bath = False

    def check(self, machine: Machine, measure: Measure) -> None:
        """Raise ConfigError where it cannot sample ``measure`` of ``machine``."""
        super().check(machine, measure)
        if np.any(values_of(measure.beta) == 0) and np.any(values_of(measure.coupling) == 0):
            raise ConfigError(
                "Metropolis at beta = 0 without coupling accepts every flip, so that a sweep sends W to -W: use "
                f"{_written(HeatBath)}"
            )


@dataclass(frozen=True)
class HeatBath(FlipSampler):
    """Single binary weights, each drawn once a sweep from its conditional given all others.

    Examples
    --------
    >>> import gpumc
    >>> gpumc.HeatBath().kind
    'heat-bath'
    """

    kind = "heat-bath"
    heat_bath = True


@dataclass(frozen=True)
class HMC(SphereSampler):
    """Hamiltonian Monte Carlo of real weights: a sweep is one trajectory of leapfrog steps, geodesic ones on spheres.

    Parameters
    ----------
    steps : int
        Leapfrog steps of a trajectory.
    acceptance : float
        The probability of acceptance that step sizes are tuned to in burn-in, between 0 and 1.

    References
    ----------
    S. Byrne, M. Girolami, Scand. J. Stat. 40, 825 (2013).

    Examples
    --------
    >>> import gpumc
    >>> gpumc.HMC(steps=20)
    HMC(steps=20, acceptance=0.8)
    """

    steps: int = 10
    acceptance: float = 0.8
    kind = "hmc"
    weights = ("spherical", "gaussian")
    tuned = "step size"
    first_size = 0.1
    joint = True
    must_move = True

    def __post_init__(self) -> None:
        keep(self, steps=whole("steps", self.steps, 1, MOST_STEPS), acceptance=_chance(self.acceptance))

    def check(self, machine: Machine, measure: Measure) -> None:
        """Raise ConfigError where it cannot sample ``measure`` of ``machine``."""
        super().check(machine, measure)
        if not (measure.loss.has_slope and machine.differentiable):
            what = f"a {machine.kind} of hidden signs" if measure.loss.has_slope else f"the loss {measure.loss.kind!r}"
            others = [sampler for sampler in _moving(machine) if sampler is not HMC]
            instead = _written(*others) if others else "a loss and hidden units that have one"
            raise ConfigError(f"the sampler 'hmc' needs a gradient, which {what} has not: use {instead}")

    def sweep(self, moves: Moves, x: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One trajectory of every row; see `SphereSampler`."""
        return moves.trajectory(x, size, self.steps)


@dataclass(frozen=True)
class Rotations(SphereSampler):
    """Metropolis rotations on spheres: each turns all units by one angle along great circles of random directions.

    Parameters
    ----------
    moves : int
        Rotations of a sweep.
    acceptance : float
        The probability of acceptance that angles are tuned to in burn-in, between 0 and 1.

    Examples
    --------
    >>> import gpumc
    >>> gpumc.Rotations(moves=5)
    Rotations(moves=5, acceptance=0.3)
    """

    moves: int = 10
    acceptance: float = 0.3
    kind = "rotations"
    tuned = "angle"
    first_size = 0.3
    largest_size = np.pi / 2

    def __post_init__(self) -> None:
        keep(self, moves=whole("moves", self.moves, 1, MOST_MOVES), acceptance=_chance(self.acceptance))

    @property
    def directions(self) -> int:
        """See `SphereSampler`."""
        return self.moves

    def sweep(self, moves: Moves, x: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations of every row; see `SphereSampler`."""
        return moves.repeated(x, self.moves, lambda rows, *given: rotation(size[rows], *given))


@dataclass(frozen=True)
class HitAndRun(SphereSampler):
    """Exact draws along great circles of random directions, for the error count of hidden signs at any beta.

    Parameters
    ----------
    moves : int
        Draws of a sweep.

    Examples
    --------
    >>> import gpumc
    >>> gpumc.HitAndRun(moves=5)
    HitAndRun(moves=5)
    """

    moves: int = 10
    kind = "hit-and-run"

    def __post_init__(self) -> None:
        keep(self, moves=whole("moves", self.moves, 1, MOST_MOVES))

    @property
    def directions(self) -> int:
        """See `SphereSampler`."""
        return self.moves

    def check(self, machine: Machine, measure: Measure) -> None:
        """Raise ConfigError where it cannot sample ``measure`` of ``machine``."""
        super().check(machine, measure)
        if not (measure.loss.of_sign and machine.activation == "sign"):
            raise ConfigError(
                f"the sampler 'hit-and-run' is for the error count of hidden signs: use {_written(HMC, Rotations)}"
            )

    def sweep(self, moves: Moves, x: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draws of every row; see `SphereSampler`."""
        return moves.repeated(x, self.moves, lambda rows, *given: hit_and_run(*given))


SAMPLERS: dict[str, type[Sampler]] = {
    sampler.kind: sampler for sampler in (Metropolis, HeatBath, HMC, Rotations, HitAndRun)
}


def default_sampler(machine: Machine, measure: Measure) -> Sampler:
    """The sampler that is taken where none is given."""
    if not machine.continuous:
        return Metropolis()
    if not machine.weight_kind.fixed_norm:
        return HMC()
    if machine.activation == "sign" and measure.loss.of_sign and np.all(np.isinf(values_of(measure.beta))):
        return HitAndRun()
    return HMC() if measure.loss.has_slope and machine.differentiable else Rotations()


def sampler_of(sampler: Any, machine: Machine, measure: Measure) -> Any:
    """``sampler``, or the default where it is None. Raises ConfigError for what is no sampler, or cannot sample ``measure``."""
    if sampler is None:
        sampler = default_sampler(machine, measure)
    elif isinstance(sampler, type) and issubclass(sampler, Sampler):
        raise ConfigError(f"sampler is the class {sampler.__name__} and no object of it: write {sampler.__name__}()")
    elif not isinstance(sampler, Sampler):
        meant = SAMPLERS.get(sampler) if isinstance(sampler, str) else None
        fitting = [meant] if meant else _moving(machine)
        raise ConfigError(f"sampler = {shown(sampler)}: an object is needed, write {_listed(fitting, _call)}")
    sampler.check(machine, measure)
    return sampler


def _moving(machine: Machine) -> list[type[Sampler]]:
    """The samplers of such weights."""
    return [sampler for sampler in SAMPLERS.values() if machine.weights in sampler.weights]


def _chance(value: object) -> float:
    return real("acceptance", value, lambda v: 0 < v < 1, "a number between 0 and 1")


def _call(sampler: type[Sampler]) -> str:
    return f"gpumc.{sampler.__name__}()"


def _listed(samplers: list[type[Sampler]], name: Callable[[type[Sampler]], str]) -> str:
    names = [name(sampler) for sampler in samplers]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _written(*samplers: type[Sampler]) -> str:
    """Samplers as they are written in Python and in a config."""
    kinds = _listed(list(samplers), lambda sampler: repr(sampler.kind))
    return f"{_listed(list(samplers), lambda sampler: f'{sampler.__name__}()')} (in a config {kinds})"
