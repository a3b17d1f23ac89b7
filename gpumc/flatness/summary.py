"""All measures of flatness of given weights in one dataset."""

from __future__ import annotations

from typing import Any

import xarray as xr
from numpy.typing import ArrayLike

from gpumc.device import Device
from gpumc.flatness.hessian import hessian
from gpumc.flatness.perturbations import local_energy, robustness
from gpumc.losses import CrossEntropy
from gpumc.machines import Machine
from gpumc.patterns import Patterns
from gpumc.volumes import local_entropy


def summary(
    machine: Machine,
    patterns: Patterns,
    weights: xr.DataArray | ArrayLike,
    *,
    distance: ArrayLike | None = (0.02, 0.05, 0.1),
    strength: ArrayLike = (0.1, 0.2, 0.3),
    eta: ArrayLike = (0.5, 1.0, 2.0),
    gamma: float = 1.0,
    slope: float = 1.0,
    method: str = "lanczos",
    seed: int = 0,
    device: str | Device = "auto",
) -> xr.Dataset:
    """Local volumes, Hessian, local energies and robustness of weights, those that their machine has.

    Parameters
    ----------
    machine, patterns, weights, seed, device
        See :func:`local_energy`.
    distance : sequence of float
        Of the local volumes, by belief propagation, of sign and ReLU units; None for none, which other machines have, too.
    strength : sequence of float
        Of the noise of weights, which is multiplicative, or that of binary weights flips.
    eta : sequence of float
        Of the noise of inputs.
    gamma, slope : float
        Of the cross-entropy and of the hidden units, in the Riemannian Hessian of spherical weights.
    method : {"lanczos", "full"}
        Of its spectrum.

    Returns
    -------
    Dataset
        ``log_volume`` and ``converged`` over ``distance``; the variables of :func:`hessian`, :func:`local_energy` and :func:`robustness`.

    Raises
    ------
    ConfigError
        For what makes no sense.

    Examples
    --------
    >>> import gpumc
    >>> from gpumc import flatness
    >>> machine = gpumc.TreeCommittee(33, k=3, weights="spherical")
    >>> patterns = gpumc.random_patterns(machine, alpha=0.5, seed=1)
    >>> found = gpumc.learn(machine, patterns, gpumc.LeastAction(), device="numpy")
    >>> bool(flatness.summary(machine, patterns, found.weights, device="numpy").log_volume.notnull().all())
    True
    """
    where: dict[str, Any] = {"seed": seed, "device": device}
    kind = "multiplicative" if machine.continuous else "flip"
    energies = local_energy(machine, patterns, weights, strength=strength, perturbation=kind, **where)
    parts = [energies, robustness(machine, patterns, weights, eta=eta, **where)]
    if machine.spherical and machine.readout.additive:
        parts.append(hessian(machine, patterns, weights, CrossEntropy(gamma), slope=slope, method=method, **where))
    if distance is not None and machine.activation in ("sign", "relu"):
        volumes = local_entropy(machine, patterns, weights, distance=distance, method="bp", device=device)
        parts.append(volumes[["log_volume", "converged"]])
    return xr.merge(parts, combine_attrs="override", join="exact")
