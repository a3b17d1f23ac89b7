// What a flip would cost where slopes take few values: bitmaps of the patterns at the margin (gpumc/sampling/flip_costs.py, Margins).
#pragma once
#include "chains.cuh"
#include "machine.cuh"
#include "masks.cuh"
#include "vectors.cuh"

#ifdef ERROR_COUNT
typedef int32 change_t;
#else
typedef int64 change_t;
#endif

// Few words, whose number is known, are handled one after the other without a loop.
#if defined(__CUDACC_RTC__) && defined(PATTERN_WORDS)
#define UNROLL_WORDS _Pragma("unroll (PATTERN_WORDS <= 32 ? PATTERN_WORDS : 4)")
#else
#define UNROLL_WORDS
#endif

// What the chains of an item share.
struct Shared {
    __device__ static int64 bytes(const Sizes&) { return 0; }
    __device__ Shared(const Sizes&, const Chains&, const int32*, unsigned char*) {}
};

// Two neighbouring words, which are loaded at once.
struct alignas(8) Pair {
    uint32 first, second;
};

// The caches of one replica of each chain: for a proposal, `active` (units, classes, words, CHAINS; on CUDA pairs of words) and `down` and `up` (units,
// CHAINS); for a flip, of each chain the bits of the fields +1, -1 and positive (3, units, words), and the patterns at which the
// other units let a sign matter (classes, 2, words).
struct Slopes {
    const Sizes& s;
    const Chains& chains;
    const int32* rest;
    const int64* values;  // (grid, classes)
    field_t* fields;      // of the first chain; the next one's are `apart` further
    int64 apart;
    change_t *down, *up;
    uint32 *active, *bits;

    __device__ static int64 bytes(const Sizes& s) {
        return CHAINS * (2 * s.units * (int64)sizeof(change_t) + 4 * s.pattern_words * (s.units * (3 + s.classes) + 2 * s.classes));
    }

    __device__ Slopes(const Sizes& s, const Chains& chains, const Shared&, const int8*, const int32* rest, const int64* values, const int32*, field_t* fields,
                      unsigned char* space)
        : s(s), chains(chains), rest(rest), values(values), fields(fields), apart(s.replicas * s.units * s.patterns) {
        down = (change_t*)space;
        up = down + s.units * CHAINS;
        active = (uint32*)(up + s.units * CHAINS);
        bits = active + s.units * s.classes * s.pattern_words * CHAINS;
    }

    __device__ void prepare() {
        for (int c = 0; c < CHAINS; ++c) {
            if (c < chains.live) {
                for (int64 unit = 1; unit < s.units; ++unit) move(c, unit, 0, nullptr);
                follow(c, 0, 0, nullptr);
            } else {
                for (int64 w = lane(); w < s.units * s.classes * s.pattern_words; w += LANES) active[place(w, c)] = 0;
                for (int64 unit = lane(); unit < s.units; unit += LANES) down[unit * CHAINS + c] = up[unit * CHAINS + c] = 0;
            }
        }
        lane_sync();
    }

    // The energy change of each chain's flipping a weight of `unit`; its `signs` are bits.
    __device__ void change(change_t (&out)[OWN], int64 unit, uint32 signs, const Masks& inputs) const {
        const uint32* here = active + unit * s.classes * s.pattern_words * CHAINS;
#ifdef ERROR_COUNT_OF_ONE_CLASS
        change_t weighted[OWN];
        count(weighted, here, inputs);
#else
        change_t weighted[OWN] = {};
        for (int64 c = 0; c < s.classes; ++c) {
            int32 counts[OWN];
            count(counts, here + c * s.pattern_words * CHAINS, inputs);
            for_own([&](int j) { weighted[j] += (change_t)values[chains.grid[j] * s.classes + c] * counts[j]; });
        }
#endif
        const change_t *lower = down + unit * CHAINS, *raise = up + unit * CHAINS;
#if defined(VECTORS) && defined(ERROR_COUNT)
        add_by_sign(out, signs, raise, lower, weighted);
#else
        for_own([&](int j) {
            const int c = chain_of(j);
            out[j] = bit(signs, j) ? raise[c] + weighted[j] : lower[c] - weighted[j];
        });
#endif
    }

    // Where chain c has word w of `active`: words that are read together are neighbours.
    __device__ static int64 place(int64 w, int c) {
#ifdef __CUDACC__
        return (w / 2 * CHAINS + c) * 2 + w % 2;
#else
        return w * CHAINS + c;
#endif
    }

    __device__ void count(int32 (&counts)[OWN], const uint32* here, const Masks& inputs) const {
#ifdef VECTORS
        shared_bits(counts, here, inputs.words(), inputs.mixed(), s.pattern_words);
#else
        for_own([&](int j) {
            const uint32* own = inputs.own(j);
            counts[j] = 0;
#ifdef __CUDACC__
            for (int64 w = 0; w < s.pattern_words; w += 2) {
                const Pair mine = *(const Pair*)(here + place(w, chain_of(j))), theirs = *(const Pair*)(own + w);
                counts[j] += popcount(mine.first & theirs.first) + popcount(mine.second & theirs.second);
            }
#else
            for (int64 w = 0; w < s.pattern_words; ++w) counts[j] += popcount(here[place(w, chain_of(j))] & own[w]);
#endif
        });
#endif
    }

