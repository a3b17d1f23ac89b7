"""The page about a run: its numbers are those of the dataset, it escapes what is not its own, and allows no network."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc.cli.tables import concise
from gpumc.errors import ConfigError, RunError
from gpumc.results import theory_beside
from gpumc.results.convergence import rhat_and_ess
from gpumc.results.quantities import in_letters
from gpumc.results.report import report
from gpumc.results.statistics import mean_and_error
from gpumc.schema import QUANTITIES
from gpumc.sweeps.execution import execute, prepare

ROOT = Path(__file__).parents[3]
#: The quickstart in a second.
SMALL = (
    *("machine.n=101", "patterns.instances=3", "loss.gamma=[0.5,1.0,2.0]"),
    *("sampler.burn_in=20", "sampler.sweeps=60", "sampler.every=5"),
)
#: A run that learns, with volumes and flatness.
LEARNED = """
name = "learned"
[machine]
kind = "tree-committee"
weights = "spherical"
n = 45
k = 3
[patterns]
kind = "random"
alpha = [0.3, 0.5]
instances = 2
[learner]
kind = "entropic-least-action"
replicas = 3
starts = 2
rate = [0.1, 0.2]
[volumes]
distance = [0.05, 0.1]
replicas = true
[flatness]
strength = [0.1, 0.2]
"""


def done(config: Path, out: Path, *overrides: str) -> Path:
    folder = prepare(config, list(overrides), out)
    execute(folder, "cpu", lambda *_: None)
    return out


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory) -> Path:
    return done(ROOT / "runs" / "quickstart.toml", tmp_path_factory.mktemp("runs") / "quickstart", *SMALL)


@pytest.fixture(scope="module")
def text(quickstart) -> str:
    return report(gpumc.open_run(quickstart), quickstart / "report.html", str(quickstart)).read_text(encoding="utf-8")


def pictures_of(text: str) -> dict:
    (numbers,) = re.findall(r'<script type="application/json" id="numbers">(.*?)</script>', text, re.DOTALL)
    return {one["name"]: one for one in reversed(json.loads(numbers))}  # traces repeat a name behind


def cells_of(text: str, caption: str) -> list[list[str]]:
    (table,) = [one for one in re.findall(r"<table.*?</table>", text, re.DOTALL) if caption in one]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [
        [html.unescape(re.sub("<.*?>", " ", cell)).strip() for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)]
        for row in rows
    ]


def page_of(data: xr.Dataset | xr.DataTree, tmp_path: Path) -> str:
    return report(data, tmp_path / "page.html").read_text(encoding="utf-8")


def test_pictures_have_the_numbers_of_the_dataset(quickstart, text):
    data, found = gpumc.open_run(quickstart), pictures_of(text)
    for name in ("error_rate", "energy_per_pattern", "acceptance"):
        mean, error = mean_and_error(data[name])
        assert found[name]["axes"][0]["values"] == data.gamma.values.tolist()
        np.testing.assert_allclose(found[name]["all"]["mean"], mean, rtol=1e-6)
        np.testing.assert_allclose(found[name]["all"]["error"], error, rtol=1e-6)
    along = mean_and_error(data.error_rate.swap_dims(draw="sweep"))[0].transpose("gamma", "sweep")
    np.testing.assert_allclose(found["error_rate"]["along"]["mean"], along.values.ravel(), rtol=1e-6)
    assert (found["overlap_replicas"]["y"]["label"], found["overlap_replicas"]["y"]["symbol"]) == (
        "overlap",
        "",
    )  # of both
    both = [mean_and_error(data[name])[0] for name in ("overlap_replicas", "overlap_centre")]
    np.testing.assert_allclose(found["overlap_replicas"]["all"]["mean"], np.stack(both, axis=1).ravel(), rtol=1e-6)


def test_acceptance_of_instances_is_drawn_along_them(quickstart, text):
    data, found = gpumc.open_run(quickstart), pictures_of(text)["acceptance"]
    assert (found["inner"]["name"], found["runs"]) == ("instance", "chain")
    means = data.acceptance.mean(["chain", "replica"]).transpose("gamma", "instance")
    np.testing.assert_allclose(found["along"]["mean"], means.values.ravel(), rtol=1e-6)
    errors = data.acceptance.mean("replica").std("chain", ddof=1).transpose("gamma", "instance") / np.sqrt(2)
    np.testing.assert_allclose(found["along"]["error"], errors.values.ravel(), rtol=1e-6)


def test_histograms_are_densities(quickstart, text):
    data, found = gpumc.open_run(quickstart), pictures_of(text)["stability"]
    places = np.array(found["inner"]["values"])
    density = np.reshape(found["along"]["mean"], (3, -1))
    assert density.sum(axis=1) * (places[1] - places[0]) == pytest.approx(1.0, abs=0.01)
    wrong = density[:, places < 0].sum(axis=1) * (places[1] - places[0])
    np.testing.assert_allclose(wrong, data.error_rate.mean(["instance", "chain", "replica", "draw"]), atol=0.01)


def test_tables_have_the_numbers_of_the_dataset(quickstart, text):
    data = gpumc.open_run(quickstart)
    head, *rows = cells_of(text, "Means, the standard error")
    place = [cell.split()[0] for cell in head].index("error")
    mean, error = mean_and_error(data.error_rate)
    assert [row[0] for row in rows] == ["0.5", "1", "2"]
    assert [row[place] for row in rows] == [concise(m, e) for m, e in zip(mean.values, error.values, strict=True)]


def test_convergence_is_told_of_the_worst_instance(quickstart, text):
    data = gpumc.open_run(quickstart)
    rhat, ess = rhat_and_ess(data.error_rate.mean("replica").transpose("gamma", "instance", "chain", "draw").values)
    head, *rows = cells_of(text, "The worst instance at each point")
    place = head.index("R̂ error rate")
    assert [row[place] for row in rows] == [f"{worst:.3f}" for worst in rhat.max(axis=1)]
    assert [row[place + 1] for row in rows] == [f"{least:.0f}" for least in ess.min(axis=1)]


def test_theory_stands_beside_the_overlaps(text):
    """At n = 101 the overlaps are within a tenth of those of n -> infinity."""
    (extra,) = pictures_of(text)["overlap_replicas"]["extras"]
    assert extra["kind"] == "theory"
    measured = np.reshape(pictures_of(text)["overlap_replicas"]["all"]["mean"], (3, 2))
    theory = np.reshape(extra["mean"], [2, 3] if extra["dims"] == ["quantity", "gamma"] else [3, 2])
    theory = theory.T if extra["dims"] == ["quantity", "gamma"] else theory
    np.testing.assert_allclose(measured, theory, atol=0.1)
    assert "theory" in " ".join(cells_of(text, "Means, the standard error")[0])


def test_theory_has_a_bounded_time(quickstart):
    data = gpumc.open_run(quickstart)
    some = theory_beside.of_measure(data, patience=0.0)
    assert (some.solved, some.points) == (0, 3)
    assert theory_beside.of_measure(data.assign_attrs(patterns="teacher")) is None
    assert theory_beside.of_measure(data.assign_attrs(machine="full-committee", k=3, n=101)) is None
    assert theory_beside.of_measure(data.assign_attrs(loss="own:Loss")) is None


def test_nothing_but_itself_is_allowed(text):
    """One policy, first of all; the digests are those of the script and the style, and no address of a network is loaded."""
    policy = re.search(
        r'<head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="([^"]*)">', text
    )[1]
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for name, source in (("script-src", "<script>(.*?)</script>"), ("style-src", "<style>(.*?)</style>")):
        (content,) = re.findall(source, text, re.DOTALL)
        assert rules[name] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    assert set(rules) == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    assert set(re.findall(r"https?://[^\s\"']*", text)) == {"http://www.w3.org/2000/svg"}  # a name
    assert not re.findall(
        r"""(?:\b(?:src|srcset|action|data)=|url\(|@import|\bstyle=| on\w+=")""",
        re.sub("<script>.*", "", text, flags=re.DOTALL),
    )
    assert len(text.encode()) < 3_000_000


def test_it_says_what_was_run_where_it_comes_from_and_how_to_load_it(quickstart, text):
    data = gpumc.open_run(quickstart)
    shown = html.unescape(text)
    for words in ("perceptron, n=101", "cross entropy", "β = 5", "coupling = 0.5", "3 instances, 2 chains"):
        assert words in shown
    for name in ("gpumc_version", "seed", "device", "started", "patterns_digest"):
        assert f'<th scope="row">{name.replace("_", " ")}</th><td>{data.attrs[name]}</td>' in text
    assert data.attrs["config"] in shown
    (lines, others) = [
        html.unescape(one) for one in re.findall(r"<pre><code>(import.*?)</code></pre>", text, re.DOTALL)
    ]
    for code in (lines, others):
        loaded: dict = {}
        exec(code, loaded)
        assert loaded["data"].sizes["gamma"] == 3
        loaded["data"].close()


def test_the_same_results_give_the_same_page(quickstart, text, tmp_path):
    again = report(gpumc.open_run(quickstart), tmp_path / "again.html", str(quickstart))
    assert again.read_text(encoding="utf-8") == text


HOSTILE = "</script><script>alert(1)</script>\"'&<!--<img src=x onerror=alert(1)>\u2028"


def test_names_and_texts_of_others_are_text(quickstart, tmp_path):
    data = gpumc.open_run(quickstart)
    for name in ("name", "config", "machine", "patterns", "loss", "device", "sampler"):
        data.attrs[name] = HOSTILE
    data.attrs[HOSTILE] = HOSTILE
    for name in ("error_rate", "overlap_centre", "gamma", "overlap_replicas"):
        data[name].attrs |= {"long_name": HOSTILE, "units": HOSTILE}
    hostile = page_of(data, tmp_path)
    counts = {tag: hostile.count(tag) for tag in ("<script", "</script", "<img", "<!--")}
    assert counts == {"<script": 2, "</script": 2, "<img": 0, "<!--": 0}
    (numbers,) = re.findall(r'id="numbers">(.*?)</script>', hostile, re.DOTALL)
    assert "\u2028" not in numbers
    assert pictures_of(hostile)["error_rate"]["title"] == HOSTILE


def test_symbols_have_letters():
    letters = {name: in_letters(one.symbol) for name, one in QUANTITIES.items()}
    assert not [name for name, symbol in letters.items() if set(symbol) & set("\\{}^_~$")]
    assert letters["gamma"] == "γ"
    assert letters["overlap_centre"] == "Wᵃ·W̃/N"
    assert letters["largest_eigenvalue"] == "λₘₐₓ"
    assert letters["overlap_others"] == "q₀"


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    (folder / "learned.toml").write_text(LEARNED, encoding="utf-8")
    return done(folder / "learned.toml", folder / "run")


def test_a_run_that_learns(learned, tmp_path):
    data = gpumc.open_run(learned)
    found = pictures_of(page_of(data, tmp_path))
    assert {"solved", "error_rate", "log_volume", "entropy", "local_energy"} <= set(found)
    solved, _ = mean_and_error(data.solved)
    np.testing.assert_allclose(found["solved"]["all"]["mean"], solved.transpose("alpha", "rate").values.ravel())
    volumes = found["log_volume"]
    assert [axis["name"] for axis in volumes["axes"]] == ["alpha", "rate", "around"]
    around = data.log_volume.where(data.converged).sel(reference=[1, 2, 3]).mean("reference")
    mean, _ = mean_and_error(around)
    shape = [2, 2, 2, 2]
    np.testing.assert_allclose(
        np.reshape(volumes["along"]["mean"], shape)[:, :, 1], mean.transpose("alpha", "rate", "distance"), rtol=1e-6
    )
    (bound,) = found["entropy"]["extras"]
    assert (bound["kind"], bound["dims"]) == ("bound", ["distance"])


def test_several_sizes_are_an_axis(learned, tmp_path):
    one = gpumc.open_run(learned)
    other = one.assign_attrs(n=297).assign(errors=2 * one.errors, error_rate=one.error_rate / 2)
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"name": "sizes"}), "n45_k3": one, "n297_k3": other})
    text = page_of(tree, tmp_path)
    found = pictures_of(text)["error_rate"]
    assert found["axes"][2] == {
        "name": "n",
        "label": "number of inputs",
        "symbol": "n",
        "units": "",
        "values": [45.0, 297.0],
        "swept": True,
    }
    mean = np.reshape(found["all"]["mean"], (2, 2, 2, 2))[..., 0]  # of the replicas; then that of the centre
    np.testing.assert_allclose(mean[..., 1], mean[..., 0] / 2, rtol=1e-5)
    assert "in brackets, n = 297" in text


