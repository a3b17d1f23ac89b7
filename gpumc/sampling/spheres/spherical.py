"""Populations of real weights, on spheres or of free norm: where they start, how they advance, what is recorded of them.

Rows are (grid point, chain, replica), flattened, so that a chain's replicas are neighbours. A block has always the same number of
rows, so that what else is in a part changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gpumc.device import to_host
from gpumc.device.constants import Stream
from gpumc.device.philox import random_normals
from gpumc.errors import RunError
from gpumc.observables import StabilityBins
from gpumc.parts import Part
from gpumc.sampling import acceptance
from gpumc.sampling.dataset import Records
from gpumc.sampling.reports import fitting
from gpumc.sampling.spheres.moves import Moves
from gpumc.sampling.spheres.spaces import space_of
from gpumc.sampling.spheres.target import Target
from gpumc.sampling.starts import Starts
from gpumc.state import State

if TYPE_CHECKING:
    from gpumc.sampling.stepping import Dynamics

#: Bytes of preactivations that a block of rows should have, by kind of device, and the most rows.
BLOCK_BYTES, MOST_ROWS = {"numpy": 2**22, "cpu": 2**25, "cuda": 2**28}, 2**14
#: A step or an angle below this, times the spread of a weight, has collapsed.
COLLAPSED = 1e-9
#: The arrays of a state by which sizes are tuned, and acceptance is counted.
TUNING = ("log_size", "settled", "moved", "accepted")
#: Sweeps of burn-in in which something must have been accepted.
ENOUGH = 20


@dataclass
class Spheres(State):
    """The arrays of real weights that sweeps advance in place; ``sizes``: (instances, grid, chains, replicas).

    On the device, one array for each instance: weights ``x`` (rows, units, fan_in), and their ``centre`` (chains, units, fan_in) or None.
    On the host, (instances, groups), a group being the rows that move as one: ``log_size``, the log of its step or angle, ``settled``, the
    sum of those that are averaged when tuning ends, and ``moved`` and ``accepted``, the sums of chances of acceptance until and since then.
    Rows and groups beyond those of ``sizes`` fill up the last block.
    """

    sizes: tuple[int, int, int, int]
    x: list[np.ndarray]
    centre: list[np.ndarray] | None
    log_size: np.ndarray
    settled: np.ndarray
    moved: np.ndarray
    accepted: np.ndarray
    sweep: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(instances, grid, chains, replicas)."""
        return self.sizes

    def arrays(self) -> dict[str, np.ndarray]:
        """See `State`: all but what fills up the last block."""
        instances, grid, chains, replicas = self.shape
        tuning = {name: getattr(self, name) for name in TUNING}
        each = self.log_size.shape[1] * replicas // len(self.x[0])
        return {
            "weights": self._stacked(self.x).reshape(*self.shape, -1),
            **({} if self.centre is None else {"centre": self._stacked(self.centre).reshape(*self.shape[:3], -1)}),
            **{name: a[:, : grid * chains * each].reshape(instances, grid, chains, each) for name, a in tuning.items()},
            "sweep": np.array(self.sweep),
        }

    def _stacked(self, rows: list[np.ndarray]) -> np.ndarray:
        """Rows of chains on the host, without those that fill up."""
        chains = self.shape[1] * self.shape[2]
        filled = len(self.x[0]) // self.shape[3]
        return np.stack([to_host(one).reshape(filled, -1)[:chains] for one in rows])


