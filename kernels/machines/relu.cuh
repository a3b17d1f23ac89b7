// Committees of ReLU units, the second half with output weight -1.
#pragma once
#include "../population.cuh"

__device__ inline int32 rectified(int32 field) { return field > 0 ? field : 0; }

// What a unit's output adds to the readout: twice its output weight.
__device__ inline int32 output_of(const Sizes& s, int64 unit) { return 2 * unit < s.units ? 2 : -2; }

// The readout of pattern m from the `fields` of a walker.
__device__ inline int64 readout_of(const Sizes& s, const field_t* fields, int64 m) {
    int64 sum = 0;
    for (int64 unit = 0; unit < s.units; ++unit) sum += (int64)output_of(s, unit) * rectified(fields[unit * s.patterns + m]);
    return sum;
}
