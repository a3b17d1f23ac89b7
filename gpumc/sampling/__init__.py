"""Sampling populations of replicated machines: binary weights by single flips, spherical ones by moves on spheres."""

from gpumc.sampling.parts import Part
from gpumc.sampling.run import sample

__all__ = ["Part", "sample"]
