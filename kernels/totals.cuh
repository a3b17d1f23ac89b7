// Sums and maxima of real numbers over a range: partial ones, of lanes or in vectors, which are then taken in pairs.
#pragma once
#include "functions.cuh"

// Partial results of a lane, and of all lanes together.
constexpr int PARTS = LANES == 1 ? 16 : 1, ABREAST = PARTS * LANES;

// Together: the sum of f(i) over i from 0 to `count` - 1, for all.
template <class F> __device__ inline double total(int64 count, F f) {
    double part[PARTS];
    for (int j = 0; j < PARTS; ++j) part[j] = 0.0;
    int64 base = 0;
    for (; base + ABREAST <= count; base += ABREAST)
        for (int j = 0; j < PARTS; ++j) part[j] += f(base + j * LANES + lane());
    for (int j = 0; j < PARTS; ++j)
        if (base + j * LANES + lane() < count) part[j] += f(base + j * LANES + lane());
    for (int step = PARTS / 2; step > 0; step /= 2)
        for (int j = 0; j < step; ++j) part[j] += part[j + step];
    return lane_sum(part[0]);
}

// Together: the largest f(i), which is not NaN, over i from 0 to `count` - 1, for all.
template <class F> __device__ inline double largest(int64 count, F f) {
    double part[PARTS];
    for (int j = 0; j < PARTS; ++j) part[j] = f(smaller(j * LANES + lane(), count - 1));
    int64 base = 0;
    for (; base + ABREAST <= count; base += ABREAST)
        for (int j = 0; j < PARTS; ++j) part[j] = larger(part[j], f(base + j * LANES + lane()));
    for (int j = 0; j < PARTS; ++j)
        if (base + j * LANES + lane() < count) part[j] = larger(part[j], f(base + j * LANES + lane()));
    for (int step = PARTS / 2; step > 0; step /= 2)
        for (int j = 0; j < step; ++j) part[j] = larger(part[j], part[j + step]);
    return lane_largest(part[0]);
}
