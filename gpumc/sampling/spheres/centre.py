"""A centre on the spheres, drawn from its conditional given its replicas: von Mises and Fisher's distribution."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from gpumc.device import array_module, to_host
from gpumc.device.philox import Stream, philox, random_normals, uniform
from gpumc.sampling.spheres.geometry import norms, tangent

#: Attempts of the rejection that are made at once.
TRIES = 8


def draw_centre(seed: int, sweep: int, walkers: np.ndarray, total: np.ndarray, coupling: np.ndarray) -> np.ndarray:
    """Centres (chains, units, fan_in) with density exp(coupling W~.total), ``total`` (chains, units, fan_in) being the replicas' sum;
    ``coupling`` (chains,) is on the host, and so are ``walkers``, each chain's first."""
    xp = array_module(total)
    units, fan_in = total.shape[1:]
    length = norms(total)
    kappa = coupling[:, None] * np.sqrt(fan_in) * to_host(length)[..., 0]
    cos = xp.asarray(draw_cos(seed, sweep, walkers, kappa, fan_in))[..., None]
    normals = random_normals(seed, Stream.CENTRE, sweep, walkers, units * fan_in).reshape(total.shape)
    pole = total * (np.sqrt(fan_in) / length)
    across = tangent(pole, xp.asarray(normals))
    return cos * pole + xp.sqrt(1 - cos**2) * across * (np.sqrt(fan_in) / norms(across))


def draw_cos(seed: int, sweep: int, walkers: np.ndarray, kappa: np.ndarray, dimension: int) -> np.ndarray:
    """The cosine to the pole, with density exp(kappa cos) on the sphere in ``dimension`` dimensions: float64 (chains, units), as
    ``kappa`` (A. T. A. Wood, Commun. Stat. Simul. 23, 157 (1994))."""
    m = dimension - 1
    b = m / (2 * kappa + np.sqrt(4 * kappa**2 + m**2))
    x0 = (1 - b) / (1 + b)
    least = kappa * x0 + m * np.log(1 - x0**2)
    found = np.full(kappa.shape, np.nan)
    units = np.arange(kappa.shape[1])
    attempt = 0
    while np.isnan(found).any():
        chain, unit = np.nonzero(np.isnan(found))
        site = (attempt + np.arange(TRIES)[:, None]) << 16 | units[unit]
        words = philox(seed, Stream.VON_MISES, sweep, site, walkers[chain])
        z = betaincinv(m / 2, m / 2, uniform(words[0]))
        w = (1 - (1 + b[chain, unit]) * z) / (1 - (1 - b[chain, unit]) * z)
        passes = kappa[chain, unit] * w + m * np.log(1 - x0[chain, unit] * w) - least[chain, unit] >= np.log(
            uniform(words[1])
        )
        first = passes.argmax(axis=0)
        found[chain, unit] = np.where(passes.any(axis=0), w[first, np.arange(len(chain))], np.nan)
        attempt += TRIES
    return np.clip(found, -1, 1)
