// The parity machine: the product of the hidden signs.
#pragma once
#include "../population.cuh"

// Whether the units' signs are asked for.
constexpr bool NEEDS_SIGNS = true;

struct Readout {
    uint32 product;  // bit 1 where it is +1

    __device__ Readout(const uint32* positive, int64 stride, const Sizes& s) : product(~0u) {
        for (int64 unit = 0; unit < s.units; ++unit) product ^= ~positive[unit * stride];
    }

    // The patterns for which the signs of the other units multiply to `rest`, if this one's is `positive`.
    __device__ uint32 active(bool positive, int64 rest) const { return (rest > 0) == positive ? product : ~product; }
};

// The readout of pattern m from the `fields` of a walker.
__device__ inline int64 readout_of(const Sizes& s, const field_t* fields, int64 m, const int32*) {
    int64 product = 1;
    for (int64 unit = 0; unit < s.units; ++unit) product *= fields[unit * s.patterns + m] > 0 ? 1 : -1;
    return product;
}