def test_a_run_that_is_not_finished(learned, tmp_path, within):
    """It says how much is done, and shows the points that are whole; where there is none, it is an error of one sentence."""
    data = gpumc.open_run(learned)
    part = tmp_path / "part"
    (part / "shards").mkdir(parents=True)
    for name in ("run.json", "config.toml"):
        (part / name).write_bytes((learned / name).read_bytes())
    asked = within("report", part)
    assert asked.returncode == 1
    assert asked.stderr == f"gpumc: {part} has no result yet, 0 of 4 tasks are done: `gpumc run` goes on with it\n"
    for index in (0, 1, 3):
        name = f"task-{index:05}.h5"
        (part / "shards" / name).write_bytes((learned / "shards" / name).read_bytes())
    asked = within("report", part, "--out", tmp_path / "part.html")
    assert asked.stdout == f"page: {tmp_path / 'part.html'}\n"
    text = (tmp_path / "part.html").read_text(encoding="utf-8")
    assert "This run is not finished: 3 of 4 tasks are done" in text
    found = pictures_of(text)["solved"]["all"]["mean"]
    expected = mean_and_error(data.solved)[0].transpose("alpha", "rate").values.ravel().tolist()
    assert found == [*expected[:2], None, expected[3]]


def test_other_datasets(tmp_path):
    """Those of theory, and of entropies of given patterns; a result of one run and few draws."""
    machine = gpumc.Perceptron(21)
    patterns = gpumc.random_patterns(machine, 0.4, seed=1)
    counts = gpumc.Gibbs(gpumc.ErrorCount(), [1.0, np.inf])
    few = gpumc.sample(
        machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(), 1.0), chains=1, burn_in=1, sweeps=3, device="numpy"
    )
    text = page_of(few, tmp_path)
    assert pictures_of(text)["error_rate"]["inner"]["values"] == [1.0, 2.0, 3.0]
    assert "R̂" not in text
    curve = gpumc.theory.replica_symmetric(machine, counts, alpha=0.4)
    rows = cells_of(page_of(curve, tmp_path), "Every point")
    place = rows[0].index("overlap q")
    assert [float(row[place]) for row in rows[1:]] == pytest.approx(curve.overlap.values, rel=1e-4)
    assert pictures_of(page_of(curve, tmp_path))["error_rate"]["axes"][0]["values"] == [1.0, "∞"]
    total = gpumc.entropy(machine, patterns, device="numpy")
    rows = cells_of(page_of(total, tmp_path), "Every point")
    assert float(rows[1][rows[0].index("entropy S (nat)")]) == pytest.approx(float(total.entropy[0]), rel=1e-4)


