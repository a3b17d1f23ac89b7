"""What a pattern gives, exp(-beta f(x)) averaged over the preactivations x of its units, f being the loss: for messages and theory."""

from gpumc.channels.formulae import Formula
from gpumc.channels.gaussian import Average, log_boltzmann, piecewise
from gpumc.channels.quadrature import COARSE, FINE, Rule, half_trapezoid, tilted_average

__all__ = [
    "COARSE",
    "FINE",
    "Average",
    "Formula",
    "Rule",
    "half_trapezoid",
    "log_boltzmann",
    "piecewise",
    "tilted_average",
]
