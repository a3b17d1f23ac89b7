// What a flip would cost where slopes take few values: bitmaps of the patterns at the margin (gpumc/sampling/slopes.py, Margins).
#pragma once
#include "machine.cuh"
#include "population.cuh"

// The caches of one walker, in words of its workspace: margin and positive (units x words), active (units x classes x words), and
// int64 total and negative (units).
struct Slopes {
    const Sizes& s;
    const int32* rest;
    const int64* values;
    field_t* fields;
    uint32 *margin, *positive, *active;
    int64 *total, *negative;

    __device__ static int64 bytes(const Sizes& s) {
        return s.units * (4 * s.pattern_words * (2 + s.classes) + 16);
    }

    __device__ Slopes(const Sizes& s, const int32* rest, const int64* values, field_t* fields, unsigned char* space)
        : s(s), rest(rest), values(values), fields(fields) {
        total = (int64*)space;
        negative = total + s.units;
        margin = (uint32*)(negative + s.units);
        positive = margin + s.units * s.pattern_words;
        active = positive + s.units * s.pattern_words;
    }

    __device__ void prepare() {
        for (int64 unit = 0; unit < s.units; ++unit) set_bits(unit);
        lane_sync();
        refresh();
    }

    // The energy change of flipping a weight of `unit` from `sign`, `inputs` being the bits of what it reads in each pattern.
    __device__ int64 change(int64 unit, int sign, const uint32* inputs) const {
        const uint32* here = active + unit * s.classes * s.pattern_words;
#ifdef ERROR_COUNT_OF_ONE_CLASS
        int count = 0;
        for (int64 w = lane(); w < s.pattern_words; w += LANES) count += popcount(here[w] & inputs[w]);
        int64 weighted = lane_sum(count);
#else
        int64 weighted = 0;
        for (int64 c = 0; c < s.classes; ++c)
            for (int64 w = lane(); w < s.pattern_words; w += LANES)
                weighted += values[c] * popcount(here[c * s.pattern_words + w] & inputs[w]);
        weighted = lane_sum(weighted);
#endif
        return (sign > 0 ? weighted : total[unit] - weighted) + negative[unit];
    }

    // Follow the flip of a weight of `unit` that had `sign`.
    __device__ void flip(int64 unit, int sign, const uint32* inputs) {
        field_t* f = fields + unit * s.patterns;
        for (int64 w = 0; w < s.pattern_words; ++w)
            for_lanes(32 * w, s.patterns, [&](int64 m) {
                int xi = 2 * (int)((inputs[w] >> (m & 31)) & 1u) - 1;
                f[m] = (field_t)(f[m] - 2 * sign * xi);
            });
        lane_sync();
        set_bits(unit);
        lane_sync();
        refresh();
    }

    __device__ void set_bits(int64 unit) {
        const field_t* f = fields + unit * s.patterns;
        for (int64 w = 0; w < s.pattern_words; ++w) {
            uint32 at_margin = word_of([&](int64 m) { return m < s.patterns && (f[m] == 1 || f[m] == -1); }, 32 * w);
            uint32 is_positive = word_of([&](int64 m) { return m < s.patterns && f[m] > 0; }, 32 * w);
            if (lane() == 0) {
                margin[unit * s.pattern_words + w] = at_margin;
                positive[unit * s.pattern_words + w] = is_positive;
            }
        }
    }

    __device__ void refresh() {
        for (int64 w = lane(); w < s.pattern_words; w += LANES) {
            Readout readout(positive + w, s.pattern_words, s);
            for (int64 unit = 0; unit < s.units; ++unit) {
                uint32 up = positive[unit * s.pattern_words + w], near = margin[unit * s.pattern_words + w];
                for (int64 c = 0; c < s.classes; ++c)
                    active[(unit * s.classes + c) * s.pattern_words + w] = near & readout.active(up, rest[c]);
            }
        }
        for (int64 unit = 0; unit < s.units; ++unit) {
            int64 all = 0, below = 0;
            for (int64 w = lane(); w < s.pattern_words; w += LANES)
                for (int64 c = 0; c < s.classes; ++c) {
                    uint32 word = active[(unit * s.classes + c) * s.pattern_words + w];
                    all += values[c] * popcount(word);
                    below += values[c] * popcount(word & ~positive[unit * s.pattern_words + w]);
                }
            all = lane_sum(all);
            below = lane_sum(below);
            if (lane() == 0) {
                total[unit] = all;
                negative[unit] = -below;
            }
        }
        lane_sync();
    }
};
