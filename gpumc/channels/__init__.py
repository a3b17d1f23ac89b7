"""Averages of a pattern's factor exp(-beta f(x)) over a Gaussian x, f being the loss: of theory and of messages."""

from gpumc.channels.gaussian import Average, piecewise

__all__ = ["Average", "piecewise"]
