// The weights of an item's chains as words over chains, one for each site.
#pragma once
#include "chains.cuh"

// `rows` holds each chain's own bits, `stride` words apart; a single chain's words are its own bits.
struct Signs {
    uint32 *words, *rows;
    int64 stride;

    // Words of workspace.
    __device__ static int64 size(const Sizes& s) { return CHAINS == 1 ? 0 : 32 * s.weight_words; }

    __device__ uint32 at(int64 site) const {
        if constexpr (CHAINS > 1)
            return words[site];
        else
            return (uint32)bit_of(rows, site);
    }

    // Lanes read it after the next lane_sync().
    __device__ void set(int64 site, uint32 word) const {
        if (lane() != 0) return;
        if constexpr (CHAINS > 1)
            words[site] = word;
        else
            rows[site >> 5] = (rows[site >> 5] & ~(1u << (site & 31))) | word << (site & 31);
    }

    // Together: words from the chains' own bits.
    __device__ void load(const Chains& chains, const Sizes& s) const {
        if constexpr (CHAINS > 1) {
            for (int64 w = 0; w < s.weight_words; ++w) {
                uint32 own[OWN];
                for_own([&](int j) { own[j] = chain_of(j) < chains.live ? rows[chain_of(j) * stride + w] : 0; });
                for (int b = 0; b < 32; ++b) set(32 * w + b, vote([&](int j) { return (own[j] >> b) & 1u; }));
            }
            lane_sync();
        }
    }

    // Together: the chains' own bits from words.
    __device__ void store(const Chains& chains, const Sizes& s) const {
        if constexpr (CHAINS > 1) {
            lane_sync();
            for (int64 w = 0; w < s.weight_words; ++w) {
                uint32 own[OWN] = {};
                for (int b = 0; b < 32; ++b) {
                    const uint32 word = words[32 * w + b];
                    for_own([&](int j) { own[j] |= (uint32)bit(word, j) << b; });
                }
                for_own([&](int j) {
                    if (chain_of(j) < chains.live) rows[chain_of(j) * stride + w] = own[j];
                });
            }
            lane_sync();
        }
    }
};
