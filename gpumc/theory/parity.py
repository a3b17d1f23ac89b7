"""Groups of replicas of a tree parity machine, whose different groups do not overlap: q0 = 0, so that the average is annealed."""

from __future__ import annotations

import numpy as np
from scipy.special import binom, logsumexp, ndtr

from gpumc.theory.normal_averages import Z, average

#: Weights of moments, which are 1 at most, below this are left out.
SMALLEST = 1e-300


def log_right_together(q1: float, y: int, k: float) -> float:
    """log of the probability that all of y replicas, whose hidden fields overlap by ``q1``, give a pattern's label.

    E ((1 + prod_l t_l) / 2)^y = 2^-y sum over even j of (y choose j) (E t^j)^k, t = erf(sqrt(q1 / (1 - q1) / 2) z). For y = 2 this is
    (1 + s^k) / 4, s = (2/pi) arcsin(q1); for k -> infinity 2^-y, each replica by itself.
    """
    if np.isinf(k):
        return -y * float(np.log(2))
    t = 2 * ndtr(np.sqrt(q1 / (1 - q1)) * Z) - 1
    powers = np.arange(0, y + 1, 2)
    moments = average(t ** powers[:, None])
    return float(logsumexp(k * np.log(np.maximum(moments, SMALLEST)) + np.log(binom(y, powers))) - y * np.log(2))
