"""A GPU that cannot be used is not taken: what is missing is said, each in words of its own."""

import importlib
from contextlib import nullcontext
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from gpumc.device import choose, describe, devices, gpus
from gpumc.errors import DeviceError

RUNTIME, CUBLAS, NVRTC = (f"cupy_backends.cuda.{name}" for name in ("api.runtime", "libs.cublas", "libs.nvrtc"))


class CUDARuntimeError(RuntimeError):
    """As the runtime's own."""


class OutOfMemoryError(MemoryError):
    """As CuPy's own."""


class Drawn(np.ndarray):
    """An array that is fetched from a device."""

    def get(self):
        return np.asarray(self)


class Machine:
    """A computer with one GPU, as CuPy shows it: modules by name, and what is wrong with it."""

    def __init__(self):
        self.driver, self.needed, self.count = 13000, 13000, 1
        self.properties = {"name": b"Some GPU", "totalGlobalMem": 80 * 2**30, "major": 9, "minor": 0}
        self.failing: Exception | None = None
        self.modules = {
            RUNTIME: SimpleNamespace(
                getDeviceCount=self._count,
                getDeviceProperties=lambda index: self.properties,
                driverGetVersion=lambda: self.driver,
                runtimeGetVersion=lambda: self.needed,
            ),
            CUBLAS: SimpleNamespace(),
            NVRTC: SimpleNamespace(getVersion=lambda: (13, 0)),
            "cupy": SimpleNamespace(cuda=SimpleNamespace(Device=self._taken), ones=self._ones),
        }

    def _count(self):
        if isinstance(self.count, Exception):
            raise self.count
        return self.count

    def _taken(self, index):
        if self.failing:
            raise self.failing
        return nullcontext()

    @staticmethod
    def _ones(shape):
        return np.ones(shape).view(Drawn)

    def module(self, name: str) -> ModuleType | SimpleNamespace:
        found = self.modules.get(name) or REAL(name)
        if isinstance(found, Exception):
            raise found
        return found


REAL = importlib.import_module


@pytest.fixture
def machine(monkeypatch, tmp_path) -> Machine:
    made = Machine()
    monkeypatch.setattr(gpus.importlib, "import_module", made.module)
    found = gpus.importlib.util.find_spec
    monkeypatch.setattr(gpus.importlib.util, "find_spec", lambda name, *rest: name == "cupy" or found(name, *rest))
    monkeypatch.setattr(gpus, "_usable", set())
    monkeypatch.setattr(gpus, "NODES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("gpumc.device.normals.normals", lambda *_: np.full(4, 0.5).view(Drawn))
    gpus.count.cache_clear()
    devices._say_once.cache_clear()
    yield made
    gpus.count.cache_clear()


def refused(capsys) -> str:
    """Why no GPU is taken, which "cuda" and "auto" say alike."""
    with pytest.raises(DeviceError) as refusal:
        choose("cuda")
    words = str(refusal.value)
    reason = words.removeprefix("device = 'cuda': ").removesuffix(
        "; use 'cpu', or 'auto' to take a GPU where there is one"
    )
    assert choose("auto").kind in ("cpu", "numpy")
    assert f": {reason}" in capsys.readouterr().err
    assert any(reason in fact for fact in describe().values())
    assert "\n" not in reason
    return reason


def test_a_gpu_that_can_be_used_is_tried_once(machine):
    assert gpus.why_not(0) == ""
    machine.failing = CUDARuntimeError("never asked again")
    assert gpus.why_not(0) == ""
    assert gpus.described(0) == "Some GPU, compute capability 9.0, 80.0 GiB"
    assert gpus.why_not(1) == "cuda:0 is the only GPU here"


def test_no_driver(machine, capsys):
    machine.driver = 0
    machine.count = CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    assert refused(capsys) == "no NVIDIA driver is installed here"


def test_an_old_driver(machine, capsys):
    machine.driver = 12040
    machine.count = CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    assert refused(capsys).startswith(
        "the NVIDIA driver is for CUDA 12.4, and cupy here for 13.0: update the driver, or"
    )


def test_no_gpu_is_visible(machine, monkeypatch, capsys):
    machine.count = CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    assert refused(capsys) == "there is a driver and no GPU"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert refused(capsys) == "no GPU is visible (CUDA_VISIBLE_DEVICES = '')"


def test_mig_without_instances(machine, capsys):
    machine.count = CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    (gpus.NODES / "nvidia0").touch()
    assert "MIG is on without instances" in refused(capsys)


def test_cupy_that_does_not_import(machine, capsys):
    machine.modules[RUNTIME] = ImportError("libcuda.so.1: cannot open shared object file")
    assert refused(capsys).startswith("cupy cannot be imported (libcuda.so.1: cannot open shared object file)")


@pytest.mark.parametrize(("library", "name"), [(CUBLAS, "cuBLAS"), (NVRTC, "NVRTC")])
def test_libraries_that_the_plain_wheel_lacks(machine, capsys, library, name):
    machine.needed = 12090
    machine.modules[library] = ImportError("cannot open shared object file")
    assert refused(capsys) == (
        f"{name} cannot be loaded (cannot open shared object file): pip install 'gpumc[cuda12]' brings it"
    )


def test_an_old_gpu(machine, capsys):
    machine.properties |= {"major": 7, "minor": 0}
    assert refused(capsys) == "its compute capability is 7.0, and 7.5 is needed"


@pytest.mark.parametrize(
    ("failing", "words"),
    [
        (CUDARuntimeError("cudaErrorDevicesUnavailable: all CUDA-capable devices are busy"), "exclusive mode"),
        (CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"), "its memory is full"),
        (OutOfMemoryError("Out of memory allocating 512 bytes"), "its memory is full"),
        (CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal"), "no device of this process"),
        (CUDARuntimeError("cudaErrorLaunchFailure: unspecified launch failure"), "its first kernel failed"),
    ],
)
def test_a_gpu_that_does_not_work(machine, capsys, failing, words):
    machine.failing = failing
    assert words in refused(capsys)


def test_a_cache_that_cannot_be_written(machine, monkeypatch, capsys):
    monkeypatch.setenv("CUPY_CACHE_DIR", "/nowhere")
    machine.failing = PermissionError(13, "Permission denied", "/nowhere")
    assert refused(capsys) == (
        "cupy cannot keep its kernels in /nowhere (Permission denied): set CUPY_CACHE_DIR to a folder that can be written"
    )


def test_wrong_numbers(machine, monkeypatch, capsys):
    drawn = iter([np.full(4, 0.5).view(Drawn), np.full(4, 0.25)] * 9)
    monkeypatch.setattr("gpumc.device.normals.normals", lambda *_: next(drawn))
    assert refused(capsys) == "its first kernel gave wrong numbers: it must not be used"


def test_a_gpu_of_which_memory_is_freed_is_taken_later(machine):
    machine.failing = OutOfMemoryError("Out of memory allocating 512 bytes")
    assert gpus.why_not(0)
    machine.failing = None
    assert gpus.why_not(0) == ""
