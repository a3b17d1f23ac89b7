"""Fashion-MNIST as patterns: dresses and coats of the genuine files, and small files of any kind."""

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import gpumc
from gpumc.data.fashion import FILES, binarised
from gpumc.errors import ConfigError, GpumcError

FOLDER = Path(__file__).with_name("fashion-mnist")
MACHINE = gpumc.FullCommittee(785, k=3, weights="spherical")


def patterns(**settings):
    return gpumc.fashion_mnist(MACHINE, folder=FOLDER, **settings)


def test_the_brighter_half():
    """Every image has as many +1 as -1, those that are +1 are not darker, and the number of +1 tells nothing."""
    found = patterns(instances=2)
    assert found.xi.shape == (2, 500, 785)
    assert np.all(found.xi[..., -1] == 1)
    assert np.all(found.xi[..., :-1].sum(axis=-1) == 0)
    assert np.all(found.labels.sum(axis=1) == 0)
    assert found.test.count == 610 + 622 - 500
    assert found.facts["balance"] == 0
    assert found.facts["leak"] == 0.5
    assert found.facts["tied"] == pytest.approx(0.0854, abs=1e-3)
    images = np.random.default_rng(1).integers(0, 5, (20, 784)).astype(np.uint8)
    signs, _ = binarised(images, "rank", 0)
    for image, sign in zip(images, signs, strict=True):
        assert image[sign > 0].min() >= image[sign < 0].max()


@pytest.mark.parametrize(("how", "leak"), [("median", 0.82), ("mean", 0.86)])
def test_what_the_number_of_bright_pixels_tells(how, leak):
    """Above an image's own median or mean, the number of +1 tells the classes apart."""
    found = patterns(binarise=how, instances=4)
    assert found.facts["leak"] == pytest.approx(leak, abs=0.015)


def test_divisions():
    """No image is both learned and tested; divisions depend on the seed and the instance alone."""
    found = patterns(instances=3, per_class=100)
    rows = [{image.tobytes() for image in part} for part in (found.xi[0], found.test.xi[0], found.xi[1])]
    assert len(rows[0] & rows[1]) <= 2  # equal images there are few of
    assert len(rows[0] & rows[2]) < 60
    assert np.array_equal(found.xi[:1], patterns(per_class=100).xi)
    assert not np.array_equal(found.xi[:1], patterns(per_class=100, seed=1).xi)


def test_shuffled():
    """Each pixel has the same signs, in another order across both classes; the constant and the test images stay."""
    plain, shuffled = patterns(instances=2), patterns(instances=2, shuffled=True)
    assert np.array_equal(plain.xi.sum(axis=1), shuffled.xi.sum(axis=1))
    assert np.array_equal(plain.labels, shuffled.labels)
    assert np.array_equal(plain.test.xi, shuffled.test.xi)
    apart = (shuffled.xi[0, :, :-1] * shuffled.labels[0][:, None]).mean(axis=0)
    assert np.abs(apart).max() < 5 / 500**0.5  # 5 standard deviations of a mean of 500 signs
    assert np.abs((plain.xi[0, :, :-1] * plain.labels[0][:, None]).mean(axis=0)).max() > 0.7


def test_medians_within_a_range():
    """Few dresses have one: 44 of 610."""
    found = patterns(per_class=44, median_range=(0.25, 0.75))
    assert set(found.test.labels.ravel().tolist()) == {-1}
    with pytest.raises(ConfigError, match="44 of dress"):
        patterns(per_class=45, median_range=(0.25, 0.75))


def test_learning_them():
    """Two errors in a hundred, or fewer, on images that were not learned, are not to be had; guessing has 50."""
    data = gpumc.learn(MACHINE, patterns(), gpumc.LeastAction(epochs=300), starts=2)
    assert data.solved.all()
    assert np.all((data.test_error > 0) & (data.test_error < 0.2))


def idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        shutil.copy(FOLDER / name, tmp_path)
    return tmp_path


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


def empty(path):
    path.write_bytes(b"")


def other(path):
    idx(path, np.zeros(7))


def short(path):
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:-9]))


@pytest.mark.parametrize("damage", [cut, empty, other, short, Path.unlink])
def test_damaged_files(folder, damage):
    damage(folder / "t10k-images-idx3-ubyte.gz")
    with pytest.raises(GpumcError, match="t10k-images-idx3-ubyte"):
        gpumc.fashion_mnist(MACHINE, folder=folder)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"classes": ("dress", "shoe")}, "ankle-boot"),
        ({"classes": ("dress",)}, "two different"),
        ({"classes": ("dress", "dress")}, "two different"),
        ({"classes": ("bag", "dress"), "per_class": 1}, "0 of bag"),
        ({"per_class": 611}, "610 of dress"),
        ({"per_class": 0}, "per_class = 0"),
        ({"binarise": "ranks"}, "rank"),
        ({"binarise": 255}, "from 0 to 255"),
        ({"median_range": (0.5, 0.2)}, "rising fractions"),
        ({"median_range": 0.5}, "rising fractions"),
        ({"instances": 0}, "instances = 0"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ConfigError, match=words):
        patterns(**settings)


def test_machines_of_another_size():
    with pytest.raises(ConfigError, match=r"n = 999: 784, or 785"):
        gpumc.fashion_mnist(gpumc.Perceptron(999), folder=FOLDER)
