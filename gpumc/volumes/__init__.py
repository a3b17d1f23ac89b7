"""Entropies of configurations of low loss, all of them or around references, by belief propagation or by sampling."""

from gpumc.volumes.entropies import entropy, local_entropy
from gpumc.volumes.integration import ThermodynamicIntegration

__all__ = ["ThermodynamicIntegration", "entropy", "local_entropy"]
