"""Flip attempts a second of the four standard workloads: `gpumc bench` with every device and more to choose.

python -m benchmarks.metropolis [--devices numpy,cpu] [--walkers 2048] [--seconds 3] [--peers] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from gpumc import bench
from gpumc.device import Device, choose
from gpumc.errors import DeviceError


def available(names: str | None) -> list[Device]:
    """The devices called ``names`` (comma-separated), or every one there is."""
    if names:
        return [choose(name) for name in names.split(",")]
    found = [choose("numpy"), choose("cpu")]
    with contextlib.suppress(DeviceError):
        found.append(choose("cuda"))
    return found


def main() -> None:
    """Print the table, and write it where ``--json`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", help="comma-separated; default: every one found")
    parser.add_argument("--walkers", type=int, default=2048, help="walkers in all (chains x replicas)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is timed, at least")
    parser.add_argument("--peers", action="store_true", help="time Numba and JAX, too")
    parser.add_argument("--json", type=Path, help="a file to write the rates to")
    options = parser.parse_args()
    bench.report(
        available(options.devices), bench.PEERS if options.peers else (), options.walkers, options.seconds, options.json
    )


if __name__ == "__main__":
    main()
