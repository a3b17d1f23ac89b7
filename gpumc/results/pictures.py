"""The pictures of a page as plain data: means and errors over axes, of which a reader chooses what is drawn along which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gpumc.results.quantities import FROM_ZERO, PICTURES, TRACES, in_letters, standard
from gpumc.results.statistics import bars_over, mean_and_error, runs_of, swept, to_the_end
from gpumc.results.theory_beside import Beside
from gpumc.schema import BEHIND, QUANTITIES, attributes

#: Datasets of a result, each with its n or k where a run has several.
Groups = Sequence[tuple[Mapping[str, int], xr.Dataset]]
#: Dimensions along which a quantity may be drawn, beside what was swept, and the coordinates that say where.
ALONG = {"draw": "sweep", **{dim: dim for dim in ("epoch", "distance", "strength", "eta", "instance")}}
#: Of these, those over all of which, or at whose end, a quantity is one number.
SUMMED = ("draw", "epoch", "instance")
#: Dimensions that are averaged over, or told apart.
AVERAGED = ("instance", "chain", "start", "replica", "volume_draw", "reference")
#: Points along a curve, and numbers of a picture in all, before curves are thinned out.
MOST_POINTS, MOST_NUMBERS = 100, 20_000
#: What is said where a quantity is averaged over curves.
OVER = {"draw": "mean over all sweeps", "epoch": "after the last epoch"}
#: What the mean of a quantity is called, where it is not what its values are.
MEANS = {"solved": {"long_name": "fraction of runs that found a solution"}}
#: Bins at both ends of a histogram that hold less than this share of the fullest one are left out.
EMPTY = 1e-3
#: Significant digits of the numbers in a page.
DIGITS = 7
#: What groups of a result are told apart by.
SIZES = {"n": "number of inputs", "k": "number of hidden units"}
#: What is NaN where a volume has not converged.
VOLUMES = ("entropy", "log_volume", "field")
#: Axes that are no parameters: quantities that share a picture, and what distances are measured from.
OTHER_AXES = {"quantity": "quantity", "around": "distances from"}


def prepared(datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Datasets of one result as they are drawn: axes of one value dropped, numbers on others sorted; volumes without an answer are NaN."""
    found = []
    for data in datasets:
        single = [name for name in swept(data) if all(other.sizes.get(name, 1) == 1 for other in datasets)]
        data = data.squeeze(single)
        data = data.sortby([name for name in swept(data) if name in data.coords and data[name].dtype.kind in "fiu"])
        if "converged" in data and "distance" in data.converged.dims:
            volumes = [name for name in VOLUMES if name in data]
            data = data.assign({name: data[name].where(data.converged) for name in volumes})
        found.append(data)
    return found


def averaged(data: xr.Dataset, name: str, along: str | None = None) -> xr.Dataset:
    """``mean`` and ``error`` of a quantity over what was swept, and over the dimension ``along`` which it is drawn.

    References of distances are told apart as the centre and the mean of the replicas, over ``around``; of epochs the last counts.
    """
    values = to_the_end(data, name) if "epoch" in data[name].dims else data[name]
    if "epoch" in values.dims and along != "epoch":
        values = values.isel(epoch=-1, drop=True)
    if "reference" in values.dims:
        values = _around(values)
    values = values.rename({dim: "draw" for dim in ("volume_draw",) if dim in values.dims})
    if along == "draw":
        values = values.swap_dims(draw="sweep")
    missing = [
        dim
        for dim in ("instance", "chain")
        if dim not in values.dims and not (dim == "chain" and "start" in values.dims)
    ]
    values = values.expand_dims(missing).astype(float)
    if along == "instance":
        each = [mean_and_error(values.isel(instance=[place])) for place in range(values.sizes["instance"])]
        mean, error = (xr.concat(parts, values.instance.variable) for parts in zip(*each, strict=True))
    else:
        mean, error = mean_and_error(values)
    own = f"{name}_error"
    if own in data and np.isnan(error).all():  # of one run, which knows its error itself
        error = data[own].mean([dim for dim in data[own].dims if dim not in mean.dims])
    return xr.Dataset({"mean": mean, "error": error}).drop_vars(
        ["instance", "chain", "start", "replica"], errors="ignore"
    )


def _around(values: xr.DataArray) -> xr.DataArray:
    """Over ``around`` in the place of ``reference``: the centre and the mean of all replicas, where there are both."""
    parts = {
        "the centre": values.isel(reference=np.flatnonzero(values.reference == 0)),
        "replicas": values.isel(reference=np.flatnonzero(values.reference > 0)),
    }
    means = {label: part.mean("reference") for label, part in parts.items() if part.sizes["reference"]}
    if len(means) == 1:
        return next(iter(means.values()))
    return xr.concat(list(means.values()), xr.Variable("around", list(means)))


