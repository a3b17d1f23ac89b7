"""A whole run: from machine, patterns and measure to a dataset."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

import gpumc
from gpumc import observables
from gpumc.checks import callback, one_of, text, whole
from gpumc.device import Device, choose, to_host
from gpumc.device.philox import SEED_LIMIT, Stream, random_bits
from gpumc.errors import ConfigError
from gpumc.grid import Grid
from gpumc.machines import Machine
from gpumc.measures import LocalEntropy, Measure
from gpumc.observables import StabilityBins
from gpumc.patterns import Patterns, check_together
from gpumc.ramps import Ramp, values_of
from gpumc.sampling import acceptance, sweep
from gpumc.sampling.dataset import Records, dataset
from gpumc.sampling.halves import Batches
from gpumc.sampling.parts import Part, Progress, Report, Watch, Watching, fitting
from gpumc.sampling.spheres.run import SpheresRun
from gpumc.sampling.starts import Starts
from gpumc.sampling.sweep import Dynamics
from gpumc.state import Model, Population, field_dtype, pack_signs, unpack_signs

#: Walkers whose fields are computed at once at the start, and the bytes of preactivations that they have at most.
CHUNK, CHUNK_BYTES = 1024, 2**27
#: Bytes in which the orders of sites and the tables of acceptance of one launch are made, unless one sweep needs more, and the bytes that
#: each weight takes of them.
TABLES, ORDER_BYTES = 2**26, 80
#: Sweeps between two reports of progress, where draws are further apart; of compiled kernels, that which makes so many attempts.
STRIDE, ATTEMPTS = 16, 2e7
#: Sweeps, with those of burn-in, are fewer than twice as many, as random numbers count them in 32 bits.
MOST_SWEEPS = 2**31
#: Replicas of all chains and instances are fewer, as random numbers count them in 48 bits.
MOST_WALKERS = 2**48


def sample(
    machine: Machine,
    patterns: Patterns,
    measure: Measure,
    *,
    chains: int,
    burn_in: int,
    sweeps: int,
    every: int = 1,
    seed: int = 0,
    sampler: str | None = None,
    init: str | ArrayLike = "random",
    device: str = "auto",
    part: Part | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    watch_every: int = 1,
) -> xr.Dataset:
    """Sample ``chains`` independent chains of every instance of ``patterns`` at every grid point of ``measure``.

    After ``burn_in`` sweeps, ``sweeps`` more are made and every ``every``-th is recorded. ``sampler``: for binary weights "metropolis"
    (the default) or "heat-bath"; for spherical ones "hmc" (the default for a loss with a gradient), "rotations" (for others) or
    "hit-and-run" (for error counts of hidden signs, the default at beta = inf). On spheres a sweep is one trajectory of 10 leapfrog
    steps, or 10 rotations or great circles, and steps and angles are tuned in burn-in and frozen at its end.

    ``init``: "random" or weights, +-1 or real, of any norm. A DataArray, such as the ``weights`` of a result, is placed by the names of its
    dimensions and the values of their coordinates: these are in any order, more of them are left out, missing ones are refused, and
    dimensions of size one that the run does not have are dropped. Any other array is (weights,), (instances, weights) or (instances, grid,
    chains, replicas, weights), the grid being the parameters, the last one fastest; a dimension of size one is the same for all.

    ``part`` limits the run to some of its instances and chains, with the same bits as in the whole. ``progress(done, total)`` is told
    flip attempts, and ``watch`` is shown the configurations after every ``watch_every`` sweeps.

    Returns a dataset (`gpumc.sampling.dataset`): energies in units of the loss (not times beta), overlaps in [-1, 1]. Its bits depend on
    the arguments and on nothing else (of spherical weights, on the device too). Raises ConfigError for what makes no sense, DeviceError
    for a device that cannot be had, RunError where a step size collapses. Error counts at beta = inf, or so large that no error is made
    again, only descend from a random start: a warning says how many replicas have not reached a solution.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    check_together(machine, patterns)
    one_of("measure", measure, Measure, "a Gibbs(loss, beta) or a LocalEntropy(loss, beta, coupling, replicas)")
    chains = whole("chains", chains, 1, 2**31)
    burn_in, sweeps = whole("burn_in", burn_in, 0, MOST_SWEEPS), whole("sweeps", sweeps, 1, MOST_SWEEPS)
    every, seed = whole("every", every, 1, MOST_SWEEPS), whole("seed", seed, 0, SEED_LIMIT)
    watch_every = whole("watch_every", watch_every, 1, MOST_SWEEPS)
    if every > sweeps:
        raise ConfigError(f"every = {every} is more than sweeps = {sweeps}: nothing would be recorded")
    sampler = default_sampler(machine, measure) if sampler is None else sampler
    check_measure(machine, measure, sampler)
    part = (
        Part((0, patterns.instances), (0, chains)) if part is None else one_of("part", part, Part, "a Part, or None,")
    )
    part.check(patterns.instances, chains)
    if patterns.instances * chains * measure.replicas >= MOST_WALKERS:
        raise ConfigError(
            f"chains = {chains}: with {patterns.instances} instances and {measure.replicas} replicas too many"
        )
    report = Report(callback("progress", progress), attempts(machine, measure, part, burn_in + sweeps))
    watching = Watching(callback("watch", watch), watch_every if watch else sweeps)
    target = choose(device)
    kind = SpheresRun if machine.spherical else _Run
    run = kind(machine, patterns, measure, chains, burn_in, sweeps, every, sampler, seed, target)
    need_for_results(machine, patterns, measure, part, burn_in, sweeps, every)
    records = Records.empty(machine, measure, part.size, sweeps // every)
    with np.errstate(under="ignore"):  # factors that vanish are 0
        run.run(part, init, records, report, watching)
    _warn_of_descents(measure, run.schedule, records)
    attributes = {
        "gpumc_version": gpumc.__version__,
        "seed": seed,
        "device": target.name,
        "sampler": sampler,
        "burn_in": burn_in,
        "started": started.isoformat(timespec="seconds"),
        "duration_s": round(time.monotonic() - clock, 3),
    }
    return dataset(
        machine,
        patterns.count,
        measure,
        part.instances[0],
        part.chains[0],
        every,
        records,
        run.schedule,
        burn_in,
        attributes,
    )


def need_for_results(
    machine: Machine, patterns: Patterns, measure: Measure, part: Part, burn_in: int, sweeps: int, every: int
) -> None:
    """Raise DeviceError where the host cannot hold the records of a run, or the values of its ramps."""
    instances, chains = part.size
    walkers = instances * Grid.of(measure).size * chains * measure.replicas
    records = walkers * (32 * (sweeps // every) + (16 if machine.spherical else 2) * machine.weight_count)
    ramps = sum(isinstance(value, Ramp) for value in Grid.of(measure).parameters.values())
    Device("cpu").need(
        records + 32 * ramps * (burn_in + sweeps),
        f"what {sweeps // every} draws of {chains} chains of {instances} instances give",
    )


def attempts(machine: Machine, measure: Measure, part: Part, sweeps: int) -> int:
    """Flip attempts of a part of a run."""
    walkers = math.prod(part.size) * Grid.of(measure).size * measure.replicas
    return walkers * machine.weight_count * sweeps


def default_sampler(machine: Machine, measure: Measure) -> str:
    """The sampler that is taken where none is named."""
    if not machine.spherical:
        return acceptance.METROPOLIS
    if machine.activation == "sign" and measure.loss.of_sign and np.all(np.isinf(values_of(measure.beta))):
        return acceptance.HIT_AND_RUN
    return acceptance.HMC if measure.loss.has_slope and machine.differentiable else acceptance.ROTATIONS


def check_measure(machine: Machine, measure: Measure, sampler: str) -> None:
    """Raise ConfigError for a sampler that ``machine`` has not, and for a measure that it cannot sample."""
    text(f"{machine.weights} weights: sampler", sampler, acceptance.SAMPLERS[machine.weights])
    if sampler == acceptance.METROPOLIS and _still(measure):
        raise ConfigError(
            "Metropolis at beta = 0 without coupling accepts every flip, so that a sweep sends W to -W: use sampler 'heat-bath'"
        )
    if np.any(np.isinf(values_of(measure.beta))) and not measure.loss.counts:
        raise ConfigError(f"beta = inf is for the error count: the loss {measure.loss.kind!r} needs a finite beta")
    if measure.loss.ramps and measure.loss.counts:
        raise ConfigError(
            f"the loss {measure.loss.kind!r}: a Ramp is for losses that do not count errors; use several values"
        )
    acceptance.check_range(measure, machine.spherical)
    if machine.spherical and machine.fan_in < 2:
        raise ConfigError(
            f"{machine.kind}: each unit has one weight, which cannot move on its sphere: use n/k of at least 2"
        )
    if sampler == acceptance.HMC and not (measure.loss.has_slope and machine.differentiable):
        what = f"a {machine.kind} of hidden signs" if measure.loss.has_slope else f"the loss {measure.loss.kind!r}"
        raise ConfigError(f"sampler 'hmc' needs a gradient, which {what} has not: use 'rotations' or 'hit-and-run'")
    if sampler == acceptance.HIT_AND_RUN and not (measure.loss.of_sign and machine.activation == "sign"):
        raise ConfigError("sampler 'hit-and-run' is for the error count of hidden signs: use 'hmc' or 'rotations'")


def _warn_of_descents(measure: Measure, schedule: acceptance.Schedule, records: Records) -> None:
    """Say which chains at a beta where errors are never made again still have some at the last draw."""
    cold = schedule.beta[0] >= acceptance.NEVER
    if not measure.loss.counts or schedule.ramps or not cold.any():
        return
    left = records.energy[:, cold, ..., -1]
    if left.any():
        warnings.warn(
            f"{np.count_nonzero(left)} of {left.size} replicas still have errors at the last draw, {left.max():g} at most: at beta = "
            f"{schedule.beta[0][cold].max():g} a chain only descends, and need not reach a solution; anneal beta by a Ramp first, or start "
            "from a solution, init = focusing_bp(machine, patterns).weights of those that are solved",
            stacklevel=3,
        )


def _still(measure: Measure) -> bool:
    return bool(np.any(values_of(measure.beta) == 0) and np.any(values_of(measure.coupling) == 0))


@dataclass(frozen=True)
class _Run:
    """The arguments of a run, checked, and the steps it is made of."""

    machine: Machine
    patterns: Patterns
    measure: Measure
    chains: int
    burn_in: int
    sweeps: int
    every: int
    sampler: str
    seed: int
    device: Device

    @property
    def grid_size(self) -> int:
        return Grid.of(self.measure).size

    def run(self, part: Part, init: str | ArrayLike, records: Records, report: Report, watching: Watching) -> None:
        """Sample ``part`` into ``records``."""
        starts = Starts.of(self.machine, self.patterns.instances, self.measure, self.chains, init, part)
        Batches(part, starts, records, report, watching).run(self.device, self.batches(part), self.batch)

    @cached_property
    def schedule(self) -> acceptance.Schedule:
        return acceptance.Schedule.of(self.measure, self.burn_in, self.sweeps)

    @property
    def dynamics(self) -> Dynamics:
        return Dynamics(self.measure, self.sampler, self.seed)

    def batches(self, part: Part):
        """The part in pieces whose populations fit the device's memory, first along chains, then along instances."""
        (i0, i1), (c0, c1) = part.instances, part.chains
        room = min(self._room(self.device, 3), self._room(Device("cpu"), 3 if self.device.kind != "cuda" else 1))
        chain_step = min(c1 - c0, room)
        instance_step = max(1, min(i1 - i0, room // chain_step))
        for i in range(i0, i1, instance_step):
            for c in range(c0, c1, chain_step):
                yield Part((i, min(i + instance_step, i1)), (c, min(c + chain_step, c1)))

    def _room(self, device: Device, copies: int) -> int:
        """How many chains ``device`` holds, by upper estimates, where it holds ``copies`` of their fields (caches are as large as two)."""
        count, patterns = self.machine.weight_count, self.patterns.count
        fields = self.machine.k * patterns * np.dtype(field_dtype(self.machine)).itemsize
        measuring = 5 * 8 * patterns if device.kind == "numpy" else 0
        chain = self.grid_size * self.measure.replicas * (copies * fields + measuring + 6 * count + 64)
        item = 32 * self.measure.replicas * 2 * fields if device.kind == "cpu" else 0
        starting = min(CHUNK_BYTES, CHUNK * 16 * self.machine.k * patterns) + 6 * patterns * self.machine.n
        tables = self._bytes_per_sweep * min(self._most_sweeps, self.burn_in + self.sweeps)
        return fitting(device, chain, item + starting + tables, f"one chain of {count} weights and {patterns} patterns")

    @cached_property
    def _bytes_per_sweep(self) -> int:
        """Of the order of its sites and its tables of acceptance."""
        return ORDER_BYTES * self.machine.weight_count + self.schedule.bytes_per_sweep(
            self.measure, self.patterns.count
        )

    @property
    def _most_sweeps(self) -> int:
        """Of one launch."""
        return max(1, TABLES // self._bytes_per_sweep)

    def batch(self, part: Part, starts: Starts, records: Records, report: Report, watching: Watching) -> None:
        """Run one piece and write what it gives into ``records``."""
        instances = slice(*part.instances)
        losses = self.schedule.losses(self.measure.loss, 0)
        model = Model.of(self.machine, losses, self.patterns.xi[instances], self.patterns.labels[instances])
        self._check_range(model)
        population = self._population(model, part, starts)
        done = 0
        per_sweep = population.energy.size * self.machine.weight_count
        stride = STRIDE if self.device.kind == "numpy" else max(STRIDE, int(ATTEMPTS / per_sweep))
        while done < self.burn_in + self.sweeps:
            recorded = done - self.burn_in
            ahead = -recorded if recorded < 0 else min(n - recorded % n for n in (self.every, watching.every))
            count = min(ahead, stride, self.burn_in + self.sweeps - done, self._most_sweeps)
            if self.measure.loss.ramps:
                count, model = 1, model.under(self.schedule.losses(self.measure.loss, done))
                self._check_range(model)
                population.energy[:] = self.device.asarray(self._measure(model, population).energy)
            sweep.advance(self.device, model, population, self.dynamics, self._rule(done, count), done, count)
            done += count
            recorded = done - self.burn_in
            if recorded == 0:
                population.flips[:] = 0
            if recorded > 0 and recorded % self.every == 0:
                self._record(model, population, records, recorded // self.every - 1, done)
            if watching.due(recorded):
                if isinstance(self.measure, LocalEntropy):
                    self._draw_traced_centre(model, population, done)
                watching.show(recorded, part, *self._configurations(population))
            report.add(count * per_sweep)
        if isinstance(self.measure, LocalEntropy):
            self._draw_traced_centre(model, population, done)
        records.finish(
            *self._configurations(population), to_host(population.flips) / (self.sweeps * self.machine.weight_count)
        )

    def _configurations(self, population: Population) -> tuple[np.ndarray, np.ndarray | None]:
        """Weights and centres as signs, on the host."""
        count = self.machine.weight_count
        centre = None if population.centre is None else unpack_signs(to_host(population.centre), count)
        return unpack_signs(to_host(population.weights), count), centre

    @cached_property
    def _constant_rule(self) -> acceptance.Rule:
        return self.schedule.rule(self.measure, self.sampler, self.patterns.count, 0, 1)

    def _rule(self, first: int, count: int) -> acceptance.Rule:
        if not self.schedule.ramps:
            return self._constant_rule
        return self.schedule.rule(self.measure, self.sampler, self.patterns.count, first, count)

    def _check_range(self, model: Model) -> None:
        unit = acceptance.beta_unit(self.measure.loss)
        product = float(model.largest_change) * self.patterns.count * float(np.max(self.schedule.beta)) / unit
        if not self.measure.loss.counts and product >= 2**62:
            raise ConfigError(
                f"beta = {np.max(self.schedule.beta):g} with {self.patterns.count} patterns overflows the fixed point of the "
                f"{self.measure.loss.kind}: use a smaller beta"
            )

    def _population(self, model: Model, part: Part, starts: Starts) -> Population:
        instances, chains = part.size
        shape = (instances, self.grid_size, chains, self.measure.replicas)
        count = self.machine.weight_count
        population = Population(
            weights=np.zeros(0),
            centre=None,
            fields=np.zeros(0),
            energy=np.zeros(shape, np.int64),
            flips=np.zeros(shape, np.int64),
            first_instance=part.instances[0],
            first_chain=part.chains[0],
            chains=self.chains,
        )
        if starts.weights is None:
            random = random_bits(self.seed, Stream.INITIAL, 0, population.walkers(), count)
            weights = np.broadcast_to(random[:, None], (*shape, count))
        else:
            weights = starts.weights
        population.weights = pack_signs(weights)
        population.fields = np.empty((*shape, self.machine.k, model.pattern_count), field_dtype(self.machine))
        for i in range(instances):
            rows = population.fields[i].reshape(-1, *population.fields.shape[-2:])
            start = weights[i].reshape(-1, count)
            step = max(1, min(CHUNK, CHUNK_BYTES // (16 * start.shape[-1] + 16 * rows[:1].size)))
            for first in range(0, len(rows), step):
                rows[first : first + step] = self.machine.fields(start[first : first + step], model.xi[i].T)
        if isinstance(self.measure, LocalEntropy):
            population.centre = np.zeros((*shape[:3], population.weights.shape[-1]), np.uint32)
            if starts.centre is not None:
                population.centre[:] = pack_signs(starts.centre)
        population = population.on(self.device)
        population.energy[:] = self.device.asarray(self._measure(model, population).energy)
        if isinstance(self.measure, LocalEntropy) and starts.centre is None:
            sweep.draw_centre(self.device, model, population, self.dynamics, self._rule(0, 1), 0)
        return population

    def _measure(self, model: Model, population: Population) -> observables.Measured:
        return observables.measure(self.device, model, population, StabilityBins.of(self.machine))

    def _draw_traced_centre(self, model: Model, population: Population, done: int) -> None:
        if self.dynamics.traced:
            sweep.draw_centre(self.device, model, population, self.dynamics, self._rule(done - 1, 1), done)

    def _record(self, model: Model, population: Population, records: Records, draw: int, done: int) -> None:
        count = self.machine.weight_count
        measured = self._measure(model, population)
        records.energy[..., draw] = to_host(population.energy) * self.measure.loss.unit
        records.error_rate[..., draw] = measured.errors / model.pattern_count
        records.stability_counts += measured.stabilities
        if records.overlap_centre is None:
            return
        self._draw_traced_centre(model, population, done)
        with_centre, with_replicas = observables.overlaps(self.device, model, population)
        records.overlap_centre[..., draw] = with_centre / count
        pairs = self.measure.replicas * (self.measure.replicas - 1) // 2
        if records.overlap_replicas is not None:
            records.overlap_replicas[..., draw] = with_replicas / (count * pairs)
