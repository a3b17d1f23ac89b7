"""The benchmark times what it says: the right energies, of gpumc and of its peers, and rates that are finite."""

import json

import numpy as np
import pytest

import gpumc
from gpumc import bench
from gpumc.device import Device, choose
from gpumc.errors import RunError

ERRORS, ENTROPY = gpumc.ErrorCount(), gpumc.CrossEntropy(gamma=1.0)
#: The four workloads, at sizes that reach equilibrium in a moment.
SMALL = [
    bench.Workload("W1", gpumc.Perceptron(101), 0.4, gpumc.Gibbs(ERRORS, beta=2.0), 300, 32),
    bench.Workload("W2", gpumc.Perceptron(101), 0.4, gpumc.Gibbs(ENTROPY, beta=5.0), 300, 32),
    bench.Workload("W3", gpumc.TreeCommittee(99, k=9), 1.0, gpumc.Gibbs(ERRORS, beta=0.8), 300, 32),
    bench.Workload(
        "W4", gpumc.Perceptron(101), 0.4, gpumc.LocalEntropy(ENTROPY, 5.0, coupling=0.5, replicas=5), 300, 32
    ),
]


@pytest.mark.parametrize("name", bench.PEERS)
@pytest.mark.parametrize("work", SMALL, ids=lambda work: work.name)
def test_peers_sample_the_same_measure(work, name):
    """Mean energies of 96 chains over 60 sweeps, 4.5 standard errors: false alarms below 1e-4 for all eight."""
    pytest.importorskip(name)
    init = bench.equilibrated(work, 96)
    peer = bench.new_peer(work, bench.load_peer(name), init)
    energies = []
    for _ in range(12):
        peer.sweep(5)
        energies.append(peer.energy().mean(axis=1))
    theirs = np.mean(energies, axis=0)
    data = gpumc.sample(
        work.machine, work.patterns, work.measure, chains=96, burn_in=300, sweeps=60, every=5, seed=5, device="cpu"
    )
    ours = data.energy.mean(["draw", "replica"] if "replica" in data.energy.dims else "draw").values.ravel()
    error = np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 96)
    assert abs(ours.mean() - theirs.mean()) < 4.5 * error


def test_report(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "workloads", lambda: SMALL[:1])
    bench.report([choose("numpy"), choose("cpu")], (), walkers=64, seconds=0.01, file=tmp_path / "rates.json")
    rates = json.loads((tmp_path / "rates.json").read_text())["rates"]
    assert {rate["program"] for rate in rates} == {"numpy", "cpu"}
    assert all(rate["attempts_per_second"] > 0 for rate in rates)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("vectors of the processor: ")
    assert len(lines) == 3 + len(rates)
    assert str(tmp_path) not in (tmp_path / "rates.json").read_text()


def test_folder_of_the_report_is_missing(tmp_path, capsys):
    with pytest.raises(RunError, match="there is no folder"):
        bench.report([choose("numpy")], (), walkers=64, seconds=0.01, file=tmp_path / "none" / "rates.json")
    assert not capsys.readouterr().out


def test_missing_peer(monkeypatch):
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match="numba is not installed: pip install numba jax"):
        bench.load_peer("numba")


@pytest.mark.parametrize(("name", "wave"), [("W1", 67_584), ("W2", 4_224), ("W3", 67_584), ("W4", 4_224)])
def test_populations_fill_a_gpu(name, wave, monkeypatch):
    """One wave of 132 multiprocessors, unless other sizes are asked for."""
    monkeypatch.setattr(bench, "multiprocessors", lambda index: 132)
    work = next(work for work in bench.workloads() if work.name == name)
    assert work.chains(Device("cuda"), None) == wave
    assert work.chains(Device("cpu"), None) == 1024 // work.measure.replicas
    assert work.chains(Device("cuda"), 64) == 64 // work.measure.replicas
