"""`entropy` and `local_entropy`: arguments checked, problems laid out on a grid and solved by a method, the answers in a dataset."""

from __future__ import annotations

import warnings

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.channels.formulae import both_labels
from gpumc.checks import one_of, shown
from gpumc.device import Device, choose
from gpumc.entropy_problems import Problems, entropy_bound
from gpumc.errors import ConfigError
from gpumc.grid import distinct_points
from gpumc.losses import ErrorCount
from gpumc.machines import Machine
from gpumc.measures import Gibbs, LocalEntropy
from gpumc.messages import BeliefPropagation
from gpumc.patterns import Patterns, check_together
from gpumc.schema import VARIABLES, Started, described, provenance
from gpumc.volumes.integration import ThermodynamicIntegration
from gpumc.volumes.problem_grid import ProblemGrid
from gpumc.volumes.references import distances, fields, instances, references
from gpumc.volumes.splitting import Splitting

Method = BeliefPropagation | ThermodynamicIntegration | Splitting
METHODS: dict[str, type[Method]] = {
    kind.name: kind for kind in (BeliefPropagation, ThermodynamicIntegration, Splitting)
}
#: The configurations without error.
SOLUTIONS = Gibbs(ErrorCount(), np.inf)


def entropy(
    machine: Machine,
    patterns: Patterns,
    measure: Gibbs = SOLUTIONS,
    *,
    method: str | Method = "bp",
    device: str | Device = "auto",
) -> xr.Dataset:
    """The entropy of exp(-beta L), in nats per weight.

    Parameters
    ----------
    machine : Machine
        Of a full committee all k! orders of the units are counted.
    patterns : Patterns
    measure : Gibbs
        The loss and beta; their parameters that are several numbers become dimensions. By default the configurations without error are
        counted: the error count at beta = inf.
    method : str or BeliefPropagation, ThermodynamicIntegration, Splitting
        "bp", "ti" or "splitting", or a method with other settings. Belief propagation takes sign and ReLU units, and any loss, but
        of spherical ReLU units only losses of the output's sign; thermodynamic integration samples binary weights; splitting samples
        spherical weights without error.
    device : str or Device

    Returns
    -------
    xarray.Dataset
        Over (instance, [parameters]): ``entropy`` (nats per weight; of spherical weights relative to the sphere, at beta = inf the log of
        a fraction of it), ``converged``. By "bp" also ``free_entropy``, ``energy``, ``energy_per_pattern``, ``error_rate`` of losses that
        count errors, ``magnetisation`` (..., weight), ``iterations``, ``residual`` and, of spherical weights, ``norm_spread``; by "ti" and
        "splitting" ``entropy_error``, by "splitting" ``overlap``. Where the method fails, or fewer than exp(-3) configurations are to be
        expected, the answer is NaN and ``converged`` False.

    Raises
    ------
    ConfigError
        For a machine or measure that the method is not for, and parameters that are ramps.

    Warns
    -----
    UserWarning
        Where patterns contradict each other.

    References
    ----------
    M. Mezard, J. Phys. A 22, 2181 (1989) for belief propagation; the other methods name theirs.

    Examples
    --------
    >>> import gpumc
    >>> machine = gpumc.Perceptron(101)
    >>> data = gpumc.entropy(machine, gpumc.random_patterns(machine, alpha=0.4), device="numpy")
    >>> data.entropy.dims
    ('instance',)
    """
    started, how = Started.now(), _method(method)
    _check(machine, patterns, measure, how, None)
    grid, on = ProblemGrid.of(measure, instance=instances(patterns)), choose(device)
    solvable = ~_contradictory(machine, patterns, measure, grid)
    rows = np.flatnonzero(solvable)
    problems = _problems(machine, patterns, measure, grid, rows, None)
    data = _dataset(grid, solvable, _answers(how, problems, on, measure))
    return _described(data, started, machine, patterns, measure, how, on)


