// The patterns of a site: of each instance that the chains of an item have.
#pragma once
#include "chains.cuh"

// The patterns of one instance at a site: bits that are set where the input is +1, and where DENSE words of which all bits are.
struct Site {
    const uint32* words;
#if defined(DENSE) && !defined(__CUDACC__)
    const int32* masks;
    int32 at(int64 m) const { return masks[m]; }
#else
    __device__ int32 at(int64 m) const { return -(int32)((words[m >> 5] >> (m & 31)) & 1u); }
#endif
};

// `patterns` are those of the site in the first instance of the batch.
struct Masks {
    const Sizes& s;
    const Chains& chains;
    const uint32* patterns;
    int32* space;

    __device__ Masks(const Sizes& s, const Chains& chains, const uint32* patterns, unsigned char* space)
        : s(s), chains(chains), patterns(patterns), space((int32*)space) {
#ifndef __CUDACC__
        prepare();
#endif
    }

    // Of the chains that a lane has.
    __device__ const uint32* own(int j) const { return words_of(chains.instance[j]); }

    __device__ const uint32* words_of(int64 instance) const { return patterns + instance * s.inputs * s.pattern_words; }

#if defined(__CUDACC__)
    __device__ static int64 bytes(const Sizes&) { return 0; }
    __device__ Site of(int c) const { return {words_of(chains.instance_of(c))}; }
#elif defined(DENSE)
    static int64 bytes(const Sizes& s) { return 4 * 32 * s.pattern_words * Chains::most_instances(s); }
    Site of(int c) const {
        const int64 instance = chains.instance[c];
        return {words_of(instance), space + 32 * s.pattern_words * (instance - chains.instance[0])};
    }
    void prepare() {
        for (int64 i = 0; i < chains.instances; ++i) {
            const uint32* words = words_of(chains.instance[0] + i);
            int32* masks = space + 32 * s.pattern_words * i;
            for (int64 w = 0; w < s.pattern_words; ++w)
                for (int b = 0; b < 32; ++b) masks[32 * w + b] = -(int32)((words[w] >> b) & 1u);
        }
    }
#else
    // Of several instances, a word for each chain.
    bool mixed() const { return chains.instances > 1; }
    static int64 bytes(const Sizes& s) { return 4 * CHAINS * s.pattern_words; }
    Site of(int c) const { return {words_of(chains.instance[c])}; }
    const uint32* words() const { return mixed() ? (const uint32*)space : words_of(chains.instance[0]); }
    void prepare() {
        if (!mixed()) return;
#ifdef VECTORS
        const int64 apart = s.inputs * s.pattern_words;
        mix_words<CHAINS>((uint32*)space, words_of(chains.instance[0]), apart, chains.from, chains.instances, s.pattern_words);
#else
        for (int c = 0; c < CHAINS; ++c)
            for (int64 w = 0; w < s.pattern_words; ++w) space[w * CHAINS + c] = (int32)of(c).words[w];
#endif
    }
#endif
};
