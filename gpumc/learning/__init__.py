"""Learning: algorithms that look for solutions, batched over instances and starts."""

from gpumc.learning.binary_sgd import BinarySGD
from gpumc.learning.entropy_sgd import EntropySGD
from gpumc.learning.focusing_learner import FocusingBP
from gpumc.learning.gradient import CrossEntropySGD, ReplicatedSGD
from gpumc.learning.learn import learn
from gpumc.learning.learners import Learner
from gpumc.learning.least_action import EntropicLeastAction, LeastAction

#: Every learner by its kind.
LEARNERS: dict[str, type[Learner]] = {
    learner.kind: learner
    for learner in (LeastAction, EntropicLeastAction, CrossEntropySGD, ReplicatedSGD, EntropySGD, BinarySGD, FocusingBP)
}

__all__ = [
    "LEARNERS",
    "BinarySGD",
    "CrossEntropySGD",
    "EntropicLeastAction",
    "EntropySGD",
    "FocusingBP",
    "Learner",
    "LeastAction",
    "ReplicatedSGD",
    "learn",
]
