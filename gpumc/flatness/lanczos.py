"""The Lanczos iteration of a symmetric operator in double precision, each vector orthogonalised twice against all before it.

C. Lanczos, J. Res. Natl. Bur. Stand. 45, 255 (1950); G. H. Golub, G. Meurant, Matrices, Moments and Quadrature (2010): the
eigenvalues of the tridiagonal matrix are the nodes, the squares of the first components of its eigenvectors the weights, of a Gauss
quadrature of the spectral measure of the first vector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpumc.device import array_module, to_host

#: A remainder of this relative length is rounding: the vectors span a space that the operator does not leave.
NOTHING_LEFT = 1e-12


def lanczos(product: Callable[[Any], Any], first: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the spectral measure of ``first`` (N,), at most ``steps`` of them: float64 (steps,) each, the nodes rising.

    ``product`` gives the operator's product with a vector (N,). Where the iteration ends early, the nodes that are missing repeat the
    last one, with the weight 0.
    """
    xp = array_module(first)
    basis = xp.zeros((steps, len(first)))
    vector = first / xp.sqrt(first @ first)
    diagonal, beside = [], []
    size = 0.0
    for step in range(steps):
        basis[step] = vector
        image = product(vector)
        diagonal.append(float(vector @ image))
        size = max(size, float(xp.sqrt(image @ image)))
        known = basis[: step + 1]
        for _ in range(2):
            image = image - known.T @ (known @ image)
        length = float(xp.sqrt(image @ image))
        if step + 1 == steps or length <= NOTHING_LEFT * size:
            break
        beside.append(length)
        vector = image / length
    matrix = np.diag(diagonal) + np.diag(beside[: len(diagonal) - 1], 1) + np.diag(beside[: len(diagonal) - 1], -1)
    nodes, vectors = np.linalg.eigh(matrix)
    missing = steps - len(nodes)
    return np.pad(nodes, (0, missing), mode="edge"), np.pad(to_host(vectors[0]) ** 2, (0, missing))
