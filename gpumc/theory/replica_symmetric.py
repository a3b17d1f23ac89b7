"""The theory of a measure on a machine: `replica_symmetric`, and the temperature at which entropies vanish."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.checks import one_of
from gpumc.device import Device, choose
from gpumc.errors import ConfigError
from gpumc.losses import ErrorCount, Loss
from gpumc.machines import Machine
from gpumc.measures import Gibbs, LocalEntropy, Measure
from gpumc.schema import Started
from gpumc.theory.factors import Factor
from gpumc.theory.infinite_machines import Limit
from gpumc.theory.local_entropy_measure import replicated
from gpumc.theory.saddle_points import STABILITY, GaussianOutput, frozen_beta, possible_points
from gpumc.theory.theory_grid import dataset, theory_grid
from gpumc.theory.zero_temperature import check_ground, ground_state, stability_density

#: The configurations without error.
SOLUTIONS = Gibbs(ErrorCount(), np.inf)
#: A replicon that differs from 0 by rounding, as that of the squared hinge without a margin, which is marginal.
MARGINAL = 1e-9


@np.errstate(under="ignore")  # factors that vanish are 0
def replica_symmetric(
    machine: Machine | Limit,
    measure: Measure = SOLUTIONS,
    *,
    alpha: ArrayLike,
    device: str | Device = "numpy",
) -> xr.Dataset:
    """The replica-symmetric theory of a measure, as n -> infinity.

    Parameters
    ----------
    machine : Machine or theory.Limit
        A machine, whose n tends to infinity, or a `Limit`, whose k may be infinite too.
    measure : Gibbs or LocalEntropy
        Its parameters that are several numbers become dimensions; by default the configurations without error. Under a `LocalEntropy`,
        for the binary perceptron alone, replica symmetry is assumed inside of a group of replicas and between groups, and the centre is
        summed out.
    alpha : float or array
        Patterns per weight.
    device : str or Device
        Where averages over the fields of k units are computed; all else is small.

    Returns
    -------
    xarray.Dataset
        Over ([alpha,] [parameters]), float64: ``free_entropy`` and ``entropy`` (nats per weight; of spherical weights relative to the
        sphere), ``energy_per_pattern``, ``quadrature_error`` of the free entropy, ``converged``, ``residual``, ``iterations``.

        Under a `Gibbs` also ``overlap`` q, ``error_rate``, ``replicon``, ``stable`` where that is not negative, and, of Gaussian outputs,
        ``stability_density`` (..., stability). NaN, and ``converged`` False, where the iteration did not converge, where the error is
        more than 1e-4 (of trees 5e-3), and where the entropy of binary weights would be negative: above their capacity, and colder than
        :func:`zero_entropy`; ``residual`` is small there. error_rate and stability_density are NaN also where they need too fine a rule.
        beta = inf of losses that do not count is the lowest loss: of the spherical perceptron by q -> 1, for convex losses with a
        continuous slope; of binary weights at ``beta_frozen``, where their entropy vanishes.

        Under a `LocalEntropy`, per replica: ``overlap_replicas`` q1, ``overlap_others`` q0, ``overlap_centre``; the entropy is that of
        replicas and centre together. NaN too where the entropy of the replicas would be negative.

    Raises
    ------
    ConfigError
        For machines and measures that have no theory here, and parameters that are ramps.

    References
    ----------
    H. Gutfreund, Y. Stein, J. Phys. A 23, 2613 (1990) for the perceptron; E. Barkai, D. Hansel, H. Sompolinsky, Phys. Rev. A 45, 4146
    (1992) for trees; C. Baldassi et al., PNAS 113, E7655 (2016), SI, for replicas around a centre.

    Examples
    --------
    >>> import gpumc
    >>> from gpumc import theory
    >>> measure = gpumc.Gibbs(gpumc.ErrorCount(), beta=[1.0, 2.0])
    >>> theory.replica_symmetric(gpumc.Perceptron(1001), measure, alpha=0.4).overlap.dims
    ('beta',)
    """
    started, limit = Started.now(), _solvable(machine)
    one_of("measure", measure, Measure, "a Gibbs(loss, beta) or a LocalEntropy(loss, beta, coupling, replicas)")
    if isinstance(measure, LocalEntropy):
        return replicated(limit, measure, alpha, started)
    return _gibbs(limit, measure, alpha, choose(device), started)


def _gibbs(limit: Limit, measure: Gibbs, alpha: ArrayLike, device: Device, started: Started) -> xr.Dataset:
    """The dataset of :func:`replica_symmetric` under a `Gibbs`."""
    loss = measure.loss
    grid = theory_grid(loss, alpha=alpha, beta=measure.beta)
    alpha, beta, rows = grid.column("alpha"), grid.column("beta"), grid.losses(loss)
    cold = np.isinf(beta) & (not loss.counts)
    frozen = np.where(cold, _frozen(limit, rows, alpha, cold, device), beta)
    points = possible_points(limit, rows, alpha, frozen, device)
    energetic = points.energetic
    variables = {
        "free_entropy": np.where(cold & points.converged, -np.inf, points.free_entropy),
        "entropy": points.entropy(alpha, frozen),
        "energy_per_pattern": energetic.loss,
        "error_rate": energetic.errors,
        "overlap": points.q,
        "replicon": points.replicon,
        "stable": points.replicon >= -MARGINAL,
        "quadrature_error": alpha * energetic.error,
        "converged": points.converged,
        "residual": points.residual,
        "iterations": points.iterations,
    }
    density = np.full((len(alpha), len(STABILITY)), np.nan)
    if limit.gaussian:
        factor = Factor(rows, np.where(points.converged, frozen, 1.0), limit.kernel.scale)
        known = GaussianOutput(limit, factor).stability_density(np.where(points.converged, points.q, 0.0))
        density[points.converged] = known[points.converged]
    if cold.any() and limit.weights == "binary":
        variables["beta_frozen"] = np.where(cold, frozen, np.nan)
    elif cold.any():
        _lowest(variables, density, rows, alpha, cold)
    densities = {"stability_density": density} if limit.gaussian else {}
    asked = limit.attributes, measure.attributes
    return dataset(grid, variables, *asked, started=started, device=device, stability=STABILITY, densities=densities)


def _frozen(limit: Limit, loss: Loss, alpha: np.ndarray, cold: np.ndarray, device: Device) -> np.ndarray:
    """What beta = inf stands for in the ``cold`` rows of a loss that no configuration need make 0: that of zero entropy for binary weights;
    NaN on spheres, where :func:`_lowest` answers."""
    found = np.full(len(alpha), np.nan)
    for row in np.flatnonzero(cold):
        if limit.weights == "binary":
            found[row] = frozen_beta(limit, loss.take(row), alpha[row], device)
        elif limit.kind != "perceptron":
            raise ConfigError(
                f"theory: beta = inf of the loss {loss.kind!r} is for binary weights and the spherical perceptron"
            )
        else:
            check_ground(loss.take(row))
    return np.where(np.isinf(found), np.nan, found)  # NaN, too, where there is no beta that stands for inf


def _lowest(variables: dict, density: np.ndarray, loss: Loss, alpha: np.ndarray, cold: np.ndarray) -> None:
    """Put the spherical perceptron's lowest loss into the ``cold`` rows."""
    for row in np.flatnonzero(cold):
        own = loss.take(row)
        state = ground_state(alpha[row], own)
        if state is None:
            continue
        given = {
            "free_entropy": -np.inf,
            "entropy": -np.inf,
            "overlap": 1.0,
            "quadrature_error": np.nan,
            "converged": True,
            "residual": 0.0,
        }
        given |= {name: getattr(state, name) for name in ("energy_per_pattern", "error_rate", "replicon")}
        for name, value in (given | {"stable": state.replicon >= -MARGINAL}).items():
            variables[name][row] = value
        density[row] = stability_density(STABILITY, state.stiffness, own)