    // Together: follow the flip of chain c's weight of `unit` that had `sign`.
    __device__ void flip(int c, int64 unit, int sign, const Masks& inputs, change_t) {
        follow(c, unit, 2 * sign, inputs.of(c).words);
        lane_sync();
    }

    // Together: add `step` to the fields of `unit` whose bit of `inputs` is 0, take it from the others, and follow them.
    __device__ void follow(int c, int64 unit, int step, const uint32* inputs) {
        if constexpr (NEEDS_SIGNS) {
            move(c, unit, step, inputs);
            refresh(c);
        } else {
            move_alone(c, step, inputs);
        }
    }

    __device__ uint32* bits_of(int c, int kind, int64 unit) const {
        return bits + (c * (3 * s.units + 2 * s.classes) + kind * s.units + unit) * s.pattern_words;
    }

    // Together: the fields of `unit`, and their bits.
    __device__ void move(int c, int64 unit, int step, const uint32* inputs) {
        field_t* f = fields + c * apart + unit * s.patterns;
        uint32 *above = bits_of(c, 0, unit), *below = bits_of(c, 1, unit), *positive = bits_of(c, 2, unit);
        for (int64 w = 0; w < s.pattern_words; ++w) {
            const Edges edges = move_fields<true>(f + 32 * w, s.patterns - 32 * w, step ? inputs[w] : 0, step, 0);
            if (lane() != 0) continue;
            above[w] = edges.above;
            below[w] = edges.below;
            positive[w] = edges.positive;
        }
        lane_sync();
    }

    // Together: move() and refresh() where there is one unit, whose every pattern at a crossing matters: `rest` (grid, classes) has them.
    __device__ void move_alone(int c, int step, const uint32* inputs) {
        field_t* f = fields + c * apart;
        const int32 words = (int32)s.pattern_words, patterns = (int32)s.patterns;
        const int64 first = chains.grid_of(c) * s.classes;
        change_t lower = 0, raise = 0;
        for (int64 k = 0; k < s.classes; ++k) {
            uint32* here = active + k * words * CHAINS;
            const int crossing = rest[first + k], moving = k == 0 ? step : 0;
            int32 down_count = 0, up_count = 0;
            UNROLL_WORDS
            for (int32 w = 0; w < words; ++w) {
                const Edges edges = move_fields<false>(f + 32 * w, patterns - 32 * w, step ? inputs[w] : 0, moving, crossing);
                if (lane() == 0) here[place(w, c)] = edges.above | edges.below;
                down_count += popcount(edges.above);
                up_count += popcount(edges.below);
            }
            const change_t value = (change_t)values[first + k];
            lower += value * down_count;
            raise -= value * up_count;
        }
        if (lane() != 0) return;
        down[c] = lower;
        up[c] = raise;
    }

    // Together: `active`, `down` and `up` of chain c from its bits.
    __device__ void refresh(int c) {
        for (int64 w = lane(); w < s.pattern_words; w += LANES) {
            const Readout readout(bits_of(c, 2, 0) + w, s.pattern_words, s);
            for (int64 k = 0; k < s.classes; ++k) {
                mattering(c, k)[w] = readout.active(true, rest[k]);
                mattering(c, k)[s.pattern_words + w] = readout.active(false, rest[k]);
            }
        }
        lane_sync();
        const int64* value = values + chains.grid_of(c) * s.classes;
        for (int64 unit = 0; unit < s.units; ++unit) {
            const uint32 *above = bits_of(c, 0, unit), *below = bits_of(c, 1, unit);
            change_t lower = 0, raise = 0;
            for (int64 k = 0; k < s.classes; ++k) {
                const uint32 *if_above = mattering(c, k), *if_below = if_above + s.pattern_words;
                uint32* here = active + (unit * s.classes + k) * s.pattern_words * CHAINS;
                int32 down_count = 0, up_count = 0;
                for (int64 w = lane(); w < s.pattern_words; w += LANES) {
                    const uint32 falling = above[w] & if_above[w], rising = below[w] & if_below[w];
                    here[place(w, c)] = falling | rising;
                    down_count += popcount(falling);
                    up_count += popcount(rising);
                }
                lower += (change_t)value[k] * lane_sum(down_count);
                raise -= (change_t)value[k] * lane_sum(up_count);
            }
            if (lane() == 0) {
                down[unit * CHAINS + c] = lower;
                up[unit * CHAINS + c] = raise;
            }
        }
    }

    // The patterns that matter for class k: a word for units at +1, and `pattern_words` further one for those at -1.
    __device__ uint32* mattering(int c, int64 k) const { return bits_of(c, 3, 0) + 2 * k * s.pattern_words; }
};
