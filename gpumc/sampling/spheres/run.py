"""A whole run on spheres: each instance's chains in blocks of rows that advance together.

Rows are (grid point, chain, replica), flattened, so that a chain's replicas are neighbours. A block has always the same number of
rows, so that what else is in a batch changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpumc.device import Device, to_host
from gpumc.device.philox import Stream, random_normals
from gpumc.errors import RunError
from gpumc.grid import Grid
from gpumc.machines import Machine
from gpumc.measures import Measure
from gpumc.observables import StabilityBins
from gpumc.patterns import Patterns
from gpumc.sampling import acceptance
from gpumc.sampling.dataset import Records
from gpumc.sampling.halves import Batches
from gpumc.sampling.parts import Part, Report, Watching, fitting
from gpumc.sampling.spheres import hmc, rotations
from gpumc.sampling.spheres.centre import draw_centre
from gpumc.sampling.spheres.geometry import normalised
from gpumc.sampling.spheres.moves import Moves
from gpumc.sampling.spheres.target import Target
from gpumc.sampling.starts import Starts

#: Bytes of preactivations that a block of rows should have, by kind of device, and the most rows.
BLOCK_BYTES, MOST_ROWS = {"numpy": 2**22, "cpu": 2**25, "cuda": 2**28}, 2**14
#: A step or an angle below this has collapsed.
COLLAPSED = 1e-9
#: Sweeps of burn-in in which something must have been accepted.
ENOUGH = 20


@dataclass
class Spheres:
    """The rows of one instance: weights ``x`` (rows, units, fan_in) on the device, their ``centre`` (chains, units, fan_in) or None.

    On the host, of what moves as one: ``log_size``, the log of its step or angle, ``settled``, the sum of those that are averaged when
    tuning ends, and ``moved`` and ``accepted``, the sums of chances of acceptance until and since then.
    """

    x: np.ndarray
    centre: np.ndarray | None
    log_size: np.ndarray
    settled: np.ndarray
    moved: np.ndarray
    accepted: np.ndarray


@dataclass(frozen=True)
class SpheresRun:
    """The arguments of a run on spheres, checked, and the steps it is made of."""

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

    @cached_property
    def schedule(self) -> acceptance.Schedule:
        """beta and coupling of every sweep."""
        return acceptance.Schedule.of(self.measure, self.burn_in, self.sweeps)

    @cached_property
    def grid_size(self) -> int:
        """The number of grid points."""
        return Grid.of(self.measure).size

    @property
    def traced(self) -> bool:
        """Whether the centre is integrated over."""
        return acceptance.traced(self.measure)

    @property
    def together(self) -> int:
        """Rows that move, or stay, as one."""
        return self.measure.replicas if self.traced and self.sampler == acceptance.HMC else 1

    @property
    def shape(self) -> tuple[int, int]:
        """Units and inputs of each."""
        return self.machine.k, self.machine.fan_in

    @cached_property
    def block(self) -> int:
        """Chains of a block; it depends on the whole run and not on the batch."""
        row = 8 * max(self.machine.k * self.patterns.count, self.machine.weight_count)
        fitting = max(32, BLOCK_BYTES[self.device.kind] // row)
        rows = min(MOST_ROWS, 1 << (fitting.bit_length() - 1))  # products of such sizes are fastest
        whole = self.grid_size * self.chains
        return max(1, min(rows // self.measure.replicas, 1 << (whole - 1).bit_length()))

    def run(self, part: Part, init, records: Records, report: Report, watching: Watching) -> None:
        """Sample ``part`` into ``records``."""
        starts = Starts.of(self.machine, self.patterns.instances, self.measure, self.chains, init, part)
        Batches(part, starts, records, report, watching).run(self.device, self._batches(part), self._batch)

    def _batch(self, part: Part, starts: Starts, records: Records, report: Report, watching: Watching) -> None:
        """Run one piece and write what it gives into ``records``."""
        _Instance(self, part).run(starts, records, report, watching)

    def _batches(self, part: Part) -> Iterator[Part]:
        """The part in pieces of one instance each, whose weights fit the device's memory."""
        count, patterns = self.machine.weight_count, self.patterns.count
        per_chain = 6 * 8 * self.grid_size * self.measure.replicas * count
        block = 8 * self.block * self.measure.replicas * (4 * self.machine.k * patterns + 8 * count)
        inputs = 16 * self.machine.n * patterns
        what = f"a block of {self.block} chains of {count} weights and {patterns} patterns"
        step = fitting(self.device, per_chain, block + inputs, what)
        for i in range(*part.instances):
            for first in range(*part.chains, step):
                yield Part((i, i + 1), (first, min(first + step, part.chains[1])))


