"""Entropies by belief propagation: exact where the graph is a tree, near enumeration on small systems, on theory's values on large ones."""

import warnings

import numpy as np
import pytest
import xarray as xr

import gpumc
from gpumc import exact, theory
from gpumc.errors import ConfigError
from tests.units.volumes.enumeration import at_fields, middle_solutions, satisfiable
from tests.variants import SIGNS, by_machine


def bp(form="auto", **settings):
    return gpumc.BeliefPropagation(form=form, **settings)


def one_pattern(machine, instances=3):
    patterns = gpumc.random_patterns(machine, 1.0, instances, seed=2)
    return gpumc.Patterns(patterns.xi[:, :1], patterns.labels[:, :1])


@by_machine(SIGNS)
@pytest.mark.parametrize(
    ("loss", "beta"), [(gpumc.ErrorCount(), [0.7, 3.0]), (gpumc.CrossEntropy([0.5, 2.0]), [0.7, 3.0])], ids=str
)
def test_a_tree_is_solved_exactly(machine, loss, beta):
    patterns = one_pattern(machine)
    truth = exact.averages(machine, patterns, gpumc.Gibbs(loss, beta))
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, beta), method=bp("exact"), device="numpy")
    tolerance = 1e-9 if loss.counts else 1e-5  # the enumerated loss is a multiple of 2^-20
    free_entropy = truth.log_partition / machine.weight_count
    assert abs(found.free_entropy - free_entropy).max() < tolerance
    assert abs(found.energy - truth.energy).max() < tolerance
    assert abs(found.entropy - free_entropy - truth.energy * truth.beta / machine.weight_count).max() < tolerance
    assert found.converged.all()


@by_machine(SIGNS)
def test_a_tree_is_solved_exactly_around_a_reference(machine):
    patterns, fields = one_pattern(machine), np.array([-0.5, 0.3, 2.0])
    errors = exact.enumerate_states(machine, patterns).errors.values
    references = middle_solutions(machine, errors)
    free_entropy, entropy, distance = at_fields(machine, errors, references, fields)
    found = gpumc.local_entropy(machine, patterns, references, field=fields, method=bp("exact"), device="numpy")
    assert np.allclose(found.free_entropy, free_entropy, atol=1e-9)
    assert np.allclose(found.entropy, entropy, atol=1e-8)
    assert np.allclose(found.distance, distance, atol=1e-8)


#: Of 20 instances, 5 at each of four alpha; the full committee, whose units read the same inputs, has shorter loops: see docs/volumes.md.
ENUMERATED = [
    (gpumc.Perceptron(21), 0.01),
    (gpumc.TreeCommittee(21, 3), 0.01),
    (gpumc.TreeParity(21, 3), 0.01),
    (gpumc.FullCommittee(7, 3), 0.011),
    (gpumc.TreeCommittee(20, 4, activation="relu"), 0.01),
]


@pytest.mark.parametrize(("machine", "most"), ENUMERATED, ids=str)
def test_small_systems_are_near_enumeration(machine, most, record_property):
    fields = np.array([0.0, 0.5, 1.0, 2.0, 3.0, 4.0])
    errors = []
    for alpha in (0.2, 0.3, 0.4, 0.5):
        patterns, enumerated = satisfiable(machine, alpha, 5, seed=7)
        references = middle_solutions(machine, enumerated)
        found = gpumc.local_entropy(machine, patterns, references, field=fields, device="numpy")
        assert found.converged.all()
        errors.append(np.abs(found.entropy.values - at_fields(machine, enumerated, references, fields)[1]))
    whole, local = np.concatenate(errors)[:, 0], np.concatenate(errors)[:, 1:]
    for name, error in (("whole", whole), ("local", local)):
        record_property(name, f"median {np.median(error):.4f}, worst {error.max():.4f}")
        print(f"{machine.kind}, {name}: median {np.median(error):.4f}, worst {error.max():.4f}")
    assert np.median(whole) <= most
    assert np.median(local) <= 0.01


