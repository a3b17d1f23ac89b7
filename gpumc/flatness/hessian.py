"""Spectra of Hessians of the loss at given weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.checks import real, text, whole
from gpumc.device import Device, choose, to_host
from gpumc.device.constants import Stream
from gpumc.device.normals import normals
from gpumc.device.philox import SEED_LIMIT
from gpumc.errors import ConfigError
from gpumc.flatness.curvature import Curvature
from gpumc.flatness.lanczos import lanczos
from gpumc.flatness.rows import Rows, standard_error
from gpumc.inputs import unit_inputs
from gpumc.losses import Loss
from gpumc.machines import SLOPES, STEEPNESS, Machine
from gpumc.measures import check_loss
from gpumc.patterns import Patterns
from gpumc.schema import Started, described, provenance

GEOMETRIES = ("riemannian", "flat")
METHODS = ("full", "lanczos")


def hessian(
    machine: Machine,
    patterns: Patterns,
    weights: xr.DataArray | ArrayLike,
    loss: Loss,
    *,
    slope: float = 1.0,
    geometry: str = "riemannian",
    method: str = "full",
    steps: int = 100,
    probes: int = 10,
    seed: int = 0,
    device: str | Device = "auto",
) -> xr.Dataset:
    """The spectrum of the Hessian of the mean loss over patterns, hidden signs being softened to tanh(slope x).

    Parameters
    ----------
    machine : Machine
        Of spherical weights: a perceptron or a committee.
    patterns : Patterns
    weights : array (..., weight)
        Of a dataset, or plain: (weights,), (instances, weights) or (instances, references, weights).
    loss : Loss
        With a slope; its parameters are numbers.
    slope : float
        Of hidden units that are signs.
    geometry : {"riemannian", "flat"}
        On the spheres of the units, without their radial directions, or of all weights.
    method : {"full", "lanczos"}
        All eigenvalues, in O(weights^3), or Lanczos from random vectors, in O(steps weights patterns).
    steps, probes : int
        Nodes from each random vector, and the number of vectors.
    seed : int
    device : str or Device

    Returns
    -------
    Dataset
        ``eigenvalue`` and ``spectral_weight`` over (probe, mode): all eigenvalues with equal weights, one probe, or the nodes and weights
        of each vector's quadrature; weights of a probe have the sum 1. ``largest_eigenvalue``, ``smallest_eigenvalue``, the
        ``mean_eigenvalue`` and its standard error over probes, ``mean_eigenvalue_error``.

    Raises
    ------
    ConfigError
        For what makes no sense.

    References
    ----------
    Spheres: P.-A. Absil, R. Mahony, R. Sepulchre, Optimization Algorithms on Matrix Manifolds (2008), sec. 5.3. Lanczos quadrature:
    S. Ubaru, J. Chen, Y. Saad, SIAM J. Matrix Anal. Appl. 38, 1075 (2017).

    Examples
    --------
    >>> import gpumc
    >>> from gpumc import flatness
    >>> machine = gpumc.TreeCommittee(33, k=3, weights="spherical")
    >>> patterns = gpumc.random_patterns(machine, alpha=0.5, seed=1)
    >>> found = gpumc.learn(machine, patterns, gpumc.LeastAction(), device="numpy")
    >>> spectrum = flatness.hessian(machine, patterns, found.weights, gpumc.CrossEntropy(1.0), slope=2.0, device="numpy")
    >>> spectrum.sizes["mode"]
    30
    """
    started, rows, chosen = Started.now(), Rows.of(machine, patterns, weights), choose(device)
    check_loss(loss)
    if loss.points() != [loss] or loss.ramps or not loss.has_slope:
        raise ConfigError(f"flatness: loss = {loss}: one with a slope is needed, whose parameters are numbers")
    if not machine.spherical or not machine.readout.additive:
        raise ConfigError(
            f"flatness: Hessians are of spherical weights of perceptrons and committees, and this is a {machine.kind} of "
            f"{machine.weights} weights"
        )
    smooth = machine.softened(real("slope", slope, lambda s: SLOPES[0] <= s <= SLOPES[1], STEEPNESS))
    riemannian = text("geometry", geometry, GEOMETRIES) == "riemannian"
    full = text("method", method, METHODS) == "full"
    steps, probes = whole("steps", steps, 1, 2**31), whole("probes", probes, 1, 2**31)
    seed = whole("seed", seed, 0, SEED_LIMIT)
    modes = machine.weight_count - (machine.k if riemannian else 0)
    shape = (len(rows.weights), 1, modes) if full else (len(rows.weights), probes, min(steps, modes))
    if full:
        chosen.need(8 * 6 * machine.weight_count**2, f"all eigenvalues of {machine.weight_count} weights")
    values, shares = np.full(shape, np.nan), np.full(shape, np.nan)
    for instance, places in rows:
        inputs = unit_inputs(chosen, machine, patterns.xi[instance])
        labels = chosen.asarray(patterns.labels[instance].astype(float))
        for row in places:
            own = chosen.asarray(rows.weights[row])
            curvature = Curvature.of(smooth, loss, own, inputs, labels, riemannian)
            if full:
                values[row, 0], shares[row] = to_host(curvature.eigenvalues()), 1 / modes
            else:
                values[row], shares[row] = _quadratures(curvature, chosen, seed, shape[1], shape[2])
    means = (values * shares).sum(axis=2)
    along = ("probe", "mode")
    error = 0 * means[:, 0] if full else standard_error(means)  # all eigenvalues have none
    variables = {
        "eigenvalue": rows.variable(values, *along),
        "spectral_weight": rows.variable(shares, *along),
        "largest_eigenvalue": rows.variable(values.max(axis=(1, 2))),
        "smallest_eigenvalue": rows.variable(values.min(axis=(1, 2))),
        "mean_eigenvalue": rows.variable(means.mean(axis=1)),
        "mean_eigenvalue_error": rows.variable(error),
    }
    settings: dict[str, Any] = {
        "slope": slope,
        "geometry": geometry,
        "method": method,
        "seed": seed,
        "device": chosen.name,
    }
    facts = provenance(
        started, machine.attributes, patterns.attributes(machine), {"loss": loss.kind, **loss.parameters}, settings
    )
    data = xr.Dataset(variables, dict(rows.lead.coords), facts)
    return described(data, *map(str, rows.lead.dims))


def _quadratures(
    curvature: Curvature, device: Device, seed: int, probes: int, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights (probes, steps) of random vectors, tangent on spheres."""
    vectors = normals(device, seed, Stream.PROBES, 0, np.arange(probes, dtype=np.uint64), 1, curvature.count)[0]
    found = [lanczos(curvature.product, curvature.tangent(vector), steps) for vector in vectors]
    nodes, shares = zip(*found, strict=True)
    return np.stack(nodes), np.stack(shares)


