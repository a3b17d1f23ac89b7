"""Examples in the docstrings of public names run, and give what they say."""

import doctest

import pytest

import gpumc
from gpumc import exact, theory

PUBLIC = {f"gpumc.{name}": getattr(gpumc, name) for name in gpumc.__all__ if name not in ("exact", "theory")}
PUBLIC |= {f"theory.{name}": getattr(theory, name) for name in theory.__all__}
PUBLIC |= {f"exact.{name}": getattr(exact, name) for name in ("averages", "enumerate_states")}
FOUND = {
    name: tests
    for name, public in PUBLIC.items()
    if (tests := [test for test in doctest.DocTestFinder(recurse=False).find(public, name) if test.examples])
}


@pytest.mark.parametrize("name", FOUND)
def test_examples_run(name):
    for test in FOUND[name]:
        assert doctest.DocTestRunner().run(test).failed == 0


def test_functions_have_examples():
    for name in ("gpumc.entropy", "gpumc.local_entropy", *(f"theory.{name}" for name in theory.__all__)):
        assert name in FOUND, name
