// The patterns of a site, where every pattern feels a flip.
#pragma once
#include "population.cuh"

// What each pattern has at one site, as masks: all bits set where it is +1.
#ifdef __CUDACC__
struct Masks {
    const uint32* words;
    __device__ Masks(const uint32* words, int32*, const Sizes&) : words(words) {}
    __device__ int32 at(int64 m) const { return -(int32)((words[m >> 5] >> (m & 31)) & 1u); }
};
#else
struct Masks {
    const uint32* words;
    const int32* masks;
    Masks(const uint32* words, int32* space, const Sizes& s) : words(words), masks(space) {
        for (int64 w = 0; w < s.pattern_words; ++w)
            for (int b = 0; b < 32; ++b) space[32 * w + b] = -(int32)((words[w] >> b) & 1u);
    }
    int32 at(int64 m) const { return masks[m]; }
};
#endif
