"""Sweeps of single flips: the NumPy twin, which is the specification, and the launch of its kernels.

A sweep visits the weights in one random order, the same for all walkers; at each, every replica in turn proposes to flip its
weight (Metropolis) or draws it from its conditional (heat bath). Replicas around a given centre do not feel one another, so the
twin moves them at once; with the centre traced out they take their turns. After each sweep an explicit centre is drawn anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpumc import launch
from gpumc.device import Device, workspace
from gpumc.device.constants import Centre, Stream
from gpumc.device.philox import philox, site_orders
from gpumc.launch import Form, Sizes
from gpumc.measures import Measure
from gpumc.sampling import acceptance
from gpumc.sampling.acceptance import Rule, exponential, logistic
from gpumc.sampling.flip_costs import slopes_of
from gpumc.state import Model, Population, pack_signs, unpack_signs

if TYPE_CHECKING:
    from gpumc.sampling.stepping import Dynamics

#: Walkers that the NumPy twin moves at once: enough to amortise a call, few enough to stay in cache.
BLOCK = {False: 4096, True: 1024}
#: Places of the order whose random words are made at once, a multiple of 4.
PLACES = 64


def _centre_role(measure: Measure) -> Centre:
    """What the centre is in kernels."""
    if measure.centre is None:
        return Centre.NONE
    if acceptance.traced(measure):
        return Centre.TRACED
    return Centre.DRAWN if acceptance.moving_centre(measure) else Centre.GIVEN


def advance(
    device: Device, model: Model, population: Population, dynamics: Dynamics, rule: Rule, first: int, count: int
) -> None:
    """Sweep ``population`` in place, from sweep ``first`` on, ``count`` times."""
    if device.kind == "numpy":
        _advance_numpy(model, population, dynamics, rule, first, count)
    else:
        _advance_kernel(device, model, population, dynamics, rule, first, count)


def _advance_kernel(device, model, population, dynamics, rule, first, count) -> None:
    orders = launch.site_orders(device, dynamics.seed, first, count, model.machine.weight_count)
    sizes = Sizes.of(
        model,
        population,
        pulls=len(acceptance.pulls(dynamics.measure)),
        sweeps=count,
        first_sweep=first,
        ramps=rule.rows > 1,
        seed=dynamics.seed,
        centre=_centre_role(dynamics.measure),
    )
    items, variant, space = _items(device, model, population, dynamics, rule, sizes)
    tables, limits = model.on(device), rule.on(device)
    launch.sweep_kernel(device, population.fields.dtype, variant | sizes.constants(device))(
        items,
        sizes.array(device),
        population.weights,
        population.centre,
        population.fields,
        population.energy,
        population.flips,
        tables.patterns,
        orders,
        limits.thresholds,
        limits.beta,
        limits.gain,
        limits.centre,
        acceptance.log_table(device),
        tables.labels,
        tables.places,
        tables.values,
        tables.slopes,
        space,
    )


def _items(
    device: Device, model: Model, population: Population, dynamics: Dynamics, rule: Rule, sizes: Sizes
) -> tuple[int, dict[str, int], np.ndarray]:
    """How many items the kernels of sweeps have, their variant, and their workspace: registers need none."""
    sweeps = dynamics.burn_in + (dynamics.sweeps or 0)
    attempts = population.energy.size * model.machine.weight_count * sweeps
    form = Form.of(device, model, sizes.all_chains, attempts, acceptance.traced(dynamics.measure), rule.beta)
    variant = launch.sweep_variant(model, population.fields.dtype, dynamics.sampler.heat_bath, form)
    variant |= sizes.single(device)
    items = form.items(model, sizes.all_chains)
    return items, variant, workspace(device, items, 0 if form.share else launch.item_bytes(device, variant, sizes))


def _advance_numpy(model, population, dynamics, rule, first, count) -> None:
    orders = site_orders(dynamics.seed, np.arange(first, first + count), model.machine.weight_count)
    instances, grid, chains, replicas = population.energy.shape
    limit = BLOCK[model.dense]
    chain_step = max(1, limit // (grid * replicas))
    instance_step = max(1, limit // (grid * replicas * min(chains, chain_step)))
    for i in range(0, instances, instance_step):
        for c in range(0, chains, chain_step):
            block = _Block(model, population, dynamics, slice(i, i + instance_step), slice(c, c + chain_step))
            for s, order in enumerate(orders):
                block.sweep(rule, s, first + s, order)
            block.write_back()


class _Block:
    """Some instances and chains of a population, unpacked: arrays over walkers, (instance, grid, chain, replica) in one dimension.

    Walkers that move at once are a *group*: all of them, or those of one replica where the centre is traced out.
    """

    def __init__(self, model: Model, population: Population, dynamics: Dynamics, instances: slice, chains: slice):
        self.model, self.dynamics, self.population = model, dynamics, population
        self.part = (instances, slice(None), chains)
        self.labels = model.labels[instances]
        self.pulls = acceptance.pulls(dynamics.measure)
        count = model.machine.weight_count
        self.shape = population.energy[self.part].shape
        replicas = self.shape[-1]
        self.groups = (
            [slice(a, a + 1) for a in range(replicas)] if acceptance.traced(dynamics.measure) else [slice(0, replicas)]
        )
        weights = unpack_signs(population.weights[self.part], count)
        self.weights = [weights[..., g, :].reshape(-1, count).T.copy() for g in self.groups]
        self.flips = [population.flips[self.part][..., g].ravel() for g in self.groups]
        self.grid_of = [np.indices((*self.shape[:3], g.stop - g.start))[1].ravel() for g in self.groups]
        self.first_case = [grid * len(self.pulls) for grid in self.grid_of]
        # A row of thresholds holds the changes -M..M.
        self.width = 2 * model.pattern_count + 1
        self.middle = [case * self.width + model.pattern_count for case in self.first_case]
        fields = population.fields[self.part]
        self.slopes = [
            slopes_of(model, instances, grid, fields[..., g, :, :].reshape(-1, *fields.shape[-2:]).copy())
            for g, grid in zip(self.groups, self.grid_of, strict=True)
        ]
        self.walkers = population.walkers()[instances, chains]
        self.centre = None
        if population.centre is not None and not acceptance.traced(dynamics.measure):
            self.centre = unpack_signs(population.centre[self.part], count).transpose(3, 0, 1, 2)
        self.centre_pull = self._centre_pull()

    def sweep(self, rule: Rule, row: int, sweep: int, order: np.ndarray) -> None:
        """Visit every weight once, then draw the centre; ``row`` is the sweep's place in the rule."""
        self._constants(rule, row)
        for first in range(0, len(order), PLACES):
            blocks = first // 4 + np.arange(PLACES // 4)[:, None, None, None]
            words = philox(self.dynamics.seed, Stream.ACCEPT, sweep, blocks, self.walkers)
            sites = order[first : first + PLACES]
            numbers = self._deciders(words)
            deciders = [self._each_grid_point(numbers[..., group]) for group in self.groups]
            for place, site in enumerate(sites.tolist()):
                for index, slopes in enumerate(self.slopes):
                    if place % slopes.ahead == 0:
                        slopes.prepare(sites[place : place + slopes.ahead])
                    self._visit(index, site, deciders[index][place % 4, place // 4])
        if acceptance.moving_centre(self.dynamics.measure):
            totals = replica_totals(self.weights[0], self.shape)
            self.centre = draw_centre_signs(
                self.dynamics.seed, sweep + 1, self.walkers[..., 0], totals, _row(rule.centre, row)
            )
            self.centre_pull = self._centre_pull()

    def _constants(self, rule: Rule, row: int) -> None:
        """What decides in this sweep."""
        if rule.thresholds is not None:
            self.table, self.beta = _row(rule.thresholds, row), None
        else:
            self.table = _row(rule.gain, row)
            self.beta = [_row(rule.beta, row)[grid] for grid in self.grid_of]

    def _centre_pull(self) -> np.ndarray | None:
        """The weights of each walker's centre: int8 (N, walkers)."""
        return (
            None
            if self.centre is None
            else np.repeat(self.centre.reshape(len(self.centre), -1), self.shape[-1], axis=1)
        )

    def _deciders(self, words: np.ndarray) -> np.ndarray:
        """What random words become before they are compared."""
        if self.model.loss.counts:
            return words >> np.uint32(1)
        return logistic(words) if self.dynamics.sampler.heat_bath else exponential(words)

    def _visit(self, index: int, site: int, deciders: np.ndarray) -> None:
        weight, slopes = self.weights[index][site], self.slopes[index]
        change = slopes.change(site, weight)
        pull = self._pull(index, site)
        if self.dynamics.sampler.heat_bath:
            moves = self._passes(index, deciders, -weight * change, pull) != (weight > 0)
        else:
            moves = self._passes(index, deciders, change, None if pull is None else weight * pull)
        who = moves.nonzero()[0]
        if len(who):
            old = weight[who]
            weight[who] = -old
            self.flips[index][who] += 1
            slopes.flip(who, site, old, change[who])

    def _pull(self, index: int, site: int) -> np.ndarray | None:
        """The centre's weight, or the sum of the other replicas': integers (walkers,); None where nothing pulls."""
        if acceptance.traced(self.dynamics.measure):
            others = (weights[site] for group, weights in enumerate(self.weights) if group != index)
            return sum(others, np.zeros(len(self.flips[index]), np.int64))
        return None if self.centre_pull is None else self.centre_pull[site]

    def _passes(self, index: int, deciders, change, pull) -> np.ndarray:
        """Whether proposals of this change and pull pass; see :class:`Rule`."""
        case = 0 if pull is None else (pull.astype(np.int64) + self.pulls[-1]) >> 1
        if self.beta is None:
            place = self.middle[index] + change
            if pull is not None:
                place += case * self.width
            return deciders < self.table.take(place)
        cost = self.beta[index] * change
        return cost - self.table.take(self.first_case[index] + case) <= deciders

    def _each_grid_point(self, numbers: np.ndarray) -> np.ndarray:
        """(4, blocks, I, C, group) as (4, blocks, walkers): grid points share their random numbers."""
        if self.shape[1] > 1:
            numbers = np.repeat(numbers[:, :, :, None], self.shape[1], axis=3)
        return numbers.reshape(*numbers.shape[:2], -1)

    def _energy(self, fields: np.ndarray, index: int) -> np.ndarray:
        """The energies int64 (walkers,) of ``fields`` (walkers, k, M)."""
        by_instance = fields.reshape(self.shape[0], -1, *fields.shape[1:])
        readout = self.labels[:, None] * self.model.machine.readout.of(by_instance).astype(np.int64)
        row = (readout.reshape(len(fields), -1) + self.model.machine.readout.largest) // 2
        return self.model.tables[self.grid_of[index][:, None], row].sum(axis=-1)

    def write_back(self) -> None:
        """Pack the block into its population."""
        population, patterns = self.population, self.model.pattern_count
        for index, group in enumerate(self.groups):
            shape = (*self.shape[:3], group.stop - group.start)
            part = (*self.part, group)
            population.weights[part] = pack_signs(self.weights[index].T).reshape(*shape, -1)
            population.flips[part] = self.flips[index].reshape(shape)
            fields = self.slopes[index].fields[..., :patterns]
            population.fields[part] = fields.reshape(*shape, *fields.shape[1:])
            population.energy[part] = self._energy(fields, index).reshape(shape)
        if (
            population.centre is not None
            and self.centre is not None
            and acceptance.moving_centre(self.dynamics.measure)
        ):
            population.centre[self.part] = pack_signs(self.centre.transpose(1, 2, 3, 0))


def replica_totals(weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The sum of the replicas' weights, int (N, I, G, C), of weights (N, I, G C y)."""
    return weights.reshape(len(weights), *shape).sum(axis=-1, dtype=np.int64)


def draw_centre_signs(
    seed: int, sweep: int, walkers: np.ndarray, totals: np.ndarray, thresholds: np.ndarray
) -> np.ndarray:
    """Draw every centre weight from its conditional: int8 +-1 (N, I, G, C).

    ``totals`` int (N, I, G, C): the sum of the replicas' weights; ``thresholds`` uint32 (G, y + 1), :func:`acceptance.centre_thresholds`;
    ``walkers`` (I, C): each chain's first walker; ``sweep``: how many sweeps the replicas have made.
    """
    count = len(totals)
    replicas = thresholds.shape[-1] - 1
    blocks = np.arange((count + 3) // 4)[:, None, None]
    words = philox(seed, Stream.CENTRE, sweep, blocks, walkers).swapaxes(0, 1).reshape(-1, *walkers.shape)[:count]
    grid = np.arange(len(thresholds))[:, None]
    return np.where((words >> np.uint32(1))[:, :, None] < thresholds[grid, (totals + replicas) // 2], 1, -1).astype(
        np.int8
    )


def draw_centre(
    device: Device, model: Model, population: Population, dynamics: Dynamics, rule: Rule, done: int
) -> None:
    """Draw ``population.centre`` in place from its conditional given the replicas, after ``done`` sweeps; ``rule`` has one row."""
    assert population.centre is not None
    if device.kind == "numpy":
        weights = unpack_signs(population.weights, model.machine.weight_count)
        totals = weights.sum(axis=3, dtype=np.int64).transpose(3, 0, 1, 2)
        signs = draw_centre_signs(dynamics.seed, done, population.walkers()[..., 0], totals, _row(rule.centre, 0))
        population.centre[:] = pack_signs(signs.transpose(1, 2, 3, 0))
        return
    sizes = Sizes.of(model, population, first_sweep=done, seed=dynamics.seed, centre=_centre_role(dynamics.measure))
    items, variant, space = _items(device, model, population, dynamics, rule, sizes)
    launch.centre_kernel(device, variant)(
        items, sizes.array(device), population.weights, population.centre, rule.on(device).centre, space
    )


def _row(table: np.ndarray | None, row: int) -> np.ndarray:
    """The table of a sweep, where tables of constants have one row for all."""
    assert table is not None
    return table[row if len(table) > 1 else 0]
