"""The same bits from the NumPy twin and from the kernels: on the host everywhere, on CUDA where there is a device."""

import platform

import numpy as np
import pytest

import gpumc
from gpumc import launch
from gpumc.device import host, kernels
from tests.variants import KERNELS, SAMPLERS, SMALL, TINY, Case, by_case, same_bits


def run(case, device: str, **changes):
    settings = {"chains": 3, "burn_in": 3, "sweeps": 6, "every": 2, "seed": 7, "sampler": case.sampler} | changes
    return gpumc.sample(case.machine, case.patterns(0.9, instances=2), case.measure(), device=device, **settings)


@by_case(TINY + SMALL)
def test_host_kernels_equal_numpy(case):
    assert same_bits(run(case, "numpy"), run(case, "cpu"))


@pytest.mark.gpu
@by_case(TINY + SMALL)
def test_cuda_equals_numpy(case):
    assert same_bits(run(case, "numpy"), run(case, "cuda"))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.kind)
@pytest.mark.parametrize("centre", ["explicit", "traced"])
def test_grids_and_ramps(device, sampler, centre):
    """Every parameter at once: two gammas, two couplings, a ramp of beta over the run, replicas by threes."""
    machine = gpumc.Perceptron(67)
    patterns = gpumc.random_patterns(machine, alpha=1.1, instances=2, seed=1)
    loss = gpumc.CrossEntropy(gamma=[0.5, 3.0])
    beta = gpumc.Ramp(0.1, 4.0, scale="geometric", over="run")
    measure = gpumc.LocalEntropy(loss, beta, coupling=[0.0, 0.9], replicas=3, centre=centre)
    settings = {"chains": 5, "burn_in": 10, "sweeps": 20, "every": 7, "seed": 3, "sampler": sampler}
    twin, kernel = (gpumc.sample(machine, patterns, measure, device=d, **settings) for d in ("numpy", device))
    assert same_bits(twin, kernel)
    np.testing.assert_allclose(twin.beta, beta.values(10, 20)[[16, 23]])


WIDE_RANGE = gpumc.LocalEntropy(gpumc.ErrorCount(), beta=[0.05, 0.9, 6.0], coupling=0.3, replicas=2)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.kind)
@pytest.mark.parametrize(
    ("machine", "measure"),
    [
        (gpumc.Perceptron(301), gpumc.Gibbs(gpumc.ErrorCount(), beta=[0.05, 0.9, 6.0])),
        (gpumc.Perceptron(301), gpumc.Gibbs(gpumc.CrossEntropy(gamma=[0.3, 2.0]), beta=2.0)),
        (gpumc.Perceptron(301), WIDE_RANGE),
        (gpumc.TreeCommittee(99, k=9), WIDE_RANGE),
        (gpumc.TreeParity(75, k=3), gpumc.Gibbs(gpumc.CrossEntropy(gamma=0.5), beta=[0.5, 5.0])),
    ],
    ids=["errors", "cross-entropy", "replicas", "committee", "parity"],
)
def test_many_chains(machine, measure, sampler, device):
    """Items that are full, that are not, and that hold several grid points; many patterns; flat and steep rules of acceptance."""
    patterns = gpumc.random_patterns(machine, alpha=0.95, instances=2, seed=5)
    settings = {"chains": 45, "burn_in": 1, "sweeps": 2, "seed": 8, "sampler": sampler}
    twin, kernel = (gpumc.sample(machine, patterns, measure, device=d, **settings) for d in ("numpy", device))
    assert same_bits(twin, kernel)


@pytest.mark.gpu
@pytest.mark.parametrize("case", [KERNELS[i] for i in (0, 2, 3, 5, 9)], ids=str)
def test_constants_of_the_source(case, monkeypatch):
    """Kernels that are compiled for their sizes, as those of large populations are: also where a run's last launch is a shorter one."""
    monkeypatch.setattr(launch, "COMPILED_FROM", 0)
    assert same_bits(run(case, "numpy"), run(case, "cuda"))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize(("n", "alpha"), [(401, 0.7), (3001, 0.02)], ids=["401", "many bins of stabilities"])
