"""Opening what runs have left: files, and the folders of runs."""

from __future__ import annotations

import os

import xarray as xr

from gpumc.checks import a_path, one_of
from gpumc.errors import Damaged, RunError
from gpumc.results.files import load
from gpumc.results.merging import merged_label


def open_run(path: str | os.PathLike, lazy: bool = False) -> xr.Dataset | xr.DataTree:
    """The results in ``path``: a file, or a finished run's folder, whose merged file is read.

    A run with lists of n or k is a DataTree with a group for each.

    Parameters
    ----------
    path : str or path
        A file of results, or a run's folder.
    lazy : bool
        Give dask arrays over the shards of a run's folder, which need not be finished; each reads its blocks when it is computed. What is
        not there yet is NaN, and whole numbers are float64 for that where tasks are missing; of binary weights it is 0. The attribute
        ``tasks_missing`` counts these tasks.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
        Of a finished run, the same with and without ``lazy``.

    Raises
    ------
    RunError
        For what is not there, damaged or, unless ``lazy``, not finished; with ``lazy`` also where no task is finished.

    Examples
    --------
    >>> gpumc.open_run("results/flatness", lazy=True).energy.sel(alpha=0.4).mean().compute()  # doctest: +SKIP
    """
    path = a_path(path)
    if one_of("lazy", lazy, bool, "True or False"):
        from gpumc.results.lazy import open_lazily

        return open_lazily(path)
    if not path.is_dir():
        return load(path)
    merged = sorted(path.glob("*.h5"))
    if not merged:
        raise RunError(f"{path} holds no merged file (*.h5): if its run is not finished, `gpumc run` goes on with it")
    if len(merged) > 1:
        raise RunError(f"{path} holds {len(merged)} files (*.h5): open one of them, such as {merged[0]}")
    shards = sorted(shard for shard in path.glob("shards/task-*.h5") if shard.stem[len("task-") :].isdigit())
    try:
        return load(merged[0], merged_label(shards) if shards else None)
    except Damaged as error:
        raise Damaged(f"{error}: `gpumc run` makes it again") from None
