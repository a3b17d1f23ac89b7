"""The stand-in for CuPy refuses what CuPy refuses, and counts what it is asked. Planted faults in gpumc are seen."""

import dataclasses
import sys
import threading

import numpy as np
import pytest

import gpumc
from gpumc.device import choose
from gpumc.sampling.spheres.target import Target
from tests.promises.cuda.costs import Cost, metered

pytestmark = [pytest.mark.gpu, pytest.mark.emulator]


@pytest.fixture
def cupy():
    return choose("cuda").xp


def test_nothing_is_there_that_cupy_lacks(cupy):
    from tests.promises.cuda.functions import API

    assert "+emulated" in cupy.__version__
    ours = {name for name in vars(cupy.ndarray) if not name.startswith("_")} - {"host", "buffer"}
    assert ours <= set(API["ndarray"])
    with pytest.raises(AttributeError, match="module 'cupy' has no attribute 'select_all'"):
        cupy.select_all()
    with pytest.raises(TypeError, match="unexpected keyword argument 'initial'"):
        cupy.sum(cupy.ones(3), initial=1.0)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda x, h: x + h,
        lambda x, h: h * x,
        lambda x, h: x @ h[:, None],
        lambda x, h: np.maximum(x, h),
        lambda x, h: np.concatenate([x, h]),
        lambda x, h: sys.modules["cupy"].where(x > 0, h, x),
        lambda x, h: x.__setitem__(slice(None), h),
        lambda x, h: np.asarray(x),
        lambda x, h: h.__setitem__(0, x[:2]),
    ],
)
def test_arrays_of_the_host_are_refused(mixed, cupy):
    with pytest.raises((TypeError, ValueError)):
        mixed(cupy.arange(3.0), np.arange(3.0))


def test_arrays_of_another_device_are_refused(cupy):
    with cupy.cuda.Device(1):
        there = cupy.ones(3)
    with pytest.raises(ValueError, match="array device = 1 while current = 0"):
        cupy.ones(3) + there


def test_new_memory_is_poisoned(cupy):
    assert np.isnan(cupy.empty((2, 3)).get()).all()
    assert (cupy.empty(5, np.int16).get() != 0).all()
    assert np.isnan(cupy.empty_like(cupy.zeros(2)).get()).all()


def test_results_are_in_c_order(cupy):
    x = cupy.ones((2, 3, 4)).swapaxes(0, 2)
    assert not x.flags.c_contiguous
    assert (2 * x).flags.c_contiguous
    assert np.shares_memory(x.host, x.reshape(4, 3, 2)[:0].host) is False


def test_memory_that_another_stream_writes_is_not_read(cupy):
    with cupy.cuda.Stream(non_blocking=True) as stream:
        x = cupy.ones(3)
    with pytest.raises(RuntimeError, match="a race of streams"):
        x + 1
    stream.synchronize()
    assert (x + 1).tolist() == [2, 2, 2]


def test_devices_are_chosen_thread_by_thread(cupy):
    found = []
    with cupy.cuda.Device(1):
        thread = threading.Thread(target=lambda: found.append(cupy.ones(1).device.id))
        thread.start()
        thread.join()
        assert cupy.ones(1).device.id == 1
    assert found == [0]


def test_launches_copies_and_waits_are_counted_by_line(cupy):
    with metered() as meter:
        x = cupy.asarray(np.arange(4.0))
        x += 1
        x[x > 2]
        x[[0, 1]] = 0
        x.get()
    # One addition; one comparison, three to count a mask, a gather; a scatter. The array, and a list of indices. The result.
    assert meter.cost == Cost(launches=7, to_device=2, to_host=1, waits=2)
    assert all("test_arrays.py:" in line for line, _ in meter.lines)


SPHERE = gpumc.Perceptron(12, weights="spherical")


def test_a_planted_array_of_the_host_in_a_potential_is_seen(monkeypatch):
    original = Target.of

    def faulty(device, machine, loss, xi, labels):
        return dataclasses.replace(original(device, machine, loss, xi, labels), labels=labels.astype(float))

    patterns = gpumc.random_patterns(SPHERE, 0.5, seed=1)
    settings = {"chains": 2, "burn_in": 0, "sweeps": 1, "sampler": gpumc.Rotations(), "device": "cuda"}
    gpumc.sample(SPHERE, patterns, gpumc.Gibbs(gpumc.ErrorCount(), 1.0), **settings)
    monkeypatch.setattr(Target, "of", faulty)
    with pytest.raises(TypeError, match=r"Unsupported type <class 'numpy\.ndarray'>"):
        gpumc.sample(SPHERE, patterns, gpumc.Gibbs(gpumc.ErrorCount(), 1.0), **settings)


def test_the_package_knows_nothing_of_it():
    from gpumc.device import source

    package = source.folder().parent / "gpumc"
    assert not [
        path for path in package.rglob("*.py") if "tests" in path.read_text() and "promises" in path.read_text()
    ]
