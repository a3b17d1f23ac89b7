"""The options of pytest that put the emulated device in the place of a GPU; tests/conftest.py takes them up."""

from __future__ import annotations

import pytest

ORDERS = ("ascending", "descending", "random")


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("emulated CUDA device")
    group.addoption("--emulated-cuda", action="store_true", help="run the tests marked gpu on an emulated device")
    group.addoption(
        "--emulated-order", choices=ORDERS, default=ORDERS[0], help="the order of a warp's lanes between two meetings"
    )
    group.addoption(
        "--emulated-tsan", action="store_true", help="build emulated kernels with ThreadSanitizer, which must be loaded"
    )
    group.addoption(
        "--emulated-cpu", action="store_true", help="with --emulated-cuda: device cpu is the emulated device too"
    )


def configure(config: pytest.Config) -> None:
    """Put the stand-in where gpumc looks for CuPy, if this run is to have it."""
    if not config.getoption("--emulated-cuda"):
        return
    from tests.promises.cuda import modules, raw

    raw.RUNNING.order = config.getoption("--emulated-order")
    raw.RUNNING.sanitized = config.getoption("--emulated-tsan")
    modules.install()
    if config.getoption("--emulated-cpu"):
        from gpumc.device import devices

        devices._cpu = lambda: devices._cuda(0)
