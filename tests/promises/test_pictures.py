"""A picture that cannot be drawn never fails a finished run; one that can is drawn with the project's settings."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import rc_context

import gpumc
from gpumc.results.plots import plot
from tests.promises.bad_input.batch import outcome, outcomes
from tests.promises.bad_input.test_command_line import TINY


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    machine = gpumc.Perceptron(11)
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    measure = gpumc.Gibbs(gpumc.ErrorCount(), [1.0, np.inf])
    return gpumc.sample(machine, patterns, measure, chains=2, burn_in=1, sweeps=2, device="numpy")


def test_a_run_whose_picture_fails_is_finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")

    def fails(*_):
        raise RuntimeError("latex could not be found\nand a page of its log")

    monkeypatch.setattr("gpumc.results.plots.plot", fails)
    done = outcome(["run", "tiny.toml", "--out", "out", "--device", "numpy"])
    assert done["status"] == 0
    assert done["out"].splitlines() == ["data:    out/tiny.h5"]
    assert "the picture out/tiny.png cannot be drawn (latex could not be found); the data is whole" in done["err"]
    assert "Traceback" not in done["err"]
    again = outcome(["plot", "out"])
    assert again["status"] == 1
    assert again["err"] == "gpumc: the picture out/tiny.png cannot be drawn (latex could not be found)\n"


def test_settings_of_others_change_no_picture(data, tmp_path):
    """LaTeX, fonts that are not there, sizes and colours of a matplotlibrc; also an axis that ends at infinity."""
    mine = plot(data, tmp_path / "mine.png").read_bytes()
    theirs = {
        "text.usetex": True,
        "font.family": "No Such Font",
        "axes.facecolor": "red",
        "savefig.dpi": 3,
        "savefig.bbox": "tight",
    }
    with rc_context(theirs):
        assert plot(data, tmp_path / "theirs.png").read_bytes() == mine


def test_one_value_of_a_list_is_no_axis(data, tmp_path):
    one = data.isel(beta=[0])
    drawn = plot(one, tmp_path / "one.png").read_bytes()
    assert drawn == plot(one.squeeze("beta"), tmp_path / "none.png").read_bytes()


def test_the_back_end_of_a_notebook_is_not_asked_for(tmp_path, monkeypatch):
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    monkeypatch.setenv("MPLBACKEND", "module://of_another_environment")
    (done,) = outcomes([["run", "tiny.toml", "--out", "out", "--device", "numpy"]], tmp_path, pictures=True)
    assert (done["status"], done["err"].count("cannot be drawn")) == (0, 0), done
    assert (tmp_path / "out" / "tiny.png").exists()


def test_a_back_end_and_settings_that_do_not_exist(tmp_path, monkeypatch):
    """Where matplotlib cannot even be loaded, a run ends well."""
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    (tmp_path / "matplotlibrc").write_bytes(b"text.usetex: \xff\nfont.size: huge\n: :\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "file" / "within"))
    (done,) = outcomes([["run", "tiny.toml", "--out", "out", "--device", "numpy"]], tmp_path, pictures=True)
    assert done["status"] == 0, done
    assert done["out"].startswith("data:    out/tiny.h5\n")
    assert "Traceback" not in done["err"]
    assert gpumc.open_run(tmp_path / "out").sizes["chain"] == 2
