"""Lanczos against spectra that are known: two values, rank one, the semicircle, Marchenko and Pastur's."""

import numpy as np
import pytest

from gpumc.flatness.lanczos import lanczos

RNG = np.random.default_rng(5)
START = RNG.normal(size=400)


def test_two_values():
    """Two nodes, whatever their multiplicity, and the part of the first vector in either eigenspace."""
    values = np.where(np.arange(400) < 100, 1.0, 3.0)
    nodes, weights = lanczos(lambda v: values * v, START, 6)
    np.testing.assert_allclose(nodes[:2], [1, 3], rtol=1e-12)
    share = (START[:100] ** 2).sum() / (START**2).sum()
    np.testing.assert_allclose(weights, [share, 1 - share, 0, 0, 0, 0], atol=1e-12)


def test_rank_one():
    """A massive zero, beside one eigenvalue, without ghosts."""
    direction = RNG.normal(size=400)
    nodes, weights = lanczos(lambda v: direction * (direction @ v), START, 8)
    size = direction @ direction
    np.testing.assert_allclose(nodes[:2], [0, size], atol=1e-10 * size)
    np.testing.assert_allclose(weights[:2].sum(), 1, rtol=1e-12)
    assert not weights[2:].any()


def _wigner():
    matrix = RNG.normal(size=(400, 400))
    return (matrix + matrix.T) / np.sqrt(800)


def _marchenko_pastur():
    inputs = RNG.normal(size=(200, 400))
    return inputs.T @ inputs / 200


@pytest.mark.parametrize(("matrix", "edges"), [(_wigner(), (-2, 2)), (_marchenko_pastur(), (0, (1 + 2**0.5) ** 2))])
def test_moments_and_edges(matrix, edges):
    """The quadrature of few nodes has the moments of the measure, and with many the ends of the spectrum, to all digits."""
    values, vectors = np.linalg.eigh(matrix)
    shares = (vectors.T @ START) ** 2 / (START @ START)
    nodes, weights = lanczos(lambda v: matrix @ v, START, 10)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)
    for power in (1, 2, 3, 10, 19):
        np.testing.assert_allclose(weights @ nodes**power, shares @ values**power, rtol=1e-9, atol=1e-9)
    nodes, _ = lanczos(lambda v: matrix @ v, START, 200)
    np.testing.assert_allclose([nodes[0], nodes[-1]], [values[0], values[-1]], atol=1e-9)
    np.testing.assert_allclose([nodes[0], nodes[-1]], edges, atol=0.15)
