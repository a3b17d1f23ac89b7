"""Kernels on CUDA: compiled by NVRTC through CuPy, which caches them on disk, and launched with one warp an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpumc.device.compiler import compile_error
from gpumc.device.source import macros
from gpumc.errors import DeviceError

#: No contraction and no fast mathematics: the twins round every operation alike. (CuPy adds -ftz=true: float32 only.)
OPTIONS = ("-std=c++17", "--fmad=false")
WARP = 32
THREADS_PER_BLOCK = 128


class CudaProgram:
    """A compiled source on one device; ``launch`` runs one of its kernels."""

    def __init__(self, module: Any, index: int, most_blocks: int):
        self._module = module
        self._index = index
        self._most_blocks = most_blocks

    def launch(self, name: str, items: int, types: Sequence[type], values: Sequence[object], light: bool) -> None:
        """Queue kernel ``name`` over items 0 to ``items`` - 1; ``values`` are CuPy arrays and NumPy scalars; ``light`` is for the host."""
        import cupy

        with cupy.cuda.Device(self._index):
            warps = THREADS_PER_BLOCK // WARP
            blocks = min(-(-items // warps), self._most_blocks)
            edges = (cupy.int64(0), cupy.int64(items))
            self._module.get_function(name)((blocks,), (THREADS_PER_BLOCK,), (*edges, *values))


def load(title: str, text: str, defines: Mapping[str, object], index: int) -> CudaProgram:
    """Compile ``text`` with ``defines`` for device ``index``, unless a cache has it. ``title`` names it in errors."""
    import cupy

    with cupy.cuda.Device(index) as device:
        module = cupy.RawModule(code=text, options=(*OPTIONS, *macros(defines)), backend="nvrtc")
        try:
            module.compile()
        except cupy.cuda.compiler.CompileException as error:
            raise DeviceError(compile_error(title, "NVRTC", str(error))) from None
        return CudaProgram(module, index, device.attributes["MaxGridDimX"])
