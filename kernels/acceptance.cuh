// Twins of exponential() and logistic() in gpumc/sampling/acceptance.py: integers, so that no libm is asked.
#pragma once
#include "constants.cuh"

// -log((u + 1/2) / 2^32) in units of 2^-40; log_table[j] = log(1 + j / 2^LOG_BITS), the last entry log 2.
__device__ inline int64 exponential(uint32 u, const int64* log_table) {
    const int64 ln2 = log_table[1 << LOG_BITS];
    uint64 doubled = 2 * (uint64)u + 1;
    int exponent = highest_bit(doubled);
    uint64 mantissa = doubled << (32 - exponent);
    int row = (int)(mantissa >> (32 - LOG_BITS)) & ((1 << LOG_BITS) - 1);
    int64 fraction = (int64)(mantissa >> (12 - LOG_BITS)) & ((1 << 20) - 1);
    int64 low = log_table[row];
    int64 slope = log_table[row + 1] - low;
    return (33 - exponent) * ln2 - low - ((slope * fraction) >> 20);
}

__device__ inline int64 logistic(uint32 u, const int64* log_table) {
    return exponential(u, log_table) - exponential(~u, log_table);
}