def pictures(groups: Groups, beside: Sequence[Beside]) -> list[dict[str, Any]]:
    """All pictures of ``groups`` that are `prepared`: first those of the standard picture, then the other quantities, then stabilities.
    ``beside`` is what theory says of a result that is one group."""
    first = groups[0][1]
    ahead = standard(first, swept(first)) if "error_rate" in first and has_runs(first) else []
    found = [names for names in ([n for n in names if n in first] for names in PICTURES) if names]
    found.sort(key=lambda names: next((place for place, name in enumerate(ahead) if name in names), len(ahead)))
    made = [_picture(groups, names, beside, whole=True) for names in found]
    return [one for one in made if one] + _histograms(groups)


def traces(groups: Groups) -> list[dict[str, Any]]:
    """The picture that shows whether a run has converged: a quantity along sweeps or epochs."""
    first = groups[0][1]
    names = [name for name in TRACES if name in first and _along(first[name]) in SUMMED[:2]]
    made = [_picture(groups, [name], (), whole=False) for name in names[:1]]
    return [one for one in made if one]


def _picture(groups: Groups, names: list[str], beside: Sequence[Beside], whole: bool) -> dict[str, Any] | None:
    """One picture of quantities that share it; with ``whole``, those along sweeps and epochs also against what was swept."""
    first = groups[0][1]
    names = [name for name in names if _drawable(first[name])]
    if not names:
        return None
    along = _along(first[names[0]])
    names = [name for name in names if _along(first[name]) == along]
    curves = _cube(groups, names, along) if along else None
    everything = _cube(groups, names, None) if whole and along in (None, *SUMMED) else None
    inner = ALONG[along] if along else None
    shape = everything if everything is not None else curves
    if shape is None or not np.isfinite(shape["mean"]).any():
        return None
    lead = [str(dim) for dim in shape["mean"].dims if dim != inner]
    axes = [dim for dim in swept(shape["mean"]) if dim in lead and dim not in OTHER_AXES]
    axes.sort(key=SIZES.__contains__)  # behind the parameters
    if not axes:
        everything = None
        if curves is None:
            return None
    dims = [*axes, *(dim for dim in lead if dim not in axes)]
    extras = [_theory(one, names) for one in beside if any(name in one.data for name in names)]
    if "entropy" in names and "entropy_bound" in first:
        extras.append(_extra("bound: no patterns", "bound", first.entropy_bound))
    own = {"long_name": "overlap", "units": "1"} if names[0].startswith("overlap") and len(names) > 1 else {}
    told = own or first[names[0]].attrs | MEANS.get(names[0], {})
    said = words("overlap" if own else names[0], told)
    return {
        "name": names[0],
        "title": said["label"],
        "y": said,
        "over": OVER.get(along or "", ""),
        "note": _missing(first) if names[0] in VOLUMES else "",
        "zero": names[0] in FROM_ZERO,
        **_bars(first),
        "axes": [_axis(shape, dim) for dim in dims],
        "inner": _axis(curves, inner) if curves is not None and inner else None,
        "all": _numbers(everything, dims) if everything is not None else None,
        "along": _numbers(curves, [*dims, str(inner)]) if curves is not None else None,
        "extras": extras,
    }


def _bars(data: xr.Dataset) -> dict[str, str]:
    """What error bars are over, and what they are over of one instance; "" where there is only one run."""
    over = {"bars": bars_over(data), "runs": runs_of(data)} if has_runs(data) else {"bars": "", "runs": ""}
    return {name: dim if data.sizes.get(dim, 1) > 1 else "" for name, dim in over.items()}


def _missing(data: xr.Dataset) -> str:
    """The share of volumes that did not converge, and are in no mean."""
    share = 1 - float(data.converged.mean()) if "converged" in data else 0.0
    return f"without {share:.1%} that did not converge" if share else ""


def has_runs(data: xr.Dataset) -> bool:
    """Whether there are instances, and chains or starts of each."""
    return "instance" in data.dims and runs_of(data) in data.dims


def _drawable(values: xr.DataArray) -> bool:
    """Whether no dimension is left over, of those that are no parameters."""
    return not set(values.dims) & set(BEHIND) - {*AVERAGED, *ALONG}


def _along(values: xr.DataArray) -> str | None:
    """The dimension along which a quantity may be drawn: its instances where there is no other, and several."""
    there = [dim for dim, place in ALONG.items() if values.sizes.get(dim, 1) > 1 and place in values.coords]
    return there[0] if there else None


def _cube(groups: Groups, names: list[str], along: str | None) -> xr.Dataset | None:
    """Means and errors of quantities over all axes; None where the groups are not at the same places."""
    parts = []
    for sizes, data in groups:
        one = [averaged(data, name, along) for name in names]
        labels = [words(name, data[name].attrs)["label"] for name in names]
        part = (
            xr.concat(one, xr.Variable("quantity", labels), coords="minimal", compat="override")
            if len(one) > 1
            else one[0]
        )
        parts.append(part.expand_dims({name: [size] for name, size in sizes.items()}))
    inner = ALONG[along] if along else None
    if inner and any(not parts[0][inner].equals(part[inner]) for part in parts):
        return None
    together = xr.combine_by_coords(parts, join="outer", combine_attrs="override") if len(parts) > 1 else parts[0]
    assert isinstance(together, xr.Dataset)
    for name, long_name in SIZES.items():
        if name in together.dims:
            together[name].attrs = {"long_name": long_name, "units": "1", "symbol": name}
    return _thinned(together, inner) if inner and along in SUMMED else together


