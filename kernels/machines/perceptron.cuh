// The perceptron: its one unit is the output, so that every pattern at the margin counts.
#pragma once
#include "../population.cuh"

// Whether the units' signs are asked for.
constexpr bool NEEDS_SIGNS = false;

struct Readout {
    __device__ Readout(const uint32*, int64, const Sizes&) {}
    // The patterns of a word for which flipping the unit's sign changes the loss.
    __device__ uint32 active(bool, int64) const { return ~0u; }
};

// The readout of pattern m from the `fields` of a walker.
__device__ inline int64 readout_of(const Sizes&, const field_t* fields, int64 m, const int32*) {
    return fields[m];
}
