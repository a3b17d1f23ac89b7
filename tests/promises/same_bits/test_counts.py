"""Counts of errors by a margin and by a band: the same bits from every twin, and the energies of enumeration."""

import numpy as np
import pytest

import gpumc
from gpumc import exact
from gpumc.readouts import Linear, Majority, Rectified
from tests.variants import SMALL, by_machine, same_bits

#: Grid points whose losses jump at other fields, and at more or fewer of them.
LOSSES = [gpumc.ErrorCount((-0.9, 0.0, 0.7)), gpumc.BandCount((0.05, 0.8, 1.2))]
#: Of fields, of signs and of ReLU units.
READOUTS = [next(m for m in SMALL if type(m.readout) is kind) for kind in (Linear, Majority, Rectified)]
by_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@by_loss
@pytest.mark.parametrize("device", DEVICES)
@by_machine(READOUTS)
@pytest.mark.parametrize(("sampler", "centre"), [(gpumc.Metropolis(), "explicit"), (gpumc.HeatBath(), "traced")])
def test_twins(machine, loss, sampler, centre, device):
    patterns = gpumc.random_patterns(machine, 0.9, instances=2, seed=11)
    measure = gpumc.LocalEntropy(loss, 1.2, 0.4, 2, centre)
    settings = {"chains": 11, "burn_in": 2, "sweeps": 4, "seed": 7, "sampler": sampler}
    twin, kernel = (gpumc.sample(machine, patterns, measure, device=d, **settings) for d in ("numpy", device))
    assert same_bits(twin, kernel)


@by_loss
@by_machine(READOUTS)
def test_the_energy_is_the_count_of_errors(machine, loss):
    """Of the final weights, from their stabilities alone; and the error rate is that count."""
    patterns = gpumc.random_patterns(machine, 0.9, seed=11)
    data = gpumc.sample(
        machine, patterns, gpumc.Gibbs(loss, 1.5), chains=9, burn_in=2, sweeps=3, seed=7, sampler=gpumc.HeatBath()
    )
    np.testing.assert_allclose(data.error_rate * patterns.count, data.energy, rtol=1e-12)
    for place, point in enumerate(loss.points()):
        last = data.isel(instance=0, draw=-1, replica=0, **{loss.axes[0]: place})
        stability = machine.stabilities(last.weights.values, patterns.xi[0], patterns.labels[0])
        assert np.array_equal(last.energy, point.values(stability).sum(axis=1))


@by_loss
@pytest.mark.parametrize(
    "machine", [gpumc.Perceptron(9), gpumc.TreeCommittee(9, k=3), gpumc.TreeParity(9, k=3)], ids=lambda m: m.kind
)
def test_energies_are_those_of_enumeration(machine, loss):
    """Within 4 standard errors over 96 chains: fails by chance for 1 seed in 3000."""
    patterns = gpumc.random_patterns(machine, 0.9, seed=3)
    data = gpumc.sample(machine, patterns, gpumc.Gibbs(loss, 0.8), chains=96, burn_in=40, sweeps=120, seed=5)
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, 0.8)).energy
    chains = data.energy.mean(["replica", "draw"])
    error = chains.std("chain", ddof=1) / 96**0.5
    apart = abs(chains.mean("chain") - truth)
    assert float(error.max()) < 0.1
    assert bool(((apart < 4 * error) | (apart < 1e-12)).all())  # where nothing changes, both are the same number


def test_a_wide_margin_has_no_solution_and_a_wide_band_all():
    machine = gpumc.Perceptron(31)
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    settings = {"chains": 4, "burn_in": 5, "sweeps": 5, "seed": 2}
    beyond = machine.possible_stabilities[-1]
    none = gpumc.sample(machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(beyond + 1), 1.0), **settings)
    every = gpumc.sample(machine, patterns, gpumc.Gibbs(gpumc.BandCount(beyond), 1.0), **settings)
    assert np.all(none.energy == patterns.count)
    assert np.all(every.energy == 0)
