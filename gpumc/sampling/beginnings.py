"""Where populations of binary weights begin: their random bits, and the fields of all patterns, made where they are needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpumc.device import Device, kernel
from gpumc.device.constants import Stream
from gpumc.device.normals import words
from gpumc.launch import field_pointer
from gpumc.machines import Machine
from gpumc.state import Model, blocks, field_dtype, pack_bits, unpack_signs, word_count

#: Walkers whose fields are computed at once over arrays, and whose weights are unpacked at once, and the bytes of preactivations that they
#: have at most.
CHUNK, CHUNK_BYTES = 256, 2**27
#: Bytes of random words that are made at once.
DRAWN_BYTES = 2**22


def at_once(machine: Machine, patterns: int) -> int:
    """Walkers that are unpacked at once."""
    return max(1, min(CHUNK, CHUNK_BYTES // (16 * machine.weight_count + 16 * machine.k * patterns)))


def drawn(device: Device, seed: int, walkers: np.ndarray, count: int) -> Any:
    """Random weights of ``walkers`` uint64 (...): uint32 (..., words) on ``device``."""
    flat, size, of_words = walkers.ravel(), word_count(count), -(-count // 128)
    found, known = device.xp.empty((len(flat), size), np.uint32), device.asarray(pack_bits(np.ones(count, bool)))
    step = max(1, DRAWN_BYTES // (16 * of_words))
    for first in range(0, len(flat), step):
        some = words(device, seed, Stream.INITIAL, 0, flat[first : first + step], of_words)
        found[first : first + step] = some.reshape(len(some), -1)[:, :size] & known
    return found.reshape(*walkers.shape, size)


def fields(device: Device, model: Model, weights: Any) -> Any:
    """The fields of ``weights`` uint32 (instances, ..., words), (instances, ..., units, patterns), both on ``device``."""
    machine, patterns = model.machine, model.pattern_count
    shape = (*weights.shape[:-1], machine.k, patterns)
    if device.kind == "numpy":
        found = np.empty(shape, field_dtype(machine))
        for i, of_instance in enumerate(weights):
            for where in blocks(of_instance.shape[:-1], at_once(machine, patterns)):
                signs = unpack_signs(of_instance[where], machine.weight_count)
                found[i][where] = machine.fields(signs, model.xi[i].T)
        return found
    found = device.xp.zeros(shape, field_dtype(machine))
    signature = ("const uint32*", "const uint32*", field_pointer(found.dtype), *["int64"] * 7)
    run = kernel(device, "fields.cu", "fields_of_weights", signature, {"WIDE": 1} if found.dtype == np.int32 else {})
    rows, size = int(np.prod(weights.shape[:-1])), (machine.weight_count, machine.n, machine.k, patterns)
    bits = model.on(device).patterns
    run(rows, weights, bits, found, rows // len(weights), *size, weights.shape[-1], bits.shape[-1])
    return found
