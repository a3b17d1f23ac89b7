"""What one would write today instead of gpumc: the four workloads of ``benchmarks.metropolis`` in Numba and in JAX.

Both modules hold a class ``Peer`` with the same arguments and methods, and need numba and jax, which gpumc does not. A
perceptron is a committee of one unit. Sites are visited in order, where gpumc shuffles them, and random numbers are the
library's own.
"""
