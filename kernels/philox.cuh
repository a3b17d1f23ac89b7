// Philox4x32-10, the twin of gpumc/device/philox.py: every random number is a pure function of what it is for.
// J. K. Salmon et al., SC11 (2011).
#pragma once
#include "lanes.cuh"

// Four random words; `word(j)` picks one without an array in local memory.
struct Words {
    uint32 w0, w1, w2, w3;
    __device__ inline uint32 word(int j) const { return j < 2 ? (j == 0 ? w0 : w1) : (j == 2 ? w2 : w3); }
};

// The key is the seed (walkers beyond 2^32 use its bits 48 and up); the counter is (stream, sweep, site, walker).
__device__ inline Words philox(uint64 seed, uint32 stream, uint32 sweep, uint32 site, uint64 walker) {
    uint32 key0 = (uint32)seed;
    uint32 key1 = (uint32)(seed >> 32) ^ ((uint32)(walker >> 32) << 16);
    Words c = {stream, sweep, site, (uint32)walker};
    for (int round = 0; round < 10; ++round) {
        const uint64 product0 = (uint64)0xD2511F53u * c.w0;
        const uint64 product1 = (uint64)0xCD9E8D57u * c.w2;
        c = {(uint32)(product1 >> 32) ^ c.w1 ^ key0, (uint32)product1, (uint32)(product0 >> 32) ^ c.w3 ^ key1, (uint32)product0};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}
