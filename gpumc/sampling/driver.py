"""The loop of a run: sweeps, draws, and who is told of them."""

from __future__ import annotations

from gpumc.sampling.dataset import Records
from gpumc.sampling.reports import Report, Watching
from gpumc.sampling.resuming import Resuming
from gpumc.sampling.starts import Starts
from gpumc.sampling.walks import Walk


def drive(
    walk: Walk,
    sweeps: int,
    every: int,
    starts: Starts,
    records: Records,
    report: Report,
    watching: Watching,
    resuming: Resuming,
) -> None:
    """Burn in, then make ``sweeps`` sweeps and record one in ``every`` into ``records``; or go on with that."""
    state = resuming.restored(walk) or walk.start(starts)
    burn_in = walk.dynamics.burn_in
    while state.sweep < burn_in + sweeps:
        after = state.sweep - burn_in
        ahead = -after if after < 0 else min(n - after % n for n in (every, watching.every))
        count = min(ahead, walk.stride, burn_in + sweeps - state.sweep)
        walk.advance(state, count)
        after = state.sweep - burn_in
        if after > 0 and after % every == 0:
            walk.record(state, records, after // every - 1)
        if watching.due(after):
            walk.configurations(state, records.weights, records.centre)
            watching.show(after, walk.part, records)
        report.add(count * walk.attempts, "sampling" if after > 0 else "burn-in")
        resuming.offer(state)
    walk.configurations(state, records.weights, records.centre)
    records.acceptance[:] = walk.acceptance(state)
