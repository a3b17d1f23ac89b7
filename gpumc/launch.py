"""How a model and a population are handed to the kernels: the variant that is compiled, and the sizes that it reads."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from gpumc.device import Device, Kernel, kernel
from gpumc.state import Model, Population

#: Bytes at whose multiples the parts of a workspace begin: a cache line.
LINE = 64
#: Patterns of a lane that fit its registers, and whose inputs fit a word with one bit to spare.
MOST_SHARED = 31
#: Attempts of a launch on CUDA from which on its sizes are constants of the source, which takes seconds to compile for each of them: W1 of
#: `gpumc bench` is then 1.7 times as fast on an H200, in 72 registers instead of 167.
COMPILED_FROM = 2**26
#: The sizes that a whole run has in common: known() of kernels/population.cuh.
COMPILED = (
    *("replicas", "weights", "inputs", "units", "patterns", "weight_words", "pattern_words"),
    *("classes", "pulls", "readouts", "centre"),
)


def item_chains(device: Device, model: Model) -> int:
    """The chains of an item of kernels/sweep.cu (CHAINS of kernels/chains.cuh)."""
    return 1 if device.kind == "cuda" and model.dense else 32


def share(device: Device, model: Model, traced: bool, beta: np.ndarray | None) -> int:
    """The patterns that each lane of a warp keeps in registers (SHARE of kernels/registers.cuh), 0 where they stay in memory:
    ``beta`` is the rule's, in fixed point."""
    if device.kind != "cuda" or not model.dense or model.machine.rectified or traced:
        return 0
    if beta is None or beta.max() >= 2**31:
        return 0
    patterns = -(-model.pattern_count // 32)
    twice_change = 2 * model.pattern_count * np.abs(np.diff(model.tables)).max()
    return patterns if patterns <= MOST_SHARED and twice_change < 2**31 else 0


def lines(size: int) -> int:
    """``size`` bytes, to the end of a cache line."""
    return -(-size // LINE) * LINE


@dataclass(frozen=True)
class Sizes:
    """``struct Sizes`` of kernels/population.cuh, field by field."""

    grid: int
    chains: int
    replicas: int
    weights: int
    inputs: int
    units: int
    patterns: int
    weight_words: int
    pattern_words: int
    classes: int
    pulls: int
    readouts: int
    sweeps: int
    first_sweep: int
    ramps: int
    first_instance: int
    first_chain: int
    all_chains: int
    seed: int
    centre: int

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
        return cls(**{field.name: others.get(field.name, known.get(field.name, 0)) for field in fields(cls)})

    def array(self, device: Device) -> np.ndarray:
        """The struct as int64 on ``device``."""
        return device.asarray(np.array([getattr(self, field.name) for field in fields(self)], np.int64))

    def constants(self, device: Device, instances: int) -> dict[str, int]:
        """The sizes for which a sweep of so many instances is compiled, as macros; none where it makes few attempts, or on the host."""
        attempts = instances * self.grid * self.chains * self.replicas * self.weights * self.sweeps
        if device.kind != "cuda" or attempts < COMPILED_FROM:
            return {}
        return {name.upper(): getattr(self, name) for name in COMPILED}

    def workspace(self, chains: int, model: Model) -> int:
        """Bytes that kernels/sweep.cu needs for an item of ``chains``: Item::bytes there."""
        signs = 0 if chains == 1 else 4 * 32 * self.weight_words * (self.replicas + 1)
        draws = lines(signs) + 4 * 32 * self.pattern_words + 16 * chains * self.replicas
        return lines(draws) + self.replicas * lines(chains * self.cache(model))

    def cache(self, model: Model) -> int:
        """Bytes that a replica of one chain caches: Slopes::bytes in kernels/margins.cuh, differences.cuh or rectified.cuh."""
        if model.machine.rectified:
            return 4 * 32 * self.pattern_words
        if model.dense:
            return 16 + 4 * 32 * self.pattern_words
        change = 4 if model.loss.counts else 8
        return 2 * self.units * change + 4 * self.pattern_words * (self.units * (3 + self.classes) + 2 * self.classes)


def workspace(device: Device, items: int, size: int) -> np.ndarray:
    """``size`` bytes for each item, uint8, that begin at a multiple of LINE."""
    space = device.xp.empty(items * size + LINE, np.uint8)
    address = space.ctypes.data if device.kind == "cpu" else space.data.ptr
    return space[-address % LINE :]


def machine_variant(model: Model, field_dtype: np.dtype) -> dict[str, int]:
    """The definitions that every kernel of this model is compiled with."""
    variant = {"WIDE": 1} if field_dtype == np.int32 else {}
    if model.machine.rectified:
        variant |= {"RECTIFIED": 1}
    elif model.machine.readout == "majority":
        variant |= {"COMMITTEE": 1, "PLANES": model.machine.k.bit_length()}
    elif model.machine.readout == "product":
        variant |= {"PARITY": 1}
    return variant


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
        *("const int64*", "const int8*", "const int32*", "const int64*", "const int32*", "uint8*"),
    )
    variant = sweep_variant(model, field_dtype, heat_bath, share) | constants
    return kernel(device, "sweep.cu", "sweep", signature, variant)


def centre_kernel(device: Device, model: Model, field_dtype: np.dtype, heat_bath: bool, share: int) -> Kernel:
    """The centre's draw in kernels/sweep.cu, whose items are those of a sweep."""
    signature = ("const int64*", "uint32*", "uint32*", "const uint32*", "uint8*")
    return kernel(device, "sweep.cu", "draw_centre", signature, sweep_variant(model, field_dtype, heat_bath, share))


def measure_kernel(device: Device, model: Model, field_dtype: np.dtype) -> Kernel:
    """Energies, errors and stabilities in kernels/observe.cu, one item a walker."""
    pointer = f"const {field_pointer(field_dtype)}"
    signature = (
        *("const int64*", pointer, "const int8*", "const int64*", "const int8*", "int64", "int64"),
        *("int64*", "int64*", "int64*"),
    )
    return kernel(device, "observe.cu", "measure", signature, machine_variant(model, field_dtype))


def overlaps_kernel(device: Device, model: Model, field_dtype: np.dtype) -> Kernel:
    """Overlaps in kernels/observe.cu, one item a chain."""
    signature = ("const int64*", "const uint32*", "const uint32*", "int64*", "int64*")
    return kernel(device, "observe.cu", "overlaps", signature, machine_variant(model, field_dtype))
