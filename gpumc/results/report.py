"""One HTML page of a result: what was run, pictures, tables, convergence, theory beside it, where it comes from, how to load it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpumc._version import __version__
from gpumc.checks import a_path, one_of
from gpumc.device.source import digest as kernels_digest
from gpumc.errors import RunError
from gpumc.results.convergence import FEWEST, rhat_and_ess
from gpumc.results.files import replacing
from gpumc.results.markup import Column, Markup, element, facts, page, table
from gpumc.results.pictures import SIZES, Groups, averaged, has_runs, in_words, pictures, prepared, traces, words
from gpumc.results.quantities import SAMPLED, columns_of, concise, counted, headline, in_letters
from gpumc.results.statistics import bars_over, runs_of, swept
from gpumc.results.theory_beside import Beside, of_measure, of_volumes

#: Chains that are longer than their correlations stay below.
GOOD_RHAT = 1.05
#: Quantities of chains whose convergence is told.
CHAINED = ("energy", "error_rate", "overlap_replicas", "overlap_centre")
#: Of a method: whether there is an answer, and how far it went.
FLAGS = {"converged": "converged", "solved": "solved: no pattern is in error", "stable": "replica symmetry is stable"}
#: Attributes that have a place of their own.
APART = ("config", "name")
SECTIONS = {
    "pictures": "Pictures",
    "results": "Results",
    "convergence": "Convergence",
    "origin": "Where it comes from",
    "data": "The data",
}


def report(results: xr.Dataset | xr.DataTree, path: str | os.PathLike, source: str = "", unfinished: str = "") -> Path:
    """Write one self-contained HTML page about ``results`` to ``path``, whole or not at all; the same results give the same page, but for
    points of theory that a slower machine has no time for.

    Parameters
    ----------
    results : Dataset or DataTree
        What `open_run` gives.
    path : str or path
        The page.
    source : str
        The folder or file of the results, for the lines that load them.
    unfinished : str
        What is said of a run that is not finished.

    Raises
    ------
    RunError
        Where the page cannot be written, and for results that have nothing to be shown.

    Examples
    --------
    >>> import gpumc
    >>> from gpumc.results.report import report
    >>> machine = gpumc.Perceptron(11)
    >>> patterns = gpumc.random_patterns(machine, alpha=0.5, seed=1)
    >>> data = gpumc.sample(machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(), [1.0, 2.0]), burn_in=1, sweeps=8, device="numpy")
    >>> report(data, "page.html").name
    'page.html'
    """
    path = a_path(path)
    one_of("results", results, (xr.Dataset, xr.DataTree), "a Dataset, or a DataTree of them,")
    attributes = {str(name): value for name, value in results.attrs.items()}
    text = _page(_groups(results), attributes, source, unfinished)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def _groups(results: xr.Dataset | xr.DataTree) -> Groups:
    """The datasets, prepared, each with those of its sizes that differ."""
    if isinstance(results, xr.Dataset):
        datasets = [results]
        sizes: list[tuple] = [()]
    else:
        datasets = [node.to_dataset() for node in results.children.values()]
        sizes = [tuple(data.attrs.get(name) for name in SIZES) for data in datasets]
        alike = len({frozenset(data.data_vars) for data in datasets}) <= 1 and None not in {*sum(sizes, ())}
        if not alike or len(set(sizes)) < len(sizes):
            raise RunError("the groups of these results are not one run at several n or k: give one of its datasets")
    if not datasets or not all(data.data_vars for data in datasets):
        raise RunError("these results hold no variables: there is nothing to be shown")
    differing = [place for place, values in enumerate(zip(*sizes, strict=True)) if len(set(values)) > 1]
    names = list(SIZES)
    told = [{names[place]: int(size[place]) for place in differing} for size in sizes]
    return list(zip(told, prepared(datasets), strict=True))


def _page(groups: Groups, attributes: dict[str, Any], source: str, unfinished: str) -> str:
    first = groups[0][1]
    beside = [one for one in (of_measure(first), of_volumes(first)) if one] if len(groups) == 1 else []
    shown, running = pictures(groups, beside), traces(groups)
    name = str(attributes.get("name", ""))
    sections = {
        "pictures": _pictures(shown, 0),
        "results": [part for sizes, data in groups for part in _tables(sizes, data, beside)] + _said(beside),
        "convergence": _pictures(running, len(shown)) + [part for group in groups for part in _convergence(*group)],
        "origin": _origin(attributes, first),
        "data": _contents(groups, name, source),
    }
    links = [element("li", element("a", SECTIONS[key], href=f"#{key}")) for key, content in sections.items() if content]
    body = [
        element(
            "header", element("h1", name or "Results"), element("p", _lead(groups), class_="lead"), *_swept(groups)
        ),
        *([element("p", unfinished, class_="notice")] if unfinished else []),
        element("nav", element("ul", *links), aria_label="Sections"),
        element("main", *(_section(key, content) for key, content in sections.items() if content)),
    ]
    return page(f"{name or 'Results'}: gpumc", body, [*shown, *running])


def _section(key: str, content: Sequence[Markup]) -> Markup:
    return element(
        "section", element("h2", SECTIONS[key], id=f"{key}-title"), *content, id=key, aria_labelledby=f"{key}-title"
    )


def _lead(groups: Groups) -> str:
    """What was run, in a sentence."""
    sizes, data = groups[0]
    if not {"machine", "n", "k"} <= data.attrs.keys() or not {"loss", "learner"} & data.attrs.keys():
        return ", ".join(
            f"{name} {data.attrs[name]}" for name in ("machine", "weights", "measure", "loss") if name in data.attrs
        )
    several = {name: ", ".join(dict.fromkeys(str(size[name]) for size, _ in groups)) for name in sizes}
    parts = headline(data.assign_attrs(several), in_letters)
    return "; ".join([*parts, *([counted(data)] if has_runs(data) else [])])


def _swept(groups: Groups) -> list[Markup]:
    """A line for each parameter that was swept."""
    data = groups[0][1]
    lines = []
    for name in swept(data):
        if name not in data.coords:
            continue
        one = words(name, data[name].attrs)
        values = [in_words(value) for value in data[name].values]
        values = values if len(values) <= 12 else [*values[:3], "…", values[-1], f"({len(values)} values)"]
        sign = [element("span", one["symbol"], class_="i"), " "] if one["symbol"] else []
        lines.append(element("li", f"{one['label']} ", *sign, "= " if sign else ": ", ", ".join(values)))
    return [element("p", "Swept:"), element("ul", *lines)] if lines else []


def _pictures(made: Sequence[Mapping[str, Any]], first: int) -> list[Markup]:
    """Where the script draws."""
    if not made:
        return []
    figures = [
        element(
            "figure",
            element("figcaption", one["title"]),
            data_picture=str(number),
            id=f"picture-{one['name']}-{number}",
        )
        for number, one in enumerate(made, first)
    ]
    without = element(
        "noscript",
        element("p", "Pictures are drawn by a script in this page; the tables below need none.", class_="notice"),
    )
    return [without, element("div", *figures, class_="pictures")]


def _column(data: xr.Dataset, name: str) -> Column:
    one = words(name, data[name].attrs)
    unit = f"({one['units']})" if one["units"] else ""
    return Column(name.replace("_", " "), " ".join(part for part in (one["symbol"], unit) if part))


def _tables(sizes: Mapping[str, int], data: xr.Dataset, beside: Sequence[Beside]) -> list[Markup]:
    """The results of one group."""
    where = "".join(f", {name} = {size}" for name, size in sizes.items())
    made = []
    axes = [name for name in swept(data) if name in data.coords]
    scalars = columns_of(data)
    if scalars and has_runs(data):
        caption = f"Means, the standard error over {bars_over(data)}s of their last digits in brackets{where}."
        made.append(_results(data, caption, axes, scalars, beside))
    if "distance" in data.dims and "entropy" in data:
        names = [name for name in ("entropy", "entropy_bound", "log_volume", "field", "converged") if name in data]
        around = ["around"] if "reference" in data.dims and _both(data) else []
        made.append(
            _results(data, f"Local entropies at distances D{where}.", [*axes, *around, "distance"], names, beside)
        )
    if not made:
        own = [*axes, *(["distance"] if "distance" in data.dims else [])]
        over = {*own, "instance", *SAMPLED}
        names = [
            str(name) for name, array in data.items() if over.issuperset(array.dims) and array.dtype.kind in "fiub"
        ]
        made.append(_results(data, f"Every point{where}.", own, names, ()))
    return made


def _both(data: xr.Dataset) -> bool:
    return bool((data.reference == 0).any() and (data.reference > 0).any())


def _results(data: xr.Dataset, caption: str, axes: list[str], names: list[str], beside: Sequence[Beside]) -> Markup:
    """A row for each point of the axes, and theory beside each quantity that it has an answer for."""
    columns = [Column("distances from") if name == "around" else _column(data, name) for name in axes]
    numbers: list[tuple[xr.DataArray, xr.DataArray | None]] = []
    places: dict[str, np.ndarray] = {name: data[name].values for name in axes if name != "around"}
    for name in names:
        found = averaged(data, name)
        if "around" in axes and "around" in found.coords:
            places["around"] = found["around"].values
        numbers.append((found["mean"], found["error"]))
        columns.append(_column(data, name))
        for one in beside:
            if name in one.data:
                numbers.append((one.data[name], None))
                columns.append(Column("theory", "n → ∞") if one.same else Column("typical solutions", "theory"))
    rows = []
    for place in product(*(places.get(name, np.array([""])) for name in axes)):
        point = dict(zip(axes, place, strict=True))
        cells = [_cell(mean, error, point) for mean, error in numbers]
        rows.append([*map(in_words, place), *cells])
    return table(caption, columns, rows, len(axes))


def _cell(mean: xr.DataArray, error: xr.DataArray | None, point: Mapping[str, Any]) -> str:
    here = {name: value for name, value in point.items() if name in mean.dims}
    value, spread = float(mean.sel(here)), np.nan if error is None else float(error.sel(here))
    return concise(value, spread) if np.isfinite(value) else "–"


def _said(beside: Sequence[Beside]) -> list[Markup]:
    """What the theory in the tables is."""
    lines = []
    for one in beside:
        some = (
            f" {one.solved} of {one.points} points were solved in the time that a page has."
            if one.solved < one.points
            else ""
        )
        lines.append(element("p", f"{one.says[0].upper()}{one.says[1:]}: replica-symmetric.{some}", class_="faint"))
    return lines


def _convergence(sizes: Mapping[str, int], data: xr.Dataset) -> list[Markup]:
    """R-hat and effective numbers of draws of chains, and the flags of methods."""
    where = "".join(f", {name} = {size}" for name, size in sizes.items())
    made = []
    names = [name for name in CHAINED if name in data and {"chain", "draw"} <= set(data[name].dims)]
    if names and data.sizes["draw"] >= FEWEST:
        made.append(_chains(data, names, where))
    rows = []
    for name in [name for name in FLAGS if name in data]:
        values = data[name].astype(float)
        rows.append((FLAGS[name], f"{int(values.sum())} of {values.size}"))
    for name in ("iterations", "steps"):
        if name in data:
            rows.append((f"{name}, median and most", f"{float(data[name].median()):g}, {float(data[name].max()):g}"))
    if "residual" in data:
        rows.append(("residual, largest", f"{float(data.residual.max()):.2g}"))
    for name in columns_of(data):
        missing = int(data[name].isnull().sum()) if data[name].dtype.kind == "f" else 0
        if missing:
            rows.append((f"{name.replace('_', ' ')}: without a number", f"{missing} of {data[name].size}"))
    if rows:
        made.append(facts(f"What the methods say{where}.", rows))
    return made


def _chains(data: xr.Dataset, names: Sequence[str], where: str) -> Markup:
    """The worst R-hat and the smallest effective number of draws among the instances of each point."""
    axes = [name for name in swept(data) if name in data.coords]
    columns, arrays = [_column(data, name) for name in axes], []
    for name in names:
        values = data[name].mean("replica") if "replica" in data[name].dims else data[name]
        values = values.transpose("instance", *axes, "chain", "draw")
        rhat, ess = rhat_and_ess(values.values)
        with np.errstate(all="ignore"):
            arrays += [np.fmax.reduce(rhat, axis=0), np.fmin.reduce(ess, axis=0)]
        columns += [Column(f"R̂ {name.replace('_', ' ')}"), Column("draws", "effective")]
    rows = []
    for place in np.ndindex(*arrays[0].shape):
        numbers = [float(array[place]) for array in arrays]
        cells = [
            "–" if np.isnan(v) else f"{v:.3f}" if number % 2 == 0 else f"{v:.0f}" for number, v in enumerate(numbers)
        ]
        rows.append([*(in_words(data[name].values[i]) for name, i in zip(axes, place, strict=True)), *cells])
    rhats, counts = (np.array(arrays[start::2]) for start in (0, 1))
    poor = int(np.count_nonzero(rhats > GOOD_RHAT))
    fewest = (
        f"the fewest effective draws are {np.nanmin(counts):.0f}."
        if np.isfinite(counts).any()
        else "draws do not differ."
    )
    verdict = f"R̂ is above {GOOD_RHAT} at {poor} of {rhats.size}; {fewest}"
    recorded = f"{data.sizes['chain']} chains of {data.sizes['draw']} draws"
    caption = f"The worst instance at each point, {recorded}, means over replicas{where}. {verdict}"
    return table(caption, columns, rows, len(axes))


def _origin(attributes: Mapping[str, Any], data: xr.Dataset) -> list[Markup]:
    """All attributes, the config, and who made the page."""
    told = {str(name): value for name, value in (dict(data.attrs) | dict(attributes)).items() if name not in APART}
    rows = [(name.replace("_", " "), _value(value)) for name, value in told.items()]
    rows.append(("this page", f"made by gpumc {__version__} with kernels {kernels_digest()}"))
    config = str(attributes.get("config", ""))
    return [
        facts("Attributes of the results.", rows),
        *([element("h3", "The config"), element("pre", element("code", config))] if config else []),
    ]


def _value(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _contents(groups: Groups, name: str, source: str) -> list[Markup]:
    """How to load the data, and what is in it."""
    data = groups[0][1]
    folder = source or "FOLDER"
    file = folder if folder.endswith(".h5") or not name else f"{folder}/{name}.h5"
    group = f"n{data.attrs['n']}_k{data.attrs['k']}" if groups[0][0] else ""
    one = f'data["{group}"]' if group else "data"
    shown = next(iter([*columns_of(data), *map(str, data.data_vars)]))
    over = [dim for dim in ("instance", runs_of(data), "replica", "draw") if dim in data[shown].dims]
    loaded = f"import gpumc\n\ndata = gpumc.open_run({folder!r})\n{one}.{shown}" + (f".mean({over})" if over else "")
    what = "xarray.open_datatree" if group else "xarray.open_dataset"
    without = f'import xarray  # with h5netcdf; needs no gpumc\n\ndata = {what}({file!r}, engine="h5netcdf")'
    rows = []
    for variable in [*data.coords, *data.data_vars]:
        told = words(str(variable), data[variable].attrs)
        parts = told["label"], told["symbol"], f"({told['units']})" if told["units"] else ""
        shape = ", ".join(f"{dim} {size}" for dim, size in data[variable].sizes.items()) or "a number"
        rows.append([str(variable), " ".join(part for part in parts if part), shape, str(data[variable].dtype)])
    columns = [Column("name"), Column("what it is"), Column("dimensions"), Column("type")]
    caption = f"Coordinates and variables{f' of {one}' if group else ''}; axes of one value are left out."
    return [
        *(element("pre", element("code", lines)) for lines in (loaded, without)),
        table(caption, columns, rows, kind="text"),
    ]
