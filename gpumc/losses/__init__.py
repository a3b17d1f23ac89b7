"""Losses: what one is, those that are shipped, and the table of those that a config names."""

from gpumc.losses.base import FIXED_POINT, Loss, between, checked_values
from gpumc.losses.counts import BandCount, ErrorCount
from gpumc.losses.registry import LOSSES, loss_class
from gpumc.losses.smooth import CrossEntropy, LogBarrier, SquaredHinge

__all__ = [
    "FIXED_POINT",
    "LOSSES",
    "BandCount",
    "CrossEntropy",
    "ErrorCount",
    "LogBarrier",
    "Loss",
    "SquaredHinge",
    "between",
    "checked_values",
    "loss_class",
]