class _Instance:
    """Some chains of one instance."""

    def __init__(self, run: SpheresRun, part: Part):
        self.go, self.part = run, part
        self.instance = part.instances[0]
        self.real = run.grid_size * part.size[1]
        chain = np.tile(np.arange(*part.chains), run.grid_size)
        grid = np.repeat(np.arange(run.grid_size), part.size[1])
        # The last block is filled up with copies of the first chain, which are not recorded.
        fill = -len(chain) % run.block
        self.chain, self.grid = (np.append(a, np.repeat(a[:1], fill)) for a in (chain, grid))
        rank = self.instance * run.chains + self.chain.astype(np.uint64)
        replicas = np.arange(run.measure.replicas, dtype=np.uint64)
        self.walkers = rank[:, None] * np.uint64(run.measure.replicas) + replicas
        xi, labels = run.patterns.xi[self.instance], run.patterns.labels[self.instance]
        self.target = Target.of(run.device, run.machine, run.measure.loss, xi, labels)

    def run(self, starts: Starts, records: Records, report: Report, watching: Watching) -> None:
        """All sweeps."""
        go = self.go
        state = self._start(starts)
        for done in range(1, go.burn_in + go.sweeps + 1):
            for first in range(0, len(self.chain), go.block):
                self._sweep(state, slice(first, first + go.block), done - 1)
            if done <= go.burn_in:
                self._settle(state, done)
            if self._explicit:
                state.centre = self._drawn_centre(state, done)
            recorded = done - go.burn_in
            if recorded > 0 and recorded % go.every == 0:
                self._record(state, records, recorded // go.every - 1, done)
            if watching.due(recorded):
                watching.show(recorded, self.part, *self._configurations(state, done))
            report.add(self.real * go.measure.replicas * go.machine.weight_count)
        accepted = np.repeat(state.accepted / go.sweeps, go.together)
        records.finish(*self._configurations(state, done), self._shaped(accepted))

    @property
    def _explicit(self) -> bool:
        return isinstance(self.go.measure.centre, str) and not self.go.traced

    def _start(self, starts: Starts) -> Spheres:
        go = self.go
        asarray = go.device.asarray
        if starts.weights is None:
            x = random_normals(go.seed, Stream.INITIAL, 0, self.walkers, go.machine.weight_count)
        else:
            x = starts.weights[0, self.grid, self.chain - self.part.chains[0]]
        x = normalised(asarray(np.ascontiguousarray(x, dtype=float).reshape(-1, *go.shape)))
        first = np.log(hmc.FIRST_STEP if go.sampler == acceptance.HMC else rotations.FIRST_ANGLE)
        groups = len(x) // go.together
        state = Spheres(x, None, np.full(groups, first), *np.zeros((3, groups)))
        if starts.centre is not None:
            rows = np.ascontiguousarray(starts.centre[0, self.grid, self.chain - self.part.chains[0]], dtype=float)
            state.centre = normalised(asarray(rows.reshape(-1, *go.shape)))
        elif self._explicit:
            state.centre = self._drawn_centre(state, 0)
        return state

    def _parameter(self, values: np.ndarray, sweep: int) -> np.ndarray:
        """beta or coupling of every chain in a sweep."""
        return values[sweep if len(values) > 1 else 0][self.grid]

    def _target(self, rows: slice, sweep: int) -> Target:
        """What these rows feel in a sweep."""
        go = self.go
        own = {
            name: np.repeat(self._parameter(v, sweep), go.measure.replicas)[rows] for name, v in go.schedule.own.items()
        }
        return self.target.under(go.measure.loss.at(**{name: go.device.asarray(v) for name, v in own.items()}))

    def _sweep(self, state: Spheres, chains: slice, sweep: int) -> None:
        """Advance a block of chains in place."""
        go = self.go
        y = go.measure.replicas
        rows = slice(chains.start * y, chains.stop * y)
        groups = slice(rows.start // go.together, rows.stop // go.together)
        asarray = go.device.asarray
        beta = asarray(np.repeat(self._parameter(go.schedule.beta, sweep)[chains], y))
        coupling = asarray(self._parameter(go.schedule.coupling, sweep)[chains])
        centre = None if state.centre is None or go.traced else go.device.xp.repeat(state.centre[chains], y, axis=0)
        moves = Moves(
            *(
                go.device,
                go.sampler,
                go.seed,
                y,
                go.traced,
                self._target(rows, sweep),
                self.walkers[chains].ravel(),
                sweep,
            ),
            *(beta, coupling, centre),
        )
        move = moves.trajectory if go.sampler == acceptance.HMC else moves.steps
        x, chance = move(state.x[rows], asarray(np.exp(state.log_size[groups])))
        state.x[rows] = x
        chance = to_host(chance)
        if sweep >= go.burn_in:
            state.accepted[groups] += chance
            return
        state.moved[groups] += chance
        if go.sampler != acceptance.HIT_AND_RUN:
            target = hmc.ACCEPTANCE if go.sampler == acceptance.HMC else rotations.ACCEPTANCE
            state.log_size[groups] += (chance - target) / np.sqrt(sweep + 1)
            if go.sampler != acceptance.HMC:
                state.log_size[groups] = np.minimum(state.log_size[groups], np.log(np.pi / 2))

    def _settle(self, state: Spheres, done: int) -> None:
        """Average steps over the last tenth of burn-in, where a ramp is near its end, and freeze them at its end. Raises RunError where
        one collapsed, or nothing was ever accepted."""
        burn_in = self.go.burn_in
        first = burn_in - max(1, burn_in // 10)
        if done > first:
            state.settled += state.log_size
        if done == burn_in:
            state.log_size = state.settled / (burn_in - first)
        stuck = done == burn_in >= ENOUGH and self.go.sampler == acceptance.HMC and bool((state.moved == 0).any())
        if stuck or np.exp(state.log_size.min()) < COLLAPSED:
            what = "step size" if self.go.sampler == acceptance.HMC else "angle"
            raise RunError(
                f"the {what} of sampler '{self.go.sampler}' collapsed to {np.exp(state.log_size.min()):.1g} in sweep {done} of instance "
                f"{self.instance}: the loss is too steep, use a smaller beta, a ramp of beta, or a loss that bends less"
            )

    def _drawn_centre(self, state: Spheres, done: int) -> np.ndarray:
        go = self.go
        coupling = self._parameter(go.schedule.coupling, max(done - 1, 0))
        total = state.x.reshape(-1, go.measure.replicas, *go.shape).sum(axis=1)
        return draw_centre(go.seed, done, self.walkers[:, 0], total, coupling)

    def _centre(self, state: Spheres, done: int) -> np.ndarray | None:
        """The centre, a traced one drawn given the replicas."""
        return self._drawn_centre(state, done) if self.go.traced else state.centre

    def _shaped(self, rows: np.ndarray) -> np.ndarray:
        """(chains x replicas, ...) on the host as (1, grid, chains, replicas, ...), without what filled up."""
        y = self.go.measure.replicas
        rows = to_host(rows)[: self.real * y]
        return rows.reshape(1, self.go.grid_size, -1, y, *rows.shape[1:])

    def _configurations(self, state: Spheres, done: int) -> tuple[np.ndarray, np.ndarray | None]:
        weights = self._shaped(state.x.reshape(len(state.x), -1))
        centre = self._centre(state, done)
        if centre is None:
            return weights, None
        return weights, to_host(centre)[: self.real].reshape(1, self.go.grid_size, -1, weights.shape[-1])

    def _record(self, state: Spheres, records: Records, draw: int, done: int) -> None:
        go = self.go
        y, count = go.measure.replicas, go.machine.weight_count
        bins = StabilityBins.of(go.machine)
        energy, errors = np.empty(len(state.x)), np.empty(len(state.x))
        rows_of = go.block * y
        for first in range(0, len(state.x), rows_of):
            rows = slice(first, first + rows_of)
            fields = self.target.fields(state.x[rows])
            target = self._target(rows, done - 1)
            energy[rows] = to_host(target.energy(fields))
            errors[rows] = to_host(target.errors(fields))
            stabilities = to_host(target.stabilities(fields))[: max(0, self.real * y - first)]
            grid = np.repeat(self.grid, y)[rows][: len(stabilities)]
            for point in np.unique(grid):
                records.stability_counts[0, point] += bins.counted(stabilities[grid == point])
        records.energy[..., draw] = self._shaped(energy)
        records.error_rate[..., draw] = self._shaped(errors / go.patterns.count)
        centre = self._centre(state, done)
        if centre is None or records.overlap_centre is None:
            return
        chains = state.x.reshape(-1, y, *go.shape)
        overlap = (chains * centre[:, None]).sum(axis=(-2, -1)) / count
        records.overlap_centre[..., draw] = self._shaped(overlap.reshape(-1))
        if records.overlap_replicas is not None:
            pairs = ((chains.sum(axis=1) ** 2).sum(axis=(-2, -1)) / count - y) / (y * (y - 1))
            records.overlap_replicas[..., draw] = to_host(pairs)[: self.real].reshape(1, go.grid_size, -1)
