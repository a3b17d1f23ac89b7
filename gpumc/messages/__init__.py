"""Belief propagation, batched: volumes, and focusing."""

from gpumc.messages.focusing import focusing_bp
from gpumc.messages.protocols import FreeScoping, PseudoReinforcement, Scoping, StandardReinforcement
from gpumc.messages.volume import BeliefPropagation, Problems, volumes

__all__ = [
    "BeliefPropagation",
    "FreeScoping",
    "Problems",
    "PseudoReinforcement",
    "Scoping",
    "StandardReinforcement",
    "focusing_bp",
    "volumes",
]
