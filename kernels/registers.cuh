// What a flip would cost, as in differences.cuh, where a warp follows one walker and a lane's few patterns (SHARE) stay in registers.
//
// Lane l has the patterns from SHARE l on, so that their inputs at a site are neighbouring bits. Patterns past the last have input -1
// everywhere: their slopes are left out of `total`, and are never weighted. Sums are taken modulo 2^32, since twice a change fits: changes
// stay doubled.
#pragma once
#include "signs.cuh"

// Blocks of 128 threads that a multiprocessor is to hold: what its 2^16 registers allow.
constexpr int BLOCKS = SHARE > 13 ? 512 / (2 * SHARE + 38) : 8;

// x, about which NVRTC knows nothing: it would fold a moved pointer into sums of two indices.
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

// What a change may be, of 31 bits, where beta x change may be `limit`; `inverse` is 1 / beta.
__device__ inline int32 most_change(int64 limit, int32 beta, double inverse) {
    constexpr double MOST = (1 << 30) - 2;
    const int32 near = (int32)fmax(fmin(floor((double)limit * inverse), MOST), -MOST - 1);  // within one; MOST where both are 0
    const int64 left = limit - (int64)near * beta;
    return near + (left >= beta) - (left < 0);
}

// The bytes of shared memory that the tables of a multiprocessor's blocks may take: inputs are read through the rest.
#if __CUDA_ARCH__ >= 900 && __CUDA_ARCH__ < 1200
constexpr int SHARED_BYTES = 160 << 10;
#else
constexpr int SHARED_BYTES = 64 << 10;
#endif

#ifdef READOUTS
constexpr bool TABLES_FIT = 4 * WARPS * READOUTS <= smaller(48 << 10, SHARED_BYTES / BLOCKS);
constexpr int TABLES = TABLES_FIT ? WARPS * READOUTS : 1;
#else
constexpr bool TABLES_FIT = false;
constexpr int TABLES = 1;
#endif

// The table of a grid point in global memory, some rows on.
template <bool SHARED> struct Table {
    static constexpr int32 ROW = 1;  // what a row is counted by
    const int32* rows;

    __device__ Table(const int32* table, int64, int32*) : rows(table) {}
    __device__ int32 at(int32 row) const { return __ldg(rows + row); }
    __device__ void move(int32 by) { rows = opaque(rows + by); }
};

// A copy of it, which each warp has in shared memory.
template <> struct Table<true> {
    static constexpr int32 ROW = 4;
    const unsigned char* all;
    int32 first;

    // Together.
    __device__ Table(const int32* table, int64 rows, int32* all)
        : all((const unsigned char*)all), first(threadIdx.x / LANES * ROW * (int32)rows) {
        lane_sync();
        for_range(0, rows, [&](int64 row) { all[first / ROW + row] = table[row]; });
        lane_sync();
    }

    __device__ int32 at(int32 row) const { return *(const int32*)(all + (row + first)); }
    __device__ void move(int32 by) { first += by; }
};

template <class Field> struct Registers {
    static constexpr int32 ROW = Table<TABLES_FIT>::ROW;
    const uint32* inputs;  // two words that hold the lane's bits at site 0, from bit `shift` on
    Table<TABLES_FIT> table;
    int32 shift, moved;    // how far the table was moved
    int32 known;           // how many patterns are no padding
    int32 row[SHARE];      // of the moved table
    uint32 slope[SHARE];
    uint32 total, both;    // down - up and down + up (gpumc/sampling/flip_costs.py), the same in all lanes

    __device__ Registers(const Sizes& s, const Signs& weights, const uint32* patterns, const int64* upward, const int32* slopes,
                         int32* tables, const Field* fields)
        : table(slopes, s.readouts, tables), moved(0) {
        const int first = SHARE * lane(), word = (int)smaller(first / 32, s.pattern_words - 2);
        inputs = patterns + word;
        shift = first - 32 * word;
        known = first < s.patterns ? (int32)smaller(s.patterns - first, SHARE) : 0;
        int32 negative = (int32)s.inputs;
        for (int64 w = 0; w < s.weight_words; ++w) negative -= popcount(weights.rows[w]);
        uint32 up = 0, all = 0;
        for (int i = 0; i < SHARE; ++i) {
            const int32 place = i < known ? (fields[first + i] + (int32)s.inputs) / 2 : negative;
            row[i] = ROW * place;
            slope[i] = (uint32)table.at(row[i]);
            all += slope[i];
            if (i < known) up += (uint32)upward[place];
        }
        total = sum_known(all);
        both = total + 2 * lane_sum(up);
    }

    // The lane's inputs, as bits, at the site whose row of words is `offset` bytes on.
    __device__ uint32 at(uint32 offset) const {
        const uint32* words = (const uint32*)((const unsigned char*)inputs + offset);
        return (uint32)(((uint64)__ldg(words + 1) << 32 | __ldg(words)) >> shift);
    }

    // Together: twice the energy change of flipping a `weight`, +1 or -1, with the lane's inputs `bits`.
    __device__ int32 twice_change(int32 weight, uint32 bits) const {
        uint32 weighted = 0;
        for (int i = 0; i < SHARE; ++i) add_where(bits, i, weighted, slope[i]);
        return (int32)(both + weight * (2 * lane_sum(weighted) - total));
    }

    // Together: follow that flip.
    __device__ void flip(int32 weight, uint32 bits, int32 twice_change) {
        table.move(ROW * weight);
        moved += ROW * weight;
        bits <<= 1;  // so that these predicates are not kept from those above, which needs more instructions
        uint32 all = 0, weighted = 0;
        for (int i = 0; i < SHARE; ++i) {
            add_where(bits, i + 1, row[i], -2 * ROW * weight);
            slope[i] = (uint32)table.at(row[i]);
            all += slope[i];
            add_where(bits, i + 1, weighted, slope[i]);
        }
        total = sum_known(all);
        // Flipping back would change the energy by -change.
        both = weight * (2 * lane_sum(weighted) - total) - twice_change;
    }

    __device__ void store(const Sizes& s, Field* fields) const {
        for (int i = 0; i < SHARE; ++i)
            if (i < known) fields[SHARE * lane() + i] = (Field)(2 * (row[i] + moved) / ROW - (int32)s.inputs);
    }

    // Together: `all`, the sum of a lane's slopes, over the lanes and without padding, whose fields are all that of the last.
    __device__ uint32 sum_known(uint32 all) const { return lane_sum(all - (SHARE - known) * slope[SHARE - 1]); }
};
