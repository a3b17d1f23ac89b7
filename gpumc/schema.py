"""Names in datasets: the order of the dimensions that parameters become, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable

#: Parameters that become dimensions come in this order, all others by the alphabet behind them.
ORDER = ("alpha", "beta", "gamma", "margin", "coupling")
#: What a parameter is, where its name does not say it.
PARAMETERS = {
    "alpha": "alpha, patterns per weight",
    "beta": "inverse temperature beta",
    "gamma": "gamma of the cross-entropy",
    "margin": "margin of the loss",
    "coupling": "coupling to the centre",
    "cut": "cut of the logarithmic barrier",
    "width": "half-width of the band",
}


def ordered(names: Iterable[str]) -> list[str]:
    """Names of parameters in the order of their dimensions."""
    return sorted(names, key=lambda name: (ORDER.index(name), "") if name in ORDER else (len(ORDER), name))
