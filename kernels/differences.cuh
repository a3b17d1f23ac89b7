// What a flip would cost where every pattern feels it: a loss of the perceptron's field (gpumc/sampling/slopes.py, Differences).
#pragma once
#include "population.cuh"

// The caches of one walker: int64 total and negative, and int32 slopes (patterns, to the end of the last word).
// `values` holds the table of slopes, one a readout, and behind it the table of the changes upward.
struct Slopes {
    const Sizes& s;
    const int64* table;
    field_t* fields;
    int32* slope;
    int64 *total, *negative;

    __device__ static int64 bytes(const Sizes& s) { return 16 + 4 * 32 * s.pattern_words; }

    __device__ Slopes(const Sizes& s, const int32*, const int64* values, field_t* fields, unsigned char* space)
        : s(s), table(values), fields(fields) {
        total = (int64*)space;
        negative = total + 1;
        slope = (int32*)(negative + 1);
    }

    __device__ void prepare() {
        for_lanes(32 * (s.pattern_words - 2), 32 * s.pattern_words, [&](int64 m) { slope[m] = 0; });
        for_lanes(32 * (s.pattern_words - 1), 32 * s.pattern_words, [&](int64 m) { slope[m] = 0; });
        lane_sync();
        refresh();
    }

    __device__ int64 change(int64, int sign, const uint32* inputs) const {
        int64 weighted = 0;
        for (int64 w = 0; w < s.pattern_words; ++w) {
            uint32 word = inputs[w];
            int32 sum = 0;  // 32 slopes of at most 4 x 2^20 each
            for_lanes(32 * w, 32 * s.pattern_words, [&](int64 m) { sum += slope[m] & -(int32)((word >> (m & 31)) & 1u); });
            weighted += sum;
        }
        weighted = lane_sum(weighted);
        return (sign > 0 ? weighted : *total - weighted) + *negative;
    }

    __device__ void flip(int64, int sign, const uint32* inputs) {
        for (int64 w = 0; w < s.pattern_words; ++w)
            for_lanes(32 * w, s.patterns, [&](int64 m) {
                int xi = 2 * (int)((inputs[w] >> (m & 31)) & 1u) - 1;
                fields[m] = (field_t)(fields[m] - 2 * sign * xi);
            });
        lane_sync();
        refresh();
    }

    __device__ void refresh() {
        int64 all = 0, upward = 0;
        for (int64 w = 0; w < s.pattern_words; ++w)
            for_lanes(32 * w, s.patterns, [&](int64 m) {
                int64 row = (fields[m] + s.inputs) / 2;
                int64 value = table[row];
                slope[m] = (int32)value;
                all += value;
                upward += table[s.readouts + row];
            });
        all = lane_sum(all);
        upward = lane_sum(upward);
        if (lane() == 0) {
            *total = all;
            *negative = upward;
        }
        lane_sync();
    }
};
