// Committees: the majority of the hidden signs. Positive units are counted for 32 patterns at once, in bit planes.
#pragma once
#include "../population.cuh"

// Whether the units' signs are asked for.
constexpr bool NEEDS_SIGNS = true;

struct Readout {
    uint32 plane[PLANES];
    int64 units;

    // `positive` holds a word of the units' signs, `stride` words from unit to unit.
    __device__ Readout(const uint32* positive, int64 stride, const Sizes& s) : units(s.units) {
        for (int p = 0; p < PLANES; ++p) plane[p] = 0;
        for (int64 unit = 0; unit < s.units; ++unit) {
            uint32 carry = positive[unit * stride];
            for (int p = 0; p < PLANES; ++p) {
                uint32 both = plane[p] & carry;
                plane[p] ^= carry;
                carry = both;
            }
        }
    }

    // The patterns with `count` positive units.
    __device__ uint32 counted(int64 count) const {
        uint32 equal = ~0u;
        for (int p = 0; p < PLANES; ++p) equal &= (count >> p) & 1 ? plane[p] : ~plane[p];
        return equal;
    }

    // The patterns for which the signs of the other units sum to `rest`, if this one's is `positive`.
    __device__ uint32 active(bool positive, int64 rest) const { return counted((rest + units - 1) / 2 + positive); }
};

// The readout of pattern m from the `fields` of a walker.
__device__ inline int64 readout_of(const Sizes& s, const field_t* fields, int64 m, const int32*) {
    int64 sum = 0;
    for (int64 unit = 0; unit < s.units; ++unit) sum += fields[unit * s.patterns + m] > 0 ? 1 : -1;
    return sum;
}
