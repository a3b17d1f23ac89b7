// The chains of an item: up to CHAINS, neighbours in the population's order (instance, grid point, chain).
//
// They visit the same sites in the same order, so a step is taken for all at once: `for_own` runs over the chains that a lane
// decides for (an array of OWN numbers holds one for each), and a word of CHAINS bits says something of every chain. On the host
// the one lane owns all, in loops that become vector instructions; on CUDA each lane owns one, or, where the work on one chain is
// enough for a warp (DENSE), all lanes own the same.
#pragma once
#include "philox.cuh"
#include "population.cuh"
#include "vectors.cuh"

#ifndef __CUDACC__
#ifndef TOGETHER
#define TOGETHER 32
#endif
constexpr int CHAINS = TOGETHER, OWN = CHAINS;
inline int chain_of(int j) { return j; }
inline bool leads() { return true; }
#elif defined(DENSE)
constexpr int CHAINS = 1, OWN = 1;
__device__ inline int chain_of(int) { return 0; }
__device__ inline bool leads() { return lane() == 0; }
#else
constexpr int CHAINS = LANES, OWN = 1;
__device__ inline int chain_of(int) { return lane(); }
__device__ inline bool leads() { return true; }
#endif

template <class F> __device__ inline void for_own(F f) {
    for (int j = 0; j < OWN; ++j) f(j);
}

// Together: the word whose bit c is f of chain c.
template <class F> __device__ inline uint32 vote(F f) {
#ifdef __CUDACC__
    return CHAINS == 1 ? (uint32)(f(0) ? 1 : 0) : __ballot_sync(ALL_LANES, f(0));
#else
    uint32 bits[OWN];
    for_own([&](int j) { bits[j] = f(j) ? 1 : 0; });
    return packed(bits);
#endif
}

// f(c) for every chain c of a word.
template <class F> __device__ inline void for_chains(uint32 word, F f) {
    for (; word; word &= word - 1) f(lowest_bit(word));
}

// f(j) for those of a lane's own chains whose bits of a word are set.
template <class F> __device__ inline void for_own_of(uint32 word, F f) {
#ifdef __CUDACC__
    if ((word >> chain_of(0)) & 1u) f(0);
#else
    for_chains(word, f);
#endif
}

__device__ inline int bit(uint32 word, int j) { return (word >> chain_of(j)) & 1u; }

// Which chains an item has, and what is constant of each.
struct Chains {
    int64 first;  // the rank of the first in the batch
    int live;
    uint32 alive;  // as bits
    int64 instance[OWN], grid[OWN];
    uint64 walker[OWN];  // the rank of its first walker in the whole run
    uint64 last_walker;  // of all
#ifndef __CUDACC__
    int instances = 1;
    uint32 from[OWN];    // the bits of the chains of an instance and of those after it
#endif

    __device__ Chains(const Sizes& s, int64 item) : first(item * CHAINS) {
        const int64 left = s.instances * s.grid * s.chains - first;
        live = (int)(left < CHAINS ? left : CHAINS);
        alive = vote([&](int j) { return chain_of(j) < live; });
        for_own([&](int j) {
            const Place p = place_of(s, first + (chain_of(j) < live ? chain_of(j) : 0));
            instance[j] = p.instance;
            grid[j] = p.grid;
            walker[j] = first_walker(s, p);
        });
#ifndef __CUDACC__
        from[0] = ~0u;
        for (int c = 1; c < live; ++c)
            if (instance[c] != instance[c - 1]) from[instances++] = ~0u << c;
#endif
        last_walker = (uint64)(s.first_instance + s.instances) * s.all_chains * s.replicas - 1;
    }

    // Together: what chain c has.
    __device__ int64 grid_of(int c) const { return of(c, grid); }
    __device__ int64 instance_of(int c) const { return of(c, instance); }
    __device__ static int64 of(int c, const int64 (&own)[OWN]) {
        if constexpr (OWN == CHAINS)
            return own[c];
        else
            return lane_of(c, own[0]);
    }

    // How many instances the chains of an item can have.
    static __device__ int64 most_instances(const Sizes& s) {
        return smaller(smaller(CHAINS, s.instances), (CHAINS - 2) / (s.grid * s.chains) + 2);
    }
};

// Four random words of each chain.
struct Draws {
    uint32 word[4][OWN];

    __device__ const uint32 (&of(int64 place) const)[OWN] { return word[place]; }

    // Philox of each chain's walker, `offset` beyond its first; see philox().
    __device__ void draw(const Chains& chains, uint64 seed, uint32 stream, uint32 sweep, uint32 site, uint64 offset) {
#ifdef VECTORS
        if (chains.last_walker >> 32 == 0) return philox_of(word, seed, stream, sweep, site, chains.walker, offset);
#endif
        for_own([&](int j) {
            const Words w = philox(seed, stream, sweep, site, chains.walker[j] + offset);
            word[0][j] = w.w0;
            word[1][j] = w.w1;
            word[2][j] = w.w2;
            word[3][j] = w.w3;
        });
    }
};
