"""Learning: algorithms that look for solutions, batched over instances and starts."""

from gpumc.learning.gradient import CrossEntropySGD, ReplicatedSGD
from gpumc.learning.learn import Learner, learn
from gpumc.learning.least_action import EntropicLeastAction, LeastAction

#: Every learner by the name that a config gives it.
LEARNERS: dict[str, type[Learner]] = {
    kind.kind: kind for kind in (LeastAction, EntropicLeastAction, CrossEntropySGD, ReplicatedSGD)
}

__all__ = ["LEARNERS", "CrossEntropySGD", "EntropicLeastAction", "Learner", "LeastAction", "ReplicatedSGD", "learn"]
