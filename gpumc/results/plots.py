"""The standard pictures of a result."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gpumc.results.files import replacing
from gpumc.results.quantities import counted, headline, label, short, standard
from gpumc.results.statistics import mean_and_error, swept, to_the_end

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
    panels = standard(data, axes)
    figure = Figure(figsize=(5.0 * len(panels), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(panels, 1):
        panel = figure.add_subplot(1, len(panels), place)
        _draw(panel, data, name, axes)
    figure.suptitle(_title(data), fontsize=9.5 if len(panels) > 1 else 9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=160)
    return path


def _of_instances(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """The mean over the starts of each instance, and its standard error: of learners that have nothing else to be drawn against."""
    return values.mean("start"), values.std("start", ddof=min(1, values.sizes["start"] - 1)) / np.sqrt(
        values.sizes["start"]
    )


def _draw(panel, data: xr.Dataset, name: str, axes: list[str]) -> None:
    along = axes[0] if axes else next((name for name in ("epoch", "sweep") if name in data.coords), "instance")
    names = [name]
    if name == "overlap_replicas" and len(axes) < 2:
        names = ["overlap_replicas", "overlap_centre"]
    for number, shown in enumerate(names):
        values = to_the_end(data, shown) if along == "epoch" else data[shown]
        values = values if along in data.dims else values.swap_dims(draw="sweep")
        mean, error = mean_and_error(values) if along != "instance" else _of_instances(values)
        lines = _lines(mean, error, axes[1:])
        for index, (one, y, e) in enumerate(lines):
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
                label=label(data[shown], _tex) if len(names) > 1 else one,
            )
    places = data[along].values if axes else np.array([])
    if len(places) and places[0] > 0 and places[-1] >= 8 * places[0]:  # sorted
        panel.set_xscale("log")
        if len(places) <= MOST_TICKS:
            panel.set_xticks(places, [f"{v:g}" for v in places])
            panel.minorticks_off()
    panel.set_xlabel(label(data[along], _tex))
    panel.set_ylabel("overlap" if len(names) > 1 else label(data[name], _tex))
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
            f"{short(second, mean[second].attrs, _tex)} = {float(mean[second][i]):g}",
            mean.isel({second: int(i)}),
            error.isel({second: int(i)}),
        )
        for i in picked
    ]


def _tex(symbol: str) -> str:
    """A symbol as matplotlib takes it."""
    return f"${symbol}$"


def _title(data: xr.Dataset) -> str:
    return ", ".join(headline(data, _tex)) + f"\n{counted(data)}"
