"""The commands; what each needs is imported inside it, so that --help is quick."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import xarray as xr

    from gpumc.sweeps.execution import Drive
    from gpumc.sweeps.sections import ClusterSection

app = typer.Typer(
    help="Sample large populations of replicated neural machines under the local-entropy measure.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_traceback_asked = False


def _path(text: str) -> Path:
    """What is typed is read as it stands: a Path would lose the ./ of ./~name, which is no home."""
    from gpumc.checks import a_path

    return a_path(text)


Folder = Annotated[Path, typer.Argument(help="A run's folder.", metavar="DIR", parser=_path)]


def wants_traceback() -> bool:
    """Whether errors show where they came from: ``--traceback``, or ``GPUMC_DEBUG=1``."""
    return _traceback_asked or os.environ.get("GPUMC_DEBUG", "0") not in ("", "0")


def _version(asked: bool) -> None:
    if asked:
        from gpumc._version import __version__

        typer.echo(f"gpumc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
) -> None:
    global _traceback_asked
    _traceback_asked = traceback


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A TOML file.", metavar="CONFIG", parser=_path)],
    out: Annotated[
        Path | None, typer.Option(help="The run's folder [results/<name>].", metavar="DIR", parser=_path)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, numpy, cuda or cuda:<index>.")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a value: --set sampler.sweeps=100.")] = None,
    checkpoint_every: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds between two checkpoints of a task [120].", metavar="SECONDS")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that do tasks at once, on this machine [1].", metavar="N")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Workers of a scheduler of dask, tcp://host:8786.", metavar="ADDRESS")
    ] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="Jobs of a SLURM cluster, as [cluster] says.")] = False,
    print_script: Annotated[
        bool, typer.Option("--print-script", help="With --slurm: print the batch script of a job, and start nothing.")
    ] = False,
) -> None:
    """Run a config, or go on where it stopped."""
    from gpumc.errors import Stopped
    from gpumc.sweeps.checkpoints import EVERY

    try:
        jobs = _jobs(config, set_ or [], print_script) if slurm or print_script else None
        if jobs and print_script:
            from gpumc.sweeps.distributed.slurm import script

            typer.echo(script(jobs), nl=False)
            return
        every = EVERY if checkpoint_every is None else checkpoint_every
        _run(config, out, device, set_ or [], every, _drive(workers, scheduler, jobs))
    except KeyboardInterrupt:
        raise Stopped("stopped; the same command goes on where it stopped") from None


def _jobs(config: Path, overrides: list[str], print_script: bool) -> ClusterSection:
    """The jobs that a config asks for. Raises ConfigError where it does not."""
    from gpumc.errors import ConfigError
    from gpumc.sweeps.config import read_config
    from gpumc.sweeps.execution import config_text

    jobs = read_config(config_text(config), overrides).cluster
    if jobs is None:
        asked = "--print-script" if print_script else "--slurm"
        raise ConfigError(
            f"{asked} needs a table [cluster] in the config, with its interface, cores, memory and walltime: docs/clusters.md"
        )
    return jobs


def _drive(workers: int | None, scheduler: str | None, jobs: ClusterSection | None) -> Drive | None:
    """Who does the tasks; None where this process does. Raises ConfigError for several answers, and where dask is not installed."""
    from gpumc.errors import ConfigError

    asked = {"--workers": workers is not None, "--scheduler": scheduler is not None, "--slurm": jobs is not None}
    given = [name for name, one in asked.items() if one]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}: one of them is possible")
    if not given:
        return None
    from gpumc.sweeps.distributed import at_address, on_this_machine

    if jobs is not None:
        from gpumc.sweeps.distributed.slurm import by_slurm

        return by_slurm(jobs)
    return at_address(scheduler) if scheduler is not None else on_this_machine(workers or 1)


def _run(
    config: Path, out: Path | None, device: str, overrides: list[str], checkpoint_every: float, drive: Drive | None
) -> None:
    from gpumc.cli.progress import progress
    from gpumc.device import checked_name, choose
    from gpumc.errors import RunError
    from gpumc.sweeps.execution import execute, prepare

    folder = prepare(config, overrides, out)
    chosen = checked_name(device) if drive else choose(device).name
    for broken in folder.set_aside_damaged():
        typer.echo(
            f"gpumc: {broken.with_suffix('.h5').name} was damaged: set aside as {broken.name}, and done again", err=True
        )
    with progress(folder) as report:
        execute(folder, chosen, report, checkpoint_every, drive)
    typer.echo(f"data:    {folder.merged}")
    try:
        _draw(folder.path, folder.merged)
    except RunError as error:  # the run is finished all the same
        typer.echo(f"gpumc: {error}; the data is whole, and `gpumc plot {folder.path}` draws it again", err=True)


@app.command()
def status(
    directory: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on saying it until nobody is at the run any more.")
    ] = False,
) -> None:
    """What is done, running and left, and how long it will take."""
    from gpumc.cli import status as state
    from gpumc.sweeps.folder import RunFolder

    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            state.watch(directory)
    else:
        typer.echo("\n".join(state.lines(RunFolder.open(directory))))


@app.command()
def show(directory: Folder) -> None:
    """A table of the results."""
    from gpumc.cli.tables import print_results
    from gpumc.results import open_run

    for name, data in _groups(open_run(directory)):
        print_results(name, data)


@app.command()
def plot(directory: Folder) -> None:
    """Draw the standard pictures as PNG."""
    from gpumc.sweeps.folder import RunFolder

    folder = RunFolder.open(directory)
    _draw(folder.path, folder.merged)


@app.command()
def report(
    directory: Folder,
    out: Annotated[
        Path | None, typer.Option(help="The page [DIR/report.html].", metavar="FILE.html", parser=_path)
    ] = None,
) -> None:
    """One HTML page about the results, which needs no network."""
    from gpumc.results import open_run
    from gpumc.results.report import report as write
    from gpumc.sweeps.folder import RunFolder

    unfinished = ""
    if directory.is_dir() and not any(directory.glob("*.h5")):
        folder = RunFolder.open(directory)
        data = folder.so_far()
        unfinished = f"This run is not finished: {folder.how_far()}, and only points that are whole are shown."
    else:
        data = open_run(directory)
    if out is None:
        beside = directory if directory.is_dir() else directory.parent
        out = (beside if os.access(beside, os.W_OK) else Path()) / "report.html"
    typer.echo(f"page: {write(data, out, str(directory), unfinished)}")


@app.command()
def merge(
    directory: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.", metavar="FILE.h5", parser=_path)],
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
    loss: Annotated[
        str | None, typer.Option(help="A kind, or module:Class [what its parameter says, else error-count].")
    ] = None,
    gamma: Annotated[str | None, typer.Option(help="Of the cross-entropy.")] = None,
    margin: Annotated[str | None, typer.Option(help="Of the squared hinge, or of --loss error-count.")] = None,
    width: Annotated[str | None, typer.Option(help="Of the band count.")] = None,
    cut: Annotated[str | None, typer.Option(help="Of the logarithmic barrier.")] = None,
    k: Annotated[float | None, typer.Option(help="Hidden units of a tree, or inf.")] = None,
    activation: Annotated[str, typer.Option(help="sign, or relu with k = inf.")] = "sign",
    distance: Annotated[
        str | None, typer.Option(help="Distances D: local entropies around typical references.")
    ] = None,
    replicas: Annotated[str | None, typer.Option(help="y, or inf: with distances, of dense clusters.")] = None,
    coupling: Annotated[str | None, typer.Option(help="To the centre: the local-entropy measure of replicas.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file to write.", metavar="FILE.h5", parser=_path)
    ] = None,
) -> None:
    """Replica theory as n tends to infinity. Numbers may be lists, 0.5,1,2, or ranges, 0.02:0.3:15 for 15 of them."""
    from gpumc.cli.tables import print_theory
    from gpumc.cli.theory import capacity_text, dataset_of, limit_of, loss_of, numbers
    from gpumc.errors import ConfigError
    from gpumc.results import save

    parameters = {"gamma": gamma, "margin": margin, "width": width, "cut": cut}
    of_loss = loss_of(loss, {name: text for name, text in parameters.items() if text is not None})
    given = {"distance": distance, "replicas": replicas, "coupling": coupling}
    if alpha is None:
        named = [name for name, text in ({"loss": loss} | parameters | given).items() if text is not None]
        if named:
            raise ConfigError(f"--{named[0]} without --alpha: only the capacity needs no alpha")
        typer.echo(capacity_text(limit_of(machine, k, activation)))
        return
    places = {name: numbers(name, text) for name, text in given.items() if text is not None}
    limit = limit_of(machine, k, activation)
    data = dataset_of(limit, of_loss, numbers("alpha", alpha), numbers("beta", beta), places)
    print_theory(data)
    if output:
        typer.echo(f"data: {save(data, output)}")


@app.command()
def flatness(
    file: Annotated[Path, typer.Argument(help="Arrays xi, labels and weights.", metavar="FILE.npz", parser=_path)],
    machine: Annotated[
        str, typer.Option(help="perceptron, tree-committee, full-committee or tree-parity.")
    ] = "perceptron",
    k: Annotated[int | None, typer.Option(help="Hidden units [1].")] = None,
    weights: Annotated[str | None, typer.Option(help="binary or spherical [binary where all are +-1].")] = None,
    activation: Annotated[str, typer.Option(help="sign, relu, erf or tanh.")] = "sign",
    distance: Annotated[str, typer.Option(help="Of local volumes.")] = "0.02,0.05,0.1",
    strength: Annotated[str, typer.Option(help="Of the noise of weights.")] = "0.1,0.2,0.3",
    eta: Annotated[str, typer.Option(help="Of the noise of inputs.")] = "0.5,1,2",
    gamma: Annotated[float, typer.Option(help="Of the cross-entropy, in the Hessian.")] = 1.0,
    slope: Annotated[float, typer.Option(help="Of the hidden units, in the Hessian.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu, numpy, cuda or cuda:<index>.")] = "auto",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file to write.", metavar="FILE.h5", parser=_path)
    ] = None,
) -> None:
    """How flat given weights lie: local volumes, errors under noise of weights and inputs, and the Hessian."""
    from gpumc.cli.flatness import measured, read, table
    from gpumc.cli.tables import print_theory
    from gpumc.cli.theory import numbers
    from gpumc.results import save

    given = read(file, machine, k, weights, activation)
    places = {
        "distance": numbers("distance", distance),
        "strength": numbers("strength", strength),
        "eta": numbers("eta", eta),
    }
    data = measured(*given, places, gamma=gamma, slope=slope, device=device)
    print_theory(table(data))
    if output:
        typer.echo(f"data: {save(data, output)}")


@app.command()
def bench(
    device: Annotated[str | None, typer.Option(help="cpu, numpy, cuda or cuda:<index> [every compiled one].")] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Time the same work in Numba and JAX, too.")] = False,
    json: Annotated[
        Path | None, typer.Option(help="A file to write the rates to.", metavar="FILE.json", parser=_path)
    ] = None,
) -> None:
    """How fast this machine is: flip attempts a second of four standard workloads, in about a minute."""
    from gpumc.bench import PEERS, available, report
    from gpumc.device import choose

    report(
        [choose(device)] if device else available(),
        PEERS if peers else (),
        walkers=None,
        seconds=1.0,
        file=json,
    )


@app.command()
def info() -> None:
    """Devices, versions, and where kernels are cached."""
    from importlib.metadata import version

    from gpumc._version import __version__
    from gpumc.device import describe

    facts = {"gpumc": __version__, **describe()}
    facts |= {name: version(name) for name in ("scipy", "xarray", "h5netcdf", "h5py")}
    width = max(map(len, facts))
    for name, value in facts.items():
        typer.echo(f"{name:{width}}  {value}")


def _groups(data: xr.Dataset | xr.DataTree) -> list[tuple[str, xr.Dataset]]:
    """A result's datasets by the name of their group, "" where there is one."""
    import xarray as xr

    if isinstance(data, xr.Dataset):
        return [("", data)]
    return [(name, node.to_dataset()) for name, node in data.children.items()]


def _draw(folder: Path, merged: Path) -> None:
    """Draw the standard pictures of ``merged`` into ``folder``. Raises RunError for one that cannot be drawn."""
    from gpumc.errors import GpumcError, RunError, first_line
    from gpumc.results import load

    folder = folder if os.access(folder, os.W_OK) else Path()  # another's results are drawn beside the user
    for name, data in _groups(load(merged)):
        path = folder / (f"{merged.stem}-{name}.png" if name else f"{merged.stem}.png")
        try:
            from gpumc.results.plots import plot as draw

            draw(data, path)
        except GpumcError:
            raise
        except Exception as error:  # matplotlib, its settings, fonts and back ends fail in ways of their own
            reason = first_line(error)
            raise RunError(f"the picture {path} cannot be drawn ({reason})") from error
        typer.echo(f"picture: {path}")
