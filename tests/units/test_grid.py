"""One grid of parameters: every method has its dimensions in the order of the schema."""

import numpy as np
import pytest

import gpumc
from gpumc.errors import ConfigError
from gpumc.grid import Grid, distinct_points
from gpumc.theory.theory_grid import theory_grid
from gpumc.volumes.problem_grid import ProblemGrid
from gpumc.volumes.references import distances, instances

LOSS = gpumc.CrossEntropy([1.0, 2.0, 3.0])


def test_every_method_has_the_order_of_the_schema():
    measure = gpumc.Gibbs(LOSS, [1.0, 2.0])
    patterns = gpumc.random_patterns(gpumc.Perceptron(11), 0.5, instances=2, seed=1)
    theory = theory_grid(LOSS, distance=[0.1, 0.2], reference_beta=[1.0, 2.0], alpha=[0.1, 0.2])
    assert Grid.of(measure).dims == ("beta", "gamma")
    assert theory.dims == ("alpha", "gamma", "reference_beta", "distance")
    problems = ProblemGrid.of(measure, instance=instances(patterns), distance=distances([0.1, 0.2]))
    assert problems.dims == ("instance", "beta", "gamma", "distance")


def test_columns_are_the_mesh_of_the_axes():
    grid = Grid.ordered({"gamma": (1.0, 2.0, 3.0), "alpha": (0.1, 0.2), "beta": 5.0, "coupling": None})
    alpha, gamma = np.meshgrid([0.1, 0.2], [1.0, 2.0, 3.0], indexing="ij")
    assert (grid.shape, grid.size) == ((2, 3), 6)
    np.testing.assert_array_equal(grid.column("alpha"), alpha.ravel())
    np.testing.assert_array_equal(grid.losses(LOSS).gamma, gamma.ravel())
    np.testing.assert_array_equal(grid.column("beta"), 5.0)
    np.testing.assert_array_equal(grid.column("coupling"), 0.0)


@pytest.mark.parametrize(
    "make", [lambda m: theory_grid(m.loss, beta=m.beta), ProblemGrid.of], ids=["theory", "volumes"]
)
def test_nothing_moves_without_sweeps(make):
    with pytest.raises(ConfigError, match="beta is a ramp, and nothing moves here"):
        make(gpumc.Gibbs(LOSS, gpumc.Ramp(1.0, 2.0)))


def test_distinct_points_are_sorted_and_numbered():
    rng = np.random.default_rng(1)
    beta, gamma = rng.choice([0.5, 2.0, np.inf], 40), rng.choice([-1.0, 0.0, 3.0], 40)
    points, number = distinct_points(beta, gamma)
    expected = sorted(set(zip(beta.tolist(), gamma.tolist(), strict=True)))
    assert points.tolist() == [list(point) for point in expected]
    np.testing.assert_array_equal(points[number], np.stack([beta, gamma], axis=1))
    assert [len(part) for part in distinct_points(beta[:0], gamma[:0])] == [0, 0]
