"""Means over what was sampled, and their standard errors."""

from __future__ import annotations

import numpy as np
import xarray as xr

from gpumc.schema import BEHIND

#: Parameters that a picture's axis, its lines and its panels take first, in this order.
FIRST = ("gamma", "margin", "width", "cut", "beta", "coupling", "alpha", "flip", "replicas")
#: A spread below this share of the largest value is rounding.
ROUNDING = 1e-12


def swept(data: xr.Dataset | xr.DataArray) -> list[str]:
    """The parameters that are dimensions, in the order of a picture's axis, its lines and its panels."""
    names = [str(dim) for dim in data.dims if dim not in ("instance", *BEHIND)]
    return sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def runs_of(data: xr.Dataset | xr.DataArray) -> str:
    """The dimension of the independent runs of an instance: chains of sampling, starts of learning."""
    return "start" if "start" in data.dims else "chain"


def bars_over(data: xr.Dataset | xr.DataArray) -> str:
    """What error bars count as independent: instances, or the runs of one where there is one instance."""
    return "instance" if data.sizes["instance"] > 1 else runs_of(data)


def mean_and_error(values: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """The mean over everything sampled, and its standard error: over the means of instances, or of the runs of one where there is one.

    Draws of a chain are correlated and never counted as independent; with one instance and one chain the error is NaN. Where the
    means are equal but for rounding, it is 0.
    """
    sampled = [dim for dim in ("draw", "replica") if dim in values.dims]
    runs, over = ("instance", runs_of(values)), bars_over(values)
    means = values.mean(sampled)
    means = means.mean([dim for dim in runs if dim != over])
    count = means.sizes[over]
    spread = means.std(over, ddof=1) if count > 1 else means.isel({over: 0}) * np.nan
    largest = abs(values).max([*runs, *sampled])
    return means.mean(over), spread.where(~(spread < ROUNDING * largest), 0.0) / np.sqrt(count)


def to_the_end(data: xr.Dataset, name: str) -> xr.DataArray:
    """A curve along epochs, on which runs that have ended stay where they are; runs that are not there stay NaN."""
    curve = data[name]
    return curve.fillna(curve.isel(epoch=data.steps.fillna(1).astype(int) - 1))
