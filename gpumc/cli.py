"""The command line: thin, and quick to say --help; what it needs is imported inside the commands."""

from __future__ import annotations

import math
import sys
import time
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import xarray as xr

    from gpumc.sweeps.folder import RunFolder

app = typer.Typer(
    help="Sample large populations of replicated neural machines under the local-entropy measure.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_show_traceback = False
#: Seconds between lines of progress where there is no terminal.
LINE_EVERY = 10.0

Folder = Annotated[Path, typer.Argument(help="A run's folder.", metavar="DIR")]


@app.callback()
def _options(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
) -> None:
    global _show_traceback
    _show_traceback = traceback


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A TOML file.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder [results/<name>].")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, numpy, cuda or cuda:<index>.")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a value: --set sampler.sweeps=100.")] = None,
) -> None:
    """Run a config, or go on where it stopped."""
    from gpumc.errors import Stopped

    try:
        _run(config, out, device, set_ or [])
    except KeyboardInterrupt:
        raise Stopped("stopped; the same command goes on where it stopped") from None


def _run(config: Path, out: Path | None, device: str, overrides: list[str]) -> None:
    from gpumc.device import choose
    from gpumc.sweeps.run import execute, prepare

    folder = prepare(config, overrides, out)
    chosen = choose(device).name
    for broken in folder.set_aside_damaged():
        typer.echo(
            f"gpumc: {broken.with_suffix('.h5').name} was damaged: set aside as {broken.name}, and done again", err=True
        )
    with _progress(folder) as report:
        execute(folder, chosen, report)
    pictures = _draw(folder.path, folder.merged)
    typer.echo(f"data:    {folder.merged}")
    for picture in pictures:
        typer.echo(f"picture: {picture}")


@app.command()
def status(directory: Folder) -> None:
    """What is done, running and left, and how long it will take."""
    from gpumc.sweeps.folder import RunFolder
    from gpumc.sweeps.plan import attempts_of

    folder = RunFolder.open(directory)
    config, done = folder.config, folder.done()
    running = folder.running()
    typer.echo(
        f"{config.name}: {len(done)} of {len(folder.tasks)} tasks done, {len(folder.tasks) - len(done)} left; "
        f"{'running' if running else 'not running'}"
    )
    progress = folder.read_progress()
    if progress and progress.task not in done:
        left = progress.total - progress.done
        left += sum(attempts_of(config, t) for i, t in enumerate(folder.tasks) if i not in done and i != progress.task)
        typer.echo(
            f"task {progress.task + 1}: {progress.done / progress.total:.0%} at {progress.rate:.3g} attempts/s; "
            f"about {_duration(left / progress.rate)} left"
        )
    elif len(done) < len(folder.tasks) and not running:
        typer.echo("the same `gpumc run` goes on with it")


@app.command()
def show(directory: Folder) -> None:
    """A table of the results."""
    from rich.console import Console
    from rich.table import Table

    from gpumc.results import open_run
    from gpumc.results.plots import SWEPT, bars_over, mean_and_error

    console = Console()
    for name, data in _groups(open_run(directory)):
        axes = [axis for axis in SWEPT if axis in data.dims]
        columns = [v for v in ("energy", "error_rate", "overlap_replicas", "overlap_centre", "acceptance") if v in data]
        caption = f"mean(standard error over {bars_over(data)}s, in the last digits)"
        table = Table(title=name or data.attrs.get("name"), caption=caption)
        for column in (*axes, *columns):
            table.add_column(column.replace("_", " "), justify="right")
        statistics = {column: mean_and_error(data[column]) for column in columns}
        mean = statistics["energy"][0]
        for place in mean.stack(point=axes).point.values if axes else [()]:
            values = dict(zip(axes, place, strict=True))
            cells = [_concise(float(m.sel(values)), float(e.sel(values))) for m, e in statistics.values()]
            table.add_row(*[f"{value:g}" for value in place], *cells)
        console.print(table)


@app.command()
def plot(directory: Folder) -> None:
    """Draw the standard pictures as PNG."""
    from gpumc.sweeps.folder import RunFolder

    folder = RunFolder.open(directory)
    for picture in _draw(folder.path, folder.merged):
        typer.echo(f"picture: {picture}")


