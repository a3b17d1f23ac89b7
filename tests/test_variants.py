"""The table of variants is complete: whatever is registered has a line in it."""

import gpumc
from gpumc.activations import ACTIVATIONS
from gpumc.losses import LOSSES
from gpumc.machines import MACHINES
from gpumc.readouts import Readout
from gpumc.sampling.samplers import SAMPLERS
from gpumc.weights import WEIGHTS
from tests import variants


def readouts(kind: type[Readout] = Readout) -> set[type[Readout]]:
    """All classes of readouts of the package, below ``kind``."""
    below = [c for c in kind.__subclasses__() if c.__module__.startswith(f"{gpumc.__name__}.")]
    return set(below).union(*map(readouts, below))


def test_every_registered_machine_readout_loss_and_sampler_has_a_variant():
    assert {machine.kind for machine in variants.KINDS} == set(MACHINES)
    assert all({m.kind for m in table} == set(MACHINES) for table in (variants.SMALL, variants.SPHERICAL))
    assert all({type(m.readout) for m in table} == readouts() for table in (variants.TINY, variants.SMALL))
    assert {machine.activation for machine in variants.SPHERICAL} == set(ACTIVATIONS)
    assert {m.weights for m in variants.TINY + variants.SPHERICAL + variants.FREE} == set(WEIGHTS)
    assert {m.kind for m in variants.FREE} == set(MACHINES)
    assert {loss.kind: type(loss) for loss in variants.EVERY_LOSS} == LOSSES
    samplers = variants.SAMPLERS + variants.SPHERE_SAMPLERS
    assert {sampler.kind: type(sampler) for sampler in samplers} == SAMPLERS
