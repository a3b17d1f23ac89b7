"""Sampling populations of replicated binary machines by single flips."""

from gpumc.sampling.run import Part, sample

__all__ = ["Part", "sample"]