@pytest.mark.parametrize("alpha", [0.2, 0.4, 0.6])
def test_perceptron_entropies_are_the_theory_s(alpha):
    """Within 3 standard errors over 24 instances: three such comparisons fail by chance with probability 1 %, at fixed seeds."""
    machine = gpumc.Perceptron(1001)
    patterns = gpumc.random_patterns(machine, alpha, 24, seed=3)
    found = gpumc.entropy(machine, patterns, device="numpy")
    expected = theory.replica_symmetric(machine, alpha=patterns.count / 1001).entropy.item()
    error = found.entropy.std("instance", ddof=1) / np.sqrt(24)
    assert abs(found.entropy.mean() - expected) < 3 * error < 0.007


@pytest.mark.long
@pytest.mark.parametrize("alpha", [0.2, 0.4, 0.6])
def test_large_perceptron_entropies_are_the_theory_s(alpha):
    machine = gpumc.Perceptron(10001)
    values = []
    for seed in range(8):
        patterns = gpumc.random_patterns(machine, alpha, 1, seed)
        values.append(gpumc.entropy(machine, patterns, device="numpy").entropy.item())
    expected = theory.replica_symmetric(machine, alpha=patterns.count / 10001).entropy.item()
    print(f"alpha = {alpha}: {np.mean(values):.5f} +- {np.std(values, ddof=1) / np.sqrt(8):.5f}, theory {expected:.5f}")
    assert np.mean(values) == pytest.approx(expected, abs=0.003)


ENERGIES = [(gpumc.ErrorCount(), beta) for beta in (0.5, 1.0, 2.0)] + [
    (gpumc.CrossEntropy(gamma), 5.0) for gamma in (0.5, 1.0, 5.0)
]


@pytest.mark.parametrize(("loss", "beta"), ENERGIES, ids=str)
def test_perceptron_energies_are_the_theory_s(loss, beta):
    """Within 3 standard errors over 24 instances: six comparisons fail by chance with probability 2 %, at fixed seeds."""
    machine = gpumc.Perceptron(1001)
    patterns = gpumc.random_patterns(machine, 0.4, 24, seed=4)
    found = gpumc.entropy(machine, patterns, gpumc.Gibbs(loss, beta), device="numpy")
    expected = theory.replica_symmetric(
        machine, gpumc.Gibbs(loss, beta), alpha=patterns.count / 1001
    ).energy_per_pattern
    energy = found.energy / patterns.count
    assert abs(energy.mean() - expected) < 3 * energy.std("instance", ddof=1) / np.sqrt(24)


def test_parity_entropy():
    machine = gpumc.TreeParity(999, 3)
    patterns = gpumc.random_patterns(machine, 0.4, 3, seed=1)
    found = gpumc.entropy(machine, patterns, device="numpy")
    assert np.allclose(found.entropy, np.log(2) * (1 - patterns.count / 999), atol=1e-12)


#: Relaxed messages are no stationary point of their free entropy, but for wide units.
VARIATIONAL = ("amp", "exact")


@pytest.mark.parametrize("form", VARIATIONAL)
def test_field_is_the_slope_of_the_entropy(form):
    machine = gpumc.TreeCommittee(63, 3) if form != "exact" else gpumc.TreeCommittee(33, 3)
    patterns = gpumc.random_patterns(machine, 0.3, 2, seed=5)
    reference = np.ones(machine.weight_count, np.int8)
    distance = np.array([0.35, 0.35 + 1e-4, 0.35 - 1e-4])
    found = gpumc.local_entropy(
        machine, patterns, reference, distance=distance, method=bp(form, tolerance=1e-10), device="numpy"
    )
    slope = (found.entropy[:, 1] - found.entropy[:, 2]) / 2e-4
    assert np.allclose(slope, found.field[:, 0], atol=1e-4)


