// What is measured of a population: the twins of gpumc/observables.py.
#include "machine.cuh"

// Bins in the middle that an item counts in for itself.
constexpr int64 OWN_BINS = 1024;

// Walkers of one instance and grid point, whose stabilities are counted together: those in bins of their own are added at the end.
struct Histogram {
    int64* all;
    int32* own;
    int64 first, count;

    // Together.
    __device__ Histogram(int64* all, int32* own, int64 bins) : all(all), own(own), count(smaller(bins, OWN_BINS)) {
        first = (bins - count) / 2;
        for_range(0, count, [&](int64 i) { own[i] = 0; });
        lane_sync();
    }

    __device__ void add(int64 bin) const {
        if (bin >= first && bin < first + count)
            taken(own + (bin - first));
        else
            add_atomic(all + bin, (int64)1);
    }

    // Together.
    __device__ void close() const {
        lane_sync();
        for_range(0, count, [&](int64 i) {
            if (own[i]) add_atomic(all + first + i, (int64)own[i]);
        });
        lane_sync();
    }
};

// One item is up to MEASURED_TOGETHER walkers of an instance and grid point: the energy of each summed from scratch, its errors, and its
// stabilities added to their histogram, `stride` readouts a bin.
extern "C" __global__ void measure(int64 begin, int64 end, const Sizes* sizes, const field_t* fields, const int8* labels, const int32* gains, const int64* tables,
                                   const int8* in_error, int64 bins, int32 stride, int64* energy, int64* errors, int64* histogram) {
    const Sizes& s = *sizes;
    const int64 walkers = s.chains * s.replicas, parts = (walkers + MEASURED_TOGETHER - 1) / MEASURED_TOGETHER;
#ifdef __CUDACC__
    __shared__ int32 counts[WARPS][OWN_BINS];
    int32* own = counts[threadIdx.x / LANES];
#else
    int32 own[OWN_BINS];
#endif
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const int64 group = item / parts, from = item % parts * MEASURED_TOGETHER;
        const int64* table = tables + group % s.grid * s.readouts;
        const int8* is_wrong = in_error + group % s.grid * s.readouts;
        const int8* label = labels + group / s.grid * s.patterns;
        const Histogram stabilities(histogram + group * bins, own, bins);
        for (int64 walker = from; walker < smaller(from + MEASURED_TOGETHER, walkers); ++walker) {
            const int64 place = group * walkers + walker;
            const field_t* f = fields + place * s.units * s.patterns;
            int64 sum = 0, wrong = 0;
            for_range(0, s.patterns, [&](int64 m) {
                const int64 readout = readout_of(s, f, m, gains) * label[m];
                const int32 row = (int32)((readout + s.readouts - 1) / 2);
                sum += table[row];
                wrong += is_wrong[row];
                stabilities.add(row / stride);
            });
            sum = lane_sum(sum);
            wrong = lane_sum(wrong);
            if (lane() == 0) {
                energy[place] = sum;
                errors[place] = wrong;
            }
        }
        stabilities.close();
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
