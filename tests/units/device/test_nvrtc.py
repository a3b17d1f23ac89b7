"""Every kernel compiles for every architecture: the NVRTC wheel and cupy's bindings need neither GPU nor driver."""

import pytest

from gpumc.device import cuda, source
from tests.units.device.kernel_variants import VARIANTS

OLDEST = 75
CASES = [pytest.param(name, v, id=f"{name}-{'-'.join(v) or 'plain'}") for name, vs in VARIANTS.items() for v in vs]


def architectures() -> list[int]:
    from cupy_backends.cuda.libs import nvrtc

    return [arch for arch in nvrtc.getSupportedArchs() if arch >= OLDEST]


def compile_for(arch: str, name: str, defines: dict) -> tuple[bytes, str]:
    """The machine code of a source for ``arch`` sm_N, its PTX for compute_N, and NVRTC's log; warnings are errors."""
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(source.text(source.folder() / name), name, (), ())
    options = (*cuda.OPTIONS, *source.macros(defines), f"-arch={arch}", "-Werror", "all-warnings")
    try:
        nvrtc.compileProgram(program, options)
    except nvrtc.NVRTCError:
        return b"", nvrtc.getProgramLog(program)
    code = nvrtc.getPTX if arch.startswith("compute") else nvrtc.getCUBIN
    return code(program), nvrtc.getProgramLog(program)


def test_every_source_is_listed():
    assert {path.name for path in source.folder().glob("*.cu")} == set(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_compiles_for_every_architecture(name):
    known = architectures()
    assert OLDEST in known
    assert max(known) > 90
    for arch in known:
        code, log = compile_for(f"sm_{arch}", name, VARIANTS[name][-1])
        assert code, log


@pytest.mark.parametrize(("name", "defines"), CASES)
def test_every_variant_compiles(name, defines):
    """To PTX, where all errors and warnings of the source are found; what remains is the choice of machine instructions."""
    code, log = compile_for(f"compute_{OLDEST}", name, defines)
    assert code, log


@pytest.mark.long
@pytest.mark.parametrize(("name", "defines"), CASES)
def test_every_variant_is_assembled(name, defines):
    for arch in (OLDEST, architectures()[-1]):
        code, log = compile_for(f"sm_{arch}", name, defines)
        assert code, log


def test_a_warning_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "lanes.cuh").write_text("")
    (tmp_path / "unused.cu").write_text('extern "C" __global__ void unused(int* a) { int b; a[0] = 1; }')
    monkeypatch.setattr(source, "FOLDERS", (tmp_path,))
    code, log = compile_for(f"compute_{OLDEST}", "unused.cu", {})
    assert not code
    assert 'unused.cu(1): error #177-D: variable "b"' in log
