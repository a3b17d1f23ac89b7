"""Losses of a user's own: one that says where it bends, and some that do not say all."""

import numpy as np

import gpumc


class Hinge(gpumc.Loss):
    """max(0, -Delta)."""

    kind = "hinge"
    kinks = (0.0,)

    def values(self, stability):
        return np.maximum(0.0, -stability)


class Silent(Hinge):
    """The same without a word of its kink."""

    kinks = ()


class Ramp(gpumc.Loss):
    """The hinge, at most 1: not convex."""

    kind = "ramp"
    kinks = (-1.0, 0.0)

    def values(self, stability):
        return np.clip(-stability, 0.0, 1.0)


class Exponential(gpumc.Loss):
    """Smooth, and soon large."""

    kind = "exponential"

    def values(self, stability):
        return np.exp(-stability)


class Window(gpumc.Loss):
    """Right in one interval and beyond another: it counts, and says where it changes."""

    kind = "window"
    counts = True
    unit = 1.0
    kinks = (-0.5, 0.2, 1.0)

    def values(self, stability):
        return 1.0 - (((stability > -0.5) & (stability < 0.2)) | (stability > 1.0))


class Hidden(Window):
    """The same without a word of where."""

    kinks = ()
