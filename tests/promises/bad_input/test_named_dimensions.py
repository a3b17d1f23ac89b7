"""Results handed back as arguments go where their names and coordinates say."""

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc.errors import ConfigError
from gpumc.parts import Part

MACHINE, CHAINS = gpumc.Perceptron(11), 4
PATTERNS = gpumc.random_patterns(MACHINE, 0.3, 4, seed=1)
ERRORS = gpumc.ErrorCount()
SETTINGS = {"chains": CHAINS, "burn_in": 0, "device": "numpy", "seed": 5}
#: Nothing moves: each spin costs more than any error.
FROZEN = gpumc.LocalEntropy(ERRORS, [1.0, 2.0], [0.0, 1e6], replicas=3)


def sampled(measure=FROZEN, **arguments) -> xr.Dataset:
    return gpumc.sample(MACHINE, PATTERNS, measure, **(SETTINGS | {"sweeps": 1} | arguments))


@pytest.fixture(scope="module")
def first() -> xr.Dataset:
    return sampled(seed=1)


def shuffled(array: xr.DataArray) -> xr.DataArray:
    """The same in another order of dimensions and of all that has a coordinate."""
    return array.isel({dim: slice(None, None, -1) for dim in array.dims if dim in array.indexes}).transpose(
        "weight", ...
    )


def test_each_instance_starts_from_its_own_solution():
    """Two of focusing's solutions have no errors where they belong; anywhere else they have some."""
    found = gpumc.focusing_bp(MACHINE, PATTERNS, device="numpy")
    assert found.solved.all()
    cold = sampled(gpumc.Gibbs(ERRORS, 1e6), init=found.weights)
    assert (cold.energy == 0).all()
    assert (cold.weights.values == found.weights.values[:, :, None]).any()


def test_order_does_not_matter_to_starts_and_centres(first):
    """By name and coordinate, in any order, and as plain arrays in the result's own shape: the same bits."""
    plain = sampled(
        gpumc.LocalEntropy(ERRORS, [1.0, 2.0], [0.0, 1e6], 3, first.centre.values), init=first.weights.values
    )
    named = sampled(
        gpumc.LocalEntropy(ERRORS, [1.0, 2.0], [0.0, 1e6], 3, shuffled(first.centre)), init=shuffled(first.weights)
    )
    assert (plain.centre.values == first.centre.values).all()
    for name in ("weights", "centre", "energy", "overlap_centre"):
        assert np.array_equal(plain[name], named[name]), name


def test_the_grid_may_be_one_dimension(first):
    grid = first.weights.values.reshape(4, 4, CHAINS, 3, MACHINE.n)
    assert np.array_equal(sampled(init=grid).weights, sampled(init=first.weights).weights)


def test_a_part_needs_its_own_alone(first):
    part = Part((1, 3), (2, 4))
    own = first.weights.isel(instance=[2, 1], chain=[2, 3])
    whole = sampled(init=first.weights)
    for init in (own, first.weights, first.weights.values):
        assert np.array_equal(sampled(init=init, part=part).weights, whole.weights.isel(instance=[1, 2], chain=[2, 3]))


def test_spheres_place_by_name_too():
    machine = gpumc.TreeCommittee(6, k=3, weights="spherical", activation="tanh")
    patterns = gpumc.random_patterns(machine, 0.5, 2, seed=1)
    measure = gpumc.LocalEntropy(gpumc.CrossEntropy(), [0.1, 0.2], 0.3, 2)
    data = gpumc.sample(machine, patterns, measure, sweeps=1, **SETTINGS)
    fixed = gpumc.LocalEntropy(gpumc.CrossEntropy(), [0.1, 0.2], 0.3, 2, shuffled(data.centre) * 1e200)
    again = gpumc.sample(machine, patterns, fixed, sweeps=1, init=shuffled(data.weights) * 1e-200, **SETTINGS)
    np.testing.assert_allclose(again.centre, data.centre, rtol=1e-14)
    plain = gpumc.LocalEntropy(gpumc.CrossEntropy(), [0.1, 0.2], 0.3, 2, data.centre.values)
    same = gpumc.sample(machine, patterns, plain, sweeps=1, init=data.weights.values, **SETTINGS)
    np.testing.assert_allclose(again.weights, same.weights, rtol=1e-8)


ROW = xr.DataArray(np.ones(MACHINE.n), dims="weight")


