#include "philox.cuh"

// The words of `sites` consecutive sites for one walker: out uint32 (items, sites, 4), walkers uint64 (items).
__device__ inline void words_of_walker(
    int64 item, uint32* out, const uint64* walkers, uint64 seed, uint32 stream, uint32 sweep, uint32 first_site, int sites) {
    for (int site = lane(); site < sites; site += LANES) {
        const Words words = philox(seed, stream, sweep, first_site + (uint32)site, walkers[item]);
        uint32* here = out + 4 * (item * sites + site);
        for (int j = 0; j < 4; ++j) here[j] = words.word(j);
    }
}

extern "C" __global__ void philox_words(
    int64 begin, int64 end, uint32* out, const uint64* walkers, uint64 seed, uint32 stream, uint32 sweep, uint32 first_site, int sites) {
    for (int64 item = first_item(begin); item < end; item += item_stride())
        words_of_walker(item, out, walkers, seed, stream, sweep, first_site, sites);
}
