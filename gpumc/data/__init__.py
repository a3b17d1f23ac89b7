"""Patterns made of data that others published."""

from gpumc.data.fashion import fashion_mnist

__all__ = ["fashion_mnist"]
