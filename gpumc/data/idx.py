"""Files of images and labels in the IDX format (Y. LeCun, C. Cortes, C. Burges, the MNIST database), gzipped."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from gpumc.errors import RunError
from gpumc.reading import reason, regular

#: The code of unsigned bytes, the one type of entries that is read.
UNSIGNED_BYTE = 8


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of unsigned bytes in a gzipped IDX file.

    Parameters
    ----------
    path : Path
    dimensions : int
        The number of dimensions that the array must have.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    RunError
        Where the file cannot be read, is cut short, or holds something else.
    """
    try:
        with gzip.open(regular(path), "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"{path} cannot be read: {reason(error)}: fetch it again") from None
    begin = 4 + 4 * dimensions
    if len(content) < begin or content[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        raise RunError(f"{path} is no IDX file of unsigned bytes with {dimensions} dimensions: fetch it again")
    shape = struct.unpack(f">{dimensions}I", content[4:begin])
    entries = np.frombuffer(content, np.uint8, offset=begin)
    if entries.size != np.prod(shape, dtype=np.int64):
        raise RunError(
            f"{path} holds {entries.size} bytes, and its header says {' x '.join(map(str, shape))}: fetch it again"
        )
    return entries.reshape(shape)
