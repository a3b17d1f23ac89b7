"""What the weights add to a free entropy: replica-symmetric, of one or of several replicas.

Per weight, phi = extr G_S + alpha G_E. With a field of variance r on each weight, conjugate to the overlap q, G_S is for binary weights
-r (1 - q)/2 + E log 2cosh(sqrt(r) z) (W. Krauth, M. Mezard, J. Physique 50, 3057 (1989), eq. 10), and for spherical ones, relative to
the whole sphere, (1/2) log(1 - q) + q / (2 (1 - q)) with r = q / (1 - q)^2 (E. Gardner, J. Phys. A 21, 257 (1988), eq. 26).
"""

from __future__ import annotations

import numpy as np

from gpumc.theory.normal_averages import fields, log_2cosh


class Binary:
    """Weights +-1."""

    def overlap(self, r: np.ndarray) -> np.ndarray:
        """q of fields of variance ``r`` (rows,)."""
        h, weight = fields(r)
        return (weight * np.tanh(h) ** 2).sum(axis=1)

    def free_entropy(self, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        """G_S (rows,)."""
        h, weight = fields(r)
        return -r * (1 - q) / 2 + (weight * log_2cosh(h)).sum(axis=1)

    def response(self, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        """The mean squared susceptibility of a weight, E (1 - tanh^2)^2."""
        h, weight = fields(r)
        return (weight * (1 - np.tanh(h) ** 2) ** 2).sum(axis=1)


class Spherical:
    """Real weights on spheres."""

    def overlap(self, r: np.ndarray) -> np.ndarray:
        """q of fields of variance ``r`` (rows,)."""
        return 2 * r / (2 * r + 1 + np.sqrt(4 * r + 1))

    def free_entropy(self, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        """G_S (rows,)."""
        return 0.5 * np.log1p(-q) + q / (2 * (1 - q))

    def response(self, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        """The mean squared susceptibility of a weight, (1 - q)^2."""
        return (1 - q) ** 2


Weights = Binary | Spherical
WEIGHTS: dict[str, Weights] = {"binary": Binary(), "spherical": Spherical()}
