"""Billiards between the walls of a version space: paths that keep the uniform measure, on every device."""

import numpy as np
import pytest

from gpumc.device import choose, to_host
from gpumc.volumes.billiards import play

DEVICES = ["numpy", "cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def norm(x):
    return x * np.sqrt(x.shape[-1] / (x * x).sum(axis=-1, keepdims=True))


def table(n, count, rows):
    """Walls inputs u > 0 that a teacher is away from, and rows that start near it, in random directions."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(count, n)) / n**0.5
    inputs *= np.sign(inputs.sum(axis=1, keepdims=True))
    u = norm(1 + 0.05 * rng.normal(size=(rows, n)))
    return u, directions(rng, u), inputs


def directions(rng, u):
    """Random headings at ``u``."""
    v = rng.normal(size=u.shape)
    return norm(v - u * (u * v).sum(axis=1, keepdims=True) / u.shape[1])


def played(device, u, heading, inputs, walls, angle, most=10_000):
    """Positions, headings and walls met, on the host; what is passed stays as it is."""
    device = choose(device)
    of = device.asarray
    moved, turned = (device.xp.array(of(x)) for x in (u, heading))
    angles = device.xp.full(len(u), angle)
    met = play(device, moved, turned, of(inputs), of(inputs @ inputs.T), of(walls), angles, most)
    return to_host(moved), to_host(turned), to_host(met)


def walls_of(u, inputs, populations):
    """Just outside of where each population is."""
    fields = (u @ inputs.T).reshape(populations, -1, len(inputs))
    return fields.min(axis=1) - 0.01


SHAPES = [(100, 150, 12), (7, 5, 12), (50, 33, 24), (3, 8, 2), (64, 1, 6), (31, 257, 6)]


@pytest.mark.parametrize(("n", "count", "rows"), SHAPES)
@pytest.mark.parametrize("device", DEVICES[1:])
def test_twins(device, n, count, rows):
    """Host kernels to the bit; a GPU contracts products and sums, and paths that meet many walls forget where they began."""
    u, heading, inputs = table(n, count, rows)
    walls = walls_of(u, inputs, 2)
    for angle, most in ((0.01, 1000), (0.7, 1000), (0.7, 3)):
        expected = played("numpy", u, heading, inputs, walls, angle, most)
        found = played(device, u, heading, inputs, walls, angle, most)
        if device == "cpu":
            assert all(map(np.array_equal, expected, found))
        elif angle < 0.1:
            np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-9)
            assert np.array_equal(found[2], expected[2])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("n", "count", "rows"), SHAPES)
def test_paths_stay_on_the_sphere_and_between_the_walls(device, n, count, rows):
    u, heading, inputs = table(n, count, rows)
    walls = walls_of(u, inputs, 2)
    found, turned, met = played(device, u, heading, inputs, walls, 1.0)
    np.testing.assert_allclose((found**2).sum(axis=1), n, rtol=1e-11)
    np.testing.assert_allclose((turned**2).sum(axis=1), n, rtol=1e-11)
    assert np.abs((found * turned).sum(axis=1)).max() < 1e-10 * n
    assert (found @ inputs.T >= np.repeat(walls, rows // 2, axis=0) - 1e-12).all()
    assert met.max() > 0


@pytest.mark.parametrize("device", DEVICES)
def test_a_path_without_walls_is_a_great_circle(device):
    u, heading, inputs = table(20, 30, 4)
    found, turned, met = played(device, u, heading, inputs, np.full((1, 30), -1e3), 0.8)
    np.testing.assert_allclose(found, np.cos(0.8) * u + np.sin(0.8) * heading, atol=1e-14)
    np.testing.assert_allclose(turned, np.cos(0.8) * heading - np.sin(0.8) * u, atol=1e-14)
    assert not met.any()


@pytest.mark.parametrize("device", DEVICES)
def test_paths_run_back(device):
    """Errors grow with every wall: about ten of them leave 1e-8."""
    u, heading, inputs = table(30, 40, 50)
    walls = walls_of(u, inputs, 1)
    there = played(device, u, heading, inputs, walls, 0.15)
    back = played(device, there[0], -there[1], inputs, walls, 0.15)
    assert there[2].mean() > 3
    assert np.array_equal(there[2], back[2])
    np.testing.assert_allclose(back[0], u, atol=1e-8)
    np.testing.assert_allclose(-back[1], heading, atol=1e-8)


@pytest.mark.parametrize("device", [DEVICES[1], pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.long])])
@pytest.mark.parametrize("wall", [-0.3, 0.0, 0.2])
def test_paths_become_uniform(device, wall):
    """Of kernels, whose bits on the host are NumPy's. From near one point, 30 paths in random directions, against uniform points rejected
    beyond the walls: means and squares of the coordinates within 4.5 standard errors (fails by chance for 0.03 % of seeds, which are
    fixed)."""
    u, _, inputs = table(5, 7, 4000)
    rng = np.random.default_rng(2)
    plain = norm(rng.normal(size=(1_000_000, 5)))
    plain = plain[(plain @ inputs.T > wall).all(axis=1)]
    u = norm(plain.mean(axis=0) + 0.001 * rng.normal(size=u.shape))
    for _ in range(30):
        u, _, met = played(device, u, directions(rng, u), inputs, np.full((1, 7), wall), 1.0)
    assert met.mean() > 1
    for of in (np.array, np.square):
        found, expected = of(u), of(plain)
        error = np.hypot(found.std(axis=0) / len(u) ** 0.5, expected.std(axis=0) / len(plain) ** 0.5)
        assert (np.abs(found.mean(axis=0) - expected.mean(axis=0)) < 4.5 * error).all()


def test_a_path_is_cut_after_so_many_walls():
    u, heading, inputs = table(30, 40, 8)
    _, _, met = played("cpu", u, heading, inputs, walls_of(u, inputs, 1), 1.0, most=5)
    assert (met == 5).all()
