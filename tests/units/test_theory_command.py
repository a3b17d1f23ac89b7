"""Theory from the command line: a table, a file, a capacity, and mistakes that are a sentence."""

import numpy as np
import pytest
import xarray as xr

from gpumc import theory
from gpumc.cli.theory import numbers
from gpumc.losses import CrossEntropy
from gpumc.measures import Gibbs
from tests.units.test_cli import gpumc_command


def test_lists_and_ranges():
    assert numbers("alpha", "0.4") == 0.4
    assert numbers("gamma", "0.5,1") == [0.5, 1.0]
    assert numbers("distance", "0.1:0.3:3") == pytest.approx([0.1, 0.2, 0.3])


def test_a_table_and_a_file(tmp_path):
    path = tmp_path / "theory.h5"
    asked = ("theory", "binary-perceptron", "--alpha", 0.4, "--beta", 5, "--gamma", "0.5,1,2", "-o", path)
    done = gpumc_command(*asked)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    expected = theory.replica_symmetric(theory.Limit("perceptron"), Gibbs(CrossEntropy([0.5, 1, 2]), 5.0), alpha=0.4)
    for gamma, row in zip(("0.5", "1", "2"), [row for row in rows if row and row[0] in ("0.5", "1", "2")], strict=True):
        assert f"{expected.entropy.sel(gamma=float(gamma)).item():.4g}" in row
        assert "yes" in row
    with xr.open_dataset(path, engine="h5netcdf") as data:
        np.testing.assert_allclose(data.energy_per_pattern, expected.energy_per_pattern, rtol=1e-12)
        assert data.entropy.dims == ("gamma",)


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (("binary-perceptron",), "0.833079"),
        (("spherical-tree-committee", "--k", "3"), "4.025"),
        (("spherical-tree-parity", "--k", "inf"), "inf"),
        (("binary-perceptron", "--alpha", "0.4", "--distance", "0.1"), "0.2044"),
        (("binary-perceptron", "--alpha", "0.4", "--distance", "0.1", "--replicas", "3"), "0.2651"),
        (("binary-perceptron", "--alpha", "0.4", "--replicas", "3", "--coupling", "1"), "0.77"),
        (("binary-perceptron", "--alpha", "0.4", "--beta", "1", "--replicas", "3,5", "--coupling", "0.5"), "0.5197"),
        (("binary-perceptron", "--alpha", "0.2", "--loss", "error-count", "--margin", "0,0.5"), "0.4377"),
        (("binary-perceptron", "--alpha", "0.3", "--width", "1"), "0.5786"),
    ],
)
def test_what_is_printed(arguments, printed, within):
    done = within("theory", *arguments)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("binary-perceptorn",), "did you mean 'binary-perceptron'"),
        (("binary-perceptron", "--alpha", "x"), "--alpha x"),
        (("binary-perceptron", "--alpha", "0:1:100000000000"), "ranges of 1 to"),
        (("binary-perceptron", "--alpha", "nan"), "alpha = nan"),
        (("binary-perceptron", "--gamma", "1", "--margin", "1"), "one of them"),
        (("binary-perceptron", "--gamma", "1"), "without --alpha"),
        (("binary-perceptron", "--loss", "band-count"), "without --alpha"),
        (("binary-perceptron", "--alpha", "0.4", "--loss", "cross-entropie"), "did you mean 'cross-entropy'"),
        (("binary-perceptron", "--alpha", "0.4", "--loss", "log-barrier", "--gamma", "1"), "no meaning for the loss"),
        (
            ("binary-perceptron", "--alpha", "0.4", "--distance", "0.1", "--replicas", "3", "--width", "1"),
            "leave --beta and the loss out",
        ),
        (("binary-perceptron", "--alpha", "0.4", "--k", "3", "--distance", "0.1"), "one unit"),
        (("binary-perceptron", "--alpha", "0.4", "--coupling", "3"), "--replicas with --coupling"),
        (("spherical-tree-committee", "--alpha", "0.4"), "number of hidden units is needed"),
    ],
)
def test_mistakes_are_a_sentence(arguments, said, within):
    done = within("theory", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
