"""What a loss is: a sum over patterns of a function of the stability, and what can be done with it.

Of binary machines energies are exact integers: an int64 multiple of the loss's ``unit``, so that they do not depend on the order in which
patterns are summed. Of real weights an energy is a float64 sum of ``values``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any, ClassVar, Self

import numpy as np

from gpumc.device import array_module
from gpumc.errors import ConfigError
from gpumc.machines import Machine
from gpumc.ramps import Ramp, ramps

#: The fixed point of energies that are not counts.
FIXED_POINT = 2.0**-20


class Loss:
    """A loss: the sum over patterns of ``values`` at their stabilities.

    A loss of one's own is a subclass, usually a frozen dataclass, with a ``kind`` and the method ``values``; all else has a default. It
    is then sampled, enumerated, passed as messages and solved in theory like those that are shipped.

    Attributes
    ----------
    kind : str
        Its name in files and configs.
    axes : tuple of str
        The fields that are parameters: each may be a number, several numbers, which become a dimension of the result with the field's
        name, or a `Ramp`. A method that needs numbers gets the loss of one grid point, or of many as arrays that broadcast against the
        stabilities: ``values`` must be an expression of ``self``'s fields that does.
    counts : bool
        Whether ``values`` are 0 and 1 alone. Energies are then counts of errors, and beta may be inf.
    unit : float
        Energies of binary machines are whole multiples of it.
    kinks : tuple of float
        Stabilities at which the loss or its slope jumps, for averages by quadrature. A property where it depends on the parameters.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> import gpumc
    >>> @dataclass(frozen=True)
    ... class Linear(gpumc.Loss):
    ...     kind = "linear"
    ...     def values(self, stability):
    ...         return np.maximum(0.0, -stability)
    >>> Linear().values(np.array([-2.0, 1.0]))
    array([2., 0.])
    """

    kind: ClassVar[str]
    axes: ClassVar[tuple[str, ...]] = ()
    counts: ClassVar[bool] = False
    unit: ClassVar[float] = FIXED_POINT
    #: The kernel that makes slopes by preactivations, and takes the parameters in the order of ``axes``; "" where there is none.
    fused: ClassVar[str] = ""
    #: The kernel of its averages over Gaussian stabilities by trapezoids, which takes the one parameter; "" where there is none.
    tilted: ClassVar[str] = ""

    def values(self, stability: np.ndarray) -> np.ndarray:
        """The loss of a pattern at each stability, of its shape; over NumPy or CuPy arrays."""
        raise NotImplementedError(f"{type(self).__name__} has no values(stability)")

    def slopes(self, stability: np.ndarray) -> np.ndarray:
        """The derivative of ``values``, for losses that have one."""
        raise ConfigError(f"the loss {self.kind!r} has no slope")

    def curvatures(self, stability: np.ndarray) -> np.ndarray:
        """The second derivative."""
        raise ConfigError(f"the loss {self.kind!r} has no curvature")

    def wrong(self, stability: np.ndarray) -> np.ndarray:
        """Which stabilities are errors: Delta < 0, and Delta = 0, which only silent ReLU units give."""
        return stability <= 0

    @property
    def kinks(self) -> tuple[Any, ...]:
        """See the class."""
        return ()

    @property
    def bend(self) -> Any:
        """Within what of 0 a loss bends that is smooth, convex and falling, for averages by quadrature; None of any other."""
        return None

    def gaussian(self, mean: np.ndarray, spread: np.ndarray, beta: np.ndarray, scale: float) -> tuple | None:
        """log E exp(-beta f(scale (mean + spread z))) over a standard normal z, its first and second derivative by ``mean``, and the mean
        of f under it; None where these have no closed form. Losses that count need none: their ``kinks`` say all."""
        return None

    def proximal(self, field: np.ndarray, stiffness: float) -> np.ndarray | None:
        """The v that minimises f(v) + (v - field)^2 / (2 stiffness); None where it has no closed form."""
        return None

    def __init_subclass__(cls) -> None:
        # Kernels and closed forms are of the formula that they were written for.
        if {"values", "slopes"} & vars(cls).keys():
            for name in {"fused", "tilted", "bend", "gaussian", "proximal"} - vars(cls).keys():
                setattr(cls, name, vars(Loss)[name])

    @property
    def has_slope(self) -> bool:
        """Whether there is a derivative, which Hamiltonian Monte Carlo needs: one that is as new as the formula itself."""
        newest = next(cls for cls in type(self).__mro__ if {"values", "slopes"} & vars(cls).keys())
        return "slopes" in vars(newest) and newest is not Loss

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name: numbers, tuples of numbers, or ramps."""
        return {name: getattr(self, name) for name in self.axes}

    def at(self, **parameters: Any) -> Self:
        """The same loss with other parameters: numbers, or arrays that broadcast against the stabilities. Nothing is checked."""
        bound = copy.copy(self)
        for name, value in parameters.items():
            object.__setattr__(bound, name, value)
        return bound

    def take(self, chosen: Any) -> Self:
        """Some of the rows, where parameters are arrays (rows,)."""
        return self.at(**{name: value[chosen] for name, value in self._arrays.items()})

    def beside(self, array: np.ndarray) -> Self:
        """The same with parameters that are arrays (rows,) made to broadcast against ``array`` (rows, ...)."""
        ones = [1] * (array.ndim - 1)
        return self.at(**{name: value.reshape(-1, *ones) for name, value in self._arrays.items()})

    @property
    def _arrays(self) -> dict[str, Any]:
        return {name: value for name, value in self.parameters.items() if getattr(value, "ndim", 0)}

    def rows(self, count: int) -> Self:
        """The parameters, numbers so far, as arrays (count,)."""
        return self.at(**{name: np.full(count, value) for name, value in self.parameters.items()})

    def points(self) -> list[Self]:
        """The loss at every point of the grid of its own parameters, the last one fastest; a ramp where it ends."""
        values = [
            np.atleast_1d(value.stop if isinstance(value, Ramp) else value).tolist()
            for value in self.parameters.values()
        ]
        return [self.at(**dict(zip(self.axes, point, strict=True))) for point in product(*values)]

    @property
    def of_sign(self) -> bool:
        """Whether a pattern's loss is 0 or 1 by the sign of its stability alone."""
        return self.counts and len(self.kinks) == 1 and all(np.all(np.asarray(kink) == 0) for kink in self.kinks)

    @property
    def counts_errors(self) -> bool:
        """Whether a pattern's loss, at every point, is 1 for what it calls an error and 0 for all else."""
        return self.counts and all(point._counts_errors for point in self.points())

    @property
    def _counts_errors(self) -> bool:
        places = np.array(between(tuple(np.unique([0.0, *self.kinks]))))
        return bool((self.values(places) == self.wrong(places)).all())

    @property
    def ramps(self) -> bool:
        """Whether a parameter moves with the sweeps."""
        return bool(ramps(self.parameters))

    def tables(self, machine: Machine) -> np.ndarray:
        """:meth:`table` at each of ``points``: int64 (points, r + 1)."""
        return np.stack([point.table(machine) for point in self.points()])

    def table(self, machine: Machine) -> np.ndarray:
        """The loss of a pattern at each readout -r, -r + 2, ..., r of a binary machine, parameters being numbers: int64 (r + 1,), in units
        of ``unit``.

        Raises ConfigError where a value is no number, or a table of int32 would not hold it.
        """
        values = checked_values(self, machine.possible_stabilities)
        table = values / self.unit
        if np.abs(table).max() >= 2**31:
            worst = values[np.abs(values).argmax()]
            raise ConfigError(
                f"{self.kind}: {self._said}at n = {machine.n} gives a loss of {worst:.3g} for one pattern: a table in fixed point holds "
                f"less than {2**31 * self.unit:g}; use another value, or a smaller machine"
            )
        return np.rint(table).astype(np.int64)

    @property
    def _said(self) -> str:
        """The parameters, in an error."""
        named = ", ".join(f"{name} = {float(value):g}" for name, value in self.parameters.items())
        return f"{named} " if named else ""


