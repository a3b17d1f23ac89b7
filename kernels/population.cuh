// Where the arrays of a population begin; their sizes are those of gpumc/device/constants.py.
#pragma once
#include "constants.cuh"

#ifdef WIDE
typedef int32 field_t;
#else
typedef int16 field_t;
#endif

struct Place {
    int64 instance, grid, chain;
};

// Chains are ranked (instance, grid point, chain), as in the population's arrays.
__device__ inline Place place_of(const Sizes& s, int64 item) {
    return {item / (s.chains * s.grid), item / s.chains % s.grid, item % s.chains};
}

// The rank of a chain's first walker in the whole run.
__device__ inline uint64 first_walker(const Sizes& s, const Place& p) {
    uint64 chain = (uint64)(s.first_instance + p.instance) * (uint64)s.all_chains + (uint64)(s.first_chain + p.chain);
    return chain * (uint64)s.replicas;
}

__device__ inline int bit_of(const uint32* words, int64 i) { return (words[i >> 5] >> (i & 31)) & 1u; }

__device__ inline int sign_of(const uint32* words, int64 i) { return 2 * bit_of(words, i) - 1; }
