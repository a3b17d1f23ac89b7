"""Losses by the name that a config gives them: shipped ones, and a user's class as "module:Class"."""

from __future__ import annotations

import importlib
import os
import sys

from gpumc.checks import nearest, shown
from gpumc.errors import ConfigError, first_line
from gpumc.losses.base import Loss
from gpumc.losses.counts import BandCount, ErrorCount
from gpumc.losses.smooth import CrossEntropy, LogBarrier, SquaredHinge

LOSSES: dict[str, type[Loss]] = {
    loss.kind: loss for loss in (ErrorCount, CrossEntropy, SquaredHinge, BandCount, LogBarrier)
}


def loss_class(kind: str) -> type[Loss]:
    """The class of the losses called ``kind``; of "module:Class", a module that can be imported from here or from the current folder.

    Raises ConfigError where there is none.
    """
    if kind in LOSSES:
        return LOSSES[kind]
    module, colon, name = kind.partition(":")
    if not colon:
        raise ConfigError(f"kind = {shown(kind)}: {nearest(kind, LOSSES)}, or 'module:Class' for a loss of your own")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a user's module raises
        raise ConfigError(
            f"kind = {shown(kind)}: it cannot be imported ({first_line(error)}): put its file into this folder"
        ) from None
    finally:
        sys.path.pop(0)
    if not (isinstance(found, type) and issubclass(found, Loss)):
        raise ConfigError(f"kind = {shown(kind)}: a class that inherits from gpumc.Loss is needed")
    return found
