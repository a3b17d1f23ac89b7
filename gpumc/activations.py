"""What a hidden unit makes of its preactivation."""

from __future__ import annotations

import importlib
import math
from types import ModuleType

import numpy as np

from gpumc.device import array_module

#: Activations by name; those with a derivative almost everywhere that is not 0; and those that are odd functions.
ACTIVATIONS = ("sign", "relu", "erf", "tanh")
SMOOTH = ("relu", "erf", "tanh")
ODD = ("sign", "erf", "tanh")


def activated(name: str, slope: float, x: np.ndarray) -> np.ndarray:
    """sign(x) with sign(0) = 1, max(0, x), erf(slope x) or tanh(slope x)."""
    xp = array_module(x)
    if name == "sign":
        return xp.where(x < 0, -1.0, 1.0).astype(x.dtype)
    if name == "relu":
        return xp.maximum(x, 0)
    return _special(xp).erf(slope * x) if name == "erf" else xp.tanh(slope * x)


def activation_slope(name: str, slope: float, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The derivative of an activation at ``x``, where its ``value`` is known; 0 for signs, and for ReLU at 0."""
    xp = array_module(x)
    if name == "sign":
        return xp.zeros_like(x)
    if name == "relu":
        return (x > 0).astype(x.dtype)
    if name == "erf":
        return 2 * slope / math.sqrt(math.pi) * xp.exp(-((slope * x) ** 2))
    square = value * value
    square *= -slope
    square += slope
    return square


def activation_curvature(name: str, slope: float, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The second derivative of an activation at ``x``, where its ``value`` is known; 0 for signs and ReLU."""
    if name == "erf":
        return -2 * slope * slope * x * activation_slope(name, slope, x, value)
    if name == "tanh":
        return -2 * slope * value * activation_slope(name, slope, x, value)
    return array_module(x).zeros_like(x)


def _special(xp: ModuleType) -> ModuleType:
    return importlib.import_module("scipy.special" if xp is np else "cupyx.scipy.special")
