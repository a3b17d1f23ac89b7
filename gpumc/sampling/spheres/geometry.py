"""Spheres: every unit's vector, (..., units, fan_in), has the squared norm fan_in. What a trajectory does at every step has a kernel, in
``kernels/spheres.cu``."""

from __future__ import annotations

import numpy as np

from gpumc.device import Device, array_module, kernel

#: Orders beyond its own at which a Bessel function is expanded, so that Debye's terms leave less than 1e-8.
BEYOND = 30
GEODESIC = (*["const float64*"] * 3, *["float64*"] * 2, *["int64"] * 2)
KICK = (*["const float64*"] * 4, "float64*", *["int64"] * 2)


def norms(x: np.ndarray) -> np.ndarray:
    """The norm of every unit's vector: (..., units, 1)."""
    return array_module(x).sqrt((x * x).sum(axis=-1, keepdims=True))


def normalised(x: np.ndarray) -> np.ndarray:
    """``x`` with every unit on its sphere."""
    return x * (np.sqrt(x.shape[-1]) / norms(x))


def tangent(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The part of ``v`` that is tangent to the spheres at ``x``."""
    return v - x * ((x * v).sum(axis=-1, keepdims=True) / x.shape[-1])


def kicked(device: Device, x: np.ndarray, v: np.ndarray, force: np.ndarray, time: np.ndarray) -> np.ndarray:
    """``v`` less ``time`` (rows,) times the part of ``force`` that is tangent at ``x``, all (rows, units, fan_in)."""
    if device.kind == "numpy":
        return v - time[:, None, None] * tangent(x, force)
    found, force = device.xp.empty_like(v), device.xp.ascontiguousarray(force)
    rows, units, fan_in = x.shape
    kernel(device, "spheres.cu", "kick", KICK)(rows * units, x, v, force, time, found, units, fan_in)
    return found


def geodesic(device: Device, x: np.ndarray, v: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity after ``time`` (rows,) on the great circles that start at ``x`` with velocity ``v``, (rows, units, fan_in)
    (S. Byrne, M. Girolami, Scand. J. Stat. 40, 825 (2013), section 4.1)."""
    xp = device.xp
    if device.kind != "numpy":
        found = xp.empty_like(x), xp.empty_like(v)
        rows, units, fan_in = x.shape
        kernel(device, "spheres.cu", "geodesic", GEODESIC)(rows * units, x, v, time, *found, units, fan_in)
        return found
    rate = norms(v) / np.sqrt(x.shape[-1])
    angle = rate * time[..., None, None]
    cos, sin = xp.cos(angle), xp.sin(angle)
    return x * cos + v * (sin / rate), v * cos - x * (rate * sin)


def log_mean_exp(kappa: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """log of the mean of exp(kappa cos) over the unit sphere in ``dimension`` dimensions, cos being a point's first coordinate,
    and its derivative, the mean of cos under that weight.

    log[Gamma(nu + 1) (2 / kappa)^nu I_nu(kappa)], nu = dimension / 2 - 1, and I_{nu+1} / I_nu: by the uniform expansion at a
    higher order (DLMF 10.41.3) and the recurrence downwards (DLMF 10.29.1).
    """
    xp = array_module(kappa)
    nu, kappa = dimension / 2 - 1, xp.maximum(kappa, 1e-12)
    top = nu + BEYOND
    log_i, above = _log_scaled(top, kappa), _log_scaled(top + 1, kappa)
    # Both are of I_m Gamma(m + 1) (2 / kappa)^m, which is 1 at kappa = 0: nothing overflows.
    ratio = xp.exp(above - log_i) * kappa / (2 * (top + 1))
    for order in range(BEYOND):
        m = top - order
        ratio = 1 / (ratio + 2 * m / kappa)
        log_i = log_i - xp.log(ratio * 2 * m / kappa)
    return log_i, ratio


def _log_scaled(nu: float, kappa: np.ndarray) -> np.ndarray:
    """log[Gamma(nu + 1) (2 / kappa)^nu I_nu(kappa)] by Debye's expansion."""
    xp = array_module(kappa)
    root = xp.sqrt(nu**2 + kappa**2)
    t = nu / root
    u1 = (3 * t - 5 * t**3) / 24
    u2 = (81 * t**2 - 462 * t**4 + 385 * t**6) / 1152
    u3 = (30375 * t**3 - 369603 * t**5 + 765765 * t**7 - 425425 * t**9) / 414720
    series = xp.log1p(u1 / nu + u2 / nu**2 + u3 / nu**3)
    # Gamma(nu + 1) by Stirling's series to the same order; kappa / (nu + root) and root - nu lose no digits.
    stirling = 1 / (12 * nu) - 1 / (360 * nu**3) + 1 / (1260 * nu**5)
    rise = kappa**2 / (root + nu)
    return rise - nu * xp.log1p(rise / (2 * nu)) - 0.5 * xp.log(root / nu) + series + stirling
