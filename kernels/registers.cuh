// What a flip would cost, as in differences.cuh, where a warp follows one walker and a lane's few patterns (SHARE) stay in registers.
//
// Lane l has the patterns from SHARE l on, so that their inputs at a site are neighbouring bits. Patterns past the last have input -1
// everywhere: their slopes are left out of `total`, and are never weighted. Sums are taken modulo 2^32, since twice a change fits.
#pragma once
#include "signs.cuh"

// Blocks of 128 threads that a multiprocessor is to hold: what its 2^16 registers allow.
constexpr int BLOCKS = SHARE > 13 ? 512 / (2 * SHARE + 38) : 8;

// x, about which NVRTC knows nothing: it would fold a moved pointer into sums of two indices, and widen a factor too early.
__device__ inline int32 opaque(int32 x) {
#ifdef __CUDACC_RTC__
    asm("" : "+r"(x));
#endif
    return x;
}
__device__ inline const int32* opaque(const int32* x) {
#ifdef __CUDACC_RTC__
    asm("" : "+l"(x));
#endif
    return x;
}

// sum += x where bit i of `bits` is set. In PTX it is one instruction under a predicate, seven of which are made at once.
template <class T> __device__ inline void add_where(uint32 bits, int i, T& sum, T x) {
#ifdef __CUDACC_RTC__
    asm("{ .reg .pred p; .reg .b32 b; and.b32 b, %1, %2; setp.ne.b32 p, b, 0; @p add.u32 %0, %0, %3; }"
        : "+r"(sum)
        : "r"(bits), "r"(1u << i), "r"(x));
#else
    if (bits & (1u << i)) sum += x;
#endif
}

template <class Field> struct Registers {
    const uint32* inputs;  // two words that hold the lane's bits at site 0, from bit `shift` on
    const int32* table;    // of the grid point, `moved` rows on
    int32 shift, moved;
    int32 known;           // how many patterns are no padding
    int32 row[SHARE];      // of `table`: (field + n) / 2 - moved
    uint32 slope[SHARE];
    uint32 total, both;    // down - up and down + up (gpumc/sampling/flip_costs.py), the same in all lanes

    __device__ Registers(const Sizes& s, const Signs& weights, const uint32* patterns, const int64* upward, const int32* slopes,
                         const Field* fields)
        : table(slopes), moved(0) {
        const int first = SHARE * lane(), word = (int)smaller(first / 32, s.pattern_words - 2);
        inputs = patterns + word;
        shift = first - 32 * word;
        known = first < s.patterns ? (int32)smaller(s.patterns - first, SHARE) : 0;
        int32 negative = (int32)s.inputs;
        for (int64 w = 0; w < s.weight_words; ++w) negative -= popcount(weights.rows[w]);
        uint32 up = 0, all = 0;
        for (int i = 0; i < SHARE; ++i) {
            row[i] = i < known ? (fields[first + i] + (int32)s.inputs) / 2 : negative;
            slope[i] = (uint32)table[row[i]];
            all += slope[i];
            if (i < known) up += (uint32)upward[row[i]];
        }
        total = sum_known(all);
        both = total + 2 * lane_sum(up);
    }

    // The lane's inputs, as bits, at the site whose row of words is `offset` bytes on.
    __device__ uint32 at(uint32 offset) const {
        const uint32* words = (const uint32*)((const unsigned char*)inputs + offset);
        return (uint32)(((uint64)__ldg(words + 1) << 32 | __ldg(words)) >> shift);
    }

    // Together: the energy change of flipping a `weight`, +1 or -1, with the lane's inputs `bits`.
    __device__ int32 change(int32 weight, uint32 bits) const {
        uint32 weighted = 0;
        for (int i = 0; i < SHARE; ++i) add_where(bits, i, weighted, slope[i]);
        return (int32)(both + weight * (2 * lane_sum(weighted) - total)) >> 1;
    }

    // Together: follow that flip, which gained `change`.
    __device__ void flip(int32 weight, uint32 bits, int32 change) {
        table = opaque(table + weight);
        moved += weight;
        bits <<= 1;  // so that these predicates are not kept from those above, which needs more instructions
        uint32 all = 0, weighted = 0;
        for (int i = 0; i < SHARE; ++i) {
            add_where(bits, i + 1, row[i], -2 * weight);
            slope[i] = (uint32)__ldg(table + row[i]);
            all += slope[i];
            add_where(bits, i + 1, weighted, slope[i]);
        }
        total = sum_known(all);
        // Flipping back would change the energy by -change.
        both = weight * (2 * lane_sum(weighted) - total) - 2 * change;
    }

    __device__ void store(const Sizes& s, Field* fields) const {
        for (int i = 0; i < SHARE; ++i)
            if (i < known) fields[SHARE * lane() + i] = (Field)(2 * (row[i] + moved) - (int32)s.inputs);
    }

    // Together: `all`, the sum of a lane's slopes, over the lanes and without padding, whose fields are all that of the last.
    __device__ uint32 sum_known(uint32 all) const { return lane_sum(all - (SHARE - known) * slope[SHARE - 1]); }
};
