"""Learning: algorithms that look for solutions, batched over instances and starts."""

from gpumc.learning.gradient import CrossEntropySGD, ReplicatedSGD
from gpumc.learning.learn import Learner, learn
from gpumc.learning.least_action import EntropicLeastAction, LeastAction

__all__ = ["CrossEntropySGD", "EntropicLeastAction", "Learner", "LeastAction", "ReplicatedSGD", "learn"]
