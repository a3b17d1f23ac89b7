"""Choosing devices: names, what `auto` says, errors for people, and cupy imported for CUDA only."""

import os
import subprocess
import sys

import numpy as np
import pytest

from gpumc.device import array_module, choose, describe, devices, gpus, to_host
from gpumc.errors import ConfigError, DeviceError


@pytest.fixture(autouse=True)
def _forget():
    """Let every test be told anew."""
    devices._say_once.cache_clear()


@pytest.mark.parametrize("name", ["numpy", "cpu"])
def test_host_devices(name):
    device = choose(name)
    assert (device.name, device.xp) == (name, np)
    assert device == choose(device.name)
    array = np.arange(3)
    assert device.asarray(array) is array
    assert to_host(array) is array
    assert array_module(array) is np
    assert 2**20 < device.free_memory() < 2**50


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", r"device = 'gpu': did you mean 'cuda'\?"),
        ("nunpy", r"did you mean 'numpy'\?"),
        ("cuda:one", "allowed: auto, cpu, cuda, numpy"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(ConfigError, match=message):
        choose(name)


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(gpus, "why_none", lambda: "no CUDA device")
    with pytest.raises(DeviceError, match="device = 'cuda': no CUDA device; use 'cpu', or 'auto'"):
        choose("cuda")


def test_cupy_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(gpus.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"cupy is not installed .*gpumc\[cuda13\]"):
        choose("cuda")


def test_an_index_that_is_not_there(monkeypatch):
    monkeypatch.setattr(gpus, "why_none", lambda: "")
    monkeypatch.setattr(gpus, "count", lambda: 2)
    with pytest.raises(DeviceError, match="device = 'cuda:2': the GPUs here are cuda:0 to cuda:1"):
        choose("cuda:2")


def test_auto_says_once_what_it_took_and_why(monkeypatch, capsys):
    monkeypatch.setattr(gpus, "why_none", lambda: "no CUDA device (none found)")
    assert choose("auto").name == "cpu"
    assert choose("auto").name == "cpu"
    assert capsys.readouterr().err.count("gpumc: device cpu: no CUDA device (none found); kernels are compiled by") == 1


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_without_a_compiler_numpy_is_taken_and_said(name, monkeypatch, capsys):
    monkeypatch.setattr(gpus, "why_none", lambda: "no CUDA device")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert choose(name).name == "numpy"
    assert choose(name).name == "numpy"
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "no C++ compiler was found" in message


def test_describe_names_the_compiler_and_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GPUMC_CACHE_DIR", str(tmp_path))
    facts = describe()
    assert facts["host kernels"] == str(tmp_path)
    assert "(" in facts["compiler"]
    assert all(isinstance(value, str) and value for value in facts.values())
    assert any(name.startswith("cuda") for name in facts)


def test_cupy_is_not_imported_for_the_host():
    code = "import sys, gpumc.device as d; d.choose('cpu'); d.choose('numpy'); sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


@pytest.mark.gpu
def test_cuda_moves_arrays_there_and_back():
    device = choose("cuda")
    assert device.name == "cuda:0"
    array = device.asarray(np.arange(5))
    assert array_module(array) is device.xp is not np
    np.testing.assert_array_equal(to_host(array), np.arange(5))
    assert device.free_memory() > 0
    assert "compute capability" in describe()["cuda:0"]
