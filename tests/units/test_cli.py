"""The command line: what it prints, and errors that are a sentence and an exit status."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gpumc
from tests.units.sweeps.test_config import GOOD


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "gpumc.cli", *map(str, arguments)]


def gpumc_command(*arguments, cwd=None, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
    )


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "test.toml"
    path.write_text(GOOD)
    return path


def test_patterns_that_contradict_each_other_are_one_line(config, tmp_path):
    (tmp_path / "set.txt").write_text(f"{'1 ' * 27} 1\n{'1 ' * 27} -1\n")
    given = '[patterns]\nkind = "file"\npath = "set.txt"\n[volumes]\ndistance = 0.3\nevery = 2\nreplicas = true\n[loss]'
    text = GOOD.replace(GOOD[GOOD.index("[patterns]") : GOOD.index("[loss]") + 6], given)
    config.write_text(text)
    done = gpumc_command("run", config, "--out", tmp_path / "out", "--device", "numpy")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("contradict") == 1
    assert "gpumc: patterns of instance 0 contradict each other" in done.stderr
    assert "Warning" not in done.stderr


def test_a_run_from_start_to_end(config, tmp_path, within):
    out = tmp_path / "out"
    done = gpumc_command("run", config, "--out", out, "--device", "cpu", "--set", "sampler.chains=3")
    assert done.returncode == 0, done.stderr
    assert f"data:    {out / 'test.h5'}" in done.stdout
    assert f"picture: {out / 'test.png'}" in done.stdout
    assert "100%" in done.stderr
    assert (out / "test.png").read_bytes().startswith(b"\x89PNG")
    assert gpumc.open_run(out).sizes["chain"] == 3
    again = within("run", config, "--out", out, "--device", "cpu", "--set", "sampler.chains=3")
    assert again.returncode == 0
    assert "1 of 1 tasks done, 0 left; not running" in within("status", out).stdout
    shown = within("show", out).stdout
    assert "gamma" in shown
    assert re.search(r"\d\.\d+\(\d+\)", shown), shown
    assert within("plot", out).returncode == 0
    merged = within("merge", out, "-o", tmp_path / "all.h5")
    assert merged.returncode == 0
    assert gpumc.open_run(tmp_path / "all.h5").equals(gpumc.open_run(out))


def test_results_go_to_a_folder_of_the_name(config, tmp_path, within, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert within("run", config, "--device", "cpu").returncode == 0
    assert (tmp_path / "results" / "test" / "test.h5").exists()


def test_an_interrupt_says_how_to_go_on(config, tmp_path):
    long = command("run", config, "--out", tmp_path / "out", "--device", "numpy", "--set", "sampler.sweeps=1_000_000")

    def hear_interrupts() -> None:
        """What runs in the background of a shell ignores them, and its children with it."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(long, stderr=subprocess.PIPE, text=True, preexec_fn=hear_interrupts) as process:
        while not (tmp_path / "out" / "config.toml").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said


def test_info(within):
    done = within("info")
    assert done.returncode == 0
    for word in ("gpumc", gpumc.__version__, "numpy", "compiler", "cuda"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["run", "{missing}"], 2, ["cannot be read", "No such file"]),
        (["run", "{config}", "--set", "sampler.swips=3"], 2, ["1 mistake", "did you mean 'sweeps'"]),
        (["run", "{config}", "--device", "cupa"], 2, ["did you mean"]),
        (["run", "{config}", "--device", "cuda:77"], 1, ["cuda"]),
        (["run", "{config}", "--out", "{config}"], 1, ["is a file, not a run's folder"]),
        (["status", "{missing}"], 1, ["holds no run"]),
        (["show", "{missing}"], 1, ["is not there"]),
        (["plot", "{missing}"], 1, ["holds no run"]),
        (["report", "{missing}"], 1, ["is not there"]),
        (["merge", "{missing}", "-o", "x.h5"], 1, ["holds no run"]),
        (["rum"], 2, ["rum"]),
    ],
)
def test_errors_are_sentences(config, tmp_path, within, monkeypatch, arguments, status, words):
    monkeypatch.chdir(tmp_path)
    places = {"config": config, "missing": tmp_path / "missing"}
    done = within(*[word.format(**places) for word in arguments])
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_a_traceback_for_those_who_ask(tmp_path):
    done = gpumc_command("--traceback", "run", tmp_path / "missing")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_compiler_that_does_not_work(config, tmp_path):
    done = gpumc_command(
        "run", config, "--out", tmp_path / "o", "--device", "cpu", CXX="false", GPUMC_CACHE_DIR=str(tmp_path / "c")
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "numpy" in done.stderr


def test_a_population_that_no_memory_holds(config, tmp_path):
    """Even a chain at a time: it is refused before anything is written."""
    huge = ["sampler.chains=1", "machine.n=15_000_003", "patterns.alpha=1.0", "patterns.instances=1000"]
    options = [word for override in huge for word in ("--set", override)]
    done = gpumc_command("run", config, "--out", tmp_path / "o", "--device", "numpy", *options)
    assert done.returncode == 2
    assert "GiB" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "o").exists()
