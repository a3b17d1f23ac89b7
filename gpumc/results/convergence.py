"""Whether chains have converged: the ratio R-hat of variances, and the effective number of independent draws.

Each chain is cut into halves, so that a drift is seen in one chain, too: A. Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), section
11.4-11.5. The correlations of all halves are summed by pairs as long as these are positive and fall: C. J. Geyer, Stat. Sci. 7, 473
(1992), in the form of A. Vehtari et al., Bayesian Anal. 16, 667 (2021), equations 1 to 13.
"""

from __future__ import annotations

import numpy as np

#: Draws of a chain, of which each half has a variance.
FEWEST = 4
#: A variance below this share of the largest squared value is rounding.
ROUNDING = 1e-24


def rhat_and_ess(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R-hat and the effective number of draws.

    Parameters
    ----------
    draws : array, (..., chains, draws)
        What independent chains have recorded.

    Returns
    -------
    rhat, ess : array, (...)
        float64: NaN where all draws are equal, where one is not finite, and of fewer than four draws.

    Examples
    --------
    >>> rhat, ess = rhat_and_ess(np.random.default_rng(1).normal(size=(4, 1000)))
    >>> bool(abs(rhat - 1) < 0.01), bool(ess > 3000)
    (True, True)
    """
    half = draws.shape[-1] // 2
    if draws.shape[-1] < FEWEST:
        return np.full(draws.shape[:-2], np.nan), np.full(draws.shape[:-2], np.nan)
    halves = np.concatenate([draws[..., :half], draws[..., -half:]], axis=-2).astype(float)
    count = halves.shape[-2]
    largest = abs(halves).max(axis=(-2, -1))
    with np.errstate(all="ignore"):
        within = halves.var(axis=-1, ddof=1).mean(axis=-1)
        between = halves.mean(axis=-1).var(axis=-1, ddof=1)
        total = (half - 1) / half * within + between
        known = np.isfinite(total) & (total > ROUNDING * largest**2)
        rhat = np.sqrt(total / within)
        correlation = (
            1 - (within[..., None] - _covariances(halves).mean(axis=-2) * half / (half - 1)) / total[..., None]
        )
        correlation[..., 0] = 1.0
        time = 2 * _falling_pairs(correlation).sum(axis=-1) - 1
    most = count * half
    # Draws that repel one another are worth more than independent ones, up to what their number can tell.
    ess = most / np.maximum(time, 1 / np.log10(most))
    return np.where(known, rhat, np.nan), np.where(known, ess, np.nan)


def _covariances(series: np.ndarray) -> np.ndarray:
    """Autocovariances (..., lags) of ``series`` (..., draws) around their means, sums divided by the number of draws."""
    draws = series.shape[-1]
    around = series - series.mean(axis=-1, keepdims=True)
    power = abs(np.fft.rfft(around, 2 * draws)) ** 2
    return np.fft.irfft(power, 2 * draws)[..., :draws] / draws


def _falling_pairs(correlation: np.ndarray) -> np.ndarray:
    """Sums of neighbouring correlations (..., lags), 0 from the first that is not positive on, and none above the one before."""
    lags = correlation.shape[-1] // 2 * 2
    pairs = correlation[..., 0:lags:2] + correlation[..., 1:lags:2]
    positive = np.logical_and.accumulate(pairs > 0, axis=-1)
    return np.where(positive, np.minimum.accumulate(pairs, axis=-1), 0.0)
