"""Belief propagation, batched: volumes, and focusing."""

from gpumc.messages.belief_propagation import BeliefPropagation
from gpumc.messages.focusing import focusing_bp
from gpumc.messages.protocols import FreeScoping, PseudoReinforcement, Scoping, StandardReinforcement

__all__ = [
    "BeliefPropagation",
    "FreeScoping",
    "PseudoReinforcement",
    "Scoping",
    "StandardReinforcement",
    "focusing_bp",
]
