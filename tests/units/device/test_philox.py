"""Philox4x32-10 against its published known answers, and its two twins against each other."""

import numpy as np
import pytest

from gpumc.device import choose, kernel, to_host
from gpumc.device.philox import philox

SIGNATURE = ("uint32*", "const uint64*", "uint64", "uint32", "uint32", "uint32", "int32")

# (counter, key, words) from kat_vectors of Random123 1.14 (J. K. Salmon et al.): zeros, ones, digits of pi.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def numbers(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def by_kernel(device_name: str, seed: int, stream: int, sweep: int, sites: range, walkers) -> np.ndarray:
    """The same as philox(seed, stream, sweep, sites, walkers[:, None]), from the compiled kernel."""
    device = choose(device_name)
    out = device.xp.zeros((len(walkers), len(sites), 4), np.uint32)
    words = kernel(device, "philox.cu", "philox_words", SIGNATURE)
    words(len(walkers), out, device.asarray(np.array(walkers, np.uint64)), seed, stream, sweep, sites.start, len(sites))
    return np.moveaxis(to_host(out), -1, 0)


COMPILED = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers(counter, key, words):
    stream, sweep, site, walker = numbers(counter)
    seed = numbers(key)[0] | numbers(key)[1] << 32
    assert philox(seed, stream, sweep, site, walker).tolist() == numbers(words)


@pytest.mark.parametrize("device", COMPILED)
@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers_of_the_kernel(device, counter, key, words):
    stream, sweep, site, walker = numbers(counter)
    seed = numbers(key)[0] | numbers(key)[1] << 32
    found = by_kernel(device, seed, stream, sweep, range(site, site + 1), [walker])
    assert found.ravel().tolist() == numbers(words)


@pytest.mark.parametrize("device", COMPILED)
def test_twins_agree_also_beyond_32_bits_of_walkers(device):
    walkers = [0, 1, 2**32 - 1, 2**32, 2**33 + 12345, 2**47 + 3, *range(1000, 1100)]
    sites = range(3, 77)
    expected = philox(2**48 - 77, 6, 12345, np.array(sites)[None], np.array(walkers, np.uint64)[:, None])
    np.testing.assert_array_equal(by_kernel(device, 2**48 - 77, 6, 12345, sites, walkers), expected)
    assert len(np.unique(expected.reshape(4, -1), axis=1).T) == len(walkers) * len(sites)
