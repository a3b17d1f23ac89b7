"""gpumc: large populations of replicated neural machines under the local-entropy measure."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gpumc._version import __version__

#: Public names by the module that has them; each is imported when it is first asked for, so that `import gpumc` costs nothing.
_HOMES = {
    "gpumc.machines": ("Perceptron", "TreeCommittee", "FullCommittee", "TreeParity"),
    "gpumc.patterns": ("Patterns", "random_patterns", "teacher_patterns", "load_patterns"),
    "gpumc.ramps": ("Ramp",),
    "gpumc.losses": ("Loss", "ErrorCount", "CrossEntropy", "SquaredHinge", "BandCount", "LogBarrier"),
    "gpumc.measures": ("Gibbs", "LocalEntropy"),
    "gpumc.sampling": ("sample", "dynamics", "Metropolis", "HeatBath", "HMC", "Rotations", "HitAndRun"),
    "gpumc.messages": (
        "BeliefPropagation",
        "FreeScoping",
        "PseudoReinforcement",
        "Scoping",
        "StandardReinforcement",
        "focusing_bp",
    ),
    "gpumc.volumes": ("Splitting", "ThermodynamicIntegration", "entropy", "local_entropy"),
    "gpumc.learning": (
        "learn",
        "LeastAction",
        "EntropicLeastAction",
        "CrossEntropySGD",
        "ReplicatedSGD",
        "EntropySGD",
        "BinarySGD",
        "FocusingBP",
    ),
    "gpumc.data": ("fashion_mnist",),
    "gpumc.results": ("save", "open_run"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "HMC",
    "BandCount",
    "BeliefPropagation",
    "BinarySGD",
    "CrossEntropy",
    "CrossEntropySGD",
    "EntropicLeastAction",
    "EntropySGD",
    "ErrorCount",
    "FocusingBP",
    "FreeScoping",
    "FullCommittee",
    "Gibbs",
    "HeatBath",
    "HitAndRun",
    "LeastAction",
    "LocalEntropy",
    "LogBarrier",
    "Loss",
    "Metropolis",
    "Patterns",
    "Perceptron",
    "PseudoReinforcement",
    "Ramp",
    "ReplicatedSGD",
    "Rotations",
    "Scoping",
    "Splitting",
    "SquaredHinge",
    "StandardReinforcement",
    "ThermodynamicIntegration",
    "TreeCommittee",
    "TreeParity",
    "__version__",
    "dynamics",
    "entropy",
    "exact",
    "fashion_mnist",
    "flatness",
    "focusing_bp",
    "learn",
    "load_patterns",
    "local_entropy",
    "open_run",
    "random_patterns",
    "sample",
    "save",
    "teacher_patterns",
    "theory",
]

if TYPE_CHECKING:
    from gpumc import exact, flatness, theory
    from gpumc.data import fashion_mnist
    from gpumc.learning import (
        BinarySGD,
        CrossEntropySGD,
        EntropicLeastAction,
        EntropySGD,
        FocusingBP,
        LeastAction,
        ReplicatedSGD,
        learn,
    )
    from gpumc.losses import BandCount, CrossEntropy, ErrorCount, LogBarrier, Loss, SquaredHinge
    from gpumc.machines import FullCommittee, Perceptron, TreeCommittee, TreeParity
    from gpumc.measures import Gibbs, LocalEntropy
    from gpumc.messages import (
        BeliefPropagation,
        FreeScoping,
        PseudoReinforcement,
        Scoping,
        StandardReinforcement,
        focusing_bp,
    )
    from gpumc.patterns import Patterns, load_patterns, random_patterns, teacher_patterns
    from gpumc.ramps import Ramp
    from gpumc.results import open_run, save
    from gpumc.sampling import HMC, HeatBath, HitAndRun, Metropolis, Rotations, dynamics, sample
    from gpumc.volumes import Splitting, ThermodynamicIntegration, entropy, local_entropy


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    if name in ("exact", "flatness", "machines", "losses", "measures", "patterns", "theory"):
        return importlib.import_module(f"gpumc.{name}")
    raise AttributeError(f"module 'gpumc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
