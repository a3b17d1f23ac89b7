"""A plugin of pytest for test_sanitizers.py: every array of CuPy is an allocation of its own."""

import cupy

cupy.cuda.set_allocator(None)
