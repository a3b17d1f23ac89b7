// What a flip would cost where slopes take few values: bitmaps of the patterns at the margin (gpumc/sampling/slopes.py, Margins).
#pragma once
#include "chains.cuh"
#include "machine.cuh"

#ifdef ERROR_COUNT
typedef int32 change_t;
#else
typedef int64 change_t;
#endif

// What each pattern has at one site, as bits: set where it is +1.
struct Masks {
    const uint32* words;
    __device__ Masks(const uint32* words, int32*, const Sizes&) : words(words) {}
};

// The caches of one replica of each chain: for a proposal, `active` (units, classes, words, CHAINS) and `down` and `up` (units,
// CHAINS); for a flip, the bits of the fields +1 and -1 and of the positive ones (CHAINS, 3, units, words).
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
        return CHAINS * s.units * (2 * (int64)sizeof(change_t) + 4 * s.pattern_words * (3 + s.classes));
    }

    __device__ Slopes(const Sizes& s, const Chains& chains, const int32* rest, const int64* values, const int32*, field_t* fields,
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
                for (int64 unit = 0; unit < s.units; ++unit) set_bits(c, unit);
                lane_sync();
                refresh(c);
            } else {
                for (int64 w = lane(); w < s.units * s.classes * s.pattern_words; w += LANES) active[w * CHAINS + c] = 0;
                for (int64 unit = lane(); unit < s.units; unit += LANES) down[unit * CHAINS + c] = up[unit * CHAINS + c] = 0;
            }
        }
        lane_sync();
    }

    // The energy change of each chain's flipping a weight of `unit`; its `signs` are bits.
    __device__ void change(change_t (&out)[OWN], int64 unit, uint32 signs, const Masks& inputs) const {
        change_t weighted[OWN] = {};
        const uint32* here = active + unit * s.classes * s.pattern_words * CHAINS;
#ifdef ERROR_COUNT_OF_ONE_CLASS
        count(weighted, here, inputs);
#else
        for (int64 c = 0; c < s.classes; ++c) {
            int32 counts[OWN] = {};
            count(counts, here + c * s.pattern_words * CHAINS, inputs);
            for_own([&](int j) { weighted[j] += (change_t)values[chains.grid[j] * s.classes + c] * counts[j]; });
        }
#endif
        const change_t *lower = down + unit * CHAINS, *raise = up + unit * CHAINS;
        for_own([&](int j) {
            const int c = chain_of(j);
            out[j] = bit(signs, j) ? raise[c] + weighted[j] : lower[c] - weighted[j];
        });
    }

    __device__ void count(int32 (&counts)[OWN], const uint32* here, const Masks& inputs) const {
        for (int64 w = 0; w < s.pattern_words; w += 2) {
            const uint32 first = inputs.words[w], second = inputs.words[w + 1];
            const uint32 *one = here + w * CHAINS, *other = one + CHAINS;
            for_own([&](int j) {
                counts[j] += popcount(one[chain_of(j)] & first) + popcount(other[chain_of(j)] & second);
            });
        }
    }

    // Together: follow the flip of chain c's weight of `unit` that had `sign`.
    __device__ void flip(int c, int64 unit, int sign, const Masks& inputs, change_t) {
        field_t* f = fields + c * apart + unit * s.patterns;
        for (int64 w = 0; w < s.pattern_words; ++w) {
            const uint32 word = inputs.words[w];
            for_lanes(32 * w, s.patterns, [&](int64 m) { f[m] += (field_t)(2 * sign - 4 * sign * (int)((word >> (m & 31)) & 1u)); });
        }
        lane_sync();
        set_bits(c, unit);
        lane_sync();
        refresh(c);
        lane_sync();
    }

    __device__ uint32* bits_of(int c, int kind, int64 unit) const {
        return bits + ((c * 3 + kind) * s.units + unit) * s.pattern_words;
    }

    __device__ void set_bits(int c, int64 unit) {
        const field_t* f = fields + c * apart + unit * s.patterns;
        uint32 *above = bits_of(c, 0, unit), *below = bits_of(c, 1, unit), *positive = bits_of(c, 2, unit);
        for (int64 w = 0; w < s.pattern_words; ++w) {
            const uint32 is_above = word_of([&](int64 m) { return f[m] == 1; }, 32 * w, s.patterns);
            const uint32 is_below = word_of([&](int64 m) { return f[m] == -1; }, 32 * w, s.patterns);
            const uint32 is_positive = NEEDS_SIGNS ? word_of([&](int64 m) { return f[m] > 0; }, 32 * w, s.patterns) : 0;
            if (lane() == 0) {
                above[w] = is_above;
                below[w] = is_below;
                positive[w] = is_positive;
            }
        }
    }

    // Together: `active`, `down` and `up` of chain c from its bits.
    __device__ void refresh(int c) {
        for (int64 w = lane(); w < s.pattern_words; w += LANES) {
            const Readout readout(bits_of(c, 2, 0) + w, s.pattern_words, s);
            for (int64 unit = 0; unit < s.units; ++unit)
                for (int64 k = 0; k < s.classes; ++k) {
                    const uint32 above = bits_of(c, 0, unit)[w] & readout.active(true, rest[k]);
                    const uint32 below = bits_of(c, 1, unit)[w] & readout.active(false, rest[k]);
                    active[((unit * s.classes + k) * s.pattern_words + w) * CHAINS + c] = above | below;
                }
        }
        lane_sync();
        for (int64 unit = 0; unit < s.units; ++unit) {
            change_t lower = 0, raise = 0;
            for (int64 k = 0; k < s.classes; ++k) {
                const uint32* here = active + (unit * s.classes + k) * s.pattern_words * CHAINS + c;
                int32 above = 0, below = 0;
                for (int64 w = lane(); w < s.pattern_words; w += LANES) {
                    above += popcount(here[w * CHAINS] & bits_of(c, 0, unit)[w]);
                    below += popcount(here[w * CHAINS] & bits_of(c, 1, unit)[w]);
                }
                const change_t value = (change_t)values[chains.grid_of(c, s) * s.classes + k];
                lower += value * lane_sum(above);
                raise -= value * lane_sum(below);
            }
            if (lane() == 0) {
                down[unit * CHAINS + c] = lower;
                up[unit * CHAINS + c] = raise;
            }
        }
    }
};
