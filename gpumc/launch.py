"""How a model and a population are handed to the kernels: the variant that is compiled, and the sizes that it reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gpumc.device import Device, Kernel, kernel, to_host, workspace
from gpumc.device.constants import COMPILED, SIZES, Centre
from gpumc.device.host import thread_count
from gpumc.device.kernels import LINE
from gpumc.state import Model, Population

#: Chains that a step of the host takes at once, and attempts of a run from which on fewer than most may be worth a variant of their own,
#: which takes seconds to compile.
TOGETHER, NARROW_FROM = (8, 16, 32), 2**24
#: Patterns of a lane that fit its registers, and whose inputs fit a word with one bit to spare.
MOST_SHARED = 31
#: Attempts of a launch on CUDA from which on its sizes are constants of the source, which takes seconds to compile for each of them: W1 of
#: `gpumc bench` is then 1.7 times as fast on an H200, in 72 registers instead of 167.
COMPILED_FROM = 2**26


@dataclass(frozen=True)
class Form:
    """How an item of kernels/sweep.cu takes its chains: so many ``together`` on the host (CHAINS of kernels/chains.cuh); on CUDA 0, and
    ``share`` patterns in the registers of each lane of a warp (SHARE of kernels/registers.cuh), 0 where they stay in memory."""

    together: int = 0
    share: int = 0

    @classmethod
    def of(
        cls, device: Device, model: Model, chains: int, attempts: int, traced: bool, beta: np.ndarray | None
    ) -> Form:
        """For so many chains, and attempts of the whole run; ``beta`` is the rule's, in fixed point. On the host an item has as few chains
        as leave no thread without work."""
        if device.kind == "cuda":
            return cls(share=_share(model, traced, beta))
        each = -(-chains // thread_count())
        enough = [count for count in TOGETHER if count >= each]
        return cls(together=enough[0] if enough and attempts >= NARROW_FROM else TOGETHER[-1])

    @property
    def macros(self) -> dict[str, int]:
        """What the kernels are compiled with."""
        return {name.upper(): value for name, value in vars(self).items() if value}

    def items(self, model: Model, chains: int) -> int:
        """How many items take so many chains."""
        return -(-chains // (self.together or (1 if model.dense else 32)))


def _share(model: Model, traced: bool, beta: np.ndarray | None) -> int:
    if not model.dense or model.machine.readout.summed or traced or beta is None or beta.max() >= 2**31:
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
        instances, grid, chains, replicas = population.energy.shape
        machine = model.machine
        known = {
            "instances": instances,
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

    @property
    def all_chains(self) -> int:
        """The chains of the batch, at all points of the grid and of all instances."""
        return self["instances"] * self["grid"] * self["chains"]

    def constants(self, device: Device) -> dict[str, int]:
        """The sizes for which a sweep is compiled, as macros; none where it makes few attempts, or on the host."""
        attempts = self.all_chains * math.prod(self[name] for name in ("replicas", "weights", "sweeps"))
        if device.kind != "cuda" or attempts < COMPILED_FROM:
            return {}
        return {name.upper(): value for name, value in self.common.items()}

    def single(self, device: Device) -> dict[str, int]:
        """On the host, macros of what there is one of, or none: kernels do without loops over it, and few variants serve all sizes."""
        if device.kind == "cuda":
            return {}
        alone = ("replicas", "pulls", "centre") if self["replicas"] == 1 and self["centre"] == Centre.NONE else ()
        names = (*alone, *(name for name in ("units", "classes") if self[name] == 1))
        return {name.upper(): self[name] for name in names}


def item_bytes(device: Device, variant: dict[str, int], sizes: Sizes) -> int:
    """Bytes of workspace that this variant of kernels/sweep.cu needs for an item, as it says itself."""
    batch = {name: sizes[name] for name in ("instances", "grid", "chains")}
    return _item_bytes(device, tuple(variant.items()), tuple((sizes.common | batch).items()))


@functools.lru_cache(maxsize=1024)
def _item_bytes(device: Device, variant: tuple[tuple[str, int], ...], known: tuple[tuple[str, int], ...]) -> int:
    sizes = Sizes(dict.fromkeys(SIZES, 0) | dict(known))
    size = device.xp.zeros(1, np.int64)
    kernel(device, "sweep.cu", "item_bytes", ("const int64*", "int64*"), dict(variant))(1, sizes.array(device), size)
    return int(to_host(size)[0])


def site_orders(device: Device, seed: int, first: int, count: int, sites: int) -> np.ndarray:
    """`gpumc.device.philox.site_orders` of ``count`` sweeps from ``first`` on, int32 (count, sites) on ``device``, by kernels/orders.cu."""
    orders = device.xp.empty((count, sites), np.int32)
    bytes_of_item = -(-12 * (sites + 1) // LINE) * LINE
    signature = ("int32*", "int64", "uint64", "uint32", "workspace uint8*", "int64")
    space = workspace(device, count, bytes_of_item)
    kernel(device, "orders.cu", "site_orders", signature)(count, orders, sites, seed, first, space, bytes_of_item)
    return orders


def vectors(device: Device) -> str:
    """Which vectors of the processor the kernels of the host use (kernels/instructions.cuh)."""
    size = np.zeros(1, np.int64)
    kernel(device, "orders.cu", "vector_bytes", ("int64*",))(1, size)
    return {64: "AVX-512", 32: "AVX2", 16: "NEON", 0: "those that the compiler finds"}[int(size[0])]


def machine_variant(model: Model, field_dtype: np.dtype) -> dict[str, int]:
    """The definitions that every kernel of this model is compiled with."""
    return model.machine.readout.macros | ({"WIDE": 1} if field_dtype == np.int32 else {})


def sweep_variant(model: Model, field_dtype: np.dtype, heat_bath: bool, form: Form) -> dict[str, int]:
    """The definitions that a sweep of this model is compiled with."""
    variant = machine_variant(model, field_dtype) | form.macros
    if heat_bath:
        variant |= {"HEAT_BATH": 1}
    if model.loss.counts:
        variant |= {"ERROR_COUNT": 1}
    if model.dense:
        return variant | {"DENSE": 1}
    if model.loss.counts and np.all(model.class_values == 1):
        variant |= {"ERROR_COUNT_OF_ONE_CLASS": 1}
    return variant


def field_pointer(field_dtype: np.dtype) -> str:
    """The kernels' type of an array of fields."""
    return f"{np.dtype(field_dtype).name}*"


