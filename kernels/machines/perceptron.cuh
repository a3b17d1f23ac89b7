// The perceptron: its one unit is the output, so that every pattern at the margin counts.
#pragma once
#include "../population.cuh"

struct Readout {
    __device__ Readout(const uint32*, int64, const Sizes&) {}
    // The patterns of a word for which flipping the sign of `unit` changes the loss by the value of class `rest`.
    __device__ uint32 active(uint32, int64) const { return ~0u; }
};
