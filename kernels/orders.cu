// The orders in which sweeps visit the sites: the twin of site_orders() in gpumc/device/philox.py.
#include "constants.cuh"
#include "vectors.cuh"

// Random keys, which are unique up to chance, and where those of the same leading bits go: keys are thrown into as many buckets as there
// are sites, and sorted within.
struct Sorter {
    int64 sites;
    uint64* keys;
    int32* next;  // of each bucket, the place of its next key

    __device__ Sorter(unsigned char* space, int64 sites) : sites(sites), keys((uint64*)space), next((int32*)(keys + sites + 1)) {}

    __device__ int64 bucket(int64 site) const { return (int64)((keys[site] >> 32) * (uint64)sites >> 32); }

    // Whether a site comes before another; equal keys keep their order.
    __device__ bool before(int32 a, int32 b) const { return keys[a] < keys[b] || (keys[a] == keys[b] && a < b); }

    // Together.
    __device__ void draw(uint64 seed, uint32 sweep) {
        for_range(0, (sites + 1) / 2, [&](int64 block) {
            const Words words = philox(seed, STREAM_ORDER, sweep, (uint32)block, 0);
            keys[2 * block] = (uint64)words.w0 << 32 | words.w1;
            keys[2 * block + 1] = (uint64)words.w2 << 32 | words.w3;  // one past the end is not looked at
        });
        lane_sync();
    }

    // Together.
    __device__ void sort(int32* order) {
        for_range(0, sites, [&](int64 b) { next[b] = 0; });
        lane_sync();
        for_range(0, sites, [&](int64 site) { taken(next + bucket(site)); });
        lane_sync();
        if (lane() == 0) {
            int32 place = 0;
            for (int64 b = 0; b < sites; ++b) {
                const int32 count = next[b];
                next[b] = place;
                place += count;
            }
        }
        lane_sync();
        for_range(0, sites, [&](int64 site) { order[taken(next + bucket(site))] = (int32)site; });
        lane_sync();
        // Each lane sorts some neighbouring buckets, which are full: the keys of one come before those of the next.
        const int32 first = end_of(sites * lane() / LANES), end = end_of(sites * (lane() + 1) / LANES);
        for (int32 i = first + 1; i < end; ++i) {
            const int32 site = order[i];
            int32 place = i;
            for (; place > first && before(site, order[place - 1]); --place) order[place] = order[place - 1];
            order[place] = site;
        }
        lane_sync();
    }

    // Of the first buckets, when they are full.
    __device__ int32 end_of(int64 buckets) const { return buckets == 0 ? 0 : next[buckets - 1]; }
};

// One item is a sweep: int32 order (items, sites); `bytes` of workspace.
extern "C" __global__ void site_orders(int64 begin, int64 end, int32* orders, int64 sites, uint64 seed, uint32 first_sweep,
                                       unsigned char* workspace, int64 bytes) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        Sorter sorter(own_space(workspace, item, bytes), sites);
        sorter.draw(seed, first_sweep + (uint32)item);
        sorter.sort(orders + item * sites);
    }
}

// The bytes of the vectors that kernels use, 0 where they are left to the compiler.
extern "C" __global__ void vector_bytes(int64 begin, int64 end, int64* bytes) {
    for (int64 item = first_item(begin); item < end; item += item_stride())
#ifdef VECTORS
        bytes[item] = VECTORS;
#else
        if (lane() == 0) bytes[item] = 0;
#endif
}