@app.command()
def merge(
    directory: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.", metavar="FILE.h5")],
) -> None:
    """Put all shards of a run into one self-contained HDF5 file."""
    from gpumc.results import save
    from gpumc.sweeps.folder import RunFolder

    typer.echo(f"data: {save(RunFolder.open(directory).merge(), output)}")


@app.command()
def theory(
    machine: Annotated[str, typer.Argument(help="binary- or spherical- perceptron, tree-committee or tree-parity.")],
    alpha: Annotated[str | None, typer.Option(help="Patterns per weight; without it the capacity is printed.")] = None,
    beta: Annotated[str, typer.Option(help="Inverse temperature, of references where there are distances.")] = "inf",
    gamma: Annotated[str | None, typer.Option(help="gamma of the cross-entropy [the error count].")] = None,
    margin: Annotated[float | None, typer.Option(help="Margin of the squared hinge [the error count].")] = None,
    k: Annotated[float | None, typer.Option(help="Hidden units of a tree, or inf.")] = None,
    activation: Annotated[str, typer.Option(help="sign, or relu with k = inf.")] = "sign",
    distance: Annotated[
        str | None, typer.Option(help="Distances D: local entropies around typical references.")
    ] = None,
    replicas: Annotated[str | None, typer.Option(help="y, or inf: with distances, of dense clusters.")] = None,
    coupling: Annotated[str | None, typer.Option(help="To the centre: the local-entropy measure of replicas.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file to write.", metavar="FILE.h5")] = None,
) -> None:
    """Replica theory as n tends to infinity. Numbers may be lists, 0.5,1,2, or ranges, 0.02:0.3:15 for 15 of them."""
    from gpumc.errors import ConfigError
    from gpumc.losses import CrossEntropy, ErrorCount, Loss, SquaredHinge
    from gpumc.results import save
    from gpumc.theory.ask import asked, capacity_text, numbers

    if gamma is not None and margin is not None:
        raise ConfigError("--gamma and --margin: a loss has one of them, the cross-entropy or the squared hinge")
    given = {"distance": distance, "replicas": replicas, "coupling": coupling}
    if alpha is None:
        named = [name for name, text in ({"gamma": gamma, "margin": margin} | given).items() if text is not None]
        if named:
            raise ConfigError(f"--{named[0]} without --alpha: only the capacity needs no alpha")
        typer.echo(capacity_text(machine, k, activation))
        return
    loss: Loss = ErrorCount() if margin is None else SquaredHinge(margin)
    if gamma is not None:
        loss = CrossEntropy(numbers("gamma", gamma))
    places = {name: numbers(name, text) for name, text in given.items() if text is not None}
    data = asked(machine, loss, numbers("alpha", alpha), numbers("beta", beta), places, k, activation)
    _print_theory(data)
    if output:
        typer.echo(f"data: {save(data, output)}")