def spectral_density(spectrum: xr.Dataset, eigenvalue: ArrayLike, width: float) -> xr.Dataset:
    """The density of a spectrum at stated eigenvalues, every node being a Gaussian of the standard deviation ``width``.

    Parameters
    ----------
    spectrum : Dataset
        Of :func:`hessian`.
    eigenvalue : sequence of float
    width : float

    Returns
    -------
    Dataset
        ``spectral_density`` over (..., ``at``), the mean over probes, and its standard error ``spectral_density_error``.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from gpumc import flatness
    >>> spectrum = xr.Dataset({"eigenvalue": (("probe", "mode"), [[0.0]]), "spectral_weight": (("probe", "mode"), [[1.0]])})
    >>> density = flatness.spectral_density(spectrum, [0.0], width=1.0)
    >>> float(density.spectral_density[0].round(4))
    0.3989
    """
    at = xr.DataArray(np.asarray(eigenvalue, float), dims=["at"])
    wide = real("width", width, lambda w: 0 < w < np.inf, "a positive finite number")
    kernel = np.exp(-0.5 * ((at - spectrum["eigenvalue"]) / wide) ** 2) / (np.sqrt(2 * np.pi) * wide)
    each = (kernel * spectrum["spectral_weight"]).sum("mode")
    count = spectrum.sizes["probe"]
    error = each.std("probe", ddof=1) / np.sqrt(count) if count > 1 else 0 * each.isel(probe=0)
    data = xr.Dataset({"spectral_density": each.mean("probe"), "spectral_density_error": error})
    return described(data.assign_coords(at=at), *map(str, data.dims))
