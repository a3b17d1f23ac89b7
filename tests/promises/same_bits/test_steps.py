"""init, step and observe: a population step by step is the run, however it is cut, saved and loaded."""

from pathlib import Path

import numpy as np
import pytest

import gpumc
from gpumc.errors import ConfigError, RunError
from gpumc.state import State

BINARY = gpumc.TreeCommittee(21, k=3)
TANH = gpumc.TreeCommittee(21, k=3, weights="spherical", activation="tanh")
SIGNS = gpumc.TreeParity(15, k=3, weights="spherical")
CROSS_ENTROPY, ERRORS = gpumc.CrossEntropy([0.5, 2.0]), gpumc.ErrorCount()
#: Every sampler; the machines differ in their weights, the losses in whether they count.
MOVED = [
    (BINARY, CROSS_ENTROPY, gpumc.Metropolis()),
    (BINARY, ERRORS, gpumc.HeatBath()),
    (TANH, CROSS_ENTROPY, gpumc.HMC(steps=3)),
    (SIGNS, ERRORS, gpumc.Rotations(moves=3)),
    (SIGNS, ERRORS, gpumc.HitAndRun(moves=3)),
]
CENTRES = [None, "explicit", "traced", "fixed"]
#: Sweeps of burn-in, in which steps are tuned.
BURN_IN = 6
#: What observing gives that a run has at its last draw.
RECORDED = ("energy", "energy_per_pattern", "error_rate", "overlap_centre", "overlap_replicas")
LAST = ("weights", "centre", "acceptance")

by_sampler = pytest.mark.parametrize(
    ("machine", "loss", "sampler"), MOVED, ids=lambda value: getattr(value, "kind", None)
)
by_centre = pytest.mark.parametrize("centre", CENTRES)


def measure_of(machine, loss, centre, beta=2.0):
    if centre is None:
        return gpumc.Gibbs(loss, beta)
    if centre == "fixed":
        centre = np.resize([1, 1, -1], machine.weight_count)
    return gpumc.LocalEntropy(loss, beta, 0.3, 3, centre)


def dynamics_of(machine, loss, sampler, centre=None, beta=2.0, device="numpy", **settings):
    patterns = gpumc.random_patterns(machine, 0.6, 2, seed=1)
    measure = measure_of(machine, loss, centre, beta)
    settings = {"burn_in": BURN_IN, "seed": 5} | settings
    return gpumc.dynamics(machine, patterns, measure, sampler=sampler, device=device, **settings)


def assert_same(left, right, names):
    """The same bits, of some variables."""
    for name in names:
        assert (name in left) == (name in right), name
        if name in left:
            assert np.array_equal(left[name], right[name]), name


@by_centre
@by_sampler
def test_a_run_is_its_steps(machine, loss, sampler, centre):
    walks = dynamics_of(machine, loss, sampler, centre)
    state = walks.init(chains=3)
    walks.step(state, BURN_IN + 4)
    found = walks.observe(state)
    run = gpumc.sample(
        machine, walks.patterns, walks.measure, sampler=sampler, chains=3, burn_in=BURN_IN, sweeps=4, every=2, seed=5, device="numpy"
    )  # fmt: skip
    assert_same(found, run.isel(draw=-1), RECORDED)
    assert_same(found, run, LAST)
    assert found.energy.dims == run.energy.dims[:-1]
    assert int(found.sweep) == 4
    assert found.energy.attrs == run.energy.attrs
    assert {name: found.attrs[name] for name in ("seed", "sampler", "device", "burn_in", "loss")} == {
        "seed": 5, "sampler": sampler.kind, "device": "numpy", "burn_in": BURN_IN, "loss": loss.kind,
    }  # fmt: skip


@by_centre
@by_sampler
def test_a_saved_state_goes_on_as_if_it_had_not_been_saved(machine, loss, sampler, centre, tmp_path):
    """Saved in burn-in, where steps are still tuned, and loaded by another object with the same arguments."""
    walks = dynamics_of(machine, loss, sampler, centre)
    state = walks.init(chains=3)
    walks.step(state, 4)
    state.save(tmp_path / "state.npz")
    again = dynamics_of(machine, loss, sampler, centre)
    loaded = again.load(tmp_path / "state.npz")
    assert loaded.sweep == 4
    for dynamics, one in ((walks, state), (again, loaded)):
        dynamics.step(one, 7)
    assert_same(walks.observe(state), again.observe(loaded), (*RECORDED, *LAST, "stability_count"))
    assert [file.name for file in Path(tmp_path).iterdir()] == ["state.npz"]


@by_sampler
def test_sweeps_of_two_steps_are_those_of_one(machine, loss, sampler):
    once, twice = (dynamics_of(machine, loss, sampler, "explicit") for _ in range(2))
    whole, cut = once.init(chains=3), twice.init(chains=3)
    once.step(whole, 11)
    for sweeps in (1, 4, 6):
        twice.step(cut, sweeps)
    assert whole.sweep == cut.sweep == 11
    assert_same(once.observe(whole), twice.observe(cut), (*RECORDED, *LAST))


