"""A warp on the host: collectives, and planted faults in kernels, of which each is named with its lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gpumc
from gpumc.device import choose, kernel, kernels, source
from tests.promises.cuda import raw
from tests.promises.same_bits.test_twins import run
from tests.variants import Case, same_bits

pytestmark = [pytest.mark.gpu, pytest.mark.emulator]

ROOT = Path(__file__).parents[3]
COLLECTIVES = """
#include "lanes.cuh"
extern "C" __global__ void shared(int64 begin, int64 end, int32* out) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        int32* own = out + 32 * item;
        own[lane()] = lane();
        BODY
    }
}
"""
#: A body, and what is said of it; the line is that of the body.
FAULTS = {
    "a collective under a branch": (
        "if (lane() == 0) own[0] = lane_sum(own[0]); else own[lane()] = lane_largest(own[lane()]);",
        r"lanes meet in different collectives: block 0, warp 0: lane 0 is at __reduce_add_sync .* in shared\.cu:7; "
        r"lane 1 is at __shfl_xor_sync .* in shared\.cu:7",
    ),
    "two places": (
        "if (lane() < 16) lane_sync();\nelse\nlane_sync();",
        r"lanes meet at different places: .* in shared\.cu:7; lane 16 .* in shared\.cu:9",
    ),
    "a lane that has left": (
        "if (lane() == 3) return;\nlane_sync();",
        "a lane waits for one that has ended: .* lane 3 has ended",
    ),
    "half a mask": ("__syncwarp(0xFFFFu);", r"a mask without all lanes: .* \(mask 0000ffff\)"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The kernels' folder, as a copy that may be changed."""
    for path in source.folder().rglob("*.cu*"):
        copy = tmp_path / path.relative_to(source.folder())
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text())
    monkeypatch.setattr(source, "FOLDERS", (tmp_path,))
    kernels._program.cache_clear()
    yield tmp_path
    kernels._program.cache_clear()


def replace(path: Path, old: str, new: str) -> None:
    assert path.read_text(encoding="utf-8").count(old) == 1, f"{path.name} has changed: plant the fault elsewhere"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def shared(folder: Path, body: str) -> np.ndarray:
    """What the kernel with this body leaves of two items."""
    (folder / "shared.cu").write_text(COLLECTIVES.replace("BODY", body))
    kernels._program.cache_clear()
    device = choose("cuda")
    out = device.xp.zeros((2, 32), np.int32)
    kernel(device, folder / "shared.cu", "shared", ("int32*",))(2, out)
    return out.get()


def test_collectives(folder):
    body = """const int32 sum = lane_sum(lane()), largest = lane_largest(-lane()), third = lane_of(3, 7 * lane());
        const uint32 odd = word_of([&](int64 i) { return i % 2 == 1; }, 0, 31);
        const int64 large = lane_sum((int64)lane() << 32);
        own[lane()] = sum == 496 && largest == 0 && third == 21 && odd == 0x2AAAAAAAu && large == (int64)496 << 32;"""
    assert (shared(folder, body) == 1).all()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_divergence_is_named(fault, folder):
    body, message = FAULTS[fault]
    with pytest.raises(RuntimeError, match=message):
        shared(folder, body)


@pytest.mark.parametrize("order", ["descending", "random"])
def test_a_planted_race_depends_on_the_order(order, folder, monkeypatch):
    """Each lane reads what its neighbour wrote, with no barrier in between, and then with one."""
    racing = "own[lane()] = 1 + own[(lane() + 31) % 32];"
    waiting = "lane_sync(); const int32 read = own[(lane() + 31) % 32]; lane_sync(); own[lane()] = 1 + read;"
    ascending = [shared(folder, racing), shared(folder, waiting)]
    monkeypatch.setattr(raw.RUNNING, "order", order)
    assert np.array_equal(shared(folder, waiting), ascending[1])
    assert not np.array_equal(shared(folder, racing), ascending[0])


def test_a_missing_barrier_of_the_sweep_is_seen(folder):
    """Lane 0 draws random words while others have yet to read the old ones."""
    replace(folder / "sweep.cu", "lane_sync();  // lanes that share the words are done with the last ones", "")
    machine = gpumc.TreeCommittee(6, k=2, activation="relu")
    case = Case(machine, gpumc.ErrorCount(), gpumc.Metropolis(), None)
    with pytest.raises(RuntimeError, match=r"kernel sweep: lanes meet .* in sweep\.cu:\d+"):
        run(case, "cuda")


def test_a_missing_barrier_of_margins_depends_on_the_order(folder, monkeypatch):
    """Bits of the fields are read by lanes that did not write them. The last word is the one that is late: it holds 4 of 100 patterns."""
    path = folder / "margins.cuh"
    barrier = re.compile(r"positive\[w\] = edges.positive;\n        }\n        lane_sync\(\);")
    assert barrier.search(path.read_text())
    path.write_text(barrier.sub("positive[w] = edges.positive;\n        }", path.read_text()))
    monkeypatch.setattr(raw.RUNNING, "order", "descending")
    case = Case(gpumc.TreeParity(111, k=3), gpumc.ErrorCount(), gpumc.Metropolis(), None)
    with pytest.raises((RuntimeError, AssertionError), match=r"lanes meet|differ"):
        same_bits(run(case, "numpy"), run(case, "cuda"))


def test_fibers_without_assembly(tmp_path):
    """What runs where the processor is no x86-64: the same warp over the C library's contexts, loaded by a process of its own."""
    script = tmp_path / "portable.py"
    script.write_text(
        "from tests.promises.cuda import modules, raw\n"
        "raw.FLAGS = (*raw.FLAGS, '-DEMULATED_PORTABLE')\n"
        "modules.install()\n"
        "import numpy as np\n"
        "from tests.units.device.test_philox import by_kernel, philox\n"
        "found = by_kernel('cuda', 5, 6, 7, range(3, 20), [1, 2**40])\n"
        "assert np.array_equal(found, philox(5, 6, 7, np.arange(3, 20)[None], np.array([[1], [2**40]], np.uint64)))\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
