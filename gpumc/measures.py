"""The measures that are sampled: Gibbs, and local entropy (replicas around a centre)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from gpumc.checks import keep, one_of, reals, shown, text, whole
from gpumc.errors import ConfigError
from gpumc.losses import Loss
from gpumc.named import named
from gpumc.ramps import Parameter, parameter, values_of
from gpumc.schema import LOSS_PARAMETERS, QUANTITIES, ordered

#: Replicas are fewer.
MOST_REPLICAS = 2**16


def _checked(name: str, value: Parameter, allow_infinite: bool = False) -> Parameter:
    checked = parameter(name, value, lambda v: v >= 0, "non-negative numbers")
    if not allow_infinite and np.any(np.isinf(values_of(checked))):
        raise ConfigError(f"{name} = {shown(value)}: finite numbers are needed")
    return checked


@dataclass(frozen=True)
class Gibbs:
    """P(W) ~ exp(-beta L(W)): one replica, no centre. ``beta``: a number, several (a dimension), or a Ramp."""

    loss: Loss
    beta: Parameter
    replicas: ClassVar[int] = 1
    coupling: ClassVar[None] = None
    centre: ClassVar[None] = None
    centre_kind: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_loss(self.loss)
        keep(self, beta=_checked("beta", self.beta, allow_infinite=True))

    @property
    def parameters(self) -> dict[str, Parameter]:
        """beta and the loss's parameters, in the order of their dimensions."""
        return _in_order({"beta": self.beta, **self.loss.parameters})

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the measure: those of its parameters that are single numbers."""
        return {"measure": "gibbs", "loss": self.loss.kind, "replicas": 1, **_single(self.parameters)}


@dataclass(frozen=True, eq=False)
class LocalEntropy:
    """P(W~, W^1..W^y) ~ exp(sum_a [-beta L(W^a) - coupling d(W^a, W~)]) (Baldassi et al., PNAS 113, E7655 (2016)).

    ``centre="explicit"`` samples W~; ``"traced"`` sums it out, the replicas then attract one another through
    sum_i log 2cosh(coupling sum_a W_i^a); an array, of +-1 where weights are binary, is a centre that stays where it is. A DataArray, such
    as the ``centre`` of a result, is placed by the names of its dimensions and the values of their coordinates; any other array is
    (weights,), (instances, weights) or (instances, grid, chains, weights), as gpumc.named says.
    """

    loss: Loss
    beta: Parameter
    coupling: Parameter
    replicas: int
    centre: str | ArrayLike | xr.DataArray = "explicit"

    def __post_init__(self) -> None:
        check_loss(self.loss)
        keep(
            self,
            beta=_checked("beta", self.beta, allow_infinite=True),
            coupling=_checked("coupling", self.coupling),
            replicas=whole("replicas", self.replicas, 1, MOST_REPLICAS),
            centre=text("centre", self.centre, ("explicit", "traced"), ", or an array")
            if isinstance(self.centre, str)
            else _fixed(self.centre),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalEntropy) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """beta, the loss's parameters and the coupling, in the order of their dimensions."""
        return _in_order({"beta": self.beta, **self.loss.parameters, "coupling": self.coupling})

    @property
    def attributes(self) -> dict[str, Any]:
        """What a dataset says of the measure: those of its parameters that are single numbers."""
        facts = {"measure": "local-entropy", "loss": self.loss.kind, "replicas": self.replicas}
        return facts | {"centre_kind": self.centre_kind} | _single(self.parameters)

    @property
    def centre_kind(self) -> str:
        """Whether the centre is "explicit", "traced" or "fixed"; None of a measure without one."""
        return self.centre if isinstance(self.centre, str) else "fixed"

    @property
    def _key(self) -> tuple:
        centre: tuple = (self.centre,)
        if self.centre_kind == "fixed":
            array = xr.DataArray(self.centre)
            labels = tuple((dim, tuple(index)) for dim, index in array.indexes.items())
            centre = (array.dims, labels, array.shape, array.values.tobytes())
        return self.loss, self.beta, self.coupling, self.replicas, centre


def _in_order(parameters: dict[str, Parameter]) -> dict[str, Parameter]:
    return {name: parameters[name] for name in ordered(parameters)}


def _single(parameters: dict[str, Parameter]) -> dict[str, float]:
    return {name: value for name, value in parameters.items() if isinstance(value, float)}


def _fixed(centre: Any) -> np.ndarray | xr.DataArray:
    """A centre that stays: real numbers that nobody changes, with the names and coordinates of their dimensions where they have them."""
    array = named("centre", centre)
    values = reals("centre", centre if array is None else array.values)
    values.setflags(write=False)
    if array is None:
        return values
    return xr.DataArray(values, {dim: array[dim].values for dim in array.dims if dim in array.indexes}, array.dims)


Measure = Gibbs | LocalEntropy


def check_loss(loss: Any) -> None:
    """Raise ConfigError for what is no loss."""
    loss = one_of("loss", loss, Loss, "a Loss, such as ErrorCount(), CrossEntropy(gamma) or one of your own,")
    for name in loss.axes:
        if name in QUANTITIES.keys() - LOSS_PARAMETERS.keys():
            raise ConfigError(
                f"the loss {loss.kind!r} has a parameter {name!r}, which results use for the {QUANTITIES[name].long_name}: rename it"
            )