class SphericalWalk:
    """What advances a part of a population of ``chains`` chains an instance."""

    state: type = Spheres
    #: Sweeps between two reports of progress.
    stride: int = 1

    def __init__(self, dynamics: Dynamics, part: Part, chains: int):
        self.dynamics, self.part, self.chains = dynamics, part, chains
        self.machine, self.measure, self.device = dynamics.machine, dynamics.measure, dynamics.device
        self.sampler, self.replicas = dynamics.sampler, dynamics.measure.replicas
        self.space = space_of(self.device, self.machine)
        self.traced = acceptance.traced(self.measure)
        #: Rows that move, or stay, as one.
        self.together = self.replicas if self.traced and self.sampler.joint else 1
        #: Units and inputs of each.
        self.units = self.machine.k, self.machine.fan_in
        instances, of_part = part.size
        #: (instances, grid, chains, replicas)
        self.shape = (instances, dynamics.grid_size, of_part, self.replicas)
        #: Chains of an instance, all grid points taken together.
        self.real = dynamics.grid_size * of_part
        chain = np.tile(np.arange(*part.chains), dynamics.grid_size)
        grid = np.repeat(np.arange(dynamics.grid_size), of_part)
        # The last block is filled up with copies of the first chain, which are not recorded.
        self.fill = -self.real % self.block
        self.chain, self.grid = (np.append(a, np.repeat(a[:1], self.fill)) for a in (chain, grid))

    @cached_property
    def block(self) -> int:
        """Chains of a block; it depends on the whole population and not on the part."""
        row = 8 * max(self.machine.k * self.dynamics.patterns.count, self.machine.weight_count)
        fitting_rows = max(32, BLOCK_BYTES[self.device.kind] // row)
        rows = min(MOST_ROWS, 1 << (fitting_rows.bit_length() - 1))  # products of such sizes are fastest
        population = self.dynamics.grid_size * self.chains
        return max(1, min(rows // self.replicas, 1 << (population - 1).bit_length()))

    @property
    def layout(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        """The arrays of a saved state: their dtypes and shapes."""
        reals, count = np.dtype(np.float64), self.machine.weight_count
        centre = (
            {"centre": (reals, (*self.shape[:3], count))} if self.measure.centre is not None and not self.traced else {}
        )
        tuning = dict.fromkeys(TUNING, (reals, (*self.shape[:3], self.replicas // self.together)))
        return {"weights": (reals, (*self.shape, count)), **centre, **tuning, "sweep": (np.dtype(np.int64), ())}

    @property
    def attempts(self) -> int:
        """Flip attempts of a sweep, as they are counted for binary weights."""
        return int(np.prod(self.shape)) * self.machine.weight_count

    def start(self, starts: Starts) -> Spheres:
        """The population before its first sweep."""
        asarray = self.device.asarray
        places = self.grid, self.chain - self.part.chains[0]
        x = []
        for i in range(self.shape[0]):
            if starts.weights is None:
                walkers, count = self._walkers[i], self.machine.weight_count
                rows = self.machine.spread * random_normals(self.dynamics.seed, Stream.INITIAL, 0, walkers, count)
            else:
                rows = starts.weights[(i, *places)]
            x.append(self.space.placed(asarray(np.ascontiguousarray(rows, dtype=float).reshape(-1, *self.units))))
        groups = self.shape[0], len(x[0]) // self.together
        first = np.log(self.sampler.first_size * self.machine.spread)
        state = Spheres(self.shape, x, None, np.full(groups, first), *np.zeros((3, *groups)))
        if starts.centre is not None:
            given = [np.ascontiguousarray(starts.centre[(i, *places)], dtype=float) for i in range(self.shape[0])]
            state.centre = [self.space.placed(asarray(one.reshape(-1, *self.units))) for one in given]
        elif acceptance.moving_centre(self.measure):
            state.centre = [self._drawn_centre(state, i) for i in range(self.shape[0])]
        return state

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Spheres:
        """The population that was saved as ``arrays``."""

        def filled(array: np.ndarray) -> np.ndarray:
            rows = array.reshape(len(array), self.real, -1)
            return np.concatenate([rows, np.repeat(rows[:, :1], self.fill, axis=1)], axis=1)

        def on_device(name: str) -> list[np.ndarray]:
            return [self.device.asarray(one.reshape(-1, *self.units)) for one in filled(arrays[name])]

        tuning = {name: filled(arrays[name]).reshape(self.shape[0], -1) for name in TUNING}
        centre = on_device("centre") if "centre" in arrays else None
        return Spheres(self.shape, on_device("weights"), centre, sweep=int(arrays["sweep"]), **tuning)

    def advance(self, state: Spheres, count: int) -> None:
        """Sweep ``state`` in place ``count`` times. Raises RunError where a step size collapses."""
        for _ in range(count):
            for i in range(self.shape[0]):
                for first in range(0, len(self.chain), self.block):
                    self._sweep(state, i, slice(first, first + self.block))
            state.sweep += 1
            if state.sweep <= self.dynamics.burn_in:
                self._settle(state)
            if acceptance.moving_centre(self.measure):
                state.centre = [self._drawn_centre(state, i) for i in range(self.shape[0])]

    def record(self, state: Spheres, records: Records, draw: int) -> None:
        """Measure the present configurations into one of the draws of ``records``."""
        y, count = self.replicas, self.machine.weight_count
        for i, x in enumerate(state.x):
            energy, errors = self._losses(i, x, state.sweep, records.stability_counts[i])
            records.energy[i, ..., draw] = self._shaped(energy)
            records.error_rate[i, ..., draw] = self._shaped(errors / self.dynamics.patterns.count)
            if records.norm is not None:
                records.norm[i, ..., draw] = self._shaped(((x * x).sum(axis=(-2, -1)) / count) ** 0.5)
            if records.overlap_centre is None:
                continue
            centre = self._drawn_centre(state, i) if self.traced else state.centre[i]  # type: ignore[index]
            chains = x.reshape(-1, y, *self.units)
            if records.distance_centre is not None:
                apart = ((chains - centre[:, None]) ** 2).sum(axis=(-2, -1)) / (4 * count)
                records.distance_centre[i, ..., draw] = self._shaped(apart.reshape(-1))
            chains = self.space.direction(chains)
            overlap = (chains * self.space.direction(centre)[:, None]).sum(axis=(-2, -1)) / count
            records.overlap_centre[i, ..., draw] = self._shaped(overlap.reshape(-1))
            if records.overlap_replicas is not None:
                pairs = ((chains.sum(axis=1) ** 2).sum(axis=(-2, -1)) / count - y) / (y * (y - 1))
                records.overlap_replicas[i, ..., draw] = to_host(pairs)[: self.real].reshape(self.shape[1:3])

    def configurations(self, state: Spheres, weights: np.ndarray, centre: np.ndarray | None) -> None:
        """Write weights and centres into these arrays of the host; a centre that is integrated over is drawn for it."""
        for i, x in enumerate(state.x):
            weights[i] = self._shaped(x.reshape(len(x), -1))
            if centre is not None:
                one = self._drawn_centre(state, i) if self.traced else state.centre[i]  # type: ignore[index]
                centre[i] = to_host(one)[: self.real].reshape(centre[i].shape)

    def acceptance(self, state: Spheres) -> np.ndarray:
        """The mean chance of acceptance since burn-in, as `shape`; NaN before its end."""
        sweeps = max(state.sweep - self.dynamics.burn_in, 0) or np.nan
        return np.stack([self._shaped(np.repeat(one, self.together)) for one in state.accepted / sweeps])

    def batches(self) -> Iterator[Part]:
        """The part in pieces of one instance each, whose weights fit in memory."""
        each, fixed, what = self._sizes()
        step = fitting(self.device, each, fixed, what)
        for i in range(*self.part.instances):
            for first in range(*self.part.chains, step):
                yield Part((i, i + 1), (first, min(first + step, self.part.chains[1])))

    def need(self) -> None:
        """Raise DeviceError where the population does not fit in memory."""
        each, fixed, what = self._sizes()
        self.device.need(
            each * self.shape[0] * self.shape[2] + self.shape[0] * fixed, f"a population in blocks, each {what},"
        )

    def _sizes(self) -> tuple[int, int, str]:
        """Bytes of a chain of an instance, and of what its chains share; and a block, in words."""
        count, patterns = self.machine.weight_count, self.dynamics.patterns.count
        chain = 6 * 8 * self.dynamics.grid_size * self.replicas * count
        vectors = 8 + self.sampler.directions
        block = 8 * self.block * self.replicas * (4 * self.machine.k * patterns + vectors * count)
        inputs = 16 * self.machine.n * patterns
        return chain, block + inputs, f"a block of {self.block} chains of {count} weights and {patterns} patterns"

    @cached_property
    def _targets(self) -> list[Target]:
        """The loss of every instance."""
        patterns, instances = self.dynamics.patterns, range(*self.part.instances)
        return [
            Target.of(self.device, self.machine, self.measure.loss, patterns.xi[i], patterns.labels[i])
            for i in instances
        ]

    @cached_property
    def _walkers(self) -> list[np.ndarray]:
        """The ranks of the rows of every instance in the whole population: uint64 (chains, replicas)."""
        ranks = [i * self.chains + self.chain.astype(np.uint64) for i in range(*self.part.instances)]
        replicas = np.arange(self.replicas, dtype=np.uint64)
        return [rank[:, None] * np.uint64(self.replicas) + replicas for rank in ranks]

    def _parameter(self, values: np.ndarray, sweep: int) -> np.ndarray:
        """beta or coupling of every chain in a sweep."""
        return values[self.dynamics.schedule.row(sweep)][self.grid]

    def _target(self, instance: int, rows: slice, sweep: int) -> Target:
        """What these rows feel in a sweep."""
        asarray = self.device.asarray
        values = {name: self._parameter(v, sweep) for name, v in self.dynamics.schedule.own.items()}
        of_rows = {name: asarray(np.repeat(v, self.replicas)[rows]) for name, v in values.items()}
        return self._targets[instance].under(self.measure.loss.at(**of_rows))

    def _sweep(self, state: Spheres, instance: int, chains: slice) -> None:
        """Advance a block of chains in place."""
        y, sweep, schedule = self.replicas, state.sweep, self.dynamics.schedule
        rows = slice(chains.start * y, chains.stop * y)
        groups = slice(rows.start // self.together, rows.stop // self.together)
        asarray = self.device.asarray
        x, log_size = state.x[instance], state.log_size[instance]
        pulling = state.centre is not None and not self.traced
        centre = state.centre[instance][chains] if pulling else None  # type: ignore[index]
        moves = Moves(
            device=self.device,
            seed=self.dynamics.seed,
            sweep=sweep,
            replicas=y,
            traced=self.traced,
            walkers=self._walkers[instance][chains].ravel(),
            target=self._target(instance, rows, sweep),
            beta=asarray(np.repeat(self._parameter(schedule.beta, sweep)[chains], y)),
            coupling=asarray(self._parameter(schedule.coupling, sweep)[chains]),
            centre=None if centre is None else self.device.xp.repeat(centre, y, axis=0),
        )
        x[rows], chances = self.sampler.sweep(moves, x[rows], asarray(np.exp(log_size[groups])))
        chance = to_host(chances)
        if sweep >= self.dynamics.burn_in:
            state.accepted[instance, groups] += chance
            return
        state.moved[instance, groups] += chance
        if self.sampler.tuned:
            change = (chance - self.sampler.acceptance) / np.sqrt(sweep + 1)
            log_size[groups] = np.minimum(log_size[groups] + change, np.log(self.sampler.largest_size))

    def _settle(self, state: Spheres) -> None:
        """Average steps over the last tenth of burn-in, where a ramp is near its end, and freeze them at its end. Raises RunError where
        one collapsed, or nothing was ever accepted."""
        burn_in, done = self.dynamics.burn_in, state.sweep
        first = burn_in - max(1, burn_in // 10)
        if done > first:
            state.settled += state.log_size
        if done == burn_in:
            state.log_size = state.settled / (burn_in - first)
        if not self.sampler.tuned:
            return
        least = np.exp(state.log_size.min(axis=1)) / self.machine.spread
        stuck = (state.moved == 0).any(axis=1) & (self.sampler.must_move and done == burn_in >= ENOUGH)
        bad = np.flatnonzero(stuck | (least < COLLAPSED))
        if len(bad):
            raise RunError(
                f"the {self.sampler.tuned} of the sampler {self.sampler.kind!r} collapsed to {least[bad[0]]:.1g} in sweep {done} of "
                f"instance {self.part.instances[0] + bad[0]}: the loss is too steep, use a smaller beta, a ramp of beta, or a loss that "
                "bends less"
            )

    def _drawn_centre(self, state: Spheres, instance: int) -> np.ndarray:
        coupling = self._parameter(self.dynamics.schedule.coupling, max(state.sweep - 1, 0))
        chains, walkers = state.x[instance].reshape(-1, self.replicas, *self.units), self._walkers[instance][:, 0]
        return self.space.drawn_centre(self.dynamics.seed, state.sweep, walkers, chains, coupling)

    def _losses(self, instance: int, x: np.ndarray, done: int, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Loss and number of errors of every row after ``done`` sweeps; stabilities are added to ``counts`` (grid, bins)."""
        bins = StabilityBins.of(self.machine)
        energy, errors = np.empty(len(x)), np.empty(len(x))
        rows_of = self.block * self.replicas
        for first in range(0, len(x), rows_of):
            rows = slice(first, first + rows_of)
            fields = self._targets[instance].fields(x[rows])
            target = self._target(instance, rows, max(done - 1, 0))
            energy[rows] = to_host(target.energy(fields))
            errors[rows] = to_host(target.errors(fields))
            stabilities = to_host(target.stabilities(fields))[: max(0, self.real * self.replicas - first)]
            grid = np.repeat(self.grid, self.replicas)[rows][: len(stabilities)]
            for point in np.unique(grid):
                counts[point] += bins.counted(stabilities[grid == point])
        return energy, errors

    def _shaped(self, rows: np.ndarray) -> np.ndarray:
        """(chains x replicas, ...) on the host as (grid, chains, replicas, ...), without what filled up."""
        rows = to_host(rows)[: self.real * self.replicas]
        return rows.reshape(*self.shape[1:], *rows.shape[1:])
