"""Factor nodes of ReLU units against quadrature, orthants, sums over values, drawn fields and finite differences."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.stats import multivariate_normal

import gpumc
from gpumc.device import choose
from gpumc.messages.constraints import Constraints
from gpumc.messages.likelihoods import channel

NUMPY = choose("numpy")
OUTPUT = (1.3, -0.7)
MEANS, VARIANCES = np.array([0.7, -0.4, 1.1, 0.2]), np.array([1.5, 0.4, 0.8, 1.1])


def tree(k=2, weights="spherical", output=None, fan_in=15):
    return gpumc.TreeCommittee(fan_in * k, k=k, weights=weights, activation="relu", output=output)


def factors(machine, loss=None, beta=np.inf, label=1):
    counts = np.array([[[float(label > 0)]], [[float(label < 0)]]])
    return channel(NUMPY, machine, (loss or gpumc.ErrorCount()).rows(1), np.array([beta]), counts, np.float64)


def node(machine, mean, spread, *how):
    """The node of one pattern: spread (units,), variances, or (units, units), covariances."""
    with np.errstate(invalid="ignore"):  # where all is lost
        return factors(machine, *how).gaussian(mean[None, :, None], np.asarray(spread)[None, ..., None])


def chances(mean, variance, output):
    """P(s > 0) and P(s = 0) of two independent units, the second of negative output weight."""
    (m, _), (s, t) = mean, np.sqrt(variance)
    ratio = output[0] / -output[1]
    above = integrate.quad(
        lambda x: stats.norm.pdf(x, m, s) * stats.norm.cdf(ratio * x, mean[1], t),
        *(0, max(m, 0) + 12 * s),
        points=[max(m, 0)],
        epsabs=1e-15,
        epsrel=1e-12,
    )[0]
    return above, stats.norm.cdf(-mean / np.sqrt(variance)).prod()


@pytest.mark.parametrize("beta", [1.5, np.inf])
@pytest.mark.parametrize("label", [1, -1])
def test_two_units_against_quadrature(label, beta):
    """To 1e-6 of independent fields, and 2e-4 on the coarser lattice of correlated ones, where these are independent after all."""
    rng, worst = np.random.default_rng(1), np.zeros(2)
    for _ in range(12):
        mean, variance = rng.normal(0, 1.5, 2), rng.uniform(0.05, 2, 2)
        above, zero = chances(mean, variance, OUTPUT)
        right = above if label > 0 else 1 - above - zero
        expected = np.log(right + (np.exp(-beta) * (1 - right)))
        for place, spread in enumerate((variance, np.diag(variance))):
            machine = tree(output=OUTPUT)
            found = node(machine, mean, spread, None, beta, label)
            worst[place] = max(worst[place], abs(found.log_z.item() - expected))
    assert worst[0] < 1e-6
    assert worst[1] < 2e-4


def test_four_units_against_drawn_fields():
    """Of 4e6 draws: within 4 standard errors, a false alarm in 16000; and both lattices agree to 1e-4."""
    machine, rng = tree(4), np.random.default_rng(2)
    fields = rng.normal(MEANS, np.sqrt(VARIANCES), (4_000_000, 4))
    share = (np.maximum(fields, 0) @ [1, 1, -1, -1] > 0).mean()
    error = np.sqrt(share * (1 - share) / len(fields))
    found = node(machine, MEANS, VARIANCES).log_z.item()
    assert abs(np.exp(found) - share) < 4 * error
    assert node(machine, MEANS, np.diag(VARIANCES)).log_z.item() == pytest.approx(found, abs=1e-4)


@pytest.mark.parametrize(("strength", "tolerance"), [(0.1, 2e-3), (0.3, 1e-2)])
def test_correlated_units_against_orthants(strength, tolerance):
    """u > 0 and u > v, to what the points of the common part leave."""
    covariance = np.array([[1.5, strength], [strength, 0.6]])
    turn = np.array([[-1.0, 0.0], [-1.0, 1.0]])
    for mean in ([0.7, -0.4], [-0.5, 0.6], [0.1, 1.2]):
        expected = multivariate_normal(turn @ mean, turn @ covariance @ turn.T).cdf(np.zeros(2))
        assert node(tree(), np.array(mean), covariance).log_z.item() == pytest.approx(np.log(expected), abs=tolerance)


SPREADS = {"independent": VARIANCES, "correlated": np.diag(VARIANCES) + 0.2, "whole": 9 * VARIANCES}


@pytest.mark.parametrize("output", [None, (2, -1, 1, -3)], ids=str)
@pytest.mark.parametrize("beta", [2.0, np.inf])
@pytest.mark.parametrize("kind", SPREADS)
def test_slopes_and_curvatures(kind, beta, output):
    """Are derivatives, but for the lattice, whose step moves with the fields."""
    binary, step = kind == "whole", 1e-5
    machine = tree(4, "binary" if binary else "spherical", output)
    mean = MEANS * (3 if binary else 1)

    def at(shift):
        return node(machine, mean + shift, SPREADS[kind], None, beta, -1)

    found = at(0)
    pairs = [(at(step * move), at(-step * move)) for move in np.eye(4)]
    slope = [(up.log_z - down.log_z).item() / (2 * step) for up, down in pairs]
    curvature = np.array([(up.slope - down.slope)[0, :, 0] / (2 * step) for up, down in pairs])
    most = 1e-9 if binary else 1e-6 if kind == "independent" else 1e-4
    np.testing.assert_allclose(found.slope[0, :, 0], slope, atol=most)
    expected = curvature if kind == "correlated" else np.diag(curvature)
    np.testing.assert_allclose(found.curvature[0, ..., 0], expected, atol=2 * most)


@pytest.mark.parametrize("kind", SPREADS)
def test_energies_are_derivatives(kind):
    machine, step = tree(4, "binary" if kind == "whole" else "spherical"), 1e-5
    spread = SPREADS[kind][None, ..., None]
    log_z = [factors(machine, None, 1.5 + s).gaussian(MEANS[None, :, None], spread).log_z.item() for s in (step, -step)]
    energy = factors(machine, None, 1.5).energy(MEANS[None, :, None], spread)
    assert energy.item() == pytest.approx(-(log_z[0] - log_z[1]) / (2 * step), abs=1e-9)


@pytest.mark.parametrize("weights", ["binary", "spherical"])
def test_what_rounding_loses_is_no_number(weights):
    """P(s > 0) falls as Phi(mean) where the first unit must be positive: to all digits that a sum has left, and then NaN."""
    machine = tree(2, weights)
    for mean, expected in ((-3.0, stats.norm.logcdf(-3.0)), (-5.0, stats.norm.logcdf(-5.0)), (-9.0, np.nan)):
        found = node(machine, np.array([mean, -40.0]), np.ones(2)).log_z.item()
        assert found == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_a_unit_without_inputs_is_silent():
    """Its field has no variance: s > 0 where the other is positive."""
    found = node(tree(), np.array([0.3, 0.0]), np.array([1.2, 0.0]))
    assert found.log_z.item() == pytest.approx(stats.norm.logcdf(0.3 / np.sqrt(1.2)), abs=1e-12)
    assert found.slope[0, 1, 0] == 0
    # of a positive output weight it leaves no chance
    assert np.isnan(node(tree(), np.array([0.0, 0.3]), np.array([0.0, 1.2])).log_z.item())


@pytest.mark.parametrize(
    ("loss", "beta"),
    [(gpumc.ErrorCount(), np.inf), (gpumc.ErrorCount(0.4), 2.0), (gpumc.CrossEntropy(1.0), 3.0)],
    ids=str,
)
@pytest.mark.parametrize(("output", "mean"), [((2, -1), [1.0, 2.5]), ((5, -1), [-7.0, 30.0])], ids=str)
def test_whole_sums_against_all_values(output, mean, loss, beta):
    """Every pair of fields, each of the probability of its interval."""
    machine = tree(2, "binary", output, fan_in=61)
    mean, deviation = np.array(mean), np.array([3.0, 2.0])
    fields = np.arange(-61, 62, 2)
    laws = np.diff(stats.norm.cdf(np.arange(-62, 64, 2)[:, None], mean, deviation), axis=0)
    sums = output[0] * np.maximum(fields, 0)[:, None] + output[1] * np.maximum(fields, 0)
    losses = loss.values(-2 * sums * machine.readout.scale)
    boltzmann = np.exp(np.where(losses > 0, -beta * np.where(losses > 0, losses, 1), 0))
    weight = laws[:, :1] * laws[:, 1] * boltzmann
    of_label = loss, beta, -1
    assert node(machine, mean, deviation**2, *of_label).log_z.item() == pytest.approx(np.log(weight.sum()), abs=1e-11)
    energy = factors(machine, *of_label).energy(mean[None, :, None], deviation[None, :, None] ** 2)
    assert energy.item() == pytest.approx((weight * losses).sum() / weight.sum(), abs=1e-11)


def test_labels_stay_beside_the_patterns():
    """ReLU units are not odd: an input of label -1 is wanted to have the output -1; twice it counts twice."""
    machine = tree(2, "binary", fan_in=3)
    xi = np.array([[1, 1, -1, -1, 1, 1], [1, -1, 1, 1, -1, 1], [1, 1, -1, -1, 1, 1]], np.int8)
    found = Constraints.of(machine, xi, np.array([-1, 1, -1], np.int8))
    assert (found.right.tolist(), found.opposite.tolist()) == ([0, 1], [2, 0])
    np.testing.assert_array_equal(found.inputs, xi[:2])
