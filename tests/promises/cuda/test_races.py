"""A dozen sweeps, every kind of kernel, with the lanes of a warp in other orders; and, under ThreadSanitizer, without any race."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpumc.device import host
from tests.promises.cuda import raw
from tests.promises.same_bits.test_twins import run
from tests.variants import KERNELS, same_bits

pytestmark = [pytest.mark.gpu, pytest.mark.emulator]

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("order", ["descending", "random"])
@pytest.mark.parametrize("case", KERNELS, ids=str)
def test_the_order_of_lanes_does_not_show(case, order, monkeypatch):
    monkeypatch.setattr(raw.RUNNING, "order", order)
    assert same_bits(run(case, "numpy"), run(case, "cuda"))


def sanitized(*tests: str, folder: Path) -> subprocess.CompletedProcess:
    """These tests once more, in a Python into which ThreadSanitizer is loaded; the first race ends it."""
    found = subprocess.run([host.compiler(), "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True)
    library = found.stdout.strip()
    if not Path(library).is_file() or not shutil.which("setarch"):
        pytest.fail(f"ThreadSanitizer needs setarch and {host.compiler()}'s libtsan: install them, or set CXX=g++")
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "TSAN_OPTIONS": "report_bugs=1 halt_on_error=1 exitcode=66",
        "CUPY_CACHE_DIR": str(folder),
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = ["setarch", "-R", sys.executable, "-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider", "-m", "gpu"]
    return subprocess.run(
        [*command, "--emulated-cuda", "--emulated-tsan", *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_planted_race_is_named_by_the_sanitizer(tmp_path):
    """A kernel whose lanes read what their neighbours write, in a test that exists for this."""
    done = sanitized("tests/promises/cuda/racing.py", folder=tmp_path)
    assert done.returncode == 66, done.stdout[-2000:] + done.stderr[-2000:]
    assert "WARNING: ThreadSanitizer: data race" in done.stderr
    assert "racing.cu:" in done.stderr


@pytest.mark.long
def test_the_sanitizer_finds_no_race(tmp_path):
    others = [
        "tests/units/device/test_philox.py",
        "tests/promises/exact_distribution/test_spheres.py::test_slopes_of_the_kernel",
    ]
    done = sanitized(f"{__file__}::test_the_order_of_lanes_does_not_show", *others, folder=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
