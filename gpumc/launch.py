"""How a model and a population are handed to the kernels: the variant that is compiled, and the sizes that it reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gpumc.device import Device, Kernel, kernel, to_host
from gpumc.device.constants import COMPILED, SIZES
from gpumc.state import Model, Population

#: Patterns of a lane that fit its registers, and whose inputs fit a word with one bit to spare.
MOST_SHARED = 31
#: Attempts of a launch on CUDA from which on its sizes are constants of the source, which takes seconds to compile for each of them: W1 of
#: `gpumc bench` is then 1.7 times as fast on an H200, in 72 registers instead of 167.
COMPILED_FROM = 2**26


def item_chains(device: Device, model: Model) -> int:
    """The chains of an item of kernels/sweep.cu (CHAINS of kernels/chains.cuh)."""
    return 1 if device.kind == "cuda" and model.dense else 32


def share(device: Device, model: Model, traced: bool, beta: np.ndarray | None) -> int:
    """The patterns that each lane of a warp keeps in registers (SHARE of kernels/registers.cuh), 0 where they stay in memory:
    ``beta`` is the rule's, in fixed point."""
    if device.kind != "cuda" or not model.dense or model.machine.readout.summed or traced:
        return 0
    if beta is None or beta.max() >= 2**31:
        return 0
    patterns = -(-model.pattern_count // 32)
    twice_change = 2 * model.pattern_count * model.largest_change
    return patterns if patterns <= MOST_SHARED and twice_change < 2**31 else 0


@dataclass(frozen=True)
class Sizes:
    """``struct Sizes`` of kernels, by the names of `gpumc.device.constants.SIZES`."""

    values: Mapping[str, int]

    @classmethod
    def of(cls, model: Model, population: Population, **others: int) -> Sizes:
        """The sizes of a population under a model; ``others`` gives those that only a sweep has, 0 where it does not."""
        _, grid, chains, replicas = population.energy.shape
        machine = model.machine
        known = {
            "grid": grid,
            "chains": chains,
            "replicas": replicas,
            "weights": machine.weight_count,
            "inputs": machine.n,
            "units": machine.k,
            "patterns": model.pattern_count,
            "weight_words": population.weights.shape[-1],
            "pattern_words": model.pattern_bits.shape[-1],
            "classes": len(model.classes),
            "readouts": model.tables.shape[-1],
            "first_instance": population.first_instance,
            "first_chain": population.first_chain,
            "all_chains": population.chains,
        }
        return cls({name: (known | others).get(name, 0) for name in SIZES})

    def __getitem__(self, name: str) -> int:
        return self.values[name]

    def array(self, device: Device) -> np.ndarray:
        """The struct as int64 on ``device``."""
        return device.asarray(np.array(list(self.values.values()), np.int64))

    @property
    def common(self) -> dict[str, int]:
        """Those that a whole run has in common."""
        return {name: self[name] for name in COMPILED}

    def constants(self, device: Device, instances: int) -> dict[str, int]:
        """The sizes for which a sweep of so many instances is compiled, as macros; none where it makes few attempts, or on the host."""
        attempts = instances * math.prod(self[name] for name in ("grid", "chains", "replicas", "weights", "sweeps"))
        if device.kind != "cuda" or attempts < COMPILED_FROM:
            return {}
        return {name.upper(): value for name, value in self.common.items()}


def item_bytes(device: Device, variant: dict[str, int], sizes: Sizes) -> int:
    """Bytes of workspace that this variant of kernels/sweep.cu needs for an item, as it says itself."""
    return _item_bytes(device, tuple(variant.items()), tuple(sizes.common.items()))


@functools.lru_cache(maxsize=1024)
def _item_bytes(device: Device, variant: tuple[tuple[str, int], ...], common: tuple[tuple[str, int], ...]) -> int:
    sizes = Sizes(dict.fromkeys(SIZES, 0) | dict(common))
    size = device.xp.zeros(1, np.int64)
    kernel(device, "sweep.cu", "item_bytes", ("const int64*", "int64*"), dict(variant))(1, sizes.array(device), size)
    return int(to_host(size)[0])


def machine_variant(model: Model, field_dtype: np.dtype) -> dict[str, int]:
    """The definitions that every kernel of this model is compiled with."""
    return model.machine.readout.macros | ({"WIDE": 1} if field_dtype == np.int32 else {})


def sweep_variant(model: Model, field_dtype: np.dtype, heat_bath: bool, share: int) -> dict[str, int]:
    """The definitions that a sweep of this model is compiled with; ``share``: :func:`share`."""
    variant = machine_variant(model, field_dtype)
    if heat_bath:
        variant |= {"HEAT_BATH": 1}
    if model.loss.counts:
        variant |= {"ERROR_COUNT": 1}
    if model.dense:
        return variant | {"DENSE": 1} | ({"SHARE": share} if share else {})
    if model.loss.counts and np.all(model.class_values == 1):
        variant |= {"ERROR_COUNT_OF_ONE_CLASS": 1}
    return variant


def field_pointer(field_dtype: np.dtype) -> str:
    """The kernels' type of an array of fields."""
    return f"{np.dtype(field_dtype).name}*"


def sweep_kernel(
    device: Device, model: Model, field_dtype: np.dtype, heat_bath: bool, share: int, constants: dict[str, int]
) -> Kernel:
    """kernels/sweep.cu, one item for every :func:`item_chains` of an instance; ``constants``: :meth:`Sizes.constants`."""
    signature = (
        *("const int64*", "uint32*", "uint32*", field_pointer(field_dtype), "int64*", "int64*"),
        *("const uint32*", "const int32*", "const uint32*", "const int64*", "const int64*", "const uint32*"),
        *("const int64*", "const int8*", "const int32*", "const int64*", "const int32*", "workspace uint8*"),
    )
    variant = sweep_variant(model, field_dtype, heat_bath, share) | constants
    return kernel(device, "sweep.cu", "sweep", signature, variant)


def centre_kernel(device: Device, model: Model, field_dtype: np.dtype, heat_bath: bool, share: int) -> Kernel:
    """The centre's draw in kernels/sweep.cu, whose items are those of a sweep."""
    signature = ("const int64*", "uint32*", "uint32*", "const uint32*", "workspace uint8*")
    return kernel(device, "sweep.cu", "draw_centre", signature, sweep_variant(model, field_dtype, heat_bath, share))


def measure_kernel(device: Device, model: Model, field_dtype: np.dtype) -> Kernel:
    """Energies, errors and stabilities in kernels/observe.cu, one item a walker."""
    pointer = f"const {field_pointer(field_dtype)}"
    signature = (
        *("const int64*", pointer, "const int8*", "const int32*", "const int64*", "const int8*", "int64", "int64"),
        *("int64*", "int64*", "int64*"),
    )
    return kernel(device, "observe.cu", "measure", signature, machine_variant(model, field_dtype))


def overlaps_kernel(device: Device, model: Model, field_dtype: np.dtype) -> Kernel:
    """Overlaps in kernels/observe.cu, one item a chain."""
    signature = ("const int64*", "const uint32*", "const uint32*", "int64*", "int64*")
    return kernel(device, "observe.cu", "overlaps", signature, machine_variant(model, field_dtype))
