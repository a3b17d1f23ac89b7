"""A population step by step: init, step, observe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.checks import one_of, whole
from gpumc.device import Device, choose
from gpumc.device.philox import SEED_LIMIT
from gpumc.errors import ConfigError
from gpumc.grid import Grid
from gpumc.machines import Machine
from gpumc.measures import Measure
from gpumc.parts import Part
from gpumc.patterns import Patterns, check_together
from gpumc.ramps import Ramp, values_of
from gpumc.sampling import acceptance
from gpumc.sampling.binary import BinaryWalk
from gpumc.sampling.dataset import Records, dataset
from gpumc.sampling.samplers import Sampler, sampler_of
from gpumc.sampling.spheres.spherical import SphericalWalk
from gpumc.sampling.starts import Starts
from gpumc.sampling.walks import Walk
from gpumc.schema import Started, provenance
from gpumc.state import State, load_arrays

#: Sweeps, with those of burn-in, are fewer than twice as many, as random numbers count them in 32 bits.
MOST_SWEEPS = 2**31
#: Replicas of all chains and instances are fewer, as random numbers count them in 48 bits.
MOST_WALKERS = 2**48
#: Chains of an instance are fewer.
MOST_CHAINS = 2**31


def dynamics(
    machine: Machine,
    patterns: Patterns,
    measure: Measure,
    *,
    sampler: Sampler | None = None,
    seed: int = 0,
    device: str | Device = "auto",
    burn_in: int = 0,
    sweeps: int | None = None,
) -> Dynamics:
    """A Markov chain of populations, to be advanced step by step.

    Parameters
    ----------
    machine : Machine
    patterns : Patterns
    measure : Gibbs or LocalEntropy
        What is sampled; parameters that are several numbers become dimensions.
    sampler : Sampler, optional
        `Metropolis` (the default) or `HeatBath` for binary weights; `HMC`, `Rotations` or `HitAndRun` for spherical ones, by default the
        first of these that fits the loss; `HMC` for gaussian ones.
    seed : int
        Of all random numbers, from 0 to 2^48 - 1.
    device : str or Device
        "auto", "cpu", "numpy", "cuda" or "cuda:1".
    burn_in : int
        The first sweeps, in which ramps go up and the sizes of moves on spheres are tuned. ``acceptance`` is counted from their end.
    sweeps : int, optional
        The sweeps after burn-in, which a Ramp over the run needs; without it their number is open.

    Returns
    -------
    Dynamics
        With the methods ``init``, ``step``, ``observe`` and ``load``.

    Raises
    ------
    ConfigError
        For a sampler that cannot sample the measure, and for other arguments that make no sense.
    DeviceError
        For a device that cannot be had.

    Examples
    --------
    >>> import gpumc
    >>> machine = gpumc.Perceptron(21)
    >>> patterns = gpumc.random_patterns(machine, alpha=0.5, seed=1)
    >>> walk = gpumc.dynamics(machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(), beta=2.0), device="numpy")
    >>> state = walk.init(chains=3)
    >>> walk.step(state, sweeps=10)
    >>> walk.observe(state).energy.dims
    ('instance', 'chain', 'replica')
    """
    check_together(machine, patterns)
    one_of("measure", measure, Measure, "a Gibbs(loss, beta) or a LocalEntropy(loss, beta, coupling, replicas)")
    burn_in = whole("burn_in", burn_in, 0, MOST_SWEEPS)
    if sweeps is not None:
        sweeps = whole("sweeps", sweeps, 1, MOST_SWEEPS)
    seed = whole("seed", seed, 0, SEED_LIMIT)
    sampler = sampler_of(sampler, machine, measure)
    check_measure(machine, measure)
    for name, value in Grid.of(measure).parameters.items():
        if isinstance(value, Ramp) and value.over == "run" and sweeps is None:
            raise ConfigError(f"the ramp of {name} goes over the run: sweeps = the sweeps after burn-in is needed")
    return Dynamics(machine, patterns, measure, sampler, seed, choose(device), burn_in, sweeps)


def check_measure(machine: Machine, measure: Measure) -> None:
    """Raise ConfigError for a measure of ``machine`` that no sampler can sample."""
    if np.any(np.isinf(values_of(measure.beta))) and not measure.loss.counts:
        raise ConfigError(f"beta = inf is for the error count: the loss {measure.loss.kind!r} needs a finite beta")
    if measure.loss.ramps and measure.loss.counts:
        raise ConfigError(
            f"the loss {measure.loss.kind!r}: a Ramp is for losses that do not count errors; use several values"
        )
    acceptance.check_range(measure, machine.continuous)
    if machine.spherical and machine.fan_in < 2:
        raise ConfigError(
            f"{machine.kind}: each unit has one weight, which cannot move on its sphere: use n/k of at least 2"
        )
    if not machine.weight_kind.fixed_norm:
        _check_free(machine, measure)


def _check_free(machine: Machine, measure: Measure) -> None:
    """Raise ConfigError where nothing holds the norm of weights, or of a centre."""
    if not machine.decay:
        raise ConfigError(
            f"{machine.kind}: decay = 0: without a decay norms of gaussian weights grow for ever: a positive one is needed"
        )
    if measure.centre_kind in ("explicit", "traced") and np.any(values_of(measure.coupling) == 0):
        raise ConfigError(
            "coupling = 0: a centre of gaussian weights is then anywhere in space: use a positive coupling, or Gibbs(loss, beta)"
        )


@dataclass(frozen=True, eq=False)
class Dynamics:
    """A Markov chain of populations; `gpumc.dynamics` makes one. ``sweeps``: those after burn-in, None where their number is open."""

    machine: Machine
    patterns: Patterns
    measure: Measure
    sampler: Any
    seed: int
    device: Device
    burn_in: int
    sweeps: int | None

    def init(self, chains: int, init: str | ArrayLike = "random") -> State:
        """A population at its start.

        Parameters
        ----------
        chains : int
            Chains of every instance at every grid point.
        init : str or array
            "random" or weights, as in `gpumc.sample`.

        Returns
        -------
        State
            Its ``sweep`` counts the sweeps that it has made, 0 so far; ``save(path)`` keeps it.

        Raises
        ------
        ConfigError
            For weights that have no place in the population.
        DeviceError
            Where the population does not fit in memory.
        """
        part = self.whole(chains)
        walk = self._walk(chains)
        walk.need()
        with np.errstate(under="ignore"):  # factors that vanish are 0
            return walk.start(self.starts(chains, init, part))

    def step(self, state: State, sweeps: int = 1) -> None:
        """Advance ``state`` in place by so many sweeps. Its bits do not depend on how many sweeps are made in one step.

        Raises
        ------
        ConfigError
            For a state of another population, and for more sweeps than the dynamics was made for.
        RunError
            Where a step size collapses.
        """
        walk = self._walk_of(state)
        sweeps = whole("sweeps", sweeps, 1, MOST_SWEEPS)
        last = self.burn_in + (MOST_SWEEPS if self.sweeps is None else self.sweeps)
        if state.sweep + sweeps > last:
            raise ConfigError(f"sweeps = {sweeps}: the state has made {state.sweep}, and {last} are all that there are")
        with np.errstate(under="ignore"):
            walk.advance(state, sweeps)

    def observe(self, state: State) -> xr.Dataset:
        """What can be measured of ``state`` now, as a dataset with the variables of `gpumc.sample`.

        Returns
        -------
        Dataset
            ``energy`` (in units of the loss), ``energy_per_pattern``, ``error_rate`` and ``overlap_centre`` over (instance, parameters,
            chain, replica), ``overlap_replicas`` over (instance, parameters, chain); ``weights`` and ``centre``; ``acceptance`` since
            burn-in, NaN before its end. ``sweep`` is counted from the end of burn-in.
        """
        started = Started.now()
        walk = self._walk_of(state)
        part = walk.part
        records = Records.empty(self.machine, self.measure, part.size, 1)
        with np.errstate(under="ignore"):
            walk.record(state, records, 0)
            walk.configurations(state, records.weights, records.centre)
        records.acceptance[:] = walk.acceptance(state)
        return self.dataset(records, part, state.sweep - self.burn_in, started).squeeze("draw")

    def load(self, path: str | os.PathLike) -> State:
        """The state that ``state.save(path)`` has kept: what it gives from here on has the same bits as if it had never been saved (of
        spherical weights, on the same device).

        Raises
        ------
        ConfigError
            For a state of another population.
        RunError
            For a file that cannot be read.
        """
        arrays = load_arrays(path)
        weights = arrays["weights"]
        chains = weights.shape[2] if weights.ndim == 5 else 0
        expected = self._walk(chains).layout if chains else {}
        if not chains or (weights.dtype, weights.shape) != expected["weights"]:
            raise ConfigError(self._stranger(f"the state in {path}", weights.shape))
        found = {name: (array.dtype, array.shape) for name, array in arrays.items()}
        if found != expected:
            names = ", ".join(name for name in (*expected, *found) if found.get(name) != expected.get(name))
            raise ConfigError(f"the state in {path} is one of another measure or sampler, as its arrays say ({names})")
        with np.errstate(under="ignore"):
            return self._walk(chains).restored(arrays)

    # What follows serves `sample`, and methods that are made of steps.

    @cached_property
    def schedule(self) -> acceptance.Schedule:
        """The parameters in every sweep."""
        return acceptance.Schedule.of(self.measure, self.burn_in, self.sweeps or 1)

    @cached_property
    def grid(self) -> Grid:
        """The measure's parameters."""
        return Grid.of(self.measure)

    @cached_property
    def grid_size(self) -> int:
        """The number of grid points."""
        return self.grid.size

    def whole(self, chains: int) -> Part:
        """All instances and so many chains of each."""
        chains = whole("chains", chains, 1, MOST_CHAINS)
        if self.patterns.instances * chains * self.measure.replicas >= MOST_WALKERS:
            raise ConfigError(
                f"chains = {chains}: with {self.patterns.instances} instances and {self.measure.replicas} replicas too many"
            )
        return Part((0, self.patterns.instances), (0, chains))

    def starts(self, chains: int, init: str | ArrayLike, part: Part) -> Starts:
        """Where ``part`` of a population starts."""
        return Starts.of(self.machine, self.patterns.instances, self.measure, chains, init, part)

    def batches(self, chains: int, part: Part) -> Iterator[Part]:
        """``part`` of a population in pieces that fit in memory."""
        return self.walk(part, chains).batches()

    def walk(self, part: Part, chains: int) -> Walk:
        """What advances ``part`` of a population of so many chains an instance."""
        kind = SphericalWalk if self.machine.continuous else BinaryWalk
        return kind(self, part, chains)

    def dataset(self, records: Records, part: Part, every: int, started: Started) -> xr.Dataset:
        """The records of ``part``, one in ``every`` sweeps after burn-in."""
        asked = self.machine.attributes, self.patterns.attributes(self.machine), self.measure.attributes
        settings = {"seed": self.seed, "device": self.device.name, **self.sampler.attributes, "burn_in": self.burn_in}
        attributes = provenance(started, *asked, **settings)
        return dataset(
            self.machine,
            self.patterns.count,
            self.measure,
            part.instances[0],
            part.chains[0],
            every,
            records,
            self.schedule,
            self.burn_in,
            attributes,
        )

    @cached_property
    def _known(self) -> dict[int, Walk]:
        """The walks of whole populations by their number of chains."""
        return {}

    def _walk(self, chains: int) -> Walk:
        part = self.whole(chains)
        chains = part.chains[1]
        if chains not in self._known:
            self._known[chains] = self.walk(part, chains)
        return self._known[chains]

    def _walk_of(self, state: State) -> Walk:
        one_of("state", state, State, "a state, as init gives it,")
        walk = self._walk(state.shape[2])
        if state.shape != walk.shape or not isinstance(state, walk.state):
            raise ConfigError(self._stranger("state", state.shape))
        return walk

    def _stranger(self, name: str, shape: tuple[int, ...]) -> str:
        dims = ("instances", "grid", "chains", "replicas", "weights")[: len(shape)]
        return (
            f"{name} has shape {shape} of ({', '.join(dims)}): this dynamics has {self.patterns.instances} instances, "
            f"{self.grid_size} grid points, {self.measure.replicas} replicas and {self.machine.weight_count} {self.machine.weights} weights"
        )
