"""The sections of a config: their keys are the fields of the public dataclasses, chosen by ``kind`` from the registries."""

from gpumc.sweeps.sections.cluster_section import ClusterSection
from gpumc.sweeps.sections.flatness_section import FlatnessSection
from gpumc.sweeps.sections.keys import Section
from gpumc.sweeps.sections.learner_section import Learners, LearnerSection
from gpumc.sweeps.sections.machine_section import Machines, MachineSection
from gpumc.sweeps.sections.measure_section import LossSection, MeasureSection
from gpumc.sweeps.sections.patterns_section import PATTERNS, PatternsSection
from gpumc.sweeps.sections.sampler_section import SamplerSection
from gpumc.sweeps.sections.volumes_section import AroundSection, VolumesSection

__all__ = [
    "PATTERNS",
    "AroundSection",
    "ClusterSection",
    "FlatnessSection",
    "LearnerSection",
    "Learners",
    "LossSection",
    "MachineSection",
    "Machines",
    "MeasureSection",
    "PatternsSection",
    "SamplerSection",
    "Section",
    "VolumesSection",
]
