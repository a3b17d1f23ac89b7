"""What kernels and Python have in common: the header ``constants.cuh`` is made of it."""

from __future__ import annotations

from enum import IntEnum


class Stream(IntEnum):
    """What a random number is for: the first word of every counter."""

    PATTERNS = 0  # (pattern, input // 128, instance)
    LABELS = 1  # (0, pattern // 128, instance)
    FLIPS = 2  # (0, pattern // 4, instance): which labels of a teacher are turned
    TEACHER = 3  # (0, weight // 128, instance)
    INITIAL = 4  # (0, weight // 128, walker)
    ORDER = 5  # (sweep, weight // 2, 0): 64-bit keys whose order is the order of the sites
    ACCEPT = 6  # (sweep, place in the order // 4, walker)
    CENTRE = 7  # (sweep, weight // 4, walker of the chain's first replica)
    MESSAGES = 8  # (0, weight // 4, row): where focusing belief propagation starts
    EXCHANGE = 9  # (round, pair of temperatures and coupling and chain, instance): replica exchange
    MOMENTA = (
        10  # (sweep, move x blocks + weight // 4, walker): normals, momenta of a trajectory or directions of moves
    )
    MOVES = 11  # (sweep, step, walker): what else a step on spheres needs
    VON_MISES = 12  # (sweep, attempt << 16 | unit, walker of the chain's first replica): a centre's angle
    SPLITTING = 13  # (level, move x blocks + weight // 4, particle): normals, the directions of moves
    CLONES = 14  # (level, 0, particle): which survivor takes its place
    ARCS = 15  # (level, move x blocks + try // 4, particle): how far it is moved
    REDRAWN = (
        16  # (pattern, input // 128, try << 32 | instance): inputs in the place of those that a teacher gives no label
    )
    SPLIT = 17  # (0, image // 2, instance): 64-bit keys whose order chooses training images
    TIES = 18  # (image, pixel // 2, 0): keys whose order splits equal pixels
    SHUFFLED = 19  # (pixel, pattern // 2, instance): keys whose order permutes a pixel across patterns
    NOISE = 20  # (0, weight // 4, draw), or (1 + draw, input // 4, pattern): normals that perturb weights, or inputs
    PROBES = 21  # (0, weight // 4, probe): normals, where Lanczos iterations begin
    LANGEVIN = 22  # (step, weight // 4, walker): normals of a Langevin walk around weights that learn


class Centre(IntEnum):
    """What the centre of a sweep is."""

    NONE = 0
    GIVEN = 1
    DRAWN = 2  # after each sweep
    TRACED = 3  # out


#: Rows of the table of logarithms (`gpumc.sampling.acceptance`), 2 to this.
LOG_BITS = 10
#: Walkers that are measured one after the other, by one warp.
MEASURED_TOGETHER = 8
#: A wall nearer than this is met at once (`gpumc.volumes.billiards`).
TOUCHING = 1e-300
#: ``struct Sizes``, the constants of a launch of sweeps, all int64.
SIZES = (
    *("instances", "grid", "chains", "replicas"),  # of this batch
    *("weights", "inputs", "units", "patterns"),
    *("weight_words", "pattern_words"),  # uint32 words of a row of bits, even
    *("classes", "pulls", "readouts"),
    *("sweeps", "first_sweep"),
    "ramps",  # whether the tables of acceptance have a row for each sweep
    *("first_instance", "first_chain", "all_chains"),
    "seed",
    "centre",  # a `Centre`
)
#: Those that a whole run has in common, for all or some of which a kernel can be compiled.
COMPILED = (
    *("replicas", "weights", "inputs", "units", "patterns", "weight_words", "pattern_words"),
    *("classes", "pulls", "readouts", "centre"),
)


def header() -> str:
    """The text of ``constants.cuh``."""
    streams = ", ".join(f"STREAM_{stream.name} = {stream.value}" for stream in Stream)
    centres = ", ".join(f"CENTRE_{role.name} = {role.value}" for role in Centre)
    constants = "\n".join(f"#ifdef {name.upper()}\n    s.{name} = {name.upper()};\n#endif" for name in COMPILED)
    return f"""#pragma once
#include "lanes.cuh"
enum {{ {streams} }};
enum {{ {centres} }};
enum {{ LOG_BITS = {LOG_BITS}, MEASURED_TOGETHER = {MEASURED_TOGETHER} }};
#define TOUCHING {TOUCHING!r}
struct Sizes {{ int64 {", ".join(SIZES)}; }};
// The sizes, with those that the source was compiled for as constants.
__device__ inline Sizes known(const Sizes* sizes) {{
    Sizes s = *sizes;
{constants}
    return s;
}}
"""