@pytest.mark.parametrize("form", VARIATIONAL)
def test_energy_is_minus_the_slope_of_the_free_entropy(form):
    machine = gpumc.TreeCommittee(63, 3) if form != "exact" else gpumc.TreeCommittee(33, 3)
    patterns = gpumc.random_patterns(machine, 0.5, 2, seed=6)
    found = gpumc.entropy(
        machine,
        patterns,
        gpumc.Gibbs(gpumc.ErrorCount(), [1.5 - 1e-4, 1.5, 1.5 + 1e-4]),
        method=bp(form, tolerance=1e-10),
        device="numpy",
    )
    slope = (found.free_entropy[:, 2] - found.free_entropy[:, 0]) / 2e-4 * machine.weight_count
    assert np.allclose(-slope, found.energy[:, 1], rtol=1e-6)


def test_forms_agree_where_units_are_wide():
    machine = gpumc.Perceptron(301)
    patterns = gpumc.random_patterns(machine, 0.3, 2, seed=7)
    values = [
        gpumc.entropy(machine, patterns, method=bp(form), device="numpy").entropy.values for form in ("amp", "relaxed")
    ]
    assert np.allclose(*values, atol=2e-4)


def test_single_precision():
    machine = gpumc.Perceptron(501)
    patterns = gpumc.random_patterns(machine, 0.4, 2, seed=8)
    double, single = (
        gpumc.entropy(machine, patterns, method=bp(dtype=dtype, tolerance=1e-4), device="numpy")
        for dtype in (np.float64, np.float32)
    )
    assert single.converged.all()
    assert np.allclose(single.entropy, double.entropy, atol=1e-5)


def test_an_answer_does_not_depend_on_its_batch():
    machine = gpumc.Perceptron(301)
    patterns = gpumc.random_patterns(machine, 0.5, 3, seed=9)
    references = np.random.default_rng(1).choice([-1, 1], (3, 4, 301))
    distance = np.linspace(0.06, 0.5, 9)
    how = bp(iterations=500)
    whole = gpumc.local_entropy(machine, patterns, references, distance=distance, method=how, device="numpy")
    assert 0 < whole.converged.mean() < 1
    for i, r, d in ((0, 0, 8), (1, 3, 6), (2, 2, 1)):
        own = gpumc.Patterns(patterns.xi[i], patterns.labels[i])
        alone = gpumc.local_entropy(machine, own, references[i, r], distance=distance[d], method=how, device="numpy")
        among = whole.isel(instance=[i], reference=r, distance=[d])
        assert np.allclose(alone.entropy, among.entropy, rtol=0, atol=1e-12, equal_nan=True)
        assert np.array_equal(alone.converged, among.converged)
        assert np.array_equal(
            alone.iterations.where(alone.converged), among.iterations.where(among.converged), equal_nan=True
        )


def test_contradictions_are_nan():
    machine = gpumc.Perceptron(11)
    xi = np.random.default_rng(2).choice([-1, 1], (1, 2, 11))
    xi[0, 1] = xi[0, 0]
    contradiction = gpumc.Patterns(xi, [[1, -1]])
    with pytest.warns(UserWarning, match="instance 0 contradict"):
        found = gpumc.entropy(machine, contradiction, device="numpy")
    assert np.isnan(found.entropy).all()
    assert not found.converged.any()
    assert gpumc.entropy(machine, contradiction, gpumc.Gibbs(gpumc.ErrorCount(), 3.0), device="numpy").converged.all()


