// What is measured of a population: the twins of gpumc/observables.py.
#include "machine.cuh"

// One item is a walker: its energy summed from scratch, its errors, and its stabilities added to the histogram of its instance
// and grid point, `stride` readouts a bin.
extern "C" __global__ void measure(int64 begin, int64 end, const Sizes* sizes, const field_t* fields, const int8* labels, const int32* gains, const int64* tables,
                                   const int8* in_error, int64 bins, int64 stride, int64* energy, int64* errors, int64* histogram) {
    const Sizes& s = *sizes;
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const int64 group = item / (s.chains * s.replicas);
        const int64* table = tables + group % s.grid * s.readouts;
        const int8* is_wrong = in_error + group % s.grid * s.readouts;
        const field_t* f = fields + item * s.units * s.patterns;
        const int8* label = labels + group / s.grid * s.patterns;
        int64 sum = 0, wrong = 0;
        for (int64 w = 0; w < s.pattern_words; ++w)
            for_lanes(32 * w, s.patterns, [&](int64 m) {
                int64 readout = readout_of(s, f, m, gains) * label[m];
                int64 row = (readout + s.readouts - 1) / 2;
                sum += table[row];
                wrong += is_wrong[row];
                add_atomic(histogram + group * bins + row / stride, (int64)1);
            });
        sum = lane_sum(sum);
        wrong = lane_sum(wrong);
        if (lane() == 0) {
            energy[item] = sum;
            errors[item] = wrong;
        }
    }
}

// One item is a chain: sum_i W_i^a W~_i of each replica (where there is a centre), and the sum over pairs of replicas.
extern "C" __global__ void overlaps(int64 begin, int64 end, const Sizes* sizes, const uint32* weights, const uint32* centre,
                                    int64* with_centre, int64* with_replicas) {
    const Sizes& s = *sizes;
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const uint32* first = weights + item * s.replicas * s.weight_words;
        int64 differ = 0;
        for (int64 a = 0; a < s.replicas; ++a) {
            const uint32* own = first + a * s.weight_words;
            int64 apart = 0;
            for (int64 w = lane(); w < s.weight_words; w += LANES) {
                apart += popcount(own[w] ^ centre[item * s.weight_words + w]);
                for (int64 b = 0; b < a; ++b) differ += popcount(own[w] ^ first[b * s.weight_words + w]);
            }
            apart = lane_sum(apart);
            if (lane() == 0) with_centre[item * s.replicas + a] = s.weights - 2 * apart;
        }
        differ = lane_sum(differ);
        if (lane() == 0) with_replicas[item] = s.replicas * (s.replicas - 1) / 2 * s.weights - 2 * differ;
    }
}
