"""Runs by workers of dask: processes here, or on other hosts. Imported only where they are asked for; extra ``distributed``."""

from gpumc.errors import ConfigError

try:
    import distributed  # noqa: F401  from here on it is there
except ImportError:
    raise ConfigError("workers need dask: pip install 'gpumc[distributed]'") from None

from gpumc.sweeps.distributed.dask_clusters import at_address, on_this_machine

__all__ = ["at_address", "on_this_machine"]