@pytest.mark.parametrize(
    ("init", "said"),
    [
        (ROW.expand_dims(start=[0, 1]), r"'start' of size 2.*isel\(start=0\)"),
        (ROW.expand_dims(draw=3), "'draw' of size 3"),
        (ROW.rename(weight="dim_0"), "'dim_0'"),
        (ROW.expand_dims(instance=[0, 1, 2]), "no instance = 3"),
        (ROW.expand_dims(instance=[0, 1, 1, 2]), "instance = 1 more than once"),
        (ROW.expand_dims(instance=list("abcd")), "no instance = 0"),
        (ROW.expand_dims(chain=[0]), r"no chain = 1.*isel\(chain=0, drop=True\)"),
        (ROW.expand_dims(chain=3), "3 along 'chain': 4 are needed"),
        (ROW.expand_dims(beta=[1.0, 2.5]), "no beta = 2.0"),
        (ROW.isel(weight=slice(4)), "'weight' of size 11"),
        (ROW.isel(weight=0), "'weight' of size 11"),
        (ROW.assign_coords(weight=np.arange(11) + 1), "no weight = 0"),
        (xr.Dataset({"a": ROW}), r"Dataset: one of its variables is needed \(a\)"),
        (np.ones((3, MACHINE.n)), r"shape \(3, 11\).*here \(4, 4, 4, "),
        (np.ones((CHAINS, 3, MACHINE.n)), "DataArray"),
        (np.ones(MACHINE.n - 1), r"shape \(10,\)"),
        (1, r"shape \(\)"),
    ],
)
def test_what_has_no_place_is_refused(init, said):
    with pytest.raises(ConfigError, match=f"init.*{said}"):
        sampled(init=init)
    with pytest.raises(ConfigError, match=f"centre.*{said}"):
        sampled(gpumc.LocalEntropy(ERRORS, [1.0, 2.0], [0.0, 1e6], 3, init))


def test_sizes_of_one_and_scalar_coordinates_are_for_all(first):
    one = first.weights.isel(instance=0, chain=0, replica=0, beta=0, coupling=0, drop=False)
    spread = sampled(init=one.expand_dims(start=1))
    assert np.array_equal(spread.weights, sampled(init=one.values).weights)


def test_references_by_instance():
    rng = np.random.default_rng(1)
    rows = xr.DataArray(rng.choice([-1, 1], (4, MACHINE.n)), {"instance": range(4)}, ("instance", "weight"))
    plain = gpumc.local_entropy(MACHINE, PATTERNS, rows.values, distance=0.3, device="numpy")
    other = gpumc.local_entropy(
        MACHINE, PATTERNS, rows.isel(instance=[2, 0]).T.assign_coords(instance=[2.0, 0.0]), distance=0.3, device="numpy"
    )
    np.testing.assert_array_equal(other.entropy, plain.entropy.values[[2, 0]])
    turned = rows.assign_coords(weight=range(MACHINE.n)).isel(weight=slice(None, None, -1))
    again = gpumc.local_entropy(MACHINE, PATTERNS, turned, distance=0.3, device="numpy")
    np.testing.assert_array_equal(again.entropy, plain.entropy)
    counts = gpumc.exact.solutions_by_distance(MACHINE, PATTERNS, rows)
    assert counts.equals(gpumc.exact.solutions_by_distance(MACHINE, PATTERNS, rows[::-1]))
    alone = gpumc.exact.solutions_by_distance(MACHINE, PATTERNS, rows.values[3])
    assert np.array_equal(counts[3], alone[3])
    measure = gpumc.LocalEntropy(ERRORS, 1.0, 0.5, 2, rows[::-1])
    with_array = gpumc.LocalEntropy(ERRORS, 1.0, 0.5, 2, rows.values)
    found, right = (gpumc.exact.averages(MACHINE, PATTERNS, one) for one in (measure, with_array))
    assert found.equals(right)


def test_parameters_have_their_own_dimension():
    energy = sampled(gpumc.Gibbs(ERRORS, [1.0, 2.0])).energy
    assert gpumc.Gibbs(ERRORS, energy.beta).beta == (1.0, 2.0)
    for wrong in (energy.instance, xr.Variable("coupling", [1.0, 2.0])):
        with pytest.raises(ConfigError, match=r"beta has the dimensions .*'beta'"):
            gpumc.Gibbs(ERRORS, wrong)
    with pytest.raises(ConfigError, match="distance has the dimensions instance"):
        gpumc.local_entropy(MACHINE, PATTERNS, np.ones(11), distance=energy.instance * 0.1)
    with pytest.raises(ConfigError, match="alpha has the dimensions beta"):
        gpumc.theory.replica_symmetric(MACHINE, alpha=energy.beta)


def test_patterns_by_name():
    xi = xr.DataArray(PATTERNS.xi, dims=("instance", "pattern", "input"))
    labels = xr.DataArray(PATTERNS.labels, dims=("instance", "pattern"))
    assert gpumc.Patterns(xi.transpose("input", ...), labels.T).digest == PATTERNS.digest
    assert gpumc.Patterns(xi[2].T, labels[2]).digest == gpumc.Patterns(PATTERNS.xi[2], PATTERNS.labels[2]).digest
    with pytest.raises(ConfigError, match="instance, pattern, input are needed"):
        gpumc.Patterns(xi.rename(input="weight"), labels)
    with pytest.raises(ConfigError, match="coordinates"):
        gpumc.Patterns(xi.assign_coords(instance=[0, 1, 2, 3]), labels.assign_coords(instance=[3, 2, 1, 0]))
