"""What all tests share."""

import os
import subprocess
import sys
import warnings

import numpy as np  # noqa: F401  the libraries that are limited are those that are loaded
import pytest
from threadpoolctl import threadpool_limits

from tests.promises.cuda import plugin


def pytest_addoption(parser):
    plugin.add_options(parser)


def pytest_configure(config):
    """An emulated GPU where one is asked for. Workers of pytest-xdist share the processors: threads of small matrix products would
    only wait for one another."""
    plugin.configure(config)
    if hasattr(config, "workerinput"):
        threadpool_limits(1)
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the processes that tests start


def pytest_collection_modifyitems(config, items):
    """Skip the tests marked gpu where there is no CUDA device, and those marked emulator without the emulated one; only there."""
    if not config.getoption("--emulated-cuda"):
        for item in items:
            if item.get_closest_marker("emulator"):
                item.add_marker(pytest.mark.skip(reason="is about the emulated device: --emulated-cuda"))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _cuda_devices():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _cuda_devices() -> int:
    try:
        from cupy_backends.cuda.api import runtime

        return runtime.getDeviceCount()
    except Exception:  # no cupy, no driver or no device: each says so in its own way
        return 0


@pytest.fixture
def within(monkeypatch, capsys):
    """The command line, run in this process, which has imported everything already: a function that gives what a process would."""
    from gpumc.cli import commands, edge

    def run(*arguments) -> subprocess.CompletedProcess:
        edge._said_once.cache_clear()
        monkeypatch.setattr(commands, "_traceback_asked", False)
        monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
        monkeypatch.setattr(sys, "argv", ["gpumc", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            edge.main()
        return subprocess.CompletedProcess(arguments, ended.value.code or 0, *capsys.readouterr())

    return run
