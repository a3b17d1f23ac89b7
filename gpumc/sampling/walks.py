"""What the driver asks of populations, binary or spherical."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpumc.parts import Part
from gpumc.sampling.dataset import Records
from gpumc.sampling.starts import Starts

if TYPE_CHECKING:
    from gpumc.sampling.stepping import Dynamics


class Walk(Protocol):
    """What advances a part of a population; states are those of its own class ``state``."""

    state: type
    dynamics: Dynamics
    part: Part
    shape: tuple[int, int, int, int]

    @property
    def stride(self) -> int:
        """Sweeps between two reports of progress."""

    @property
    def attempts(self) -> int:
        """Flip attempts of a sweep."""

    @property
    def layout(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        """The arrays of a saved state: their dtypes and shapes."""

    def start(self, starts: Starts) -> Any:
        """The population before its first sweep."""

    def restored(self, arrays: Mapping[str, np.ndarray]) -> Any:
        """The population that was saved as ``arrays``."""

    def advance(self, state: Any, count: int) -> None:
        """Sweep ``state`` in place ``count`` times."""

    def record(self, state: Any, records: Records, draw: int) -> None:
        """Measure ``state`` into ``records``."""

    def configurations(self, state: Any, weights: np.ndarray, centre: np.ndarray | None) -> None:
        """Write weights and, where there are any, centres into these arrays of the host."""

    def acceptance(self, state: Any) -> np.ndarray:
        """The fraction of proposals accepted since burn-in."""

    def batches(self) -> Iterator[Part]:
        """The part in pieces that fit in memory."""

    def need(self) -> None:
        """Raise DeviceError where it does not fit in memory."""
