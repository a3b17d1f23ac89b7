"""A whole run: from machine, patterns and measure to a dataset."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.checks import callback, one_of, whole
from gpumc.device import Device
from gpumc.errors import ConfigError
from gpumc.keeping import Keeper
from gpumc.machines import Machine
from gpumc.measures import Measure
from gpumc.parts import Part
from gpumc.patterns import Patterns
from gpumc.ramps import ramps
from gpumc.sampling.acceptance import NEVER
from gpumc.sampling.dataset import Records
from gpumc.sampling.driver import drive
from gpumc.sampling.halves import Batches
from gpumc.sampling.reports import Progress, Report, Watch, Watching
from gpumc.sampling.resuming import Resuming
from gpumc.sampling.samplers import Sampler
from gpumc.sampling.stepping import MOST_SWEEPS, Dynamics, dynamics
from gpumc.schema import Started


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
    sampler: Sampler | None = None,
    init: str | ArrayLike = "random",
    device: str | Device = "auto",
    part: Part | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    watch_every: int = 1,
    keeper: Keeper | None = None,
) -> xr.Dataset:
    """Sample independent chains of every instance of the patterns at every grid point of the measure.

    Parameters
    ----------
    machine : Machine
    patterns : Patterns
    measure : Gibbs or LocalEntropy
        What is sampled; parameters that are several numbers become dimensions.
    chains : int
        Chains of every instance at every grid point.
    burn_in, sweeps, every : int
        After ``burn_in`` sweeps ``sweeps`` more are made, and every ``every``-th is recorded. Sizes of moves on spheres are tuned in
        burn-in and frozen at its end.
    seed : int
        Of all random numbers, from 0 to 2^48 - 1.
    sampler : Sampler, optional
        For binary weights `Metropolis` (the default) or `HeatBath`; for spherical ones `HMC` (the default for a loss with a gradient),
        `Rotations` (for others) or `HitAndRun` (for error counts of hidden signs, the default at beta = inf); for gaussian ones `HMC`.
    init : str or array
        "random" or weights, +-1 or real, of any norm. A DataArray, such as the ``weights`` of a result, is placed by the names of its
        dimensions and the values of their coordinates: these are in any order, more of them are left out, missing ones are refused, and
        dimensions of size one that the run does not have are dropped. Any other array is (weights,), (instances, weights) or (instances,
        grid, chains, replicas, weights), the grid being the parameters, the last one fastest; a dimension of size one is the same for all.
    device : str or Device
        "auto", "cpu", "numpy", "cuda" or "cuda:1".
    part : Part, optional
        Some of the instances and chains, which get the same bits as in the whole.
    progress : callable, optional
        Told flip attempts done and in all, and what is being done: "burn-in" or "sampling".
    watch : callable, optional
        Shown the configurations after every ``watch_every`` sweeps.
    keeper : Keeper, optional
        Given all that the rest of the run depends on whenever it is due; what it has kept of this very run before is gone on from.

    Returns
    -------
    Dataset
        Over (instance, parameters, chain, replica, draw): energies in units of the loss (not times beta), error rates, overlaps in
        [-1, 1]; of gaussian weights their ``norm``, |W| / sqrt(number of weights), and ``distance_centre``; the last configurations;
        acceptance; how many stabilities fall in each bin. Its bits depend on the arguments and on
        nothing else (of real weights, on the device too).

    Raises
    ------
    ConfigError
        For what makes no sense.
    DeviceError
        For a device that cannot be had, and for what does not fit in memory.
    RunError
        Where a step size collapses.

    Warns
    -----
    UserWarning
        Error counts at beta = inf, or so large that no error is made again, only descend from a random start: it says how many replicas
        have not reached a solution.

    Examples
    --------
    >>> import gpumc
    >>> machine = gpumc.Perceptron(21)
    >>> patterns = gpumc.random_patterns(machine, alpha=0.5, seed=1)
    >>> measure = gpumc.Gibbs(gpumc.ErrorCount(), beta=[1.0, 2.0])
    >>> data = gpumc.sample(machine, patterns, measure, chains=3, burn_in=10, sweeps=20, every=5, device="numpy")
    >>> data.energy.dims
    ('instance', 'beta', 'chain', 'replica', 'draw')
    """
    started = Started.now()
    sweeps, every = whole("sweeps", sweeps, 1, MOST_SWEEPS), whole("every", every, 1, MOST_SWEEPS)
    watch_every = whole("watch_every", watch_every, 1, MOST_SWEEPS)
    if every > sweeps:
        raise ConfigError(f"every = {every} is more than sweeps = {sweeps}: nothing would be recorded")
    walks = dynamics(
        machine, patterns, measure, sampler=sampler, seed=seed, device=device, burn_in=burn_in, sweeps=sweeps
    )
    whole_part = walks.whole(chains)
    part = whole_part if part is None else one_of("part", part, Part, "a Part, or None,")
    part.check(patterns.instances, whole_part.chains[1])
    report = Report(callback("progress", progress), walks.walk(part, chains).attempts * (walks.burn_in + sweeps))
    watching = Watching(callback("watch", watch), watch_every if watch else sweeps)
    need_for_results(walks, part, every)
    records = Records.empty(machine, measure, part.size, sweeps // every)

    def batch(piece: Part, *own: Any) -> None:
        drive(walks.walk(piece, chains), sweeps, every, *own)

    resuming = Resuming(keeper, part, records, report)
    batches = Batches(part, walks.starts(chains, init, part), records, report, watching, resuming)
    with np.errstate(under="ignore"):  # factors that vanish are 0
        batches.run(walks.device, walks.batches(chains, part), batch)
    _warn_of_descents(walks, records)
    return walks.dataset(records, part, every, started)


def need_for_results(walks: Dynamics, part: Part, every: int) -> None:
    """Raise DeviceError where the host cannot hold the records of a run, or the values of its ramps."""
    (instances, chains), machine, sweeps = part.size, walks.machine, walks.sweeps or 1
    walkers = instances * walks.grid_size * chains * walks.measure.replicas
    records = walkers * (56 * (sweeps // every) + (16 if machine.continuous else 2) * machine.weight_count)
    ramp_count = len(ramps(walks.grid.parameters))
    Device("cpu").need(
        records + 32 * ramp_count * (walks.burn_in + sweeps),
        f"what {sweeps // every} draws of {chains} chains of {instances} instances give",
    )


def _warn_of_descents(walks: Dynamics, records: Records) -> None:
    """Say which chains at a beta where errors are never made again still have some at the last draw."""
    schedule = walks.schedule
    cold = schedule.beta[0] >= NEVER
    if not walks.measure.loss.counts or schedule.ramps or not cold.any():
        return
    last = records.energy[:, cold, ..., -1]
    if last.any():
        warnings.warn(
            f"{np.count_nonzero(last)} of {last.size} replicas still have errors at the last draw, {last.max():g} at most: at beta = "
            f"{schedule.beta[0][cold].max():g} a chain only descends, and need not reach a solution; anneal beta by a Ramp first, or start "
            "from a solution, init = focusing_bp(machine, patterns).weights of those that are solved",
            stacklevel=3,
        )
