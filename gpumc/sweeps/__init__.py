"""Runs from a file: checked config, plan of tasks, execution that can be killed and goes on."""

from gpumc.sweeps.config import read_config
from gpumc.sweeps.execution import execute
from gpumc.sweeps.folder import RunFolder
from gpumc.sweeps.plan import Task, plan
from gpumc.sweeps.tasks import RunConfig

__all__ = ["RunConfig", "RunFolder", "Task", "execute", "plan", "read_config"]
