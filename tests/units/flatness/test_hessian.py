"""Hessians against differences of the loss, on spheres and off; spectra by both methods."""

import numpy as np
import pytest

import gpumc
from gpumc import flatness
from gpumc.device import choose
from gpumc.errors import ConfigError
from gpumc.flatness.curvature import Curvature
from gpumc.inputs import unit_inputs

MACHINES = [
    gpumc.Perceptron(7, weights="spherical"),
    gpumc.TreeCommittee(15, k=3, weights="spherical"),
    gpumc.FullCommittee(7, k=3, weights="spherical"),
    gpumc.FullCommittee(6, k=4, weights="spherical", activation="relu"),
    gpumc.TreeCommittee(9, k=3, weights="spherical", activation="erf", slope=0.7, output=[1.0, -0.5, 2.0]),
]
LOSS, SLOPE, STEP = gpumc.CrossEntropy(0.8), 1.3, 1e-4


def _differences(function, weights):
    """The matrix of second differences of ``function``."""
    count = len(weights)
    found, moves = np.zeros((count, count)), STEP * np.eye(count)
    for i in range(count):
        for j in range(count):
            corners = [s * t * function(weights + s * moves[i] + t * moves[j]) for s in (1, -1) for t in (1, -1)]
            found[i, j] = sum(corners) / (4 * STEP**2)
    return found


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: f"{m.kind}-{m.activation}")
def test_hessians(machine):
    """Riemannian is what the loss of normalised weights has along the spheres."""
    rng = np.random.default_rng(3)
    patterns, smooth = gpumc.random_patterns(machine, 1.0, seed=3), machine.softened(SLOPE)
    weights = machine.normalised(rng.normal(size=machine.weight_count))
    labels = patterns.labels[0].astype(float)
    inputs = unit_inputs(choose("numpy"), machine, patterns.xi[0])

    def loss(at):
        return LOSS.values(smooth.stabilities(at[None], patterns.xi[0], labels)).mean()

    flat, round_ = (Curvature.of(smooth, LOSS, weights, inputs, labels, spheres) for spheres in (False, True))
    np.testing.assert_allclose(flat.matrix(), _differences(loss, weights), atol=1e-7)
    on_spheres = _differences(lambda at: loss(machine.normalised(at)), weights)
    tangent = np.stack([round_.tangent(row) for row in np.eye(machine.weight_count)])
    np.testing.assert_allclose(round_.matrix(), tangent @ on_spheres @ tangent, atol=1e-7)
    vector, other = rng.normal(size=(2, machine.weight_count))
    for curvature in (flat, round_):
        np.testing.assert_allclose(curvature.product(vector), curvature.matrix() @ vector, atol=1e-14)
        assert np.isclose(other @ curvature.product(vector), vector @ curvature.product(other), atol=1e-14)
    values = round_.eigenvalues()
    assert values.shape == (machine.weight_count - machine.k,)
    np.testing.assert_allclose(values.sum(), np.trace(round_.matrix()), atol=1e-13)
    np.testing.assert_allclose((values**2).sum(), (round_.matrix() ** 2).sum(), atol=1e-13)


def _spectra(**settings):
    machine = gpumc.TreeCommittee(99, k=9, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.5, instances=2, seed=1)
    weights = np.random.default_rng(2).normal(size=(2, 3, 99))
    return flatness.hessian(machine, patterns, machine.normalised(weights), LOSS, slope=2.0, device="numpy", **settings)


@pytest.mark.parametrize("geometry", ["riemannian", "flat"])
def test_both_methods(geometry):
    """As many steps as eigenvalues give all of them; fewer give means within their errors: six of them, |z| < 4 (false alarms 4e-4)."""
    full = _spectra(geometry=geometry)
    modes = 99 - 9 * (geometry == "riemannian")
    assert dict(full.sizes) == {"instance": 2, "reference": 3, "probe": 1, "mode": modes}
    np.testing.assert_allclose(full.spectral_weight.sum("mode"), 1, rtol=1e-12)
    some = _spectra(geometry=geometry, method="lanczos", steps=30, probes=40)
    np.testing.assert_allclose(some.spectral_weight.sum("mode"), 1, rtol=1e-12)
    np.testing.assert_allclose(some.largest_eigenvalue, full.largest_eigenvalue, rtol=1e-8)
    np.testing.assert_allclose(some.smallest_eigenvalue, full.smallest_eigenvalue, atol=1e-8)
    z = (some.mean_eigenvalue - full.mean_eigenvalue) / some.mean_eigenvalue_error
    assert (abs(z) < 4).all()
    assert abs(z).max() > 0.05, "errors that are so large would hide any difference"


@pytest.mark.gpu
def test_a_gpu_gives_the_same():
    machine = gpumc.FullCommittee(9, k=3, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    weights = machine.normalised(np.random.default_rng(2).normal(size=27))
    settings = {"strength": 0.2, "eta": 1.0, "distance": None}
    for method in ("full", "lanczos"):
        host, device = (
            flatness.summary(machine, patterns, weights, method=method, device=d, **settings) for d in ("numpy", "cuda")
        )
        for name in ("local_energy", "noisy_error_rate", "signed_error_rate"):
            np.testing.assert_array_equal(device[name], host[name])
        np.testing.assert_allclose(device.largest_eigenvalue, host.largest_eigenvalue, rtol=1e-9)
        np.testing.assert_allclose(device.mean_eigenvalue, host.mean_eigenvalue, rtol=1e-9)


def test_density_has_the_mass_and_the_mean():
    spectrum = _spectra()
    at = np.linspace(-1, 2, 3001)
    density = flatness.spectral_density(spectrum, at, width=0.02).spectral_density
    step = at[1] - at[0]
    np.testing.assert_allclose(density.sum("at") * step, 1, rtol=1e-9)
    np.testing.assert_allclose((density * at).sum("at") * step, spectrum.mean_eigenvalue, atol=1e-9)


def test_weights_that_are_none_are_nan():
    machine = gpumc.Perceptron(11, weights="spherical")
    patterns = gpumc.random_patterns(machine, 0.5, instances=2, seed=1)
    weights = machine.normalised(np.random.default_rng(2).normal(size=(2, 11)))
    weights[1] = np.nan
    found = flatness.hessian(machine, patterns, weights, LOSS, device="numpy")
    assert np.isfinite(found.eigenvalue[0]).all()
    assert np.isnan(found.eigenvalue[1]).all()
    assert np.isnan(found.mean_eigenvalue_error[1])


@pytest.mark.parametrize(
    ("machine", "settings", "message"),
    [
        (gpumc.Perceptron(11), {}, "of spherical weights"),
        (gpumc.TreeParity(9, k=3, weights="spherical"), {}, "of perceptrons and committees"),
        (gpumc.Perceptron(11, weights="spherical"), {"loss": gpumc.ErrorCount()}, "with a slope"),
        (gpumc.Perceptron(11, weights="spherical"), {"loss": gpumc.CrossEntropy([1.0, 2.0])}, "are numbers"),
        (gpumc.Perceptron(11, weights="spherical"), {"slope": 0.0}, "slope"),
        (gpumc.Perceptron(11, weights="spherical"), {"geometry": "round"}, "geometry"),
        (gpumc.Perceptron(11, weights="spherical"), {"method": "power"}, "method"),
    ],
)
def test_what_is_refused(machine, settings, message):
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    weights = np.ones(machine.weight_count)
    given = {"loss": LOSS, **settings}
    with pytest.raises(ConfigError, match=message):
        flatness.hessian(machine, patterns, weights, given.pop("loss"), **given)
