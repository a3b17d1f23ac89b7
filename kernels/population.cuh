// The arrays of a population and the constants of a sweep, as the launcher in gpumc/sampling/sweep.py lays them out.
#pragma once
#include "lanes.cuh"

// All int64, in the order in which the launcher writes them.
struct Sizes {
    int64 grid, chains, replicas;          // of this batch
    int64 weights, inputs, units, patterns;
    int64 weight_words, pattern_words;     // uint32 words of a row of bits, even
    int64 classes, pulls, readouts;
    int64 sweeps, first_sweep;
    int64 ramps;                           // whether the tables of acceptance have a row for each sweep
    int64 first_instance, first_chain, all_chains;
    int64 seed;
    int64 centre;                          // 0 none, 1 given, 2 drawn after each sweep, 3 traced out
};

// The sizes, with those that the source was compiled for as constants.
__device__ inline Sizes known(const Sizes* sizes) {
    Sizes s = *sizes;
#ifdef PATTERNS
    s.replicas = REPLICAS;
    s.weights = WEIGHTS;
    s.inputs = INPUTS;
    s.units = UNITS;
    s.patterns = PATTERNS;
    s.weight_words = WEIGHT_WORDS;
    s.pattern_words = PATTERN_WORDS;
    s.classes = CLASSES;
    s.pulls = PULLS;
    s.readouts = READOUTS;
    s.centre = CENTRE;
#endif
    return s;
}

enum { CENTRE_NONE, CENTRE_GIVEN, CENTRE_DRAWN, CENTRE_TRACED };

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
