"""Where memory ends, a population is sampled in halves, with the same bits; where nothing smaller is left, that is said."""

import numpy as np
import pytest

import gpumc
from gpumc.errors import DeviceError
from gpumc.messages import belief_propagation
from gpumc.sampling.binary import BinaryWalk
from gpumc.sampling.spheres.spherical import SphericalWalk
from tests.variants import SPHERICAL, TINY, by_machine, same_bits

SETTINGS = {"chains": 5, "burn_in": 3, "sweeps": 6, "every": 2, "seed": 4, "device": "numpy"}
COUPLED = gpumc.LocalEntropy(gpumc.CrossEntropy([0.5, 1.0]), 2.0, 0.3, 2)


def full(most: int, machine, monkeypatch) -> list[int]:
    """Let a run end out of memory for more than ``most`` chains; the sizes that are tried."""
    walk = SphericalWalk if machine.spherical else BinaryWalk
    tried, real = [], walk.acceptance

    def limited(self, state):
        tried.append(np.prod(self.part.size))
        if tried[-1] > most:
            raise MemoryError("no more")
        return real(self, state)

    monkeypatch.setattr(walk, "acceptance", limited)
    return tried


@by_machine([TINY[0], SPHERICAL[3]])
def test_halves_have_the_same_bits(machine, monkeypatch):
    patterns = gpumc.random_patterns(machine, 0.6, 3, seed=2)
    whole = gpumc.sample(machine, patterns, COUPLED, **SETTINGS)
    tried, told = full(2, machine, monkeypatch), []
    halved = gpumc.sample(machine, patterns, COUPLED, progress=lambda *now: told.append(now), **SETTINGS)
    assert same_bits(halved.drop_attrs(), whole.drop_attrs())
    assert max(tried) > 2
    assert told[-1][0] == told[-1][1], "what was done twice is counted once"


@by_machine([TINY[0], SPHERICAL[3]])
def test_nothing_smaller(machine, monkeypatch):
    full(0, machine, monkeypatch)
    with pytest.raises(DeviceError, match=r"out of memory on device numpy \(no more\)"):
        gpumc.sample(machine, gpumc.random_patterns(machine, 0.6), COUPLED, **SETTINGS)


def test_what_was_shown_is_not_shown_again(monkeypatch):
    machine, shown = TINY[0], []
    full(2, machine, monkeypatch)
    with pytest.raises(DeviceError, match="out of memory"):
        gpumc.sample(
            machine,
            gpumc.random_patterns(machine, 0.6),
            COUPLED,
            watch=lambda *now: shown.append(now),
            watch_every=6,
            **SETTINGS,
        )
    assert len(shown) == 1


def test_messages_in_halves(monkeypatch):
    machine = gpumc.Perceptron(21)
    patterns = gpumc.random_patterns(machine, 0.4, 5, seed=1)
    whole = gpumc.entropy(machine, patterns, device="numpy")
    real = belief_propagation._solved

    def limited(device, constraints, problems, how):
        if len(problems) > 2:
            raise MemoryError
        return real(device, constraints, problems, how)

    monkeypatch.setattr(belief_propagation, "_solved", limited)
    assert same_bits(gpumc.entropy(machine, patterns, device="numpy"), whole)
