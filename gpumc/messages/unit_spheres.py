"""What acts on spherical weights whose units share inputs, beside the patterns: a sphere for each unit, and a pull toward a reference.

The weights of all units that read one input i are a vector w of k numbers, and a message to it is exp(B w - w A w / 2): B (k,) and a
symmetric matrix A (k, k). Arrays of messages are (rows, 1 + k, k, inputs): B, then A. The spheres add one number for each unit to the
diagonal of every A, the external fields lambda that give the units their mean squared norms; they are found at every iteration, with
the field h toward the reference where a distance is wanted, by minimising a convex function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpumc.device import array_module

#: Newton's steps, halvings of one, and the square of the decrement at which a row has its minimum.
NEWTON_STEPS, STEP_HALVINGS, LEAST_DECREMENT = 60, 40, 1e-20
#: What the first lambda leaves of the least eigenvalue of a precision.
FIRST_PRECISION = 1.0


@dataclass(frozen=True)
class UnitSpheresPull:
    """exp(-h N D(W, reference)) on a sphere for each unit: ``reference`` (rows, units, inputs), ``h`` (rows,), 0 where nothing pulls.

    ``uniform``: whether A is the same at all inputs, as it is where these are +-1.
    """

    reference: np.ndarray
    h: np.ndarray
    uniform: bool

    def rows(self, chosen) -> UnitSpheresPull:
        """The same for some of the rows."""
        return UnitSpheresPull(self.reference[chosen], self.h[chosen], self.uniform)

    def pull(self, incoming: np.ndarray) -> UnitSpheresPull:
        """Itself: the field is given."""
        return self

    def fields(self, incoming: np.ndarray) -> np.ndarray:
        """Total messages: (rows, 1 + units, units, inputs)."""
        return _with_fields(incoming, *self._saddle(incoming).fields, self.reference)

    def log_partition(self, incoming: np.ndarray) -> np.ndarray:
        """log of the mean over the spheres of exp(B W - W A W / 2 - h N D): (rows,), in nats, each lambda being integrated over at its
        saddle point."""
        saddle = self._saddle(incoming)
        count = self.reference[0].size
        return saddle.value - (1 + self.h) * count / 2

    def distance(self, incoming: np.ndarray) -> np.ndarray:
        """The mean normalised distance D from the reference: (rows,)."""
        return (1 - self._saddle(incoming).overlap) / 2

    def _saddle(self, incoming: np.ndarray) -> _Saddle:
        return _Saddle.found(incoming, self.reference, self.uniform, self.h, None)


@dataclass(frozen=True)
class UnitSpheresDistance:
    """A mean distance D (rows,) from a reference, held at every iteration by the field that gives it; see `UnitSpheresPull`."""

    reference: np.ndarray
    wanted: np.ndarray
    uniform: bool

    def rows(self, chosen) -> UnitSpheresDistance:
        """The same for some of the rows."""
        return UnitSpheresDistance(self.reference[chosen], self.wanted[chosen], self.uniform)

    def fields(self, incoming: np.ndarray) -> np.ndarray:
        """Total messages: (rows, 1 + units, units, inputs)."""
        return _with_fields(incoming, *self._saddle(incoming).fields, self.reference)

    def pull(self, incoming: np.ndarray) -> UnitSpheresPull:
        """The field toward the reference at which the mean distance is the wanted one."""
        return UnitSpheresPull(self.reference, self._saddle(incoming).fields[1], self.uniform)

    def _saddle(self, incoming: np.ndarray) -> _Saddle:
        none = array_module(incoming).zeros(len(incoming), incoming.dtype)
        return _Saddle.found(incoming, self.reference, self.uniform, none, 1 - 2 * self.wanted)


def _with_fields(incoming: Any, lam: Any, h: Any, reference: Any) -> Any:
    """Total messages: ``incoming`` with lambda (rows, units) and h (rows,) of a ``reference``."""
    xp = array_module(incoming)
    fields = incoming.copy()
    fields[:, 0] += (h / 2)[:, None, None] * reference
    unit = xp.arange(reference.shape[1])
    fields[:, 1 + unit, unit] += lam[:, :, None]
    return fields


@dataclass(frozen=True)
class _Saddle:
    """Where log of the integral of exp(B w - w (A + lambda) w / 2 + h w w~ / 2) over all w, plus sum lambda inputs / 2 and, where an
    overlap q is wanted, minus h q N / 2, is stationary: it is convex in lambda and h.

    ``parameters`` (rows, units + 1): lambda, then h; ``value`` (rows,) without the term of q; ``overlap`` (rows,) with the reference.
    """

    parameters: np.ndarray
    value: np.ndarray
    overlap: np.ndarray

    @property
    def fields(self) -> tuple[np.ndarray, np.ndarray]:
        """lambda (rows, units) and h (rows,)."""
        return self.parameters[:, :-1], self.parameters[:, -1]

    @classmethod
    def found(cls, incoming: Any, reference: Any, uniform: bool, h: Any, wanted: Any) -> _Saddle:
        """By Newton's method with halved steps; NaN in rows where it finds nothing. ``wanted`` overlaps (rows,), or None where ``h`` is
        given."""
        xp = array_module(incoming)
        linear, matrices = xp.moveaxis(incoming[:, 0], 2, 1), xp.moveaxis(incoming[:, 1:], 3, 1)
        if uniform:
            matrices = matrices[:, :1]
        toward = xp.moveaxis(reference, 2, 1)
        least = xp.linalg.eigvalsh(xp.where(xp.isfinite(matrices), matrices, 0))[..., 0].min(axis=1)
        first = xp.maximum(FIRST_PRECISION - least, 1e-3)
        units = linear.shape[2]
        now = xp.concatenate([xp.repeat(first[:, None], units, axis=1), h[:, None]], axis=1)
        free = units + (wanted is not None)
        here = _Point.of(linear, matrices, toward, now, wanted)
        for _ in range(NEWTON_STEPS):
            gradient, hessian = here.gradient[:, :free], here.hessian[:, :free, :free]
            bad = ~xp.isfinite(hessian).all(axis=(1, 2))
            hessian = xp.where(bad[:, None, None], xp.eye(free, dtype=hessian.dtype), hessian)
            step = -xp.linalg.solve(hessian, gradient[..., None])[..., 0]
            decrement = -(gradient * step).sum(axis=1) / linear[0].size
            left = (decrement > LEAST_DECREMENT) & ~bad
            if not left.any():
                break
            size = xp.where(left, 1.0, 0.0)
            for _ in range(STEP_HALVINGS):
                tried = now.copy()
                tried[:, :free] += size[:, None] * step
                there = _Point.of(linear, matrices, toward, tried, wanted)
                slack = 1e-13 * xp.abs(here.objective)
                worse = left & ~(there.possible & (there.objective <= here.objective + slack))
                if not worse.any():
                    break
                size = xp.where(worse, size / 2, size)
            now, here = tried, there
        else:
            now = xp.where(left[:, None], xp.nan, now)
        return cls(now, here.value, here.overlap)


@dataclass(frozen=True)
class _Point:
    """The function at ``parameters``, its derivatives, and whether every precision is positive there."""

    possible: np.ndarray
    value: np.ndarray
    overlap: np.ndarray
    objective: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray

    @classmethod
    def of(cls, linear: Any, matrices: Any, toward: Any, parameters: Any, wanted: Any) -> _Point:
        xp = array_module(linear)
        inputs, units = linear.shape[1:]
        lam, h = parameters[:, :-1], parameters[:, -1]
        precision = matrices + lam[:, None, :, None] * xp.eye(units, dtype=linear.dtype)
        precision = xp.where(xp.isfinite(precision), precision, -1.0)
        values, vectors = xp.linalg.eigh(precision)
        possible = (values > 0).all(axis=(1, 2))
        values = xp.where(values > 0, values, 1.0)
        covariance = xp.matmul(vectors / values[..., None, :], xp.swapaxes(vectors, 2, 3))
        repeats = inputs // matrices.shape[1]
        log_det = xp.log(values).sum(axis=(1, 2)) * repeats
        total = linear + (h / 2)[:, None, None] * toward
        mean = _applied(covariance, total)
        turned = _applied(covariance, toward)
        value = 0.5 * ((total * mean).sum(axis=(1, 2)) - log_det + inputs * lam.sum(axis=1))
        diagonal = xp.einsum("...ll->...l", covariance)
        along = (toward * mean).sum(axis=(1, 2))
        aim = 0.0 if wanted is None else wanted * (inputs * units)
        gradient = xp.empty_like(parameters)
        gradient[:, :-1] = 0.5 * (inputs - (mean**2).sum(axis=1) - diagonal.sum(axis=1) * repeats)
        gradient[:, -1] = 0.5 * (along - aim)
        hessian = xp.empty((*parameters.shape, parameters.shape[1]), linear.dtype)
        moments = xp.matmul(xp.swapaxes(mean, 1, 2), mean) if repeats > 1 else None
        if moments is None:
            outer = mean[..., :, None] * mean[..., None, :]
            hessian[:, :-1, :-1] = (0.5 * covariance**2 + outer * covariance).sum(axis=1)
        else:
            hessian[:, :-1, :-1] = covariance[:, 0] * (0.5 * repeats * covariance[:, 0] + moments)
        hessian[:, :-1, -1] = hessian[:, -1, :-1] = -0.5 * (mean * turned).sum(axis=1)
        hessian[:, -1, -1] = 0.25 * (toward * turned).sum(axis=(1, 2))
        return cls(possible, value, along / (inputs * units), value - 0.5 * h * aim, gradient, hessian)


def _applied(matrices: Any, vectors: Any) -> Any:
    """Matrices (rows, inputs or 1, units, units), symmetric, times vectors (rows, inputs, units)."""
    xp = array_module(vectors)
    if matrices.shape[1] == 1:
        return xp.matmul(vectors, matrices[:, 0])
    return xp.matmul(matrices, vectors[..., None])[..., 0]
