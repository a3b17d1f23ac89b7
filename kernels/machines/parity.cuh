// The parity machine: the product of the hidden signs.
#pragma once
#include "../population.cuh"

struct Readout {
    uint32 product;  // bit 1 where it is +1

    __device__ Readout(const uint32* positive, int64 stride, const Sizes& s) : product(~0u) {
        for (int64 unit = 0; unit < s.units; ++unit) product ^= ~positive[unit * stride];
    }

    // The patterns for which the signs of the other units, this one having sign `positive`, multiply to `rest`.
    __device__ uint32 active(uint32 positive, int64 rest) const {
        uint32 others = ~(product ^ positive);
        return rest > 0 ? others : ~others;
    }
};