def local_entropy(
    machine: Machine,
    patterns: Patterns,
    reference: xr.DataArray | ArrayLike,
    measure: Gibbs = SOLUTIONS,
    *,
    distance: ArrayLike | None = None,
    field: ArrayLike | None = None,
    method: str | Method = "bp",
    device: str | Device = "auto",
) -> xr.Dataset:
    """The entropy S(D) of exp(-beta L) at a distance D from a reference, or in a field toward it, in nats per weight.

    Parameters
    ----------
    machine : Machine
    patterns : Patterns
    reference : array
        +-1, or real of any norm where weights are spherical: (weights,), (instances, weights) or (instances, references, weights); or a
        DataArray with the dimension ``weight`` and any others, such as the ``centre`` or the ``weights`` of a sampled dataset, whose
        coordinate ``instance`` says which of the patterns' instances it belongs to.
    measure : Gibbs
        As for `entropy`.
    distance : float or array
        Mean normalised distances in (0, 1/2]; splitting holds the distance in every unit, the other methods the mean over all weights.
    field : float or array
        In the place of distances, for "bp": fields h, each differing weight having the factor exp(-h).
    method, device
        As for `entropy`.

    Returns
    -------
    xarray.Dataset
        Over (instance, [parameters,] the other dimensions of the reference, distance or field): ``entropy``; ``entropy_bound``, the same
        without patterns, -D log D - (1 - D) log(1 - D), or (1/2) log(4 D (1 - D)) on spheres; ``log_volume``, their difference; the
        ``field`` dS/dD (or the ``distance``) by "bp" and "ti"; ``converged``; and what the method gives beyond that, as for `entropy`,
        without magnetisations. NaN with ``converged`` False for a distance that is not reached, messages that do not converge, and a
        reference with a weight that is not +-1, where others are right.

    Raises
    ------
    ConfigError
        For distances outside of (0, 1/2], shapes that do not belong together, and what the method is not for.

    Warns
    -----
    UserWarning
        Where patterns contradict each other.

    References
    ----------
    C. Baldassi, A. Ingrosso, C. Lucibello, L. Saglietti, R. Zecchina, Phys. Rev. Lett. 115, 128101 (2015).

    Examples
    --------
    >>> import gpumc, numpy as np
    >>> machine = gpumc.Perceptron(101)
    >>> patterns = gpumc.random_patterns(machine, alpha=0.2)
    >>> data = gpumc.local_entropy(machine, patterns, np.ones(101), distance=[0.2, 0.4], device="numpy")
    >>> data.entropy.dims
    ('instance', 'distance')
    """
    started, how = Started.now(), _method(method)
    if distance is not None and field is None:
        place, along = "distance", distances(distance)
    elif field is not None and distance is None:
        place, along = "field", fields(field)
    else:
        raise ConfigError("local_entropy needs either distance or field, and not both")
    _check(machine, patterns, measure, how, place)
    vectors, places = references(machine, patterns, reference)
    for taken in (VARIABLES.keys() - {place}) & set(places["reference"].dims):
        raise ConfigError(f"the reference has a dimension {taken!r}, which is a variable of the result: rename it")
    grid = ProblemGrid.of(measure, **places, **{place: along})
    on = choose(device)
    right = vectors[grid.flat("reference")].any(axis=1)
    solvable = right & ~_contradictory(machine, patterns, measure, grid)
    problems = _problems(machine, patterns, measure, grid, np.flatnonzero(solvable), vectors)
    data = _dataset(grid, solvable, _answers(how, problems, on, measure))
    bound = data["distance"].copy(data=entropy_bound(machine, data["distance"].values))
    data = data.assign(entropy_bound=bound)
    if "log_volume" not in data:
        data = data.assign(log_volume=data.entropy - bound)
    return _described(data, started, machine, patterns, measure, how, on, *map(str, places["reference"].dims))


def _method(method: str | Method) -> Method:
    if isinstance(method, Method):
        return method
    if isinstance(method, type) and issubclass(method, Method):
        raise ConfigError(f"method is the class {method.__name__} and no object of it: write {method.__name__}()")
    if not isinstance(method, str) or method not in METHODS:
        raise ConfigError(
            f"method = {shown(method)}: 'bp' (belief propagation), 'ti' (thermodynamic integration) or 'splitting' is needed"
        )
    return METHODS[method]()


