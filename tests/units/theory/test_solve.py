"""The solver of fixed points: what Newton's method is for, continuation, and rows that are given up."""

import numpy as np

from gpumc.theory.solve import fixed_point, root


def test_newton_finds_what_iteration_leaves():
    """x = 3 x (1 - x), whose slope at 2/3 is -1, and a repelling one."""
    a = np.array([3.0, 3.9])
    found = fixed_point(lambda x, rows: a[rows, None] * x * (1 - x), [np.full((2, 1), 0.5)], 1e-3, 1.0)
    np.testing.assert_allclose(found.x[:, 0], 1 - 1 / a, atol=1e-9)
    assert np.all(found.residual <= 1e-10)


def test_neighbours_lead_along_a_curve():
    """Each step is a number only near its own fixed point, so that one row is solved from the start and the others in their turn."""
    places = np.linspace(0.2, 0.8, 13)

    def step(x, rows):
        near = np.abs(x - places[rows, None]) < 0.07
        return np.where(near, places[rows, None] + 0.3 * (x - places[rows, None]), np.nan)

    found = fixed_point(step, [np.full((13, 1), 0.5)], 0.0, 1.0)
    assert found.converged.all()
    np.testing.assert_allclose(found.x[:, 0], places, atol=1e-9)


def test_what_runs_away_is_no_answer():
    found = fixed_point(lambda x, rows: (1 + x) / 2 + 1e-12, [np.full((1, 1), 0.5)], 0.0, 1.0)
    assert not found.converged.any()
    assert np.isnan(found.x).all()


def test_roots():
    """Inside, and at the ends where they are beyond."""
    wanted = np.array([0.25, -3.0, 7.0])
    found = root(lambda x, rows: x**3 - wanted[rows] ** 3, np.zeros(3), np.ones(3))
    np.testing.assert_allclose(found, [0.25, 0.0, 1.0], atol=1e-10)
