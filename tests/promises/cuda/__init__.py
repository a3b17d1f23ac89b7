"""An emulated CUDA device: a strict stand-in for CuPy over NumPy, and kernels run by warps of 32 lanes on the host.

``pytest -m gpu --emulated-cuda`` runs the tests that ask for a GPU on it; gpumc knows nothing of it. What it proves: no array
of the host meets one of a device, no name or argument that CuPy lacks is used, no memory is read before it is written or while
another stream writes it, no lane of a warp reads what another may be writing, and how many launches, copies and waits a
method costs. What it cannot prove: NVRTC's code, the PTX of kernels/registers.cuh, the numerics of cuBLAS, and speed.

- ``cuda.hpp``, ``warp.cpp``, ``fibers.hpp``: CUDA's names, the warp, and its lanes;
- ``raw.py``: compiles kernels and runs them there;
- ``streams.py``, ``arrays.py``, ``indexing.py``, ``functions.py``: the stand-in, from devices to mathematics;
- ``api.json``: what the real CuPy has, written by ``dump_api.py``;
- ``costs.py``: counts launches, copies and waits; ``budgets.py``: how many of them a method may take;
- ``modules.py``: puts all of it where ``import cupy`` looks; ``plugin.py``: the options of pytest.
"""
