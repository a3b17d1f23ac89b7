"""The votes of positive units, of units whose signs are independent: their distribution, unit by unit, in logarithms.

Arrays are (units, ...) for log probabilities ``log_p`` that a unit is positive and ``log_q`` that it is not, and (number, ...) for what
depends on the number of votes; over NumPy or CuPy. ``votes`` are those of each unit, 1 or more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpumc.device import array_module

#: The logarithm of a probability of 0; finite, so that differences are numbers.
IMPOSSIBLE = -1e30


def distributions(log_p: np.ndarray, log_q: np.ndarray, votes: Sequence[int]) -> list[np.ndarray]:
    """For each unit, and behind the last one, the log probabilities of 0, 1, ... votes of positive units before it."""
    xp = array_module(log_p)
    counts = [xp.zeros_like(log_p[:1])]
    for p, q, own in zip(log_p, log_q, votes, strict=True):
        never = xp.full((own, *p.shape), IMPOSSIBLE, p.dtype)
        counts.append(xp.logaddexp(xp.concatenate([counts[-1] + q, never]), xp.concatenate([never, counts[-1] + p])))
    return counts


def expectations(
    log_p: np.ndarray, log_q: np.ndarray, votes: Sequence[int], log_values: np.ndarray
) -> list[np.ndarray]:
    """For each unit, and behind the last one, the log of the mean of exp ``log_values``, a function of the number of all votes, given 0, 1,
    ... votes of positive units before it."""
    xp = array_module(log_p)
    means = [xp.broadcast_to(log_values, (sum(votes) + 1, *log_p.shape[1:]))]
    for p, q, own in zip(log_p[::-1], log_q[::-1], votes[::-1], strict=True):
        means.append(xp.logaddexp(means[-1][:-own] + q, means[-1][own:] + p))
    return means[::-1]
