"""The kernels, run on the host under AddressSanitizer and UndefinedBehaviorSanitizer.

The tests named in SUITES run once more in a Python into which AddressSanitizer is loaded, with GPUMC_SANITIZE=1: device
"cpu" then builds every kernel with the sanitizers, which end that process at the first fault.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpumc.device import host
from tests.variants import KERNELS

ROOT = Path(__file__).parents[3]
#: Tests that share a process, and so its start and its kernels.
TWINS = "tests/promises/same_bits/test_twins.py"
SUITES = {
    "every kind of kernel": (
        *(f"{TWINS}::test_host_kernels_equal_numpy[{case}]" for case in KERNELS),
        f"{TWINS}::test_grids_and_ramps",
        f"{TWINS}::test_wide_fields",
        "tests/promises/same_bits/test_counts.py::test_twins",
        "tests/units/device/test_philox.py",
        "tests/units/device/test_kernels.py::test_reductions_of_lanes",
        "tests/promises/exact_distribution/test_spheres.py::test_slopes_of_the_kernel",
        "tests/promises/exact_distribution/test_spheres.py::test_kernels_of_trajectories_equal_numpy",
        "tests/units/volumes/test_billiards.py::test_twins",
        "tests/units/messages/test_kernels_of_messages.py",
    ),
    "more sweeps": (f"{TWINS}::test_host_kernels_equal_numpy",),
}
#: The same kinds of kernel, on a GPU.
ON_A_GPU = (
    *(f"{TWINS}::test_cuda_equals_numpy[{case}]" for case in KERNELS),
    "tests/promises/same_bits/test_counts.py::test_twins",
    "tests/units/device/test_philox.py",
    "tests/promises/exact_distribution/test_spheres.py::test_slopes_of_the_kernel",
    "tests/units/learning/test_least_action.py::test_the_same_bits",
)


def sanitized(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    """Python with ``arguments``, run from the root under the sanitizers, with its kernels cached in ``folder``."""
    library = subprocess.run(
        [*shlex.split(host.compiler()), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert Path(library).is_file(), f"{host.compiler()} has no AddressSanitizer: install libasan, or set CXX=g++"
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "GPUMC_SANITIZE": "1",
        "GPUMC_CACHE_DIR": str(folder),
        "OPENBLAS_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("suite", ["every kind of kernel", pytest.param("more sweeps", marks=pytest.mark.long)])
def test_kernels_are_clean(suite, tmp_path):
    done = sanitized("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not gpu", *SUITES[suite], folder=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    libraries = list(tmp_path.glob("*.so"))
    assert libraries, "no kernel was built, so none was judged"
    for library in libraries:
        assert b"__asan_report_load" in library.read_bytes(), f"{library.name} was built without the sanitizer"


RUN_SCALE = """
import numpy as np
from gpumc.device import choose, kernel
run = kernel(choose("cpu"), {source!r}, {name!r}, ("int32*", "int32"), {defines!r})
run(4, np.ones({size}, np.int32), {scalar})
"""


@pytest.mark.parametrize(
    ("name", "defines", "scalar", "report"),
    [
        ("twice", {"OVERRUN": 1}, 1000, "AddressSanitizer: heap-buffer-overflow"),
        ("shift", {}, 40, "runtime error: shift exponent 40 is too large"),
        ("twice", {}, 1000, None),
    ],
)
def test_the_harness_sees_planted_faults(name, defines, scalar, report, tmp_path):
    source = str(Path(__file__).with_name("scale.cu"))
    code = RUN_SCALE.format(source=source, name=name, defines=defines, size=4000, scalar=scalar)
    done = sanitized("-c", code, folder=tmp_path)
    assert (done.returncode == 0) == (report is None), done.stderr[-4000:]
    if report:
        assert report in done.stderr
        assert "scale.cu:" in done.stderr


@pytest.mark.gpu
@pytest.mark.long
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck", "initcheck"])
def test_kernels_are_clean_on_a_gpu(tool):
    """Under NVIDIA's compute-sanitizer; without CuPy's memory pool, which would hide what is written beyond an array."""
    sanitizer = shutil.which("compute-sanitizer")
    if not sanitizer:
        pytest.fail("compute-sanitizer is not in PATH: it comes with the CUDA toolkit")
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.units.device.unpooled",
        "-m",
        "gpu",
    ]
    command = [sanitizer, "--tool", tool, "--error-exitcode", "66", *tests, *ON_A_GPU]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
