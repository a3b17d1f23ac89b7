"""Sampling populations of replicated machines: binary weights by single flips, spherical ones by moves on spheres."""

from gpumc.parts import Part
from gpumc.sampling.run import sample
from gpumc.sampling.samplers import HMC, HeatBath, HitAndRun, Metropolis, Rotations, Sampler, SphereSampler
from gpumc.sampling.stepping import Dynamics, dynamics

__all__ = [
    "HMC",
    "Dynamics",
    "HeatBath",
    "HitAndRun",
    "Metropolis",
    "Part",
    "Rotations",
    "Sampler",
    "SphereSampler",
    "dynamics",
    "sample",
]