def zero_entropy(
    machine: Machine | Limit,
    loss: Loss = SOLUTIONS.loss,
    *,
    alpha: ArrayLike,
    device: str | Device = "numpy",
) -> xr.DataArray:
    """The beta at which the entropy of binary weights vanishes.

    Below it in temperature the measure is frozen in its lowest states.

    Parameters
    ----------
    machine, alpha, device
        As for :func:`replica_symmetric`.
    loss : Loss
        Its parameters that are several numbers become dimensions.

    Returns
    -------
    xarray.DataArray
        ``beta_frozen`` over ([alpha,] [parameters of the loss]): inf where the entropy stays positive, as that of the error count does
        below the capacity; NaN where no saddle point was found.

    Raises
    ------
    ConfigError
        Also for spherical weights, whose entropy has no lowest value.

    References
    ----------
    W. Krauth, M. Mezard, J. Physique 50, 3057 (1989), section 3.

    Examples
    --------
    >>> import gpumc
    >>> round(float(gpumc.theory.zero_entropy(gpumc.Perceptron(1001), alpha=0.9)), 2)
    6.78
    """
    started, limit = Started.now(), _solvable(machine)
    if limit.weights != "binary":
        raise ConfigError(
            "theory.zero_entropy is for binary weights: the entropy of spherical weights has no lowest value"
        )
    grid, on = theory_grid(loss, alpha=alpha), choose(device)
    rows = grid.losses(loss)
    found = np.array([frozen_beta(limit, rows.take(row), own, on) for row, own in enumerate(grid.column("alpha"))])
    asked = limit.attributes, {"loss": loss.kind}
    return dataset(grid, {"beta_frozen": found}, *asked, started=started, device=on).beta_frozen


def _solvable(machine: Machine | Limit) -> Limit:
    """The limit of ``machine``. Raises ConfigError where it has no saddle point to be found."""
    limit = Limit.of(machine)
    if limit.many and not limit.gaussian:
        raise ConfigError("theory: k = inf: a parity of infinitely many units has q = 0 at every alpha; use a finite k")
    return limit