def _check(machine: Machine, patterns: Patterns, measure: Gibbs, method: Method, place: str | None) -> None:
    """Raise ConfigError unless all belong together and the method is for them."""
    check_together(machine, patterns)
    if isinstance(measure, LocalEntropy):
        raise ConfigError(
            "the measure is a LocalEntropy, whose replicas have no volume here: a Gibbs(loss, beta) is needed"
        )
    one_of("measure", measure, Gibbs, "a Gibbs(loss, beta)")
    method.supports(machine, measure, place)


def _contradictory(machine: Machine, patterns: Patterns, measure: Gibbs, grid: ProblemGrid) -> np.ndarray:
    """The problems that no configuration solves, since their patterns contradict each other, with one warning."""
    number, loss = grid.flat("instance"), measure.loss
    empty = patterns.contradictions(machine)[number] & np.isinf(grid.flat("beta"))
    if empty.any():
        points, place = distinct_points(*(grid.flat(name) for name in ("beta", *loss.axes)))
        possible = [
            both_labels(machine, loss.at(**dict(zip(loss.axes, at, strict=True)))) for at in points[:, 1:].tolist()
        ]
        empty &= ~np.array(possible)[place]
    if empty.any():
        where = ", ".join(str(i) for i in np.unique(number[empty]))
        warnings.warn(
            f"patterns of instance {where} contradict each other: no configuration is without error, and the answer is NaN",
            stacklevel=3,
        )
    return empty


def _problems(
    machine: Machine,
    patterns: Patterns,
    measure: Gibbs,
    grid: ProblemGrid,
    rows: np.ndarray,
    vectors: np.ndarray | None,
) -> Problems:
    """The problems of a grid at ``rows``, around the references ``vectors`` (references, weights) where there are any."""
    distance, field = (grid.flat(name)[rows] if name in grid.arrays else None for name in ("distance", "field"))
    return Problems(
        machine,
        patterns,
        grid.losses(measure.loss).take(rows),
        grid.flat("instance")[rows],
        grid.flat("beta")[rows],
        None if vectors is None else vectors[grid.flat("reference")[rows]],
        grid.curves()[rows],
        distance,
        field,
    )


def _answers(method: Method, problems: Problems, device: Device, measure: Gibbs) -> dict[str, np.ndarray]:
    """The columns of a method, and where there is an energy those that follow from it."""
    columns = method.solve(problems, device)
    if "energy" in columns:
        columns["energy_per_pattern"] = columns["energy"] / problems.patterns.count
        if measure.loss.counts_errors:
            columns["error_rate"] = columns["energy_per_pattern"]
    return columns


def _dataset(grid: ProblemGrid, solvable: np.ndarray, columns: dict[str, np.ndarray]) -> xr.Dataset:
    """The answers to the problems that are ``solvable`` among all of the grid; of the others NaN, False or 0."""
    variables = {}
    for name, values in columns.items():
        whole = np.full((grid.size, *values.shape[1:]), np.nan if values.dtype.kind == "f" else 0, values.dtype)
        whole[solvable] = values
        variables[name] = (
            (*grid.dims, *["weight"] * (values.ndim - 1)),
            whole.reshape(*grid.shape, *values.shape[1:]),
        )
    return xr.Dataset(variables, grid.coords)


def _described(
    data: xr.Dataset,
    started: Started,
    machine: Machine,
    patterns: Patterns,
    measure: Gibbs,
    method: Method,
    device: Device,
    *dims: str,
) -> xr.Dataset:
    """``data`` with its names and what was asked; ``dims`` are those of the reference."""
    asked = machine.attributes, patterns.attributes(machine), measure.attributes, method.attributes
    data.attrs = provenance(started, *asked, device=device.name)
    return described(data, *measure.loss.axes, *dims)
