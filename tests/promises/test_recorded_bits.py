"""Trajectories of binary weights have the bits that they had when they were recorded.

`python -m tests.promises.test_recorded_bits` records them anew. A change of these digests changes the results of every user's seed:
it belongs into the changelog.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import gpumc
from gpumc.sweeps import read_config
from tests.sampling.cases import SMALL, TINY, Case, by_case, cases

RECORD = Path(__file__).with_name("recorded_bits.json")
RUNS = Path(__file__).parents[2] / "runs"
VARIABLES = ("energy", "error_rate", "acceptance", "overlap_centre", "overlap_replicas", "weights", "centre")
#: The configs of two runs, which are sampled for a few sweeps.
SHORT = ("sampler.burn_in=4", "sampler.sweeps=4", "sampler.every=2", "patterns.instances=2")
CONFIGS = {"quickstart": SHORT, "local-entropy": (*SHORT, "volumes.every=4")}


def digest(data) -> str:
    """A hash of all that a trajectory gives."""
    content = hashlib.sha256()
    for name in VARIABLES:
        if name in data:
            content.update(np.ascontiguousarray(data[name].values).tobytes())
    return content.hexdigest()[:16]


def of_case(case: Case) -> str:
    """The digest of a case of the table."""
    settings = {"chains": 3, "burn_in": 3, "sweeps": 6, "every": 2, "seed": 7, "sampler": case.sampler}
    return digest(gpumc.sample(case.machine, case.patterns(0.9, 2), case.measure(), device="cpu", **settings))


def of_config(name: str) -> str:
    """The digest of a config in runs/, cut short."""
    config = read_config((RUNS / f"{name}.toml").read_text(encoding="utf-8"), CONFIGS[name])
    machine = config.machine.machine(config.machine.n, config.machine.k)
    patterns = gpumc.random_patterns(machine, config.patterns.alpha, config.patterns.instances, config.seed)
    measure = config.measure.measure(config.loss, config.measure.replicas)
    sampler = config.sampler
    settings = {"chains": sampler.chains, "burn_in": sampler.burn_in, "sweeps": sampler.sweeps, "every": sampler.every}
    return digest(gpumc.sample(machine, patterns, measure, seed=config.seed, device="cpu", **settings))


@pytest.fixture(scope="module")
def recorded() -> dict[str, str]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


@by_case(TINY + SMALL)
def test_cases(case, recorded):
    assert of_case(case) == recorded[str(case)]


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(name, recorded):
    assert of_config(name) == recorded[name]


if __name__ == "__main__":
    found = {str(case): of_case(case) for case in cases(TINY + SMALL)} | {name: of_config(name) for name in CONFIGS}
    RECORD.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
