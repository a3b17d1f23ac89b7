"""The theory that the sampler is compared with has its own identities."""

import numpy as np
import pytest
from scipy.optimize import brentq

from tests.replica_symmetric import DZ, Binary, ErrorCount, Spherical, Z, cross_entropy, solve

LOSSES = [ErrorCount(), cross_entropy(0.5), cross_entropy(5.0)]


@pytest.mark.parametrize("weights", [Binary(), Spherical()], ids=["binary", "spherical"])
@pytest.mark.parametrize("loss", LOSSES, ids=["error-count", "gamma-0.5", "gamma-5"])
def test_energy_is_the_derivative_of_the_free_entropy(loss, weights):
    alpha, beta, step = 0.4, 1.5, 1e-4
    up, down = solve(alpha, beta + step, loss, weights), solve(alpha, beta - step, loss, weights)
    derivative = -(up.free_entropy - down.free_entropy) / (2 * step) / alpha
    assert derivative == pytest.approx(solve(alpha, beta, loss, weights).energy_per_pattern, rel=1e-6)


def test_hot_limit():
    """Free weights at beta -> 0: log 2 of entropy, half of the patterns wrong."""
    hot = solve(0.4, 1e-6, ErrorCount())
    assert hot.free_entropy == pytest.approx(np.log(2), abs=1e-6)
    assert hot.energy_per_pattern == pytest.approx(0.5, abs=1e-6)


def test_capacity():
    """The entropy of solutions vanishes at alpha = 0.833 (Krauth and Mezard 1989)."""
    capacity = brentq(lambda alpha: solve(alpha, np.inf, ErrorCount()).entropy, 0.75, 0.9, xtol=1e-5)
    assert capacity == pytest.approx(0.833, abs=5e-4)


def test_cold_limit():
    """At low temperature the entropy tends to that of the solutions."""
    assert solve(0.4, 20.0, ErrorCount()).entropy == pytest.approx(solve(0.4, np.inf, ErrorCount()).entropy, abs=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_spherical_saddle_points_are_stationary(alpha):
    """The free entropy by finite differences in q; half of the sphere for each of few patterns."""
    point, loss, weights = solve(alpha, np.inf, ErrorCount(), Spherical()), ErrorCount(), Spherical()

    def phi(q):
        g, _, _ = loss.weights(np.inf, np.sqrt(q) * Z, 1 - q)
        return weights.free_entropy(q, 0.0) + alpha * (DZ * np.log(g)).sum()

    assert phi(point.q) == pytest.approx(point.entropy, abs=1e-12)
    assert abs(phi(point.q + 1e-5) - phi(point.q - 1e-5)) / 2e-5 < 1e-5
    few = solve(1e-4, np.inf, ErrorCount(), Spherical())
    assert few.entropy == pytest.approx(-1e-4 * np.log(2), rel=1e-3)