def between(kinks: Sequence[Any]) -> list[Any]:
    """A stability below all of some that rise, one between each two, and one above all."""
    if not kinks:
        return [0.0]
    return [kinks[0] - 1.0, *((low + high) / 2 for low, high in pairwise(kinks)), kinks[-1] + 1.0]


def checked_values(loss: Loss, stability: np.ndarray) -> np.ndarray:
    """``loss.values`` on the host. Raises ConfigError where these are no numbers of the right shape, or, of a loss that counts, others than
    0 and 1."""
    try:
        values = np.asarray(loss.values(stability), float)
    except ConfigError:
        raise
    except Exception as error:  # a user's own code
        raise ConfigError(
            f"the loss {loss.kind!r}: its values(stability) raised {type(error).__name__}: {error}"
        ) from error
    if values.shape != np.shape(stability):
        raise ConfigError(
            f"the loss {loss.kind!r} gives values of shape {values.shape} for stabilities {np.shape(stability)}: one each is needed"
        )
    if not np.isfinite(values).all():
        where = stability[~np.isfinite(values)][0]
        raise ConfigError(f"the loss {loss.kind!r} is no number at stability {where:g}: finite values are needed")
    if loss.counts and not np.isin(values, (0, 1)).all():
        raise ConfigError(
            f"the loss {loss.kind!r} counts errors, and has other values than 0 and 1: set counts = False"
        )
    return values


def xp_of(array: np.ndarray) -> Any:
    """NumPy or CuPy, whichever the array is of."""
    return array_module(array)
