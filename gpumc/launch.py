"""How a model and a population are handed to the kernels: the variant that is compiled, and the sizes that it reads."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from gpumc.device import Device, Kernel, kernel
from gpumc.state import Model, Population

#: The lanes that share an item, by the kind of device (kernels/lanes.cuh).
LANES = {"cpu": 1, "cuda": 32}


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

    def workspace(self, dense: bool, lanes: int) -> int:
        """Bytes that kernels/sweep.cu needs for one chain: the numbers drawn, and each replica's caches."""
        margins = self.units * (4 * self.pattern_words * (2 + self.classes) + 16)
        caches = 16 + 4 * 32 * self.pattern_words if dense else margins
        return self.replicas * (8 * 4 * lanes + (caches + 7) // 8 * 8)


def machine_variant(model: Model, field_dtype: np.dtype) -> dict[str, int]:
    """The definitions that every kernel of this model is compiled with."""
    variant = {"WIDE": 1} if field_dtype == np.int32 else {}
    if model.machine.readout == "majority":
        variant |= {"COMMITTEE": 1, "PLANES": model.machine.k.bit_length()}
    elif model.machine.readout == "product":
        variant |= {"PARITY": 1}
    return variant


def sweep_variant(model: Model, field_dtype: np.dtype, heat_bath: bool) -> dict[str, int]:
    """The definitions that a sweep of this model is compiled with."""
    variant = machine_variant(model, field_dtype)
    if heat_bath:
        variant |= {"HEAT_BATH": 1}
    if model.dense:
        return variant | {"DENSE": 1}
    if model.loss.kind == "error-count":
        variant |= {"ERROR_COUNT": 1}
        if np.all(model.class_values == 1):
            variant |= {"ERROR_COUNT_OF_ONE_CLASS": 1}
    return variant


def field_pointer(field_dtype: np.dtype) -> str:
    """The kernels' type of an array of fields."""
    return f"{np.dtype(field_dtype).name}*"


def sweep_kernel(device: Device, model: Model, field_dtype: np.dtype, heat_bath: bool) -> Kernel:
    """kernels/sweep.cu, one item a chain."""
    signature = (
        *("const int64*", "uint32*", "uint32*", field_pointer(field_dtype), "int64*", "int64*"),
        *("const uint32*", "const int32*", "const uint32*", "const int64*", "const int64*", "const uint32*"),
        *("const int64*", "const int32*", "const int64*", "uint8*"),
    )
    return kernel(device, "sweep.cu", "sweep", signature, sweep_variant(model, field_dtype, heat_bath))


def centre_kernel(device: Device, model: Model, field_dtype: np.dtype, heat_bath: bool) -> Kernel:
    """The centre's draw in kernels/sweep.cu, one item a chain."""
    signature = ("const int64*", "uint32*", "uint32*", "const uint32*")
    return kernel(device, "sweep.cu", "draw_centre", signature, sweep_variant(model, field_dtype, heat_bath))


def measure_kernel(device: Device, model: Model, field_dtype: np.dtype) -> Kernel:
    """Energies, errors and stabilities in kernels/observe.cu, one item a walker."""
    pointer = f"const {field_pointer(field_dtype)}"
    signature = ("const int64*", pointer, "const int64*", "int64", "int64", "int64*", "int64*", "int64*")
    return kernel(device, "observe.cu", "measure", signature, machine_variant(model, field_dtype))


def overlaps_kernel(device: Device, model: Model, field_dtype: np.dtype) -> Kernel:
    """Overlaps in kernels/observe.cu, one item a chain."""
    signature = ("const int64*", "const uint32*", "const uint32*", "int64*", "int64*")
    return kernel(device, "observe.cu", "overlaps", signature, machine_variant(model, field_dtype))
