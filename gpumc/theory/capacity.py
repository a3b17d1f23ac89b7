"""How many patterns a weight can store: the replica-symmetric limits q -> 1 and of zero entropy."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import binom

from gpumc.channels.effective_kernels import RELU_VARIANCE
from gpumc.device import choose
from gpumc.losses import ErrorCount
from gpumc.machines import Machine
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.saddle_points import saddle_points

#: Points of integrals over |z|.
POSITIVE = np.linspace(0.0, 10.0, 4001)


@np.errstate(under="ignore")  # factors that vanish are 0
def capacity(machine: Machine | Limit) -> float:
    """The replica-symmetric alpha above which no weights are without error.

    Spherical weights: q -> 1 (E. Gardner, J. Phys. A 21, 257 (1988), sections 4 and 5: 2 for the perceptron). For trees this is only
    an upper bound, as replica symmetry is broken below: 4.02 for a committee of 3 (E. Barkai, D. Hansel, H. Sompolinsky, Phys. Rev. A
    45, 4146 (1992); A. Engel et al., Phys. Rev. A 45, 7590 (1992)), which grows as (72 k / pi)^(1/2), beyond the bound of order log k by
    G. J. Mitchison, R. M. Durbin, Biol. Cybern. 60, 345 (1989), and is infinite for k = inf; 2.934 for infinitely many ReLU units
    (C. Baldassi, E. M. Malatesta, R. Zecchina, Phys. Rev. Lett. 123, 170602 (2019)). Binary weights: zero entropy, 0.833 for the
    perceptron (W. Krauth, M. Mezard, J. Physique 50, 3057 (1989)), 1 for parities of 3 or more units.

    Parameters
    ----------
    machine : Machine or theory.Limit
        A machine, whose n tends to infinity at its k, or a `Limit`.

    Returns
    -------
    float
        Patterns per weight; may be inf.

    Raises
    ------
    ConfigError
        For machines that have no theory here.

    Examples
    --------
    >>> import gpumc
    >>> round(gpumc.theory.capacity(gpumc.Perceptron(1001)), 3)
    0.833
    """
    limit = Limit.of(machine)
    if limit.kind == "tree-parity" and limit.many:
        return limit.weight_kind.capacity_bound
    if limit.weights == "binary":
        return _zero_entropy_alpha(limit)
    if limit.many:
        return 1 / RELU_VARIANCE if limit.activation == "relu" else np.inf
    return 1 / (_parity_cost if limit.kind == "tree-parity" else _committee_cost)(int(limit.k))


def _zero_entropy_alpha(limit: Limit) -> float:
    def entropy(alpha: float) -> float:
        point = saddle_points(limit, ErrorCount().rows(1), np.array([alpha]), np.array([np.inf]), choose("numpy"))
        return float(point.free_entropy[0]) if point.converged[0] else -1.0

    high = 0.9
    while entropy(high) > 0:
        high *= 1.2
    return float(brentq(entropy, 0.5, high, xtol=1e-8))


def _committee_cost(k: int) -> float:
    """E of the least sum of z_l^2 over fields whose signs, turned, make the majority positive: of j negative fields the smallest
    j - (k - 1)/2 have to turn."""
    below = 2 * ndtr(POSITIVE) - 1
    density = 2 * np.exp(-(POSITIVE**2) / 2) / np.sqrt(2 * np.pi)
    cost = 0.0
    for negative in range((k + 1) // 2, k + 1):
        turned = negative - (k - 1) // 2
        # A field is among the smallest where fewer than `turned` of the others are smaller.
        among = binom.cdf(turned - 1, negative - 1, below)
        cost += binom.pmf(negative, k, 0.5) * negative * np.trapezoid(POSITIVE**2 * density * among, POSITIVE)
    return cost


def _parity_cost(k: int) -> float:
    """Half of E min z_l^2: the field nearest to 0 turns."""
    beyond = 2 * ndtr(-POSITIVE)
    return 0.5 * np.trapezoid(2 * POSITIVE * beyond**k, POSITIVE)
