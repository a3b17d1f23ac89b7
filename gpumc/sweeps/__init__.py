"""Runs from a file: checked config, plan of tasks, execution that can be killed and goes on."""

from gpumc.sweeps.config import RunConfig, read_config
from gpumc.sweeps.folder import RunFolder
from gpumc.sweeps.plan import Task, plan
from gpumc.sweeps.run import execute

__all__ = ["RunConfig", "RunFolder", "Task", "execute", "plan", "read_config"]
