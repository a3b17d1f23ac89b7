"""Replica theory of the machines that are simulated, as n -> infinity, in datasets of the same dimensions.

Every function says which ansatz it makes. Where a saddle point was not found its numbers are NaN and ``converged`` is False.
"""

from gpumc.theory.capacity import capacity
from gpumc.theory.clusters import dense_clusters
from gpumc.theory.franz_parisi import franz_parisi
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.replica_symmetric import replica_symmetric, zero_entropy

__all__ = [
    "Limit",
    "capacity",
    "dense_clusters",
    "franz_parisi",
    "replica_symmetric",
    "zero_entropy",
]
