"""The votes of positive units against the sum over all signs; effective kernels against averages over correlated normal variables."""

from itertools import product

import numpy as np
import pytest

from gpumc.channels.counting import distributions, expectations
from gpumc.channels.effective_kernels import RELU, SIGN


def test_units_are_counted_as_by_enumeration():
    votes, rng = (1, 3, 1, 2), np.random.default_rng(1)
    chance, values = rng.uniform(0.05, 0.95, 4), rng.normal(size=8)
    log_p, log_q = np.log(chance), np.log1p(-chance)
    before, after = distributions(log_p, log_q, votes), expectations(log_p, log_q, votes, values)
    whole = np.zeros(8)
    for signs in product((0, 1), repeat=4):
        whole[np.dot(votes, signs)] += np.prod(np.where(signs, chance, 1 - chance))
    np.testing.assert_allclose(np.exp(before[-1]), whole, rtol=1e-13)
    for counts, means in zip(before, after, strict=True):
        assert np.logaddexp.reduce(counts + means) == pytest.approx(np.log(whole @ np.exp(values)), rel=1e-12)


@pytest.mark.parametrize(
    ("kernel", "unit"), [(SIGN, np.sign), (RELU, lambda x: np.maximum(x, 0))], ids=["sign", "relu"]
)
def test_kernels_are_overlaps_of_outputs(kernel, unit):
    """Of two normal variables of overlap q, by a fine trapezoid; and its derivatives by differences."""
    q, step, x = 0.4, 1e-4, np.linspace(-8, 8, 3201)
    density = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    y = q * x[:, None] + np.sqrt(1 - q**2) * x
    mean = unit(x) @ density
    overlap = (unit(x) @ (unit(y) @ density * density) - mean**2) / kernel.scale**2
    assert kernel.overlap(q) == pytest.approx(overlap, abs=1e-3)
    low, high = q - step, q + step
    assert kernel.slope(q) == pytest.approx((kernel.overlap(high) - kernel.overlap(low)) / (2 * step), rel=1e-6)
    assert kernel.curvature(q) == pytest.approx((kernel.slope(high) - kernel.slope(low)) / (2 * step), rel=1e-5)
