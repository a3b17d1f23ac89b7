// The machine that this variant is compiled for.
#pragma once
#include "population.cuh"
#if defined(COMMITTEE)
#include "machines/committee.cuh"
#elif defined(PARITY)
#include "machines/parity.cuh"
#elif defined(RECTIFIED)
#include "machines/relu.cuh"
#elif defined(WEIGHTED)
#include "machines/weighted.cuh"
#else
#include "machines/perceptron.cuh"
#endif

#if defined(RECTIFIED) || defined(WEIGHTED)
// The readout of pattern m from the `fields` of a walker, in which the value of each unit counts `gains` times.
__device__ inline int64 readout_of(const Sizes& s, const field_t* fields, int64 m, const int32* gains) {
    int64 sum = 0;
    for (int64 unit = 0; unit < s.units; ++unit) sum += (int64)gains[unit] * value_of(fields[unit * s.patterns + m]);
    return sum;
}
#endif
