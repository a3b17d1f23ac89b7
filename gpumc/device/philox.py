"""Philox4x32-10: every random number as a pure function of what it is for.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011). The key is the
seed; the counter is (stream, sweep, site, walker): what the number is for, when, where, and for whom. A block holds four
32-bit words, so wherever a use needs one word for each of many places, ``site`` counts blocks: place ``4 b + j`` takes word j of
block b (and place ``128 b + 32 j + i`` takes bit i of that word, where one bit is enough).
"""

from __future__ import annotations

import numpy as np

from gpumc.device.constants import Stream
from gpumc.device.devices import array_module

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

#: Seeds are below this; the bits above hold walker // 2^32 in a population beyond 2^32 walkers.
SEED_LIMIT = 2**48


def philox(seed: int, stream: int, sweep, site, walker) -> np.ndarray:
    """Four random words for each counter.

    ``sweep``, ``site`` and ``walker`` are integers or integer arrays that broadcast together; walkers may exceed 2^32.
    Returns uint32 of shape (4, *broadcast shape).
    """
    walker = np.asarray(walker, np.uint64)
    shape = np.broadcast_shapes(np.shape(sweep), np.shape(site), walker.shape)
    counter = np.empty((4, *shape), np.uint32)
    for place, word in enumerate((stream, sweep, site, walker)):
        counter[place, ...] = word
    high = walker >> np.uint64(32) << np.uint64(16)
    beyond = bool(high.any())
    key = np.empty((2, *(shape if beyond else (1,) * len(shape))), np.uint32)
    key[0], key[1] = seed & 0xFFFFFFFF, seed >> 32
    if beyond:
        key[1] ^= high.astype(np.uint32)
    # In one dimension NumPy's inner loops are long.
    return philox_block(counter.reshape(4, -1), key.reshape(2, -1)).reshape(4, *shape)


def philox_block(counter: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Philox4x32-10 of counters (4, *shape) and keys (2, ...) that broadcast against them, all uint32: uint32 (4, *shape)."""
    # Row 0 holds words (2, 3) and row 1 words (0, 1): one multiplication a round serves both halves. The low halves of
    # the products become the odd words of the next round where they lie, so two buffers take turns.
    even, odd, key = counter[[2, 0]], counter[[3, 1]], key[::-1].copy()
    factors = np.array(MULTIPLIERS[::-1], dtype=np.uint64).reshape(2, *[1] * (counter.ndim - 1))
    step = np.array(WEYL[::-1], dtype=np.uint32).reshape(factors.shape)
    products = np.empty((2, *even.shape), np.uint64)
    for turn in range(ROUNDS):
        product = products[turn % 2]
        np.multiply(even, factors, out=product)
        halves = product.astype("<u8", copy=False).view(np.uint32)
        np.bitwise_xor(halves[..., 1::2][::-1], odd, out=even)
        even ^= key
        odd = halves[..., 0::2][::-1]
        key += step
    return np.array([even[1], odd[1], even[0], odd[0]])


def random_bits(seed: int, stream: int, sweep, walker, count: int) -> np.ndarray:
    """``count`` random signs for each counter (sweep, walker): int8 +-1 of shape (*broadcast shape, count)."""
    blocks = np.arange((count + 127) // 128)
    words = philox(seed, stream, np.asarray(sweep)[..., None], blocks, np.asarray(walker)[..., None])
    words = np.ascontiguousarray(np.moveaxis(words, 0, -1)).astype("<u4")
    return signs_of(words.reshape(*words.shape[:-2], -1), count)


def signs_of(words: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` bits of contiguous little-endian words (..., words) as signs: int8 +-1 (..., count)."""
    signs = np.unpackbits(words.view(np.uint8), axis=-1, count=count, bitorder="little").view(np.int8)
    signs <<= 1
    signs -= 1
    return signs


def random_normals(seed: int, stream: int, sweep, walker, count: int) -> np.ndarray:
    """``count`` standard normals for each counter (sweep, walker): float64 (*broadcast shape, count)."""
    blocks = np.arange((count + 3) // 4)
    words = philox(seed, stream, np.asarray(sweep)[..., None], blocks, np.asarray(walker)[..., None])
    return box_muller(np.moveaxis(words, 0, -1))[..., :count]


def box_muller(words: np.ndarray) -> np.ndarray:
    """Standard normals float64 (..., 4 blocks) of random words (..., blocks, 4) (G. E. P. Box, M. E. Muller, Ann. Math. Stat. 29,
    610 (1958))."""
    xp = array_module(words)
    radius = xp.sqrt(-2 * xp.log(uniform(words[..., 0::2])))
    angle = 2 * np.pi * uniform(words[..., 1::2])
    pairs = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=-1)
    return pairs.reshape(*words.shape[:-2], -1)


def uniform(words: np.ndarray) -> np.ndarray:
    """Random words as float64 uniform in (0, 1): (u + 1/2) / 2^32."""
    return (words + 0.5) * 2.0**-32


def order_keys(seed: int, stream: int, sweep: np.ndarray, walker: int, count: int) -> np.ndarray:
    """Random numbers whose order is a permutation, for each of the counters ``sweep`` (S,): uint64 (S, count)."""
    words = philox(seed, stream, sweep[:, None], np.arange((count + 1) // 2), walker).astype(np.uint64)
    half = np.uint64(32)
    pairs = np.stack([words[0] << half | words[1], words[2] << half | words[3]], axis=-1)
    return pairs.reshape(len(words[0]), -1)[:, :count]


def site_orders(seed: int, sweeps: np.ndarray, count: int) -> np.ndarray:
    """The orders in which ``sweeps`` (S,) visit their ``count`` sites, the same for all walkers: int32 (S, count)."""
    keys = order_keys(seed, Stream.ORDER, np.asarray(sweeps), 0, count)
    orders = np.argsort(keys, axis=-1)
    ordered = np.take_along_axis(keys, orders, axis=-1)
    if np.any(ordered[:, 1:] == ordered[:, :-1]):  # equal keys keep their order
        orders = np.argsort(keys, axis=-1, kind="stable")
    return orders.astype(np.int32)
