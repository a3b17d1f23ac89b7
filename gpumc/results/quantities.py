"""Which quantities of a result are shown, in which order and by which words: for tables, pictures and pages."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from gpumc.results.statistics import bars_over, runs_of
from gpumc.schema import BEHIND, PARAMETERS, attributes, ordered

#: Columns of a table of results.
COLUMNS = (
    *("energy", "error_rate", "overlap_replicas", "overlap_centre", "acceptance"),
    *("solved", "errors", "steps", "test_error", "centre_test_error"),
)
#: Dimensions over which a table has means.
SAMPLED = {"chain", "start", "replica", "draw"}
#: Quantities that share a picture, in the order of pictures.
PICTURES = (
    ("solved",),
    ("error_rate", "centre_error_rate"),
    ("test_error", "centre_test_error", "vote_test_error"),
    ("overlap_replicas", "overlap_centre"),
    ("energy_per_pattern",),
    ("loss",),
    ("norm",),
    ("steps",),
    ("acceptance",),
    ("log_volume",),
    ("entropy",),
    ("local_energy",),
    ("noisy_error_rate", "signed_error_rate"),
    ("largest_eigenvalue",),
)
#: Quantities along sweeps or epochs that show whether a run has converged.
TRACES = ("energy_per_pattern", "loss", "error_rate")
#: Pictures of these begin at 0.
FROM_ZERO = ("error_rate", "centre_error_rate", "test_error", "solved", "noisy_error_rate", "local_energy")

#: TeX that symbols of the schema use, as letters; a tilde stands before its letter so far.
GREEK = ("alpha", "beta", "gamma", "delta", "eta", "kappa", "lambda", "rho", "phi", "Delta")
OTHERS = ("!", "cdot", "sqrt", "log", "mathrm", "tilde")
LETTERS = dict(zip((*GREEK, *OTHERS), (*"αβγδηκλρφΔ", "", "·", "√", "log ", "", "~"), strict=True))
RAISED = str.maketrans("ab0123", "ᵃᵇ⁰¹²³")
LOWERED = str.maketrans("0123aimnx", "₀₁₂₃ₐᵢₘₙₓ")


def columns_of(data: xr.Dataset) -> list[str]:
    """The columns of a table of ``data``: a number, or some draws, for every run each."""
    return [name for name in COLUMNS if name in data and not set(data[name].dims) & set(BEHIND) - SAMPLED]


def standard(data: xr.Dataset, axes: list[str]) -> list[str]:
    """What the standard picture shows, a panel each; ``axes`` are what was swept."""
    if "solved" in data:
        return ["solved"] if axes else ["centre_error_rate" if "centre_error_rate" in data else "error_rate"]
    panels = ["error_rate"] + [name for name in ("overlap_replicas",) if name in data]
    return [*panels, "overlap_centre"] if "overlap_centre" in data and len(panels) == 1 else panels


def label(array: xr.DataArray, symbol: Callable[[str], str]) -> str:
    """The long name, the symbol, written by ``symbol``, and the unit that an array's attributes give."""
    facts = array.attrs
    sign = f" {symbol(facts['symbol'])}" if "symbol" in facts else ""
    return facts["long_name"] + sign + (f" ({facts['units']})" if facts["units"] != "1" else "")


def short(name: str, facts: Mapping[Any, Any], symbol: Callable[[str], str]) -> str:
    """The symbol among the attributes of ``name``, or its name."""
    return symbol(facts["symbol"]) if "symbol" in facts else name.replace("_", " ")


def headline(data: xr.Dataset, symbol: Callable[[str], str]) -> list[str]:
    """What was run, in a few words each: the machine, the learner or the loss, and parameters that are single numbers."""
    facts = data.attrs
    kind = "" if facts.get("weights", "binary") == "binary" else f"{facts['weights']} "
    sizes = [("n", facts["n"])] + ([("k", facts["k"])] if facts["k"] != 1 else [])
    parts = [
        ", ".join([f"{kind}{facts['machine'].replace('-', ' ')}", *(symbol(f"{name}={size}") for name, size in sizes)])
    ]
    facts = facts | {name: float(data[name]) for name in data.coords if name in PARAMETERS and not data[name].ndim}
    parts.append(facts["learner" if "learner" in facts else "loss"].replace("-", " "))
    for name in ordered(PARAMETERS):
        if name in facts and name not in data.dims and (name, facts[name]) not in (("replicas", 1), ("margin", 0)):
            parts.append(f"{short(name, attributes(name), symbol)} = {facts[name]:.3g}")
    return parts


def counted(data: xr.Dataset) -> str:
    """How many instances and runs there are, and what error bars are."""
    counts = ", ".join(f"{data.sizes[d]} {d}{'s' if data.sizes[d] > 1 else ''}" for d in ("instance", runs_of(data)))
    return f"{counts}; bars: standard error over {bars_over(data)}s"


def concise(mean: float, error: float) -> str:
    """0.0804(7) for 0.0804 ± 0.0007; the mean alone where there is no error."""
    if not error > 0:
        return f"{mean:.5g}"
    decimals = max(0, -math.floor(math.log10(error)))
    return f"{mean:.{decimals}f}({error * 10**decimals:.0f})"


def in_letters(symbol: str) -> str:
    """A symbol of the schema, which is TeX, as plain letters: γ for \\gamma, q₀ for q_0, λₘₐₓ for \\lambda_\\mathrm{max}."""
    text = re.sub(r"\\([a-zA-Z]+|!)\s*", lambda found: LETTERS[found[1]], symbol)
    text = re.sub("~(.)", "\\1\N{COMBINING TILDE}", text)
    text = re.sub(r"\^(?:\{(\w+)\}|(\w))", lambda found: (found[1] or found[2]).translate(RAISED), text)
    text = re.sub(r"_(?:\{(\w+)\}|(\w))", lambda found: (found[1] or found[2]).translate(LOWERED), text)
    return unicodedata.normalize("NFC", text.replace("{", "").replace("}", ""))
