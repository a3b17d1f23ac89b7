"""Results as tables on the terminal, as wide as they are: a pipe has no width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumc.results.quantities import columns_of, concise

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

#: What a table of the theory leaves out.
HIDDEN = ("free_entropy", "stability_density", "quadrature_error", "residual", "iterations")


def print_results(name: str, data: xr.Dataset) -> None:
    """A row for every point of what was swept: means, with the standard errors of their last digits."""
    from rich.table import Table

    from gpumc.results.statistics import bars_over, mean_and_error, swept

    axes = swept(data)
    columns = columns_of(data)
    caption = f"mean(standard error over {bars_over(data)}s, in the last digits)"
    table = Table(title=name or data.attrs.get("name"), caption=caption)
    for column in (*axes, *columns):
        table.add_column(_heading(data[column], " "), justify="right")
    statistics = {column: mean_and_error(data[column]) for column in columns}
    mean = statistics[columns[0]][0]
    for place in mean.stack(point=axes).point.values if axes else [()]:
        values = dict(zip(axes, place, strict=True))
        cells = [concise(float(m.sel(values)), float(e.sel(values))) for m, e in statistics.values()]
        table.add_row(*[f"{value:g}" for value in place], *cells)
    print_table(table)


def print_theory(data: xr.Dataset) -> None:
    """A row for every point."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    axes = [dim for dim in data.dims if dim != "stability"]
    columns = [name for name in data.data_vars if name not in HIDDEN and not data[name].isnull().all()]
    for column in (*axes, *columns):
        table.add_column(_heading(data[column], "\n"), justify="right", no_wrap=True)
    rows = data[columns].stack(point=axes) if axes else data[columns].expand_dims("point")
    for place in range(rows.sizes["point"]):
        row = rows.isel(point=place)
        numbers = [float(row[axis]) for axis in axes]
        table.add_row(*(f"{x:g}" for x in numbers), *(_cell(row[name].item()) for name in columns))
    print_table(table)


def print_table(table: Table) -> None:
    """Print it as wide as it is, or as the terminal where that is wider."""
    from rich.console import Console

    console = Console()
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table)


def _heading(array: xr.DataArray, space: str) -> str:
    """The name of a variable and its unit, words apart by ``space``."""
    units = array.attrs["units"]
    return str(array.name).replace("_", space) + (f"{space}({units})" if units != "1" else "")


def _cell(value: float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.4g}" if not abs(value) < 1e-3 else f"{value:.1e}"
