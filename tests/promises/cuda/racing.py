"""For test_races.py, which runs it under ThreadSanitizer: one kernel that has a race. No name that pytest would collect by itself."""

import numpy as np
import pytest

from gpumc.device import choose, kernel

SOURCE = """
#include "lanes.cuh"
extern "C" __global__ void racing(int64 begin, int64 end, int32* out) {
    out[lane()] = lane();
    out[32 + lane()] = out[31 - lane()];
}
"""


@pytest.mark.gpu
def test_neighbours(tmp_path):
    path = tmp_path / "racing.cu"
    path.write_text(SOURCE)
    device = choose("cuda")
    kernel(device, path, "racing", ("int32*",))(1, device.xp.zeros(64, np.int32))
