"""The command line where surroundings and arguments are not what they should be."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.table import Table

import gpumc
from gpumc.checks import evenly
from gpumc.cli.tables import concise, print_table
from gpumc.results.statistics import mean_and_error
from gpumc.sweeps import read_config
from tests.promises.bad_input.batch import outcome
from tests.units.sweeps.test_config import GOOD

TINY = """
name = "tiny"
[machine]
kind = "perceptron"
n = 11
[patterns]
kind = "random"
alpha = 0.5
[loss]
kind = "error-count"
[measure]
beta = 1.0
[sampler]
chains = 2
burn_in = 1
sweeps = 2
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


def sentence(arguments, statuses=(1, 2)) -> str:
    """What a command that fails says: one sentence, on stderr."""
    done = outcome([str(word) for word in arguments])
    assert done["status"] in statuses, (arguments, done)
    assert "unforeseen" not in done["err"], (arguments, done)
    assert "Traceback" not in done["err"], (arguments, done)
    assert 10 < len(done["err"]) < 2000, (arguments, done)
    return done["err"]


def test_configs_that_are_no_files(tiny, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.toml").touch()
    (tmp_path / "binary.toml").write_bytes(bytes(range(256)))
    (tmp_path / "link.toml").symlink_to("nowhere")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "folder").mkdir()
    files = ("empty.toml", "binary.toml", "link.toml", "loop.toml", "pipe", "folder")
    places = (*files, "missing", "missing/within", "tiny.toml/within", "/dev/zero", "", "x" * 300)
    for place in places:
        sentence(["run", place, "--device", "numpy"], statuses=(2,))
    assert "a pipe" in sentence(["run", "pipe"], statuses=(2,))
    assert not (tmp_path / "results").exists()


