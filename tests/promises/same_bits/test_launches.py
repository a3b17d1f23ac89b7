"""Interrupts and forks: nothing writes to arrays that are gone, nothing hangs, and what comes next has the right bits."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gpumc
from gpumc.device.threads import Launch, Pool
from gpumc.parts import Part
from gpumc.sweeps.sections import AroundSection
from gpumc.sweeps.tasks import local_entropies

unix = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of Unix")


@unix
def test_a_launch_is_left_only_when_nothing_of_it_runs():
    """However often its wait is interrupted: 12 times here."""
    begun, running, interrupts = [], set(), []
    enough = threading.Event()

    def work(begin, end):
        begun.append(begin)
        running.add(begin)
        if threading.current_thread() is threading.main_thread():
            while len(running) < 4:
                time.sleep(0.001)
            running.remove(begin)
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            time.sleep(60)
        assert enough.wait(60)
        time.sleep(0.05)
        running.remove(begin)

    def interrupt(*_):
        interrupts.append(1)
        if len(interrupts) < 12:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
        else:
            enough.set()
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(TimeoutError):
            Launch(work, [()] * 4, (), range(101)).run(Pool())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not running
    assert len(interrupts) == 12
    time.sleep(0.05)
    assert len(begun) == 4, "nothing that was left is begun later"


def test_an_error_in_a_thread_is_raised_by_the_launch():
    def work(begin, end):
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError
        time.sleep(0.01)

    with pytest.raises(ZeroDivisionError):
        Launch(work, [()] * 3, (), range(101)).run(Pool())


def test_a_pool_keeps_no_launch_that_has_ended():
    pool, array = Pool(), np.zeros(3)
    Launch(lambda begin, end: None, [()] * 3, (array,), range(9)).run(pool)
    for _ in range(500):
        if sys.getrefcount(array) == 2:
            return
        time.sleep(0.01)
    raise AssertionError("the array is still held")


INTERRUPTS = """
import random, signal, time
import numpy as np, gpumc
from gpumc import CrossEntropy, LocalEntropy, Splitting
from gpumc.device import host

binary, ball = gpumc.Perceptron(101), gpumc.Perceptron(40, weights="spherical")
some, few = gpumc.random_patterns(binary, 0.4, 2, seed=1), gpumc.random_patterns(ball, 0.5, seed=1)
pull = LocalEntropy(CrossEntropy(1.0), 5.0, 0.1, 3)

def binary_run():
    return gpumc.sample(binary, some, pull, chains=64, burn_in=20, sweeps=20, device="cpu").energy.values
def spheres_run():
    return gpumc.sample(ball, few, pull, chains=32, burn_in=2, sweeps=4, device="cpu").energy.values
def splitting_run():
    how = Splitting(particles=64, populations=2, moves=4)
    return gpumc.entropy(ball, few, method=how, device="cpu").entropy.values
def messages_run():
    return gpumc.entropy(binary, some, gpumc.Gibbs(gpumc.ErrorCount(), 1.0), device="cpu").entropy.values

class Stop(Exception): pass
left = 0

def stop(*_):
    global left
    if left:
        left -= 1
        if left:
            signal.setitimer(signal.ITIMER_PROF, 0.0005)   # once more, while it waits
        raise Stop

def is_stopped(run, after):
    global left
    left = random.choice((1, 2))
    try:
        try:
            signal.setitimer(signal.ITIMER_PROF, after)
            run()
        finally:
            left = 0
    except Stop:
        left = 0
        return True
    return False

random.seed(1)
signal.signal(signal.SIGPROF, stop)
for run in (binary_run, spheres_run, splitting_run, messages_run):
    right = run()
    clock = time.process_time()
    run()
    took = time.process_time() - clock   # as the timer counts, whatever else the machine does
    stopped = sum(is_stopped(run, random.uniform(0.001, took)) for _ in range(8))
    assert stopped, (run.__name__, stopped)
    assert right.tobytes() == run().tobytes(), run.__name__
    for _ in range(1000):   # what helpers had not come to is taken, and found to be over
        if host._pool(host.thread_count())._work_queue.empty():
            break
        time.sleep(0.01)
    else:
        raise AssertionError("the pool still has work")
print("all right")
"""

FORK = """
import multiprocessing as mp, gpumc
def work(seed):
    machine = gpumc.Perceptron(21)
    patterns = gpumc.random_patterns(machine, 0.5, 2, seed=1)
    measure = gpumc.Gibbs(gpumc.ErrorCount(), 1.0)
    return float(gpumc.sample(machine, patterns, measure, chains=64, burn_in=5, sweeps=10, seed=seed, device="cpu").energy.mean())
if __name__ == "__main__":
    alone = [work(seed) for seed in (1, 2)]
    with mp.get_context("fork").Pool(2) as pool:
        assert pool.map_async(work, [1, 2]).get(timeout=600) == alone
    print("all right")
"""


@unix
@pytest.mark.parametrize("script", [INTERRUPTS, FORK], ids=["interrupts", "fork"])
def test_runs_go_on_after(script):
    """In a process of its own, whose freed memory is overwritten: a late write would be seen, or kill it."""
    environment = {**os.environ, "GPUMC_THREADS": "3", "MALLOC_PERTURB_": "165", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "all right" in done.stdout


def test_an_exception_in_sampling_ends_the_measuring_beside_it(monkeypatch):
    machine = gpumc.Perceptron(21)
    patterns = gpumc.random_patterns(machine, 0.5, seed=1)
    begun = threading.Event()

    def endless(*_, **__):
        begun.set()
        while True:
            time.sleep(0.001)

    monkeypatch.setattr(AroundSection, "around", endless)
    before = threading.active_count()
    beside = local_entropies.LocalEntropies(
        machine, patterns, gpumc.Gibbs(gpumc.ErrorCount(), 1.0), AroundSection(distance=0.1, replicas=True), "cpu"
    )

    def run():
        with beside:
            for sweeps in (1, 2):
                beside.watch(sweeps, Part((0, 1), (0, 1)), np.ones((1, 1, 1, 1, 21), np.int8), None)
            assert begun.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert threading.active_count() == before
    assert all(future.done() for *_, future in beside.found)
