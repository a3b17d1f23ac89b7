"""Names in datasets: what every variable and coordinate is called, its unit and symbol, and the order of dimensions.

One table describes the datasets of all public functions: the same quantity has the same name everywhere. Tables and plots read long names,
units and symbols from the attributes of a dataset.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import xarray as xr

from gpumc._version import __version__


class Quantity(NamedTuple):
    """A long name, the unit ("1" where there is none) and a symbol in TeX without dollars ("" where there is none)."""

    long_name: str
    units: str = "1"
    symbol: str = ""


#: Parameters of the shipped losses.
LOSS_PARAMETERS = {
    "gamma": Quantity("gamma of the cross-entropy", symbol=r"\gamma"),
    "margin": Quantity("margin of the loss", symbol=r"\kappa"),
    "width": Quantity("half-width of the band"),
    "cut": Quantity("cut of the logarithmic barrier"),
}
#: Settings of learners.
LEARNER_PARAMETERS = {
    "rate": Quantity("learning rate", symbol=r"\eta"),
    "limit": Quantity("largest hidden state"),
    "pull": Quantity("part of the distance to the mean that a replica loses"),
    "growth": Quantity("growth of the pull an epoch"),
    "slope": Quantity("slope of the hidden units"),
    "batch": Quantity("patterns of a minibatch"),
    "momentum": Quantity("momentum"),
    "initial_norm": Quantity("standard deviation of a weight at the start"),
    "damping": Quantity("part of old messages that is kept"),
    "tightening": Quantity("growth of the coupling an epoch"),
    "total": Quantity("growth of the attraction in all epochs"),
    "walk_rate": Quantity("rate of Langevin steps"),
    "noise": Quantity("noise of Langevin steps"),
    "scope": Quantity("pull of a Langevin walk to the weights"),
}
#: Parameters that become dimensions.
PARAMETERS = {
    "alpha": Quantity("patterns per weight", symbol=r"\alpha"),
    "beta": Quantity("inverse temperature", symbol=r"\beta"),
    "coupling": Quantity("coupling to the centre"),
    "flip": Quantity("fraction of flipped labels"),
    "reference_beta": Quantity("inverse temperature of the reference", symbol=r"\tilde\beta"),
    "replicas": Quantity("number of replicas", symbol="y"),
    **LOSS_PARAMETERS,
    **LEARNER_PARAMETERS,
}
#: Coordinates that are never variables.
COORDINATES = {
    "instance": Quantity("instance of the patterns"),
    "chain": Quantity("chain"),
    "start": Quantity("random start"),
    "epoch": Quantity("passes over the patterns"),
    "replica": Quantity("replica"),
    "sweep": Quantity("sweep, counted from the end of burn-in"),
    "volume_sweep": Quantity("sweep after burn-in at which local entropies were measured"),
    "reference": Quantity("reference of the distances: the centre (0) or a replica (1, 2, ..)"),
    "stability": Quantity("stability", symbol=r"\Delta"),
    "flipped": Quantity("number of weights that differ from the reference"),
    "strength": Quantity("strength of the noise of weights", symbol="s"),
    "eta": Quantity("standard deviation of the noise of an input, over the input's own", symbol=r"\eta"),
    "quantile": Quantity("part of the draws below a quantile"),
    "at": Quantity("eigenvalue at which a density is given", symbol=r"\lambda"),
}
#: Variables; a distance, a field, or parameters may be coordinates, too.
VARIABLES = {
    "distance": Quantity("normalised distance from the reference", symbol="D"),
    "distance_centre": Quantity("normalised distance of a replica from its centre", symbol=r"\tilde D"),
    "field": Quantity("field toward the reference, dS/dD", "nat", "h"),
    # Configurations.
    "weights": Quantity("weights of a replica", symbol="W"),
    "centre": Quantity("weights of the centre", symbol=r"\tilde W"),
    "magnetisation": Quantity("mean of a weight", symbol="m"),
    "norm_spread": Quantity("standard deviation over units of their squared norms, divided by fan-in"),
    "pattern_count": Quantity("number of patterns", symbol="M"),
    # Energies and errors.
    "energy": Quantity("loss", symbol="L"),
    "energy_per_pattern": Quantity("loss per pattern", symbol="L/M"),
    "loss": Quantity("loss per pattern, hidden signs softened"),
    "error_rate": Quantity("fraction of patterns in error"),
    "centre_error_rate": Quantity("fraction of patterns in error at the centre"),
    "test_error": Quantity("fraction of test patterns in error"),
    "centre_test_error": Quantity("fraction of test patterns in error at the centre"),
    "vote_test_error": Quantity("fraction of test patterns that most replicas get wrong, a tie being half an error"),
    "errors": Quantity("number of patterns in error"),
    "solved": Quantity("whether no pattern is in error"),
    "stability_count": Quantity("number of stabilities in a bin, of all patterns, chains, replicas and draws"),
    "stability_density": Quantity("probability density of the stability", symbol=r"P(\Delta)"),
    # Overlaps.
    "norm": Quantity("norm of the weights, |W| / sqrt(N)", symbol=r"|W|/\sqrt N"),
    "overlap": Quantity("overlap of two configurations", symbol="q"),
    "overlap_centre": Quantity("overlap of a replica and its centre", symbol=r"W^a\!\cdot\tilde W/N"),
    "overlap_replicas": Quantity("overlap of two replicas, mean over pairs", symbol=r"W^a\!\cdot W^b/N"),
    "overlap_others": Quantity("overlap of two replicas around different centres", symbol="q_0"),
    "overlap_between_centres": Quantity("overlap of two different centres", symbol=r"\tilde q"),
    "overlap_references": Quantity("overlap of a configuration and another reference", symbol="t"),
    # Entropies.
    "entropy": Quantity("entropy per weight", "nat", "S"),
    "entropy_error": Quantity("standard error of the entropy per weight, over chains or populations", "nat"),
    "entropy_bound": Quantity("entropy per weight without patterns", "nat"),
    "log_volume": Quantity("entropy per weight less its bound", "nat"),
    "free_entropy": Quantity("free entropy per weight, log Z / N", "nat", r"\phi"),
    "log_partition": Quantity("log of the partition function, log Z", "nat", r"\log Z"),
    "local_entropy": Quantity("entropy per weight of a replica given its centre", "nat"),
    "external_entropy": Quantity("entropy per weight of centres", "nat"),
    "quadrature_error": Quantity("quadrature error of the free entropy per weight", "nat"),
    # Enumerations.
    "solutions": Quantity("number of configurations without error"),
    "probability": Quantity("probability"),
    # Flatness.
    "eigenvalue": Quantity("eigenvalue of the Hessian of the loss per pattern", symbol=r"\lambda"),
    "spectral_weight": Quantity("part of the spectrum at an eigenvalue"),
    "largest_eigenvalue": Quantity("largest eigenvalue of the Hessian", symbol=r"\lambda_\mathrm{max}"),
    "final_slope": Quantity("slope of the hidden units in the last epoch"),
    "final_gamma": Quantity("gamma of the cross-entropy in the last epoch"),
    "own_largest_eigenvalue": Quantity("largest eigenvalue of the Hessian at the last epoch's slope and gamma"),
    "own_smallest_eigenvalue": Quantity("smallest eigenvalue of the Hessian at the last epoch's slope and gamma"),
    "smallest_eigenvalue": Quantity("smallest eigenvalue of the Hessian", symbol=r"\lambda_\mathrm{min}"),
    "mean_eigenvalue": Quantity("mean eigenvalue of the Hessian"),
    "mean_eigenvalue_error": Quantity("standard error of the mean eigenvalue, over random vectors"),
    "spectral_density": Quantity("density of the eigenvalues of the Hessian", symbol=r"\rho(\lambda)"),
    "spectral_density_error": Quantity("standard error of the density of eigenvalues, over random vectors"),
    "local_energy": Quantity("mean rise of the training error where weights are perturbed", symbol=r"\delta E"),
    "local_energy_error": Quantity("standard error of the local energy, over perturbations"),
    "local_energy_quantile": Quantity("quantile of the rise of the training error over perturbations"),
    "noisy_error_rate": Quantity("fraction of patterns in error on noisy inputs"),
    "noisy_error_rate_error": Quantity(
        "standard error over noises of the fraction of patterns in error on noisy inputs"
    ),
    "signed_error_rate": Quantity("fraction of patterns in error on the signs of noisy inputs"),
    "signed_error_rate_error": Quantity(
        "standard error over noises of the fraction in error on the signs of noisy inputs"
    ),
    # The methods themselves.
    "acceptance": Quantity("fraction of proposals accepted after burn-in"),
    "steps": Quantity("steps of the protocol, or epochs, that were made"),
    "converged": Quantity("whether there is an answer"),
    "iterations": Quantity("iterations made"),
    "residual": Quantity("largest change in the last iteration"),
    "replicon": Quantity("replicon eigenvalue, negative where replica symmetry is broken"),
    "stable": Quantity("whether replica symmetry is stable"),
    "beta_frozen": Quantity("inverse temperature of zero entropy, which stands for beta = inf"),
}
#: Every variable and coordinate of the datasets of public functions.
QUANTITIES = PARAMETERS | COORDINATES | VARIABLES
#: Parameters that become dimensions come in this order, all others by the alphabet behind them.
ORDER = ("alpha", "beta", "gamma", "margin", "coupling")
#: Dimensions that are no parameters, in their order: ``instance`` comes before the parameters, the others behind.
BEHIND = (
    *("chain", "start", "population", "replica", "draw", "volume_draw", "step", "epoch", "reference"),
    *(
        "distance",
        "field",
        "stability",
        "flipped",
        "state",
        "strength",
        "eta",
        "quantile",
        "probe",
        "mode",
        "at",
        "weight",
    ),
)


def ordered(names: Iterable[str]) -> list[str]:
    """Names of parameters in the order of their dimensions."""
    return sorted(names, key=lambda name: (ORDER.index(name), "") if name in ORDER else (len(ORDER), name))


def dims_in_order(names: Iterable[Any]) -> list[str]:
    """Names of dimensions in their order: the instance, parameters, and what is behind them."""
    given = {str(name) for name in names}
    behind = [name for name in BEHIND if name in given]
    return [*(["instance"] if "instance" in given else []), *ordered(given - {"instance", *behind}), *behind]


def attributes(name: str) -> dict[str, str]:
    """``long_name``, ``units`` and, where there is one, ``symbol`` of a quantity. Raises KeyError for a name that is not in the table."""
    long_name, units, symbol = QUANTITIES[name]
    return {"long_name": long_name, "units": units, **({"symbol": symbol} if symbol else {})}


def described(data: xr.Dataset, *others: str) -> xr.Dataset:
    """``data`` with the attributes of all its variables and coordinates, and its dimensions in their order.

    ``others`` are names outside of the table, which a user gave: parameters of a loss, dimensions of a reference. Raises KeyError for any
    other name that is not in the table.
    """
    data = data.transpose(*dims_in_order(data.dims))
    for label, variable in data.variables.items():
        name = str(label)
        unnamed = name in others and name not in QUANTITIES
        variable.attrs = {"long_name": name.replace("_", " "), "units": "1"} if unnamed else attributes(name)
    return data


class Started(NamedTuple):
    """When a computation began: the time of day, and a clock that never goes back."""

    time: datetime
    clock: float

    @classmethod
    def now(cls) -> Started:
        """This moment."""
        return cls(datetime.now(UTC), time.monotonic())

    @property
    def duration(self) -> float:
        """Seconds since then."""
        return round(time.monotonic() - self.clock, 3)


def provenance(started: Started, *asked: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """The attributes of the root of a dataset: the version, what was ``asked`` (the ``attributes`` of a machine, patterns, measure), the
    ``settings`` of the method with its seed and device, when it started, and its duration in seconds."""
    facts: dict[str, Any] = {"gpumc_version": __version__}
    for one in (*asked, settings):
        facts |= one
    return facts | {"started": started.time.isoformat(timespec="seconds"), "duration_s": started.duration}
