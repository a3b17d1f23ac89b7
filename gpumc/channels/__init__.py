"""Averages of a pattern's factor exp(-beta f(x)) over a Gaussian x, f being the loss: of theory and of messages."""

from gpumc.channels.formulae import Formula
from gpumc.channels.gaussian import Average, piecewise
from gpumc.channels.quadrature import COARSE, FINE, Rule, tilted_average

__all__ = ["COARSE", "FINE", "Average", "Formula", "Rule", "piecewise", "tilted_average"]
