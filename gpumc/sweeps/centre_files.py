"""Centres in files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from gpumc.errors import ConfigError, RunError
from gpumc.reading import reason, regular


def load_centre(path: Path) -> np.ndarray:
    """The centre in a .npy file, or under the name ``centre`` in an .npz file. Raises ConfigError."""
    try:
        stored = np.load(regular(path), allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, RunError) as error:
        raise ConfigError(
            f"[measure] centre = '{path.name}': 'explicit', 'traced' or a .npy or .npz file is needed, and no such file can be read "
            f"({reason(error)})"
        ) from None
    if isinstance(stored, np.ndarray):
        return stored
    with stored:
        if "centre" not in stored:
            raise ConfigError(f"[measure] centre: {path} has no array 'centre': found {', '.join(stored) or 'none'}")
        try:
            return stored["centre"]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ConfigError(f"[measure] centre: {path} is damaged ({reason(error)})") from None