@pytest.mark.parametrize("beta", [gpumc.Ramp(0.5, 3.0), gpumc.Ramp(0.5, 3.0, over="run")])
@pytest.mark.parametrize(("machine", "sampler"), [(BINARY, gpumc.Metropolis()), (TANH, gpumc.HMC())])
def test_ramps_move_with_the_states_own_sweeps(machine, sampler, beta):
    loss = gpumc.CrossEntropy(1.0)
    walks = dynamics_of(machine, loss, sampler, "explicit", beta, sweeps=6)
    state = walks.init(chains=3)
    for sweeps in (4, 5, 3):
        walks.step(state, sweeps)
    run = gpumc.sample(
        machine, walks.patterns, walks.measure, sampler=sampler, chains=3, burn_in=BURN_IN, sweeps=6, seed=5, device="numpy"
    )  # fmt: skip
    found = walks.observe(state)
    assert_same(found, run.isel(draw=-1), (*RECORDED, "beta"))
    assert_same(found, run, LAST)
    with pytest.raises(ConfigError, match="sweeps = 1: the state has made 12"):
        walks.step(state)


def test_a_ramp_over_burn_in_leaves_the_run_open():
    loss = gpumc.LogBarrier(gpumc.Ramp(1.0, 0.3, scale="geometric"))
    walks = dynamics_of(BINARY, loss, gpumc.Metropolis())
    state = walks.init(chains=2)
    walks.step(state, BURN_IN + 20)
    found = walks.observe(state)
    assert float(found["cut"]) == pytest.approx(0.3)
    with pytest.raises(ConfigError, match="the ramp of beta goes over the run: sweeps"):
        dynamics_of(BINARY, gpumc.CrossEntropy(1.0), gpumc.Metropolis(), beta=gpumc.Ramp(1.0, 2.0, over="run"))


def test_a_start_can_be_given_and_observed():
    patterns = gpumc.random_patterns(BINARY, 0.6, 2, seed=1)
    walks = gpumc.dynamics(BINARY, patterns, gpumc.Gibbs(ERRORS, 1.0), device="numpy")
    weights = np.resize([1, -1, -1], 21)
    found = walks.observe(walks.init(chains=2, init=weights))
    assert np.array_equal(found.weights, np.broadcast_to(weights, (2, 2, 1, 21)))
    stability = [BINARY.stabilities(weights[None], patterns.xi[i], patterns.labels[i])[0] for i in range(2)]
    assert np.array_equal(found.energy[:, 0, 0], [(one <= 0).sum() for one in stability])
    assert np.isnan(found.acceptance).all(), "nothing was proposed"


@pytest.mark.gpu
@by_sampler
def test_on_a_gpu(machine, loss, sampler, tmp_path):
    walks = dynamics_of(machine, loss, sampler, "explicit", device="cuda")
    state = walks.init(chains=3)
    walks.step(state, 4)
    state.save(tmp_path / "state.npz")
    loaded = walks.load(tmp_path / "state.npz")
    for one in (state, loaded):
        walks.step(one, 4)
    assert_same(walks.observe(state), walks.observe(loaded), (*RECORDED, *LAST))


def test_mistakes_are_sentences(tmp_path):
    walks = dynamics_of(BINARY, ERRORS, gpumc.HeatBath())
    state = walks.init(chains=2)
    others = dynamics_of(BINARY, ERRORS, gpumc.HeatBath(), "explicit"), dynamics_of(TANH, CROSS_ENTROPY, gpumc.HMC())
    file = tmp_path / "state.npz"
    state.save(file)
    for other in others:
        with pytest.raises(ConfigError, match="state has shape"):
            other.step(state)
        with pytest.raises(ConfigError, match=r"state in .*state.npz has shape"):
            other.load(file)
    joint, single = (dynamics_of(TANH, CROSS_ENTROPY, one, "traced") for one in (gpumc.HMC(), gpumc.Rotations()))
    joint.init(chains=2).save(tmp_path / "joint.npz")
    with pytest.raises(ConfigError, match=r"another measure or sampler.*log_size"):
        single.load(tmp_path / "joint.npz")
    np.save(tmp_path / "array.npy", np.ones(3))
    with pytest.raises(RunError, match="cannot be read"):
        walks.load(tmp_path / "array.npy")
    with pytest.raises(ConfigError, match="a state, as init gives it, is needed"):
        walks.step(walks.observe(state))
    with pytest.raises(ConfigError, match="sweeps = 0"):
        walks.step(state, 0)
    with pytest.raises(ConfigError, match="chains = 0"):
        walks.init(chains=0)
    with pytest.raises(ConfigError, match="shape"):
        walks.init(chains=2, init=np.ones(5))
    with pytest.raises(RunError, match="cannot be read"):
        walks.load(tmp_path / "none.npz")
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(RunError, match="cannot be read"):
        walks.load(file)
    with pytest.raises(RunError, match="cannot be saved"):
        state.save(tmp_path / "no" / "folder.npz")
    assert isinstance(state, State)
