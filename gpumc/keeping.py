"""What a long computation asks of whoever keeps its state, so that another process can go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np


class Keeper(Protocol):
    """Keeps arrays by their names, for one computation."""

    def due(self) -> bool:
        """Whether it is time to keep the state again."""

    def keep(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep ``arrays`` in the place of all that was kept before. Raises Ended where the computation is to end here."""

    def kept(self) -> dict[str, np.ndarray]:
        """What was kept last; nothing where the computation begins."""


def marked(mark: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``arrays`` with ``mark`` before their names, so that they can be kept among others."""
    return {mark + name: array for name, array in arrays.items()}


def unmarked(mark: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of ``arrays`` those that were `marked`, under their own names."""
    return {name.removeprefix(mark): array for name, array in arrays.items() if name.startswith(mark)}
