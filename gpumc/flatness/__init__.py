"""Flatness: Hessian spectra, local energies and robustness to noisy inputs, of given weights."""

from gpumc.flatness.hessian import hessian, spectral_density
from gpumc.flatness.perturbations import local_energy, robustness
from gpumc.flatness.summary import summary

__all__ = ["hessian", "local_energy", "robustness", "spectral_density", "summary"]
