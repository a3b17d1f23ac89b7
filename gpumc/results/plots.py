"""The standard pictures of a result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gpumc.results.files import replacing
from gpumc.results.statistics import bars_over, mean_and_error, runs_of, swept
from gpumc.schema import PARAMETERS, attributes, ordered

#: Okabe and Ito's colours, told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Lines in one panel, before a picture says too much.
MOST_LINES = len(COLOURS)
#: Values that an axis names, before their names run into one another.
MOST_TICKS = 16


def plot(data: xr.Dataset, path: str | Path) -> Path:
    """Draw training error, and overlaps where there is a centre, against what was swept (or against sweeps), to a PNG at ``path``; of
    learning, the fraction of runs that found a solution against what was swept, or training error against epochs.

    Matplotlib's defaults are used, not the user's settings. Raises RunError where ``path`` cannot be written.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        return _drawn(data, Path(path))


def _drawn(data: xr.Dataset, path: Path) -> Path:
    data = data.squeeze([name for name in swept(data) if data.sizes[name] == 1])
    axes = swept(data)
    data = data.sortby(axes)
    panels = _panels(data, axes)
    figure = Figure(figsize=(5.0 * len(panels), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(panels, 1):
        panel = figure.add_subplot(1, len(panels), place)
        _draw(panel, data, name, axes)
    figure.suptitle(_title(data), fontsize=9.5 if len(panels) > 1 else 9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160)
    return path


def _to_the_end(data: xr.Dataset, name: str) -> xr.DataArray:
    """A curve along epochs, on which runs that have ended stay where they are."""
    curve = data[name]
    return curve.fillna(curve.isel(epoch=data.steps - 1))


def _of_instances(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """The mean over the starts of each instance, and its standard error: of learners that have nothing else to be drawn against."""
    return values.mean("start"), values.std("start", ddof=min(1, values.sizes["start"] - 1)) / np.sqrt(
        values.sizes["start"]
    )


def _panels(data: xr.Dataset, axes: list[str]) -> list[str]:
    """What is drawn, a panel each."""
    if "solved" in data:
        return ["solved"] if axes else ["centre_error_rate" if "centre_error_rate" in data else "error_rate"]
    panels = ["error_rate"] + [name for name in ("overlap_replicas",) if name in data]
    return [*panels, "overlap_centre"] if "overlap_centre" in data and len(panels) == 1 else panels


def _draw(panel, data: xr.Dataset, name: str, axes: list[str]) -> None:
    along = axes[0] if axes else next((name for name in ("epoch", "sweep") if name in data.coords), "instance")
    names = [name]
    if name == "overlap_replicas" and len(axes) < 2:
        names = ["overlap_replicas", "overlap_centre"]
    for number, shown in enumerate(names):
        values = _to_the_end(data, shown) if along == "epoch" else data[shown]
        values = values if along in data.dims else values.swap_dims(draw="sweep")
        mean, error = mean_and_error(values) if along != "instance" else _of_instances(values)
        lines = _lines(mean, error, axes[1:])
        for index, (label, y, e) in enumerate(lines):
            style = number + index
            panel.errorbar(
                y[along],
                y,
                e,
                marker=MARKERS[style] if axes else None,
                color=COLOURS[style],
                markersize=5,
                capsize=2.5,
                linewidth=1.2,
                label=_label(data[shown]) if len(names) > 1 else label,
            )
    places = data[along].values if axes else np.array([])
    if len(places) and places[0] > 0 and places[-1] >= 8 * places[0]:  # sorted
        panel.set_xscale("log")
        if len(places) <= MOST_TICKS:
            panel.set_xticks(places, [f"{v:g}" for v in places])
            panel.minorticks_off()
    panel.set_xlabel(_label(data[along]))
    panel.set_ylabel("overlap" if len(names) > 1 else _label(data[name]))
    panel.grid(alpha=0.25)
    if name in ("error_rate", "centre_error_rate"):
        panel.set_ylim(bottom=-0.02 * panel.get_ylim()[1])  # a line at 0 is seen
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=8, frameon=False)


def _lines(
    mean: xr.DataArray, error: xr.DataArray, others: list[str]
) -> list[tuple[str | None, xr.DataArray, xr.DataArray]]:
    """One line for each value of the second axis; further axes are shown at their first value."""
    for name in others[1:]:
        mean, error = mean.isel({name: 0}), error.isel({name: 0})
    if not others:
        return [(None, mean, error)]
    second = others[0]
    picked = np.unique(np.linspace(0, mean.sizes[second] - 1, MOST_LINES).round().astype(int))
    return [
        (
            f"{_symbol(second, mean[second].attrs)} = {float(mean[second][i]):g}",
            mean.isel({second: int(i)}),
            error.isel({second: int(i)}),
        )
        for i in picked
    ]


def _label(array: xr.DataArray) -> str:
    """The long name, the symbol and the unit that an array's attributes give."""
    facts = array.attrs
    symbol = f" ${facts['symbol']}$" if "symbol" in facts else ""
    return facts["long_name"] + symbol + (f" ({facts['units']})" if facts["units"] != "1" else "")


def _symbol(name: str, facts: Mapping[Any, Any]) -> str:
    """The symbol among the attributes of ``name``, or its name."""
    return f"${facts['symbol']}$" if "symbol" in facts else name.replace("_", " ")


def _title(data: xr.Dataset) -> str:
    facts = data.attrs
    weights = "" if facts.get("weights", "binary") == "binary" else f"{facts['weights']} "
    parts = [
        f"{weights}{facts['machine'].replace('-', ' ')}, $n={facts['n']}$"
        + (f", $k={facts['k']}$" if facts["k"] > 1 else "")
    ]
    facts = facts | {name: float(data[name]) for name in data.coords if name in PARAMETERS and not data[name].ndim}
    parts.append(facts["learner" if "learner" in facts else "loss"].replace("-", " "))
    for name in ordered(PARAMETERS):
        if name in facts and name not in data.dims and (name, facts[name]) not in (("replicas", 1), ("margin", 0)):
            parts.append(f"{_symbol(name, attributes(name))} = {facts[name]:.3g}")
    counts = ", ".join(f"{data.sizes[d]} {d}{'s' if data.sizes[d] > 1 else ''}" for d in ("instance", runs_of(data)))
    return ", ".join(parts) + f"\n{counts}; bars: standard error over {bars_over(data)}s"
