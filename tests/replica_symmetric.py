"""Replica-symmetric theory of the binary and the spherical perceptron at finite beta, by quadrature, for the tests.

H. Gutfreund, Y. Stein, J. Phys. A 23, 2613 (1990); W. Krauth, M. Mezard, J. Physique 50, 3057 (1989) for beta = infinity. Per weight,

    phi = extr_{q, r} -r (1 - q) / 2 + int Dz log 2cosh(sqrt(r) z) + alpha int Dz log g(sqrt(q) z),
    g(u) = int Dx exp(-beta f(u + sqrt(1 - q) x)),

f being the loss of a pattern at its stability, and the mean loss per pattern is -(1/alpha) d phi / d beta. On the sphere the first two
terms are (1/2) log(1 - q) + q / (2 (1 - q)), relative to its whole volume, and r = q / (1 - q)^2 (E. Gardner, J. Phys. A 21, 257 (1988)).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erfc

#: A trapezoid over +-12 standard deviations, which for smooth integrands is exact to machine precision.
Z = np.linspace(-12, 12, 961)
DZ = np.exp(-(Z**2) / 2)
DZ /= DZ.sum()


@dataclass(frozen=True)
class ErrorCount:
    """f(x) = 1 where x < 0."""

    def weights(self, beta: float, u: np.ndarray, variance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """g(u), g'(u), and int Dx f exp(-beta f), in closed form."""
        sigma = np.sqrt(variance)
        wrong = 0.5 * erfc(u / sigma / np.sqrt(2))
        keep = np.exp(-beta)
        slope = (1 - keep) * np.exp(-(u**2) / 2 / variance) / np.sqrt(2 * np.pi * variance)
        right = 0.5 * erfc(-u / sigma / np.sqrt(2))
        return right + keep * wrong, slope, keep * wrong


@dataclass(frozen=True)
class Smooth:
    """Any smooth f of the stability."""

    f: Callable[[np.ndarray], np.ndarray]

    def weights(self, beta: float, u: np.ndarray, variance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sigma = np.sqrt(variance)
        loss = self.f(u[:, None] + sigma * Z)
        factor = np.exp(-beta * loss) * DZ
        return factor.sum(axis=1), (factor * Z).sum(axis=1) / sigma, (factor * loss).sum(axis=1)


def cross_entropy(gamma: float) -> Smooth:
    return Smooth(lambda x: np.logaddexp(0, -2 * gamma * x) / (2 * gamma))


@dataclass(frozen=True)
class SaddlePoint:
    """The order parameters, and per weight and per pattern what follows from them."""

    q: float
    r: float
    free_entropy: float
    energy_per_pattern: float
    entropy: float


@dataclass(frozen=True)
class Binary:
    """Weights +-1."""

    def overlap(self, r: float) -> float:
        return (DZ * np.tanh(np.sqrt(r) * Z) ** 2).sum()

    def free_entropy(self, q: float, r: float) -> float:
        field = np.sqrt(r) * Z
        return -r * (1 - q) / 2 + (DZ * np.logaddexp(field, -field)).sum()


@dataclass(frozen=True)
class Spherical:
    """Real weights of squared norm n, relative to all of them."""

    def overlap(self, r: float) -> float:
        return 2 * r / (2 * r + 1 + np.sqrt(4 * r + 1))

    def free_entropy(self, q: float, r: float) -> float:
        return 0.5 * np.log1p(-q) + q / (2 * (1 - q))


def solve(
    alpha: float,
    beta: float,
    loss: ErrorCount | Smooth,
    weights: Binary | Spherical = Binary(),
    tolerance: float = 1e-12,
) -> SaddlePoint:
    """The saddle point by damped iteration. Raises RuntimeError where it does not converge."""
    q = 0.3
    for _ in range(20_000):
        g, slope, _ = loss.weights(beta, np.sqrt(q) * Z, 1 - q)
        r = alpha * (DZ * (slope / g) ** 2).sum()
        new = weights.overlap(r)
        if abs(new - q) < tolerance:
            g, _, weighted = loss.weights(beta, np.sqrt(q) * Z, 1 - q)
            phi = weights.free_entropy(q, r) + alpha * (DZ * np.log(g)).sum()
            energy = (DZ * weighted / g).sum()
            return SaddlePoint(q, r, phi, energy, phi + alpha * beta * energy if np.isfinite(beta) else phi)
        q = 0.5 * (q + new)
    raise RuntimeError(f"no convergence at alpha = {alpha}, beta = {beta}: q moved by {abs(new - q):.1e}")
