"""Fashion-MNIST, reduced to two classes and binarised (H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gpumc.checks import a_path, numbers, real, shown, text, whole
from gpumc.data.idx import read_idx
from gpumc.device.constants import Stream
from gpumc.device.philox import SEED_LIMIT, order_keys
from gpumc.errors import ConfigError, RunError
from gpumc.machines import Machine, check_machine
from gpumc.patterns import Patterns

CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
#: The official files, images and labels, with their MD5 digests.
FILES = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
SOURCE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
PIXELS = 784
#: How pixels become +-1, beside a number, above which they are +1.
BINARISE = ("rank", "median", "mean")


def fashion_mnist(
    machine: Machine,
    *,
    folder: str | os.PathLike | None = None,
    classes: Sequence[str] = ("dress", "coat"),
    per_class: int = 250,
    binarise: str | float = "rank",
    median_range: Sequence[float] | None = None,
    instances: int = 1,
    shuffled: bool = False,
    seed: int = 0,
) -> Patterns:
    """Binarised images of two classes of Fashion-MNIST; the remaining ones are the test patterns.

    Parameters
    ----------
    machine : Machine
        Of n = 784 inputs, or of 785, the last of which is constantly +1, as machines of binary weights need.
    folder : path, optional
        Where the four official files are. By default they are downloaded once, with the package pooch.
    classes : two names of `CLASSES`
        The labels of the first are +1.
    per_class : int
        Training images of each class.
    binarise : {"rank", "median", "mean"} or float
        The pixels that become +1: the brighter half of an image, ties being split by a permutation drawn for each image; those above the
        image's own median or mean; or those above a number from 0 to 255. "median" and "mean" leave classes that the number of +1 alone
        tells apart (see Notes).
    median_range : two floats, optional
        Only images are used whose median is between these fractions of their maximum.
    instances : int
        Divisions into training and test images.
    shuffled : bool
        Permute each pixel across the training images of both classes, labels fixed; a constant input stays. Test images stay as they are.
    seed : int
        Of the divisions, ties and permutations.

    Returns
    -------
    Patterns
        ``xi`` (instances, 2 per_class, n) and ``labels``, with the remaining images as ``test``; ``facts`` has ``tied``, the fraction of
        the +1 that are so by a tie, ``balance``, the mean of the pixels, and ``leak``, how many of the training labels the number of
        +1 tells, by the best threshold.

    Raises
    ------
    ConfigError
        For classes that there are not, more images than there are, and a machine with another n.
    RunError
        For files that are missing, cut short or something else, and where they cannot be downloaded.

    Notes
    -----
    The median of 77 % of dresses is 0, and the number of pixels above it tells dresses from coats for 82 % of images; above the mean, for
    86 %. By rank every image has as many +1 as -1.

    Examples
    --------
    >>> import gpumc
    >>> machine, folder = gpumc.FullCommittee(785, k=9, weights="spherical"), "tests/units/data/fashion-mnist"
    >>> patterns = gpumc.fashion_mnist(machine, folder=folder, per_class=100)
    >>> patterns.count
    200
    """
    check_machine(machine)
    if machine.n not in (PIXELS, PIXELS + 1):
        raise ConfigError(f"fashion-mnist: n = {machine.n}: {PIXELS}, or {PIXELS + 1} with a constant input, is needed")
    per_class, instances = (
        whole("fashion-mnist: per_class", per_class, 1),
        whole("fashion-mnist: instances", instances, 1, 2**16),
    )
    seed = whole("fashion-mnist: seed", seed, 0, SEED_LIMIT)
    images, labels = _chosen(_images(folder, classes), _range(median_range))
    few = [
        f"{np.sum(labels == sign)} of {name}"
        for name, sign in zip(classes, (1, -1), strict=True)
        if np.sum(labels == sign) < per_class
    ]
    if few:
        raise ConfigError(f"fashion-mnist: per_class = {per_class}, and there are {' and '.join(few)}: ask for fewer")
    signs, tied = binarised(images, binarise, seed)
    if machine.n > PIXELS:
        signs = np.concatenate([signs, np.ones((len(signs), 1), np.int8)], axis=1)
    train = np.stack([_drawn(labels, per_class, instance, seed) for instance in range(instances)])
    rest = np.stack([np.setdiff1d(np.arange(len(labels)), one) for one in train])
    xi = signs[train]
    facts = {"tied": tied, "balance": float(signs[:, :PIXELS].mean()), "leak": _leak(xi[..., :PIXELS], labels[train])}
    if shuffled:
        for instance, one in enumerate(xi):
            order = np.argsort(order_keys(seed, Stream.SHUFFLED, np.arange(PIXELS), instance, len(one)), axis=1).T
            one[:, :PIXELS] = np.take_along_axis(one[:, :PIXELS], order, axis=0)
    test = Patterns(signs[rest], labels[rest]) if rest.size else None
    return Patterns(xi, labels[train], test, facts)


def binarised(images: np.ndarray, binarise: str | float, seed: int) -> tuple[np.ndarray, float]:
    """Signs int8 of ``images`` uint8 (images, pixels), and the fraction of the +1 that are so by a tie; see `fashion_mnist`."""
    if not isinstance(binarise, str):
        threshold = real(
            "fashion-mnist: binarise",
            binarise,
            lambda t: 0 <= t < 255,
            "a number from 0 to 255, or 'rank', 'median', 'mean'",
        )
        return _signs(images > threshold), 0.0
    how = text("fashion-mnist: binarise", binarise, BINARISE)
    if how != "rank":
        level = (np.median if how == "median" else np.mean)(images, axis=1)
        return _signs(images > level[:, None]), 0.0
    half = images.shape[1] // 2
    keys = order_keys(seed, Stream.TIES, np.arange(len(images)), 0, images.shape[1])
    brightest = np.lexsort((keys, -images.astype(np.int64)), axis=1)[:, :half]
    bright = np.zeros(images.shape, bool)
    np.put_along_axis(bright, brightest, True, axis=1)
    level = np.take_along_axis(images, brightest[:, -1:], axis=1)
    equal = images == level
    split = (equal & ~bright).any(axis=1)
    return _signs(bright), float((equal & bright)[split].sum() / bright.sum())


def _signs(bright: np.ndarray) -> np.ndarray:
    return np.where(bright, 1, -1).astype(np.int8)


def _drawn(labels: np.ndarray, per_class: int, instance: int, seed: int) -> np.ndarray:
    """The places of the training images of an instance, those of each class in random order."""
    order = np.argsort(order_keys(seed, Stream.SPLIT, np.arange(1), instance, len(labels))[0], kind="stable")
    return np.concatenate([order[labels[order] == sign][:per_class] for sign in (1, -1)])


def _leak(xi: np.ndarray, labels: np.ndarray) -> float:
    """The largest fraction of labels that a threshold on the number of +1 tells, mean over instances."""
    counts, fractions = xi.sum(axis=-1, dtype=np.int64), []
    for count, label in zip(counts, labels, strict=True):
        above = np.array([np.mean((count > threshold) == (label > 0)) for threshold in np.unique(count)])
        fractions.append(max(above.max(), (1 - above).max(), np.mean(label > 0), np.mean(label < 0)))
    return float(np.mean(fractions))


def _range(given: ArrayLike | None) -> tuple[float, float] | None:
    if given is None:
        return None
    ends = numbers("fashion-mnist: median_range", given).astype(float).ravel()
    if ends.shape != (2,) or not 0 <= ends[0] < ends[1] <= 1:
        raise ConfigError(f"fashion-mnist: median_range = {shown(given)}: two rising fractions from 0 to 1 are needed")
    return float(ends[0]), float(ends[1])


def _chosen(pools: tuple[np.ndarray, np.ndarray], span: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray]:
    """The images of both classes whose median is in ``span``, and their labels, +1 for those of the first class."""
    images = np.concatenate(pools)
    labels = np.repeat(np.array([1, -1], np.int8), [len(pool) for pool in pools])
    if span is None:
        return images, labels
    share = np.median(images, axis=1) / np.maximum(images.max(axis=1), 1)
    kept = (share >= span[0]) & (share <= span[1])
    return images[kept], labels[kept]


def _images(folder: str | os.PathLike | None, classes: Any) -> tuple[np.ndarray, np.ndarray]:
    """The images (images, pixels) of both classes, of the training and the test files."""
    if isinstance(classes, str) or len(classes) != 2 or not set(classes) <= set(CLASSES) or classes[0] == classes[1]:
        raise ConfigError(
            f"fashion-mnist: classes = {shown(classes)}: two different ones of {', '.join(CLASSES)} are needed"
        )
    where = _downloaded() if folder is None else a_path(folder)
    missing = [name for name in FILES if not (where / name).exists()]
    if missing:
        raise RunError(
            f"{where} has no {', '.join(missing)}: put the four files from {SOURCE} there, {', '.join(FILES)}"
        )
    images, labels = [], []
    for part in ("train", "t10k"):
        pixels = read_idx(where / f"{part}-images-idx3-ubyte.gz", 3)
        names = read_idx(where / f"{part}-labels-idx1-ubyte.gz", 1)
        if len(pixels) != len(names) or pixels.shape[1:] != (28, 28):
            raise RunError(
                f"{where}: {len(pixels)} images of {part} and {len(names)} labels do not belong together: fetch both again"
            )
        images.append(pixels.reshape(-1, PIXELS))
        labels.append(names)
    every, number = np.concatenate(images), np.concatenate(labels)
    first, second = (every[number == CLASSES.index(name)] for name in classes)
    return first, second


def _downloaded() -> Path:
    """The folder of the official files, fetched where they are not there yet. Raises RunError."""
    how = f"or fetch {', '.join(FILES)} from {SOURCE} yourself, and give their folder"
    try:
        import pooch
    except ImportError:
        raise RunError(
            f"fashion-mnist: no folder is given, and pooch is not installed: pip install 'gpumc[data]', {how}"
        ) from None
    cache = pooch.create(
        path=pooch.os_cache("gpumc") / "fashion-mnist",
        base_url=SOURCE,
        registry={name: f"md5:{digest}" for name, digest in FILES.items()},
        retry_if_failed=1,
    )
    pooch.get_logger().setLevel("ERROR")
    try:
        for name in FILES:
            cache.fetch(name)
    except Exception as error:  # of the network, of the disk, of checksums
        raise RunError(f"fashion-mnist: {SOURCE} cannot be had ({type(error).__name__}): try again, {how}") from None
    return Path(cache.abspath)
