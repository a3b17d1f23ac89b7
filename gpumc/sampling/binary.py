"""Populations of binary weights: where they start, how they advance, what is recorded of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gpumc import observables
from gpumc.device import Device, to_host
from gpumc.errors import ConfigError
from gpumc.observables import StabilityBins
from gpumc.parts import Part
from gpumc.sampling import acceptance, beginnings, sweep
from gpumc.sampling.acceptance import Rule
from gpumc.sampling.beginnings import CHUNK, CHUNK_BYTES
from gpumc.sampling.dataset import Records
from gpumc.sampling.reports import fitting
from gpumc.sampling.starts import Starts
from gpumc.state import Model, Population, blocks, field_dtype, pack_signs, unpack_signs, word_count

if TYPE_CHECKING:
    from gpumc.sampling.stepping import Dynamics

#: Bytes in which the orders of sites and the tables of acceptance of one launch are made, unless one sweep needs more, and the bytes that
#: each weight takes of them.
TABLES, ORDER_BYTES = 2**26, 80
#: Sweeps between two reports of progress, where draws are further apart; of compiled kernels, that which makes so many attempts.
STRIDE, ATTEMPTS = 16, 2e7


class BinaryWalk:
    """What advances a part of a population of ``chains`` chains an instance."""

    state: type = Population

    def __init__(self, dynamics: Dynamics, part: Part, chains: int):
        self.dynamics, self.part, self.chains = dynamics, part, chains
        self.machine, self.measure, self.device = dynamics.machine, dynamics.measure, dynamics.device
        instances, of_part = part.size
        #: (instances, grid, chains, replicas)
        self.shape = (instances, dynamics.grid_size, of_part, self.measure.replicas)

    @property
    def layout(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        """The arrays of a saved state: their dtypes and shapes."""
        signs, integers, count = np.dtype(np.int8), np.dtype(np.int64), self.machine.weight_count
        centre = {"centre": (signs, (*self.shape[:3], count))} if self.measure.centre_kind else {}
        weights = {"weights": (signs, (*self.shape, count))}
        return weights | centre | {"accepted": (integers, self.shape), "sweep": (integers, ())}

    @property
    def attempts(self) -> int:
        """Flip attempts of a sweep."""
        return int(np.prod(self.shape)) * self.machine.weight_count

    @property
    def stride(self) -> int:
        """Sweeps between two reports of progress."""
        return STRIDE if self.device.kind == "numpy" else max(STRIDE, int(ATTEMPTS / self.attempts))

    def start(self, starts: Starts) -> Population:
        """The population before its first sweep."""
        weights = None if starts.weights is None else self._given(starts.weights)
        population = self._population(weights, starts.centre, 0)
        if self.measure.centre_kind and starts.centre is None:
            sweep.draw_centre(self.device, self.model, population, self.dynamics, self._rule(0, 1), 0)
        return population

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Population:
        """The population that was saved as ``arrays``."""
        population = self._population(self._given(arrays["weights"]), arrays.get("centre"), int(arrays["sweep"]))
        population.flips[:] = self.device.asarray(arrays["accepted"])
        return population

    def advance(self, population: Population, count: int) -> None:
        """Sweep ``population`` in place ``count`` times."""
        last, burn_in = population.sweep + count, self.dynamics.burn_in
        while population.sweep < last:
            first = population.sweep
            ahead = 1 if self.measure.loss.ramps else min(self._most_sweeps, last - first)
            if first < burn_in:
                ahead = min(ahead, burn_in - first)
            if self._follow(first):
                population.energy[:] = self.device.asarray(self._measure(population).energy)
            rule = self._rule(first, ahead)
            sweep.advance(self.device, self.model, population, self.dynamics, rule, first, ahead)
            population.sweep += ahead
            if population.sweep == burn_in:
                population.flips[:] = 0

    def record(self, population: Population, records: Records, draw: int) -> None:
        """Measure the present configurations into one of the draws of ``records``."""
        count = self.machine.weight_count
        self._follow(max(population.sweep - 1, 0))
        np.multiply(to_host(population.energy), self.measure.loss.unit, out=records.energy[..., draw])
        self._record_errors(population, records, draw)
        if records.overlap_centre is None:
            return
        self._draw_traced_centre(population)
        with_centre, with_replicas = observables.overlaps(self.device, self.model, population)
        records.overlap_centre[..., draw] = with_centre / count
        pairs = self.measure.replicas * (self.measure.replicas - 1) // 2
        if records.overlap_replicas is not None:
            records.overlap_replicas[..., draw] = with_replicas / (count * pairs)

    def _record_errors(self, population: Population, records: Records, draw: int) -> None:
        measured = self._measure(population)
        np.divide(measured.errors, self.model.pattern_count, out=records.error_rate[..., draw])
        records.stability_counts += measured.stabilities

    def configurations(self, population: Population, weights: np.ndarray, centre: np.ndarray | None) -> None:
        """Write weights and centres as signs into these arrays of the host; a centre that is summed out is drawn for it."""
        self._draw_traced_centre(population)
        for words, signs in ((population.weights, weights), (population.centre, centre)):
            if words is not None and signs is not None:
                words = to_host(words)
                for where in blocks(words.shape[:-1], CHUNK):
                    signs[where] = unpack_signs(words[where], self.machine.weight_count)

    def acceptance(self, population: Population) -> np.ndarray:
        """The fraction of proposals accepted since burn-in, as `shape`; NaN where none was made."""
        proposals = max(population.sweep - self.dynamics.burn_in, 0) * self.machine.weight_count
        return to_host(population.flips) / (proposals or np.nan)

    def batches(self) -> Iterator[Part]:
        """The part in pieces whose populations fit in memory, first along chains, then along instances."""
        (i0, i1), (c0, c1) = self.part.instances, self.part.chains
        each, fixed, what = self._sizes(self.device, 3)
        room = fitting(self.device, each, fixed, what)
        each, fixed, what = self._sizes(Device("cpu"), 3 if self.device.kind != "cuda" else 1)
        room = min(room, fitting(Device("cpu"), each, fixed, what))
        chain_step = min(c1 - c0, room)
        instance_step = max(1, min(i1 - i0, room // chain_step))
        for i in range(i0, i1, instance_step):
            for c in range(c0, c1, chain_step):
                yield Part((i, min(i + instance_step, i1)), (c, min(c + chain_step, c1)))

    def need(self) -> None:
        """Raise DeviceError where the population does not fit in memory."""
        for device, copies in ((self.device, 3), (Device("cpu"), 3 if self.device.kind != "cuda" else 1)):
            each, fixed, what = self._sizes(device, copies)
            device.need(each * self.shape[0] * self.shape[2] + fixed, f"a population of which each is {what}")

    def _sizes(self, device: Device, copies: int) -> tuple[int, int, str]:
        """Bytes of a chain, by upper estimates, where ``device`` holds ``copies`` of its fields (caches are as large as two), and of what
        all share; and what a chain is, in words."""
        count, patterns = self.machine.weight_count, self.dynamics.patterns.count
        fields = self.machine.k * patterns * np.dtype(field_dtype(self.machine)).itemsize
        measuring = 5 * 8 * patterns if device.kind == "numpy" else 0
        chain = self.dynamics.grid_size * self.measure.replicas * (copies * fields + measuring + 6 * count + 64)
        item = 32 * self.measure.replicas * 2 * fields if device.kind == "cpu" else 0
        starting = min(CHUNK_BYTES, CHUNK * 16 * self.machine.k * patterns) + 6 * patterns * self.machine.n
        tables = self._bytes_per_sweep * min(
            self._most_sweeps, self.dynamics.burn_in + (self.dynamics.sweeps or TABLES)
        )
        return chain, item + starting + tables, f"one chain of {count} weights and {patterns} patterns"

    @cached_property
    def _bytes_per_sweep(self) -> int:
        """Of the order of its sites and its tables of acceptance."""
        tables = self.dynamics.schedule.bytes_per_sweep(self.measure, self.dynamics.patterns.count)
        return ORDER_BYTES * self.machine.weight_count + tables

    @property
    def _most_sweeps(self) -> int:
        """Of one launch."""
        return max(1, TABLES // self._bytes_per_sweep)

    @cached_property
    def model(self) -> Model:
        """What sweeps read; where a parameter of the loss ramps, at the sweep that :meth:`_follow` was last asked for."""
        instances = slice(*self.part.instances)
        patterns = self.dynamics.patterns
        losses = self.dynamics.schedule.losses(self.measure.loss, 0)
        model = Model.of(self.machine, losses, patterns.xi[instances], patterns.labels[instances])
        self._check_range(model)
        return model

    def _follow(self, at: int) -> bool:
        """Let the model have the loss of a sweep; whether it may have changed."""
        if not self.measure.loss.ramps:
            return False
        self.model = self.model.under(self.dynamics.schedule.losses(self.measure.loss, at))
        self._check_range(self.model)
        return True

    def _check_range(self, model: Model) -> None:
        beta = float(np.max(self.dynamics.schedule.beta))
        patterns = self.dynamics.patterns.count
        product = float(model.largest_change) * patterns * beta / acceptance.beta_unit(self.measure.loss)
        if not self.measure.loss.counts and product >= 2**62:
            raise ConfigError(
                f"beta = {beta:g} with {patterns} patterns overflows the fixed point of the {self.measure.loss.kind}: use a smaller beta"
            )

    @cached_property
    def _constant_rule(self) -> Rule:
        return self._rule_of(0, 1)

    def _rule(self, first: int, count: int) -> Rule:
        return self._rule_of(first, count) if self.dynamics.schedule.ramps else self._constant_rule

    def _rule_of(self, first: int, count: int) -> Rule:
        patterns = self.dynamics.patterns.count
        return self.dynamics.schedule.rule(self.measure, self.dynamics.sampler, patterns, first, count)

    def _empty(self) -> Population:
        """A population without weights."""
        return Population(
            weights=np.zeros(0),
            centre=None,
            fields=np.zeros(0),
            energy=np.zeros(self.shape, np.int64),
            flips=np.zeros(self.shape, np.int64),
            first_instance=self.part.instances[0],
            first_chain=self.part.chains[0],
            chains=self.chains,
            weight_count=self.machine.weight_count,
        )

    def _given(self, weights: np.ndarray) -> np.ndarray:
        """The weights int8 (I, G, C, y, N), packed."""
        packed = np.empty((*self.shape, word_count(self.machine.weight_count)), np.uint32)
        for where in blocks(self.shape, CHUNK):
            packed[where] = pack_signs(weights[where])
        return packed

    def _population(self, weights: np.ndarray | None, centre: np.ndarray | None, swept: int) -> Population:
        """A population with these packed weights, or random ones, which are the same at all points of the grid, and centres int8
        (I, G, C, N), after so many sweeps."""
        population, device = self._empty(), self.device
        population.sweep = swept
        if weights is None:
            walkers = population.walkers()
            own = beginnings.drawn(device, self.dynamics.seed, walkers, self.machine.weight_count)[:, None]
        else:
            own = device.asarray(weights)
        of_grid = self.shape[1] // own.shape[1]
        population.weights, population.fields = (
            array if of_grid == 1 else device.xp.repeat(array, of_grid, axis=1)
            for array in (own, beginnings.fields(device, self.model, own))
        )
        if self.measure.centre_kind:
            population.centre = np.zeros((*self.shape[:3], population.weights.shape[-1]), np.uint32)
            if centre is not None:
                population.centre[:] = pack_signs(centre)
        population = population.on(self.device)
        self._follow(max(swept - 1, 0))
        population.energy[:] = self.device.asarray(self._measure(population).energy)
        return population

    def _measure(self, population: Population) -> observables.Measured:
        return observables.measure(self.device, self.model, population, StabilityBins.of(self.machine))

    def _draw_traced_centre(self, population: Population) -> None:
        if acceptance.traced(self.measure):
            done = population.sweep
            rule = self._rule(max(done - 1, 0), 1)
            sweep.draw_centre(self.device, self.model, population, self.dynamics, rule, done)
