"""The kinds of weights that a machine can have: what they are drawn from, which values they take, and how many there are of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import entr

from gpumc.checks import reals, signs
from gpumc.device import array_module
from gpumc.device.philox import random_bits, random_normals
from gpumc.errors import ConfigError

#: The largest free weight: below, squares do not overflow.
LARGEST = 1e50


class Weights(ABC):
    """A kind of weights; arrays of them are (..., units, fan_in), unless another shape is given."""

    name: ClassVar[str]
    dtype: ClassVar[type]
    #: Whether every configuration has the same norm, so that their number, or volume, is finite.
    fixed_norm: ClassVar[bool] = True
    #: The values that configurations must have, in words.
    wanted: ClassVar[str]
    #: The most patterns per weight that can be solved, and the least entropy per weight (nats) of a set that is not empty.
    capacity_bound: ClassVar[float]
    least_entropy: ClassVar[float]

    @abstractmethod
    def drawn(self, seed: int, stream: int, sweep: object, walker: object, count: int) -> np.ndarray:
        """``count`` random weights for each counter (sweep, walker), before they are :meth:`normalised`: (*broadcast shape, count)."""

    @abstractmethod
    def normalised(self, units: np.ndarray) -> np.ndarray:
        """Weights of the right direction as configurations."""

    @abstractmethod
    def allowed(self, units: np.ndarray) -> np.ndarray:
        """Whether numbers (rows, units, fan_in) are weights, of any norm: bool (rows,)."""

    @abstractmethod
    def checked(self, name: str, values: object, units: tuple[int, int]) -> np.ndarray:
        """``values`` (..., weights) of so many ``units`` with so many weights each. Raises ConfigError naming the first wrong one."""

    @abstractmethod
    def entropy_bound(self, distance: np.ndarray) -> np.ndarray:
        """The entropy per weight (nats) at distances D without patterns."""


class Binary(Weights):
    """Each weight is +-1."""

    name = "binary"
    dtype = np.int8
    wanted = "every weight must be +1 or -1"
    capacity_bound = 1.0
    least_entropy = 0.0

    def drawn(self, seed: int, stream: int, sweep: object, walker: object, count: int) -> np.ndarray:
        return random_bits(seed, stream, sweep, walker, count)

    def normalised(self, units: np.ndarray) -> np.ndarray:
        return units.astype(np.int8)

    def allowed(self, units: np.ndarray) -> np.ndarray:
        return np.all((units == 1) | (units == -1), axis=(1, 2))

    def checked(self, name: str, values: object, units: tuple[int, int]) -> np.ndarray:
        return signs(name, values)

    def entropy_bound(self, distance: np.ndarray) -> np.ndarray:
        return entr(distance) + entr(1 - distance)


class Spherical(Weights):
    """Every unit has a real vector of squared norm fan_in."""

    name = "spherical"
    dtype = np.float64
    wanted = "weights must be finite, and no unit's all 0"
    capacity_bound = np.inf
    least_entropy = -np.inf

    def drawn(self, seed: int, stream: int, sweep: object, walker: object, count: int) -> np.ndarray:
        return random_normals(seed, stream, sweep, walker, count)

    def normalised(self, units: np.ndarray) -> np.ndarray:
        """Vectors of 0 stay so."""
        scaled = within_range(units)
        length = np.sqrt((scaled**2).mean(axis=-1, keepdims=True))
        return scaled / np.where(length > 0, length, 1)

    def allowed(self, units: np.ndarray) -> np.ndarray:
        return np.isfinite(units).all(axis=(1, 2)) & np.all(np.any(units != 0, axis=2), axis=1)

    def checked(self, name: str, values: object, units: tuple[int, int]) -> np.ndarray:
        array, (count, fan_in) = reals(name, values), units
        if array.shape[-1:] != (count * fan_in,):
            raise ConfigError(
                f"{name} has shape {array.shape}: its last dimension must be the {count * fan_in} weights"
            )
        vectors = array.reshape(*array.shape[:-1], count, fan_in)
        zero = np.argwhere(~vectors.any(axis=-1))
        if len(zero):
            raise ConfigError(f"{name}: unit {zero[0][-1]} has the zero vector, which has no place on its sphere")
        return within_range(vectors).reshape(array.shape)

    def entropy_bound(self, distance: np.ndarray) -> np.ndarray:
        """The log of the cap of the spheres."""
        with np.errstate(divide="ignore"):
            return 0.5 * np.log(4 * distance * (1 - distance))


class Gaussian(Weights):
    """Real weights of free norm; a machine's ``decay`` keeps them from growing."""

    name = "gaussian"
    dtype = np.float64
    fixed_norm = False
    wanted = f"weights must be finite, of absolute value {LARGEST:g} at most"
    capacity_bound = np.inf
    least_entropy = -np.inf

    def drawn(self, seed: int, stream: int, sweep: object, walker: object, count: int) -> np.ndarray:
        """Standard normals."""
        return random_normals(seed, stream, sweep, walker, count)

    def normalised(self, units: np.ndarray) -> np.ndarray:
        """As they are: every norm is one of a configuration."""
        return units

    def allowed(self, units: np.ndarray) -> np.ndarray:
        return np.all(np.abs(units) <= LARGEST, axis=(1, 2))

    def checked(self, name: str, values: object, units: tuple[int, int]) -> np.ndarray:
        array, count = reals(name, values), units[0] * units[1]
        if array.shape[-1:] != (count,):
            raise ConfigError(f"{name} has shape {array.shape}: its last dimension must be the {count} weights")
        if np.any(np.abs(array) > LARGEST):
            raise ConfigError(f"{name} has the weight {np.abs(array).max():.3g}: {self.wanted}")
        return array

    def entropy_bound(self, distance: np.ndarray) -> np.ndarray:
        """Raises ConfigError: there is none."""
        raise ConfigError("gaussian weights have no largest volume at a distance: use binary or spherical ones")


def within_range(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., dimension) times powers of two that bring their largest entries near 1: nothing is rounded, and no square overflows or
    vanishes."""
    xp = array_module(vectors)
    _, exponent = xp.frexp(xp.abs(vectors).max(axis=-1, keepdims=True))
    with np.errstate(under="ignore"):  # of entries that vanish beside the largest
        return xp.ldexp(vectors, -exponent)


#: Every kind of weights by the name that a machine gives it.
WEIGHTS: dict[str, Weights] = {kind.name: kind for kind in (Binary(), Spherical(), Gaussian())}
