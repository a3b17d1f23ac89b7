"""The kernels of the host give the bits of the NumPy twin with every kind of vectors for which the compiler can build them.

The compiler is told to do without the better ones. NEON's form is built and run for another processor: `pytest -m long` where
`ziglang` and QEMU's `qemu-aarch64` are installed.
"""

import json
import os
import platform
import subprocess
import sys

import pytest

from gpumc.device.compiler import compiler

WITHOUT = {"AVX2": "-mno-avx512f", "those that the compiler finds": "-mno-avx512f -mno-avx2"}
X86 = platform.machine() in ("x86_64", "AMD64")
#: Machines, and patterns a weight: words that are whole and not, more than lanes can sum, several units, and readouts that are summed.
CASES = {
    "few": [
        ("Perceptron", {"n": 101}, 1.3),
        ("Perceptron", {"n": 9}, 500.0),
        ("TreeCommittee", {"n": 99, "k": 3}, 1.3),
        ("FullCommittee", {"n": 33, "k": 3}, 4.1),
    ],
    "all": [
        ("Perceptron", {"n": 1}, 1.0),
        ("Perceptron", {"n": 1001}, 0.4),
        ("Perceptron", {"n": 40001}, 0.002),
        ("TreeCommittee", {"n": 999, "k": 9}, 1.0),
        ("TreeParity", {"n": 99, "k": 3}, 1.3),
        ("FullCommittee", {"n": 33, "k": 3, "output": [1, 2, -2]}, 4.1),
        ("TreeCommittee", {"n": 90, "k": 2, "activation": "relu"}, 1.3),
    ],
}
#: Instances, points of the grid, chains: items of one instance and of several, whole and not, of 8 chains, 16 and 32.
SHAPES = [(1, 1, 5), (1, 1, 15), (3, 3, 2), (2, 2, 9), (40, 1, 1)]
PROGRAM = """
import json, sys
import numpy as np
import gpumc
from gpumc import launch
from gpumc.device import choose
from gpumc.launch import vectors

launch.NARROW_FROM = 0
cases, shapes = json.loads(sys.argv[1])
other = []
for kind, sizes, alpha in cases:
    machine = getattr(gpumc, kind)(**sizes)
    for instances, grid, chains in shapes:
        patterns = gpumc.random_patterns(machine, alpha, instances, seed=instances)
        for loss in (gpumc.ErrorCount(), gpumc.CrossEntropy(1.0)):
            for centre, heat in ((None, False), ("explicit", True), ("traced", False)):
                beta = list(np.linspace(0.5, 2.0, grid))
                measure = gpumc.Gibbs(loss, beta) if centre is None else gpumc.LocalEntropy(loss, beta, 0.3, 2, centre)
                sampler = gpumc.HeatBath() if heat else gpumc.Metropolis()
                made = [
                    gpumc.sample(machine, patterns, measure, sampler=sampler, chains=chains, burn_in=0, sweeps=2, every=1, device=device)
                    for device in ("cpu", "numpy")
                ]
                if not all((made[0][name].values == made[1][name].values).all() for name in ("energy", "weights", "acceptance")):
                    other.append(f"{machine} {loss} {centre} {instances, grid, chains}")
print(json.dumps([vectors(choose("cpu")), other]))
"""


def differing(vectors: str, cases, shapes) -> list[str]:
    """What has other bits where the compiler is told to use no better vectors than these."""
    given = json.dumps([cases, shapes])
    environment = os.environ | {"CXX": f"{compiler()} {WITHOUT[vectors]}", "GPUMC_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, given],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    used, other = json.loads(done.stdout)
    assert used == vectors
    return other


@pytest.mark.skipif(not X86, reason="these vectors are those of x86-64")
@pytest.mark.parametrize("vectors", WITHOUT)
def test_the_bits_of_the_twin(vectors):
    assert differing(vectors, CASES["few"], [SHAPES[2]]) == []


@pytest.mark.long
@pytest.mark.skipif(not X86, reason="these vectors are those of x86-64")
@pytest.mark.parametrize("vectors", WITHOUT)
def test_the_bits_of_the_twin_everywhere(vectors):
    assert differing(vectors, CASES["all"], SHAPES) == []
