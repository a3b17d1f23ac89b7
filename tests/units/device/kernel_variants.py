"""Every kernel source with every set of defines that the package compiles: all machines, losses and samplers."""

from collections.abc import Iterable
from itertools import product

import numpy as np

from gpumc.device.constants import COMPILED
from gpumc.launch import Form, machine_variant, sweep_variant
from gpumc.state import Model
from tests.variants import LOSSES, SMALL, TINY

#: One has nine units, which are counted in more bit planes.
COMPILED_MACHINES = (*TINY, SMALL[1])
FIELDS = (np.dtype(np.int16), np.dtype(np.int32))


def model(machine, loss) -> Model:
    """One pattern, one grid point: what is compiled does not depend on them."""
    return Model.of(machine, [loss], np.ones((1, 1, machine.n), np.int8), np.ones((1, 1), np.int8))


MODELS = [model(machine, loss) for machine, loss in product(COMPILED_MACHINES, LOSSES)]


def distinct(variants: Iterable[dict[str, int]]) -> list[dict[str, int]]:
    found: list[dict[str, int]] = []
    for variant in variants:
        if variant not in found:
            found.append(variant)
    return found


#: Sizes as constants of the source.
CONSTANTS = {name.upper(): 2 for name in COMPILED}
#: Messages in double precision, and in single.
REALS: list[dict] = [{}, {"REAL": "float"}]
#: One line a source.
VARIANTS = {
    "philox.cu": [{}],
    "orders.cu": [{}],
    "fields.cu": [{}, {"WIDE": 1}],
    "billiards.cu": [{}],
    "least_action.cu": [{}, {"REAL": 1}, {"BINARY": 1}],
    "spheres.cu": [{}],
    "marginals.cu": [
        {kind: 1} | shape | real
        for kind in ("PULL", "DISTANCE", "REPLICAS")
        for shape in ({}, {"SPHERICAL": 1})
        for real in REALS
    ],
    "messages.cu": [shape | real for shape in ({}, {"SPHERICAL": 1}) for real in REALS],
    "signs.cu": REALS,
    "edges.cu": REALS,
    "tilted.cu": REALS,
    "slopes.cu": [{}, {"TANH": 1}, {"RELU": 1}],
    "observe.cu": distinct(machine_variant(*case) for case in product(MODELS, FIELDS)),
    "sweep.cu": distinct(
        [
            sweep_variant(*case, Form(share=share))
            for share in (0, 13)
            for case in product(MODELS, FIELDS, (False, True))
            if not (share and (case[0].machine.readout.summed or not case[0].dense))
        ]
        + [sweep_variant(model, FIELDS[0], False, Form()) | CONSTANTS for model in MODELS]
    ),
}
