"""Results as files: saved whole or not at all, merged along every axis of a sweep, opened as xarray."""

from gpumc.results.files import load, save
from gpumc.results.merging import merge_shards, merged_label
from gpumc.results.opening import open_run

__all__ = ["load", "merge_shards", "merged_label", "open_run", "save"]