def sweep_kernel(device: Device, field_dtype: np.dtype, variant: dict[str, int]) -> Kernel:
    """A variant of kernels/sweep.cu: :func:`sweep_variant`, with :meth:`Sizes.single` or :meth:`Sizes.constants`."""
    signature = (
        *("const int64*", "uint32*", "uint32*", field_pointer(field_dtype), "int64*", "int64*"),
        *("const uint32*", "const int32*", "const uint32*", "const int64*", "const int64*", "const uint32*"),
        *("const int64*", "const int8*", "const int32*", "const int64*", "const int32*", "workspace uint8*"),
    )
    return kernel(device, "sweep.cu", "sweep", signature, variant)


def centre_kernel(device: Device, variant: dict[str, int]) -> Kernel:
    """The centre's draw in kernels/sweep.cu, whose items are those of a sweep."""
    signature = ("const int64*", "uint32*", "uint32*", "const uint32*", "workspace uint8*")
    return kernel(device, "sweep.cu", "draw_centre", signature, variant)


def measure_kernel(device: Device, model: Model, field_dtype: np.dtype) -> Kernel:
    """Energies, errors and stabilities in kernels/observe.cu, one item MEASURED_TOGETHER walkers of an instance and grid point."""
    pointer = f"const {field_pointer(field_dtype)}"
    signature = (
        *("const int64*", pointer, "const int8*", "const int32*", "const int64*", "const int8*", "int64", "int32"),
        *("int64*", "int64*", "int64*"),
    )
    return kernel(device, "observe.cu", "measure", signature, machine_variant(model, field_dtype))


def overlaps_kernel(device: Device, model: Model, field_dtype: np.dtype) -> Kernel:
    """Overlaps in kernels/observe.cu, one item a chain."""
    signature = ("const int64*", "const uint32*", "const uint32*", "int64*", "int64*")
    return kernel(device, "observe.cu", "overlaps", signature, machine_variant(model, field_dtype))
