"""Effective kernels: a committee of infinitely many hidden units has a Gaussian output, whose overlap is a function of theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kernel:
    """How the overlap of the hidden fields becomes that of a committee's output as k -> infinity, the output's variance being
    ``scale`` squared: ``overlap(q)`` in [0, 1], its derivative and its second derivative."""

    scale: float
    overlap: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    curvature: Callable[[np.ndarray], np.ndarray]


#: The perceptron, which has none.
IDENTITY = Kernel(1.0, lambda q: q, np.ones_like, np.zeros_like)
#: Hidden signs: (2/pi) arcsin q (E. Barkai, D. Hansel, H. Sompolinsky, Phys. Rev. A 45, 4146 (1992)).
SIGN = Kernel(
    1.0,
    lambda q: 2 / np.pi * np.arcsin(q),
    lambda q: 2 / np.pi / np.sqrt(1 - q**2),
    lambda q: 2 / np.pi * q / (1 - q**2) ** 1.5,
)
#: E max(0, x)^2 - (E max(0, x))^2, the variance of a ReLU unit with output weights of mean zero.
RELU_VARIANCE = 0.5 - 0.5 / np.pi
#: ReLU units (C. Baldassi, E. M. Malatesta, R. Zecchina, Phys. Rev. Lett. 123, 170602 (2019), eq. 8 with balanced output weights).
RELU = Kernel(
    float(np.sqrt(RELU_VARIANCE)),
    lambda q: ((np.sqrt(1 - q**2) + q * (np.pi - np.arccos(q)) - 1) / (2 * np.pi)) / RELU_VARIANCE,
    lambda q: (np.pi - np.arccos(q)) / (2 * np.pi) / RELU_VARIANCE,
    lambda q: 1 / (2 * np.pi * np.sqrt(1 - q**2)) / RELU_VARIANCE,
)