def test_an_axis_of_names(learned, tmp_path):
    """Results of several learners, put together by the user."""
    one = gpumc.open_run(learned)
    both = xr.concat([one, one], xr.Variable("method", ["slow & <fast>", "fast"]))
    text = page_of(both, tmp_path)
    axes = {axis["name"]: axis["values"] for axis in pictures_of(text)["solved"]["axes"]}
    assert axes["method"] == ["slow & <fast>", "fast"]
    assert "slow &amp; &lt;fast&gt;" in text


def test_volumes_that_did_not_converge_are_left_out_and_counted(learned, tmp_path):
    """Also where a number stands at them."""
    data = gpumc.open_run(learned)
    near = data.assign(converged=data.converged & (data.distance < 0.07))
    text = page_of(near, tmp_path)
    found = pictures_of(text)["entropy"]
    assert found["note"] == "without 50.0% that did not converge"
    assert np.reshape(found["along"]["mean"], (-1, 2))[:, 1].tolist() == [None] * 8
    (place,) = [number for number, cell in enumerate(cells_of(text, "Local entropies")[0]) if cell == "converged"]
    assert {(row[3], row[place]) for row in cells_of(text, "Local entropies")[1:]} == {("0.05", "1"), ("0.1", "0")}


def test_datasets_of_others(tmp_path):
    """Names without attributes are shown as they are; nothing at all is an error of one sentence."""
    text = page_of(xr.Dataset({"height": ("place", [1.5, 2.5]), "entropy": ((), 0.25)}, {"place": [7, 8]}), tmp_path)
    assert [row[-1] for row in cells_of(text, "Every point")] == ["entropy S (nat)", "0.25", "0.25"]
    assert [row[1] for row in cells_of(text, "Every point")] == ["height", "1.5", "2.5"]
    different = xr.DataTree.from_dict({"a": xr.Dataset({"height": 1.0}), "b": xr.Dataset({"width": 1.0})})
    with pytest.raises(RunError, match="not one run at several n or k"):
        report(different, tmp_path / "nothing.html")
    for nothing in (xr.Dataset(), xr.DataTree()):
        with pytest.raises(RunError, match="nothing to be shown"):
            report(nothing, tmp_path / "nothing.html")
    with pytest.raises(ConfigError, match="a Dataset, or a DataTree"):
        report([1.0], tmp_path / "nothing.html")
    assert not (tmp_path / "nothing.html").exists()


def test_where_it_goes(quickstart, tmp_path, within, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert within("report", quickstart).stdout == f"page: {quickstart / 'report.html'}\n"
    assert within("report", quickstart / "quickstart.h5", "--out", "page.html").stdout == "page: page.html\n"
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    for place, said in (("missing", "is not there"), (str(tmp_path), "holds no run")):
        asked = within("report", place)
        assert asked.returncode == 1
        assert said in asked.stderr
    (tmp_path / "folder").mkdir()
    asked = within("report", quickstart, "--out", "folder")
    assert asked.returncode == 1
    assert "it is there and is no file" in asked.stderr
    assert not list(tmp_path.glob("**/.*.tmp"))