def _print_theory(data: xr.Dataset) -> None:
    """A row for every point."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    axes = [dim for dim in data.dims if dim != "stability"]
    hidden = ("free_entropy", "stability_density", "quadrature_error", "residual", "iterations")
    columns = [name for name in data.data_vars if name not in hidden and not data[name].isnull().all()]
    for column in (*axes, *columns):
        table.add_column(str(column).replace("_", "\n"), justify="right", no_wrap=True)
    rows = data[columns].stack(point=axes) if axes else data[columns].expand_dims("point")
    for place in range(rows.sizes["point"]):
        row = rows.isel(point=place)
        numbers = [float(row[axis]) for axis in axes]
        table.add_row(*(f"{x:g}" for x in numbers), *(_cell(row[name].item()) for name in columns))
    console = Console()
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table)


def _cell(value: float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.4g}" if not abs(value) < 1e-3 else f"{value:.1e}"


@app.command()
def bench(
    device: Annotated[str | None, typer.Option(help="cpu, numpy, cuda or cuda:<index> [every compiled one].")] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Time the same work in Numba and JAX, too.")] = False,
    json: Annotated[Path | None, typer.Option(help="A file to write the rates to.")] = None,
) -> None:
    """How fast this machine is: flip attempts a second of four standard workloads, in about a minute."""
    from gpumc.bench import PEERS, available, report
    from gpumc.device import choose

    report([choose(device)] if device else available(), PEERS if peers else (), walkers=1024, seconds=1.0, file=json)


@app.command()
def info() -> None:
    """Devices, versions, and where kernels are cached."""
    from importlib.metadata import version

    import gpumc
    from gpumc.device import describe

    facts = {"gpumc": gpumc.__version__, **describe()}
    facts |= {name: version(name) for name in ("scipy", "xarray", "h5netcdf", "h5py")}
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:{width}}  {value}")


def main() -> None:
    """The command `gpumc`: errors are one plain sentence, and the exit status is 2 for usage, 1 for the rest."""
    from gpumc.errors import GpumcError

    warnings.showwarning = lambda message, *_, **__: _said_once(str(message))
    try:
        app()
    except GpumcError as error:
        _fail(str(error), error.exit_status)
    except MemoryError as error:
        _fail(f"out of memory ({error or 'no more could be had'}): use fewer chains, or fewer grid points", 1)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 1)
    except Exception as error:
        if type(error).__name__ != "OutOfMemoryError":  # of cupy, which is not imported here
            raise
        _fail(f"out of memory on the device ({error}): use fewer chains, or fewer grid points", 1)


@cache
def _said_once(message: str) -> None:
    print(f"gpumc: {message}", file=sys.stderr)


def _fail(message: str, status: int) -> None:
    if _show_traceback:
        import traceback

        traceback.print_exc()
    print(f"gpumc: {message}", file=sys.stderr)
    sys.exit(status)


@contextmanager
def _progress(folder: RunFolder):
    """A progress bar on a terminal, lines elsewhere: a callback (task, tasks, attempts done, attempts in all)."""
    from gpumc.sweeps.plan import attempts_of

    config, before = folder.config, set(folder.done())
    sizes = [0 if index in before else attempts_of(config, task) for index, task in enumerate(folder.tasks)]
    total, started = sum(sizes), time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f}% {task.fields[rate]}"),
        )
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            row = bar.add_task(config.name, total=total, rate="")

            def draw(index: int, tasks: int, done: int, _: int) -> None:
                made = sum(sizes[:index]) + done
                rate = made / max(time.monotonic() - started, 1e-9)
                description = f"{config.name} task {index + 1}/{tasks}" if tasks > 1 else config.name
                bar.update(row, completed=made, rate=f"{rate:.3g} attempts/s", description=description)

            yield draw
        return
    printed = started

    def say(index: int, tasks: int, done: int, _: int) -> None:
        nonlocal printed
        made = sum(sizes[:index]) + done
        if time.monotonic() - printed < LINE_EVERY and made < total:
            return
        printed = time.monotonic()
        rate = made / max(printed - started, 1e-9)
        left = _duration((total - made) / rate)
        print(
            f"gpumc: task {index + 1}/{tasks}, {made / total:.0%}, {rate:.3g} attempts/s, {left} left", file=sys.stderr
        )

    yield say


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _concise(mean: float, error: float) -> str:
    """0.0804(7) for 0.0804 ± 0.0007; the mean alone where there is no error."""
    if not error > 0:
        return f"{mean:.5g}"
    decimals = max(0, -math.floor(math.log10(error)))
    return f"{mean:.{decimals}f}({error * 10**decimals:.0f})"


def _groups(data: xr.Dataset | xr.DataTree) -> list[tuple[str, xr.Dataset]]:
    """A result's datasets by the name of their group, "" where there is one."""
    import xarray as xr

    if isinstance(data, xr.Dataset):
        return [("", data)]
    return [(name, node.to_dataset()) for name, node in data.children.items()]


def _draw(folder: Path, merged: Path) -> list[Path]:
    from gpumc.results import load
    from gpumc.results.plots import plot as draw

    stem = merged.stem
    return [
        draw(data, folder / (f"{stem}-{name}.png" if name else f"{stem}.png")) for name, data in _groups(load(merged))
    ]


if __name__ == "__main__":
    main()
