"""A centre on the spheres, drawn from its conditional given its replicas: von Mises and Fisher's distribution."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from gpumc.device import array_module, to_host
from gpumc.device.constants import Stream
from gpumc.device.philox import philox, random_normals, uniform
from gpumc.sampling.spheres.geometry import normalised, norms, tangent

#: Attempts of the rejection that are made at once.
TRIES = 8


def draw_centre(seed: int, sweep: int, walkers: np.ndarray, total: np.ndarray, coupling: np.ndarray) -> np.ndarray:
    """Centres (chains, units, fan_in) with density exp(coupling W~.total), ``total`` (chains, units, fan_in) being the replicas' sum;
    ``coupling`` (chains,) is on the host, and so are ``walkers``, each chain's first."""
    xp = array_module(total)
    units, fan_in = total.shape[1:]
    length = norms(total)
    kappa = coupling[:, None] * np.sqrt(fan_in) * to_host(length)[..., 0]
    below = xp.asarray(draw_below_one(seed, sweep, walkers, kappa, fan_in))[..., None]
    normals = random_normals(seed, Stream.CENTRE, sweep, walkers, units * fan_in).reshape(total.shape)
    # Where replicas cancel, any pole will do.
    pole = normalised(xp.where(length > 0, total, xp.eye(1, fan_in)))
    across = tangent(pole, xp.asarray(normals))
    return (1 - below) * pole + xp.sqrt(below * (2 - below)) * across * (np.sqrt(fan_in) / norms(across))


def draw_below_one(seed: int, sweep: int, walkers: np.ndarray, kappa: np.ndarray, dimension: int) -> np.ndarray:
    """What the cosine to the pole is below 1, the cosine having the density exp(kappa cos) on the sphere in ``dimension`` dimensions:
    float64 (chains, units), as ``kappa`` (A. T. A. Wood, Commun. Stat. Simul. 23, 157 (1994)).

    All is written in differences from 1, which keep their digits where kappa is large.
    """
    m = dimension - 1
    b = m / (2 * kappa + np.hypot(2 * kappa, m))
    below = 2 * b / (1 + b)  # 1 - x0 of Wood's x0
    found = np.full(kappa.shape, np.nan)
    units = np.arange(kappa.shape[1])
    attempt = 0
    while np.isnan(found).any():
        chain, unit = np.nonzero(np.isnan(found))
        site = (attempt + np.arange(TRIES)[:, None]) << 16 | units[unit]
        words = philox(seed, Stream.VON_MISES, sweep, site, walkers[chain])
        z = betaincinv(m / 2, m / 2, uniform(words[0]))
        k, b_of, x = kappa[chain, unit], b[chain, unit], below[chain, unit]
        w = 2 * b_of * z / (1 - z + b_of * z)
        gain = k * (x - w) + m * (np.log(x + (1 - x) * w) - np.log(x * (2 - x)))
        passes = gain >= np.log(uniform(words[1]))
        first = passes.argmax(axis=0)
        found[chain, unit] = np.where(passes.any(axis=0), w[first, np.arange(len(chain))], np.nan)
        attempt += TRIES
    return np.clip(found, 0, 2)