def test_fields_at_their_ends(n, alpha, device):
    """Weights that start as patterns, so that fields are as large as they can be."""
    machine = gpumc.Perceptron(n)
    patterns = gpumc.random_patterns(machine, alpha=alpha, seed=2)
    init = (patterns.xi[:, :40] * patterns.labels[:, :40, None])[:, None, :, None]
    measure = gpumc.Gibbs(gpumc.CrossEntropy(gamma=0.4), beta=1.0)
    settings = {"chains": 40, "burn_in": 0, "sweeps": 2, "seed": 3, "init": init}
    twin, kernel = (gpumc.sample(machine, patterns, measure, device=d, **settings) for d in ("numpy", device))
    assert same_bits(twin, kernel)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the flag is one of x86-64 compilers")
@pytest.mark.parametrize("loss", [gpumc.ErrorCount(), gpumc.CrossEntropy(gamma=0.7)], ids=str)
@pytest.mark.parametrize("machine", [gpumc.Perceptron(131), gpumc.TreeCommittee(99, k=9)], ids=str)
def test_plain_loops_equal_vector_loops(machine, loss, monkeypatch):
    """Without AVX-512 other loops run; where the processor has none, both runs are the same."""
    case = Case(machine, loss, gpumc.Metropolis(), "explicit")
    usual = run(case, "cpu", chains=40)
    monkeypatch.setenv("CXX", f"{host.compiler()} -mno-avx512vpopcntdq")
    monkeypatch.setattr(kernels, "_program", kernels._program.__wrapped__)
    assert same_bits(usual, run(case, "cpu", chains=40))


def test_wide_fields():
    """A unit of more than 2^15 inputs has fields of 32 bits."""
    machine = gpumc.Perceptron(32_769)
    patterns = gpumc.random_patterns(machine, alpha=0.002, seed=1)
    measure = gpumc.Gibbs(gpumc.ErrorCount(), beta=1.0)
    twin, kernel = (
        gpumc.sample(machine, patterns, measure, chains=2, burn_in=0, sweeps=1, device=d, sampler=gpumc.HeatBath())
        for d in ("numpy", "cpu")
    )
    assert same_bits(twin, kernel)


@by_case(SMALL)
def test_tracked_energies(case):
    """The energy carried along equals that of the final weights, recomputed from the patterns; so do errors and overlaps."""
    data, patterns = run(case, "cpu"), case.patterns(0.9, instances=2)
    for i in range(2):
        weights = data.weights.values[i].reshape(-1, case.machine.weight_count)
        stability = case.machine.stabilities(weights, patterns.xi[i], patterns.labels[i])
        readout = np.rint(stability / case.machine.readout.scale).astype(int)
        table = case.loss.tables(case.machine)[0]
        energy = table[(readout + case.machine.readout.largest) // 2].sum(axis=1) * case.loss.unit
        assert np.array_equal(data.energy.values[i, ..., -1].ravel(), energy)
        assert np.array_equal(data.error_rate.values[i, ..., -1].ravel(), (stability <= 0).mean(axis=1))
    if case.centre is not None:
        overlap = (data.weights * data.centre.astype(int)).mean("weight")
        np.testing.assert_allclose(data.overlap_centre[..., -1], overlap, rtol=0, atol=1e-15)
        pair = (data.weights[:, :, 0].astype(int) * data.weights[:, :, 1]).mean("weight")
        np.testing.assert_allclose(data.overlap_replicas[..., -1], pair, rtol=0, atol=1e-15)
    assert np.all(data.stability_count >= 0)
    every = patterns.count * data.sizes["chain"] * data.sizes["replica"] * data.sizes["draw"]
    assert np.all(data.stability_count.sum("stability") == every)
