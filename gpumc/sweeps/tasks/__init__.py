"""The kinds of tasks: each is the config of a run that has its section, and knows the plan, the run and the check of a task."""

from gpumc.sweeps.tasks.learning import Learning
from gpumc.sweeps.tasks.run_config import RunConfig
from gpumc.sweeps.tasks.sampling import Sampling

#: Every kind of task by the section that chooses it.
TASKS: dict[str, type[RunConfig]] = {"sampler": Sampling, "learner": Learning}

__all__ = ["TASKS", "Learning", "RunConfig", "Sampling"]