def test_patterns_that_are_no_files(tiny, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    text = TINY.replace('kind = "random"\nalpha = 0.5', 'kind = "file"\npath = "{}"')
    for place in (".", "pipe", "/dev/zero", "missing", "a\\u0000b", "tiny.toml", "\\uD7FF.txt"):
        tiny.write_text(text.format(place), encoding="utf-8")
        sentence(["run", tiny, "--device", "numpy"])
    centre = TINY.replace("beta = 1.0", 'beta = 1.0\ncoupling = 0.1\ncentre = "{}"')
    for place in (".", "pipe", "/dev/zero", "missing", "a\\u0000b", "tiny.toml"):
        tiny.write_text(centre.format(place), encoding="utf-8")
        sentence(["run", tiny, "--device", "numpy"])
    assert not (tmp_path / "results").exists()


def test_a_folder_named_as_a_home(tiny, tmp_path):
    """./~ is a folder beside the user, and ~ is none."""
    assert outcome(["run", str(tiny), "--device", "numpy", "--out", "./~/run"])["status"] == 0
    assert (tmp_path / "~" / "run" / "tiny.h5").exists()


def test_folders_that_cannot_be(tiny, tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere" / "deep")
    for place in ("", " ", "tiny.toml", "/", "/proc/nothing/here", "tiny.toml/within", "x" * 300):
        sentence(["run", tiny, "--device", "numpy", "--out", place])
    for command in (["status"], ["show"], ["plot"], ["report"], ["merge", "-o", "all.h5"]):
        for place in ("", ".", "/", "/dev/null", "tiny.toml", "missing", "dangling", "x" * 300):
            sentence([*command, place])
    assert not (tmp_path / "all.h5").exists()


@pytest.mark.parametrize(
    "words",
    [
        *(["binary-perceptrom"], ["binary-perceptron", "--alpha", "x"], ["binary-perceptron", "--alpha", ""]),
        *(
            ["binary-perceptron", "--alpha", number]
            for number in ("nan", "-1", "1e999", "0:1:0", "0:1:1000000", "0:inf:3")
        ),
        *(
            ["binary-perceptron", "--alpha", "0.1:0.5:200", "--beta", "1:2:200"],
            ["binary-perceptron", "--alpha", ",".join("1" * 20_000)],
        ),
        *(
            ["binary-perceptron", "--alpha", "0.1", "--beta", number]
            for number in ("nan", "-inf", "1,,2", "9" * 5000 + "x")
        ),
        *(["binary-tree-committee", "--k", number] for number in ("nan", "-1", "0", "x", "1e300x", "2.5")),
        *(["binary-perceptron", "--alpha", "0.1", "--margin", number] for number in ("nan", "inf", "x")),
        *(
            ["binary-perceptron", "--alpha", "0.1", "--gamma", "0"],
            ["binary-perceptron", "--alpha", "0.1", "--distance", "nan"],
        ),
    ],
)
def test_questions_to_the_theory_that_make_no_sense(words):
    sentence(["theory", *words], statuses=(2,))


def test_benchmarks_that_would_be_lost(tmp_path):
    for file in (tmp_path, tmp_path / "none" / "b.json", ""):
        sentence(["bench", "--device", "numpy", "--json", file])
    sentence(["bench", "--device", "gpu7"])


def test_what_nobody_foresaw_is_a_sentence(tiny, monkeypatch):
    def fails(*_):
        raise ZeroDivisionError("of a kind\nwith more lines")

    monkeypatch.setattr("gpumc.cli.commands._run", fails)
    done = outcome(["run", str(tiny)])
    assert done["status"] == 1
    assert done["err"].startswith("gpumc: unforeseen ZeroDivisionError (of a kind): ")
    assert done["err"].count("\n") == 1
    monkeypatch.setenv("GPUMC_DEBUG", "1")
    assert "Traceback" in outcome(["run", str(tiny)])["err"]
    monkeypatch.delenv("GPUMC_DEBUG")

    def too_large(*_):
        raise MemoryError

    monkeypatch.setattr("gpumc.cli.commands._run", too_large)
    done = outcome(["run", str(tiny)])
    assert done["status"] == 1
    assert done["err"].startswith("gpumc: out of memory")


def test_a_locale_that_has_no_letters(tiny, tmp_path):
    """Python without its UTF-8 mode, in the C locale: names and texts with letters of their own are read, written and printed."""
    lines = ["# größer als nichts", *(" ".join(["1"] * 11) + f" {label}" for label in ("1", "1"))]
    (tmp_path / "muster.txt").write_text("\n".join(lines), encoding="utf-8-sig")
    text = TINY.replace('kind = "random"\nalpha = 0.5', 'kind = "file"\npath = "muster.txt"  # α = 2/11')
    (tmp_path / "größe.toml").write_text(text, encoding="utf-8-sig")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    call = [sys.executable, "-m", "gpumc", "run", "größe.toml", "--out", "aus-größe", "--device", "numpy"]
    done = subprocess.run(call, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert b"data:" in done.stdout
    assert gpumc.open_run(tmp_path / "aus-größe").sizes["chain"] == 2
    assert (tmp_path / "aus-größe" / "config.toml").read_text(encoding="utf-8").count("α") == 1


def test_an_output_that_nobody_reads():
    call = [sys.executable, "-m", "gpumc", "--version"]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout == f"gpumc {gpumc.__version__}\n"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(call, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    if Path("/dev/full").exists():
        with open("/dev/full", "wb") as full:
            done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1
        assert b"No space left" in done.stderr
        assert b"Traceback" not in done.stderr


def test_sigterm(tiny, tmp_path):
    """One sentence and 143; what was done is kept, and the folder is free."""
    sizes = ["patterns.alpha={start = 0.2, stop = 1.0, num = 9}", "sampler.sweeps=3000"]
    options = [word for override in sizes for word in ("--set", override)]
    call = [sys.executable, "-m", "gpumc", "run", str(tiny), "--out", "out", "--device", "numpy", *options]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob("out/shards/task-*.h5")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 143
    assert "stopped by SIGTERM" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("out/**/*.tmp"))
    done = outcome(["status", "out"])
    assert "of 9 tasks done" in done["out"]
    assert "not running" in done["out"]
    assert not done["out"].startswith("tiny: 0 ")


def test_ranges_are_the_decimals_that_are_written():
    assert evenly(0.1, 0.5, 5) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert evenly(0.02, 0.3, 15) == [
        0.02,
        0.04,
        0.06,
        0.08,
        0.1,
        0.12,
        0.14,
        0.16,
        0.18,
        0.2,
        0.22,
        0.24,
        0.26,
        0.28,
        0.3,
    ]
    assert evenly(-1e308, 1e308, 3) == [-1e308, 0.0, 1e308]
    assert evenly(2, 5, 1) == [2.0]
    config = read_config(GOOD.replace("alpha = 0.5", "alpha = {start = 0.1, stop = 0.5, num = 5}"))
    assert config.patterns.alpha == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert read_config(GOOD.replace("n = 27", "n = {start = 27, stop = 33, num = 2}")).machine.n == (27, 33)


def test_rounding_is_no_error_and_a_pipe_has_no_width(tiny):
    """Values of 0.1 that are equal but for rounding have no error; a table of ten columns is not cut."""
    mean, error = mean_and_error(
        xr.DataArray(np.full((1, 3, 7), 0.1) + [[[0.0], [1e-17], [1.4e-17]]], dims=("instance", "chain", "draw"))
    )
    assert (concise(float(mean), float(error)), float(error)) == ("0.1", 0.0)
    spread = xr.DataArray([[[0.1], [0.2]]], dims=("instance", "chain", "draw"))
    assert concise(*map(float, mean_and_error(spread))) == "0.15(5)"
    table = Table()
    for column in range(20):
        table.add_column(f"column {column}")
    table.add_row(*["0.12345(6)"] * 20)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        print_table(table)
    assert printed.getvalue().count("0.12345(6)") == 20
