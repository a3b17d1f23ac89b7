"""Errors of perturbed weights, and of weights on noisy inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.checks import series, text, whole
from gpumc.device import Device, choose
from gpumc.device.constants import Stream
from gpumc.device.normals import normals
from gpumc.device.philox import SEED_LIMIT
from gpumc.errors import ConfigError
from gpumc.flatness.rows import Rows, error_rates, standard_error
from gpumc.machines import Machine
from gpumc.patterns import Patterns
from gpumc.schema import Started, described, provenance

#: How weights are perturbed.
PERTURBATIONS = ("multiplicative", "additive", "flip")
#: Which parts of the draws the quantiles leave below them.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: The largest part of the weights that is flipped.
MOST_FLIPPED = 0.5


def local_energy(
    machine: Machine,
    patterns: Patterns,
    weights: xr.DataArray | ArrayLike,
    *,
    strength: ArrayLike,
    perturbation: str = "multiplicative",
    draws: int = 100,
    seed: int = 0,
    device: str | Device = "auto",
) -> xr.Dataset:
    """How much the training error rises where weights are perturbed at random.

    Parameters
    ----------
    machine : Machine
    patterns : Patterns
    weights : array (..., weight)
        Of a dataset, or plain: (weights,), (instances, weights) or (instances, references, weights).
    strength : float or sequence of float
        s: the standard deviation of the noise; of "flip" the probability of each weight to be flipped.
    perturbation : {"multiplicative", "additive", "flip"}
        w (1 + s z), w + s z r with r the root mean square of the unit's weights, both with z standard normal for each weight, or flips.
    draws : int
        Perturbations of each strength, the same random numbers for all weights and strengths.
    seed : int
    device : str or Device

    Returns
    -------
    Dataset
        ``error_rate`` without noise; over ``strength``: the mean rise ``local_energy``, its standard error ``local_energy_error``, and
        the quantiles of the rises over the draws, ``local_energy_quantile``.

    Raises
    ------
    ConfigError
        For what makes no sense.

    References
    ----------
    C. Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020), sec. 5; F. Pittorino et al., J. Stat. Mech. 124015 (2021), eq. 8.

    Examples
    --------
    >>> import gpumc
    >>> from gpumc import flatness
    >>> machine = gpumc.Perceptron(101)
    >>> patterns = gpumc.random_patterns(machine, alpha=0.2, seed=1)
    >>> found = gpumc.learn(machine, patterns, gpumc.LeastAction(rate=0.5), starts=2, device="numpy")
    >>> energy = flatness.local_energy(machine, patterns, found.weights, strength=[0.1, 0.2], perturbation="flip", device="numpy")
    >>> energy.local_energy.dims
    ('instance', 'start', 'strength')
    """
    started, rows, chosen = Started.now(), Rows.of(machine, patterns, weights), choose(device)
    kind = text("perturbation", perturbation, PERTURBATIONS)
    if (kind == "flip") == machine.continuous:
        raise ConfigError(
            f"perturbation = {kind!r}: binary weights are flipped, and real ones have multiplicative or additive noise; "
            f"this {machine.kind} has {machine.weights} ones"
        )
    most = MOST_FLIPPED if kind == "flip" else np.inf
    strengths = np.atleast_1d(
        series("strength", strength, lambda s: (s >= 0) & (s <= most) & np.isfinite(s), f"numbers from 0 to {most:g}")
    )
    draws, seed = whole("draws", draws, 1, 2**31), whole("seed", seed, 0, SEED_LIMIT)
    rates = np.full((len(rows.weights), 1 + len(strengths), draws), np.nan)
    for instance, places in rows:
        xi, labels = (chosen.asarray(a[instance]) for a in (patterns.xi, patterns.labels))
        own = chosen.asarray(rows.weights[places])
        rates[places, 0] = error_rates(machine, own, xi, labels)[:, None]
        for draw in range(draws):
            z = normals(chosen, seed, Stream.NOISE, 0, np.array([draw], np.uint64), 1, machine.weight_count)[0, 0]
            for number, s in enumerate(strengths, 1):
                noisy = _perturbed(machine, chosen, own, z, float(s), kind)
                rates[places, number, draw] = error_rates(machine, noisy, xi, labels)
    rises = rates[:, 1:] - rates[:, :1]
    along = ("strength",)
    variables = {
        "error_rate": rows.variable(rates[:, 0, 0]),
        "local_energy": rows.variable(rises.mean(axis=2), *along),
        "local_energy_error": rows.variable(standard_error(rises), *along),
        "local_energy_quantile": rows.variable(
            np.moveaxis(np.quantile(rises, QUANTILES, axis=2), 0, 2), *along, "quantile"
        ),
    }
    coordinates = {**rows.lead.coords, "strength": strengths, "quantile": list(QUANTILES)}
    settings = {"perturbation": kind, "draws": draws, "seed": seed, "device": chosen.name}
    facts = provenance(started, machine.attributes, patterns.attributes(machine), settings)
    return described(xr.Dataset(variables, coordinates, facts), *map(str, rows.lead.dims))


def _perturbed(machine: Machine, device: Device, weights, z, strength: float, kind: str):
    """Weights (rows, weights) with the noise ``z`` (weights,)."""
    xp = device.xp
    if kind == "multiplicative":
        return weights * (1 + strength * z)
    if kind == "additive":
        units = weights.reshape(len(weights), machine.k, machine.fan_in)
        size = xp.sqrt((units**2).mean(axis=2))
        return weights + strength * z * xp.repeat(size, machine.fan_in, axis=1)
    return xp.where(device.special.ndtr(z) < strength, -weights, weights)


def robustness(
    machine: Machine,
    patterns: Patterns,
    weights: xr.DataArray | ArrayLike,
    *,
    eta: ArrayLike,
    draws: int = 20,
    seed: int = 0,
    device: str | Device = "auto",
) -> xr.Dataset:
    """The training error on noisy inputs.

    Input i has normal noise of the standard deviation eta s_i, s_i being that of the input over the patterns, so that a constant input
    has none.

    Parameters
    ----------
    machine, patterns, weights, seed, device
        See :func:`local_energy`.
    eta : float or sequence of float
        The standard deviation of the noise, over that of the input.
    draws : int
        Noises of each eta, the same random numbers for all weights and strengths.

    Returns
    -------
    Dataset
        Over ``eta``: ``noisy_error_rate`` on the noisy inputs, and ``signed_error_rate`` on their signs, means over the draws, with
        their standard errors ``noisy_error_rate_error`` and ``signed_error_rate_error``.

    Raises
    ------
    ConfigError
        For what makes no sense.

    References
    ----------
    C. Baldassi, F. Pittorino, R. Zecchina, PNAS 117, 161 (2020), supporting information.

    Examples
    --------
    >>> import gpumc
    >>> from gpumc import flatness
    >>> machine = gpumc.Perceptron(101, weights="spherical")
    >>> patterns = gpumc.random_patterns(machine, alpha=0.2, seed=1)
    >>> found = gpumc.learn(machine, patterns, gpumc.LeastAction(), device="numpy")
    >>> curve = flatness.robustness(machine, patterns, found.weights, eta=[0.0, 1.0], draws=2, device="numpy")
    >>> float(curve.noisy_error_rate[0, 0, 0])
    0.0
    """
    started, rows, chosen = Started.now(), Rows.of(machine, patterns, weights), choose(device)
    etas = np.atleast_1d(series("eta", eta, lambda s: (s >= 0) & np.isfinite(s), "finite numbers of at least 0"))
    draws, seed = whole("draws", draws, 1, 2**31), whole("seed", seed, 0, SEED_LIMIT)
    if not machine.continuous:
        machine = replace(machine, weights="spherical")  # real inputs have real preactivations
    rates = np.full((2, len(rows.weights), len(etas), draws), np.nan)
    count = patterns.count
    for instance, places in rows:
        clean = patterns.xi[instance].astype(float)
        spread = chosen.asarray(clean.std(axis=0))
        xi, labels, own = map(chosen.asarray, (clean, patterns.labels[instance], rows.weights[places]))
        walkers = np.arange(count, dtype=np.uint64) + np.uint64(instance * count)
        for draw in range(draws):
            z = normals(chosen, seed, Stream.NOISE, 1 + draw, walkers, 1, machine.n)[0]
            for number, size in enumerate(etas):
                noisy = xi + float(size) * spread * z
                for form, inputs in enumerate((noisy, chosen.xp.where(noisy < 0, -1.0, 1.0))):
                    rates[form, places, number, draw] = error_rates(machine, own, inputs, labels)
    variables = {}
    for name, values in zip(("noisy_error_rate", "signed_error_rate"), rates, strict=True):
        variables[name] = rows.variable(values.mean(axis=2), "eta")
        variables[f"{name}_error"] = rows.variable(standard_error(values), "eta")
    coordinates = {**rows.lead.coords, "eta": etas}
    settings = {"draws": draws, "seed": seed, "device": chosen.name}
    facts = provenance(started, rows.machine.attributes, patterns.attributes(rows.machine), settings)
    return described(xr.Dataset(variables, coordinates, facts), *map(str, rows.lead.dims))