def test_more_configurations_than_there_are_is_no_answer():
    """Relaxed messages of so few weights converge on entropies above log 2, 1.1 from enumeration."""
    machine, reference, loss = gpumc.Perceptron(11), np.ones(11, np.int8), gpumc.CrossEntropy(2.0)
    patterns = gpumc.random_patterns(machine, 0.3, 6, seed=3)
    found = gpumc.local_entropy(
        machine, patterns, reference, gpumc.Gibbs(loss, 8.0), field=4.0, method=bp("relaxed"), device="numpy"
    )
    energy = exact.enumerate_states(machine, patterns, loss).energy.values
    distance = (11 - exact.states(11) @ reference) / 2
    log_weight = -8 * energy - 4 * distance
    log_z = np.logaddexp.reduce(log_weight, axis=1)
    truth = (log_z - (np.exp(log_weight - log_z[:, None]) * log_weight).sum(axis=1)) / 11
    assert found.converged.sum() == 4
    assert np.nanmax(np.abs(found.entropy.values[:, 0] - truth)) < 0.1


def test_a_distance_without_solutions_is_nan_and_others_are_not():
    machine = gpumc.Perceptron(1001)
    patterns = gpumc.random_patterns(machine, 0.4, 1, seed=1)
    wrong = np.ones(1001, np.int8)  # makes errors, so that nothing near it is a solution
    found = gpumc.local_entropy(machine, patterns, wrong, distance=[0.001, 0.5], device="numpy")
    assert found.converged.values.tolist() == [[False, True]]
    assert np.isnan(found.entropy.values[0, 0])
    assert found.entropy.values[0, 1] > 0.3


