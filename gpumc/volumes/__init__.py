"""Entropies of configurations of low loss, all of them or around references, by belief propagation or by sampling."""

from gpumc.volumes.entropies import entropy, local_entropy
from gpumc.volumes.integration import ThermodynamicIntegration
from gpumc.volumes.splitting import Splitting

__all__ = ["Splitting", "ThermodynamicIntegration", "entropy", "local_entropy"]