def _thinned(cube: xr.Dataset, inner: str) -> xr.Dataset:
    """Every so many of the points of curves that are long; the last is kept."""
    most = max(2, min(MOST_POINTS, MOST_NUMBERS * cube.sizes[inner] // max(1, cube["mean"].size)))
    step = -(-cube.sizes[inner] // most)
    return cube.isel({inner: slice((cube.sizes[inner] - 1) % step, None, step)})


def _histograms(groups: Groups) -> list[dict[str, Any]]:
    """The densities of stabilities, a picture for each group, whose bins are its own."""
    made = []
    for sizes, data in groups:
        if "stability_count" not in data or data.sizes["stability"] < 3:
            continue
        counts = data.stability_count
        mean = counts.sum([dim for dim in counts.dims if dim != "stability"])
        (full,) = np.nonzero(mean.values > EMPTY * mean.values.max())
        counts = counts.isel(stability=slice(int(full[0]), int(full[-1]) + 1))
        factor = -(-counts.sizes["stability"] // MOST_POINTS)
        counts = counts.coarsen(stability=factor, boundary="pad").sum() if factor > 1 else counts
        width = factor * float(data.stability[1] - data.stability[0])
        density = (counts / (data.stability_count.sum("stability") * width)).expand_dims("chain")
        average, error = mean_and_error(density)
        cube = xr.Dataset({"mean": average, "error": error})
        cube.stability.attrs = data.stability.attrs
        axes = swept(average)
        title = ", ".join(["distribution of the stability", *(f"{name} = {size}" for name, size in sizes.items())])
        made.append(
            {
                "name": "stability",
                "title": title,
                "over": "",
                "note": "",
                "y": words("density", {"long_name": "probability density", "symbol": r"P(\Delta)", "units": "1"}),
                "zero": True,
                **_bars(data),
                "axes": [_axis(cube, dim) for dim in axes],
                "inner": _axis(cube, "stability"),
                "all": None,
                "along": _numbers(cube, [*axes, "stability"]),
                "extras": [],
            }
        )
    return made


def _theory(beside: Beside, names: list[str]) -> dict[str, Any]:
    """What theory says of the quantities that share a picture."""
    kind = "theory" if beside.same else "guide"
    if len(names) == 1:
        return _extra(beside.says, kind, beside.data[names[0]])
    nothing = next(iter(beside.data.values())) * np.nan
    parts = [beside.data.get(name, nothing) for name in names]
    return _extra(beside.says, kind, xr.concat(parts, "quantity"))


def _extra(label: str, kind: str, values: xr.DataArray) -> dict[str, Any]:
    """A line beside the results, over some of the axes: of a "theory" of them, a "guide" to the eye, or a "bound"."""
    for dim in values.dims:
        most, least = values.max(str(dim)), values.min(str(dim))
        if dim not in ALONG and bool(((most == least) | most.isnull()).all()):
            values = most
    dims = [str(dim) for dim in values.dims]
    return {"label": label, "kind": kind, "dims": dims, "mean": plain(values.values)}


def words(name: str, facts: Mapping[Any, Any]) -> dict[str, Any]:
    """The name, long name, symbol and unit of a quantity, as letters."""
    if "long_name" not in facts:
        facts = attributes(name) if name in QUANTITIES else {"long_name": name.replace("_", " ")}
    symbol = in_letters(facts["symbol"]) if "symbol" in facts else ""
    units = facts.get("units", "1")
    return {"name": name, "label": facts["long_name"], "symbol": symbol, "units": "" if units == "1" else units}


def _axis(cube: xr.Dataset, name: str) -> dict[str, Any]:
    """An axis: its words and its values, which are text where they are not all finite numbers."""
    values = cube[name].values
    if name in OTHER_AXES:
        return words(name, {"long_name": OTHER_AXES[name]}) | {
            "values": [str(value) for value in values],
            "swept": False,
        }
    if values.dtype.kind not in "fiu":
        told: list[Any] = [in_words(value) for value in values]
    else:
        told = [plain(np.array(value))[0] if np.isfinite(value) else "∞" for value in values]
    return words(name, cube[name].attrs) | {"values": told, "swept": True}


def in_words(value: Any) -> str:
    """A value on an axis, which may be text."""
    return f"{value:g}" if isinstance(value, (float, int, np.number)) else str(value)


def _numbers(cube: xr.Dataset, dims: list[str]) -> dict[str, Any]:
    """Means and errors, the last dimension fastest."""
    return {"dims": dims, **{name: plain(cube[name].transpose(*dims).values) for name in ("mean", "error")}}


def plain(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, to DIGITS: None for those that are not finite."""
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values.ravel().tolist()]
