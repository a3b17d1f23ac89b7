"""``gpumc flatness``: a table, a file, and sentences for what is wrong."""

import numpy as np
import pytest

import gpumc
from tests.promises.bad_input.batch import outcome


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    machine = gpumc.TreeCommittee(33, k=3, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.4, seed=1)
    found = gpumc.learn(machine, patterns, gpumc.LeastAction(rate=0.3), starts=2, device="numpy")
    assert found.solved.all()
    np.savez("mine.npz", xi=patterns.xi[0], labels=patterns.labels[0], weights=5 * found.weights.values[0])
    return "mine.npz"


def test_weights_of_another_program(file):
    """Of any norm: two rows, with volumes, errors of perturbed weights and eigenvalues."""
    words = ["flatness", file, "--machine", "tree-committee", "--k", "3", "--device", "numpy", "-o", "flat.h5"]
    done = outcome(words)
    assert done["status"] == 0, done
    data = gpumc.open_run("flat.h5")
    assert dict(data.log_volume.sizes) == {"instance": 1, "reference": 2, "distance": 3}
    assert data.converged.all()
    assert (data.error_rate == 0).all()
    assert (data.largest_eigenvalue > 0).all()
    for value in data.log_volume.values[0, :, 0]:
        assert f"{value:.4g}" in done["out"]


def test_relu_units(tmp_path, monkeypatch):
    """Their volumes, by belief propagation, are in the table, too; those of tanh units are not."""
    monkeypatch.chdir(tmp_path)
    machine = gpumc.TreeCommittee(14, k=2, activation="relu")
    patterns = gpumc.teacher_patterns(machine, 0.5, seed=1)
    measure = gpumc.Gibbs(gpumc.ErrorCount(), beta=gpumc.Ramp(1, 8))
    data = gpumc.sample(machine, patterns, measure, chains=1, burn_in=99, sweeps=1, every=1, seed=1, device="numpy")
    np.savez("mine.npz", xi=patterns.xi[0], labels=patterns.labels[0], weights=data.weights.values.reshape(1, -1))
    words = [
        "flatness",
        "mine.npz",
        "--machine",
        "tree-committee",
        "--k",
        "2",
        "--device",
        "numpy",
        "--distance",
        "0.2",
    ]
    done = outcome([*words, "--activation", "relu", "-o", "flat.h5"])
    assert done["status"] == 0, done
    found = gpumc.open_run("flat.h5")
    alone = gpumc.local_entropy(machine, patterns, data.weights.values.reshape(1, -1), distance=0.2, device="numpy")
    assert found.converged.all()
    np.testing.assert_allclose(found.log_volume.values.ravel(), alone.log_volume.values.ravel(), atol=1e-12)
    smooth = outcome([*words, "--weights", "spherical", "--activation", "tanh"])
    assert smooth["status"] == 0, smooth
    assert "log_volume" not in smooth["out"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.npz"], "cannot be read"),
        (["mine.npz", "--machine", "ladder"], "ladder"),
        (["mine.npz", "--machine", "tree-committee", "--k", "5"], "does not divide"),
        (["mine.npz", "--machine", "full-committee", "--k", "3"], "99 weights"),
        (["mine.npz", "--weights", "binary"], "reference"),
        (["mine.npz", "--distance", "2"], "distance"),
        (["mine.npz", "--slope", "0"], "slope"),
    ],
)
def test_mistakes_are_sentences(file, words, message):
    done = outcome(["flatness", *words, "--device", "numpy"])
    assert done["status"] in (1, 2)
    assert message in done["err"]
    assert "unforeseen" not in done["err"]