def test_strong_fields_are_numbers():
    machine = gpumc.Perceptron(101)
    patterns = gpumc.teacher_patterns(machine, 0.4, 1, seed=3)
    teacher = gpumc.focusing_bp(machine, patterns, device="numpy").weights.values[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gpumc.local_entropy(machine, patterns, teacher, field=[20.0, 60.0, 400.0], device="numpy")
    assert np.allclose(found.entropy, 0, atol=1e-6)


def test_a_sampled_dataset_keeps_its_dimensions():
    machine = gpumc.TreeCommittee(27, 3)
    patterns = gpumc.random_patterns(machine, 0.3, 3, seed=1)
    measure = gpumc.LocalEntropy(gpumc.CrossEntropy([0.5, 2.0]), beta=5.0, coupling=0.5, replicas=3)
    data = gpumc.sample(machine, patterns, measure, chains=2, burn_in=50, sweeps=10, every=10, device="numpy")
    found = gpumc.local_entropy(machine, patterns, data.centre, distance=[0.1, 0.3], device="numpy")
    assert dict(found.entropy.sizes) == {"instance": 3, "gamma": 2, "chain": 2, "distance": 2}
    assert found.gamma.values.tolist() == [0.5, 2.0]
    one = gpumc.local_entropy(
        machine, patterns, data.centre.isel(instance=[2], gamma=1), distance=[0.1, 0.3], device="numpy"
    )
    assert np.allclose(one.entropy[0], found.entropy.isel(instance=2, gamma=1), equal_nan=True)
    assert abs(found.log_volume - (found.entropy - found.entropy_bound)).max() < 1e-15
    assert all(array.attrs.keys() >= {"long_name", "units"} for array in found.variables.values())


@pytest.mark.parametrize("along", [{"distance": [0.2, 0.3]}, {"field": [0.5, 1.0]}], ids=lambda a: next(iter(a)))
@pytest.mark.parametrize("weights", ["binary", "spherical"])
def test_instances_may_come_in_any_order_and_again(weights, along):
    machine = gpumc.TreeCommittee(27, 3, weights=weights)
    patterns = gpumc.random_patterns(machine, 0.3, 3, seed=1)
    rows = np.random.default_rng(1).choice([-1, 1], (3, 27))
    references = xr.DataArray(rows, {"instance": [0, 1, 2]}, ("instance", "weight"))
    rising = gpumc.local_entropy(machine, patterns, references, device="numpy", **along)
    assert rising.converged.all()
    for order in ([2, 0, 1], [1, 1, 0]):
        found = gpumc.local_entropy(machine, patterns, references.isel(instance=order), device="numpy", **along)
        xr.testing.assert_equal(found, rising.isel(instance=order))


def test_bad_references_leave_the_good_ones():
    machine = gpumc.Perceptron(51)
    patterns = gpumc.random_patterns(machine, 0.3, 1, seed=1)
    references = np.ones((1, 3, 51))
    references[0, 1, 7] = np.nan
    found = gpumc.local_entropy(machine, patterns, references, distance=[0.3], device="numpy")
    assert found.converged.values[0, :, 0].tolist() == [True, False, True]
    assert np.isnan(found.entropy.values[0, 1, 0])


FIELDS = xr.DataArray(np.ones((2, 51)), {"field": [1.0, 2.0]}, ("field", "weight"))
GAMMAS = xr.DataArray(np.ones((2, 51)), {"gamma": [1.0, 2.0]}, ("gamma", "weight"))
MACHINE, PATTERNS = gpumc.Perceptron(51), gpumc.random_patterns(gpumc.Perceptron(51), 0.3, 2, seed=1)
ONES = np.ones(51)


def around(reference, loss=gpumc.ErrorCount(), beta=np.inf, **settings):  # noqa: B008
    return gpumc.local_entropy(MACHINE, PATTERNS, reference, gpumc.Gibbs(loss, beta), device="numpy", **settings)


@pytest.mark.parametrize(
    ("reference", "arguments", "said"),
    [
        (np.zeros(51), {"distance": 0.1}, r"every weight must be \+1 or -1"),
        (np.ones(50), {"distance": 0.1}, "51 weights"),
        (np.ones((3, 51)), {"distance": 0.1}, "3 instances and the patterns have 2"),
        (np.full(51, "a"), {"distance": 0.1}, "numbers are needed, found text"),
        (ONES, {"distance": 0.0}, "above 0 and at most 1/2"),
        (ONES, {"distance": [0.1, 0.7]}, "distance = 0.7"),
        (ONES, {"distance": np.nan}, "distance = nan"),
        (ONES, {}, "either distance or field"),
        (ONES, {"distance": 0.1, "field": 1.0}, "either distance or field"),
        (ONES, {"field": np.inf}, "finite"),
        (ONES, {"distance": 0.1, "beta": -1.0}, "non-negative"),
        (ONES, {"distance": 0.1, "loss": gpumc.CrossEntropy(1.0)}, "finite beta"),
        (ONES, {"distance": 0.1, "method": "tap"}, "'bp'"),
        (GAMMAS, {"distance": 0.1, "loss": gpumc.CrossEntropy([1.0, 3.0]), "beta": 1.0}, "other values along it"),
        (ONES, {"distance": "a"}, "distance: numbers are needed, found 'a'"),
        (ONES, {"field": "a"}, "field: numbers are needed, found 'a'"),
        (ONES, {"distance": 0.1, "beta": "a"}, "beta: numbers are needed, found 'a'"),
        (ONES, {"distance": 0.1, "loss": "error-count"}, r"loss = 'error-count': a Loss, such as ErrorCount\(\)"),
        (ONES, {"distance": 0.1, "method": ["bp"]}, "'bp'"),
        (np.ones((0, 51)), {"distance": 0.1}, "holds no row"),
        (np.ones((2, 0, 51)), {"distance": 0.1}, "holds no row"),
        (FIELDS, {"distance": 0.1}, "dimension 'field'.*rename"),
    ],
)
def test_bad_input_is_said(reference, arguments, said):
    with pytest.raises(ConfigError, match=said):
        around(reference, **arguments)


@pytest.mark.parametrize(
    "settings",
    [{"form": "tap"}, {"tolerance": 0.0}, {"tolerance": np.inf}, {"iterations": 0}, {"dtype": int}, {"dtype": complex}],
)
def test_bad_settings_are_said(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        gpumc.BeliefPropagation(**settings)
