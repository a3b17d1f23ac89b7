"""Every kernel source with every set of defines that the package compiles it with: one line a source."""

from itertools import product


def _defines(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, 1)


_MACHINES = ({}, {"COMMITTEE": 1, "PLANES": 2}, {"COMMITTEE": 1, "PLANES": 4}, {"PARITY": 1})
_ACCEPTANCE = (_defines("ERROR_COUNT"), _defines("ERROR_COUNT", "ERROR_COUNT_OF_ONE_CLASS"), {})
_SAMPLERS = ({}, _defines("HEAT_BATH"))
_WIDTHS = ({}, _defines("WIDE"))

VARIANTS: dict[str, list[dict[str, int]]] = {
    "philox.cu": [{}],
    "observe.cu": [machine | width for machine, width in product(_MACHINES, _WIDTHS)],
    "sweep.cu": [
        machine | acceptance | sampler | width
        for machine, acceptance, sampler, width in product(_MACHINES, _ACCEPTANCE, _SAMPLERS, _WIDTHS)
    ]
    + [_defines("DENSE") | sampler | width for sampler, width in product(_SAMPLERS, _WIDTHS)],
}
