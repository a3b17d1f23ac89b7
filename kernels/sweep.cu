// Sweeps of single flips: the twin of gpumc/sampling/sweep.py. One item is a chain with its replicas.
//
// Variants: DENSE (differences of every pattern) or margins of COMMITTEE (with PLANES) / PARITY / perceptron; ERROR_COUNT (thresholds)
// or variates; ERROR_COUNT_OF_ONE_CLASS; HEAT_BATH or Metropolis; WIDE (int32 fields).
#include "lanes.cuh"
#include "philox.cuh"
#include "population.cuh"
#include "acceptance.cuh"

#ifdef WIDE
typedef int32 field_t;
#else
typedef int16 field_t;
#endif

#ifdef DENSE
#include "differences.cuh"
#else
#include "margins.cuh"
#endif

enum { STREAM_ACCEPT = 6, STREAM_CENTRE = 7 };

// Places of the order whose random numbers are made at once.
constexpr int DRAWS = 4 * LANES;

struct Rule {
    const uint32* thresholds;
    const int64 *beta, *gain;
    const uint32* centre;
    const int64* log_table;
};

// One chain: pointers to its part of every array.
struct Chain {
    const Sizes& s;
    const Rule& rule;
    Place place;
    uint64 walker;
    uint32 *weights, *centre;
    int64 *energy, *flips;
    const uint32* patterns;
    int64* draws;
    unsigned char* caches;

    __device__ uint32* replica(int64 r) const { return weights + r * s.weight_words; }

    // The row of a table of acceptance, of `width` entries for each sweep and grid point.
    __device__ int64 row(int64 sweep, int64 width) const {
        return ((s.ramps ? sweep : 0) * s.grid + place.grid) * width;
    }

    // The numbers that decide at places first .. first + DRAWS - 1 of the order, for each replica.
    __device__ void draw(int64 sweep, int64 first) {
        for (int64 r = 0; r < s.replicas; ++r) {
            Words u = philox(s.seed, STREAM_ACCEPT, s.first_sweep + sweep, first / 4 + lane(), walker + r);
            for (int j = 0; j < 4; ++j) draws[r * DRAWS + 4 * lane() + j] = decider(u.word(j));
        }
        lane_sync();
    }

    __device__ int64 decider(uint32 word) const {
#if defined(ERROR_COUNT)
        return word >> 1;
#elif defined(HEAT_BATH)
        return logistic(word, rule.log_table);
#else
        return exponential(word, rule.log_table);
#endif
    }

    // The centre's weight, or the sum of the other replicas'.
    __device__ int pull(int64 r, int64 site) const {
        if (s.centre == CENTRE_NONE) return 0;
        if (s.centre != CENTRE_TRACED) return sign_of(centre, site);
        int sum = 0;
        for (int64 other = 0; other < s.replicas; ++other)
            if (other != r) sum += sign_of(replica(other), site);
        return sum;
    }

    __device__ bool passes(int64 sweep, int64 change, int aligned, int64 number) const {
        int64 pull = (aligned + s.pulls - 1) / 2;
#ifdef ERROR_COUNT
        int64 width = 2 * s.patterns + 1;
        const uint32* thresholds = rule.thresholds + (row(sweep, s.pulls) + pull) * width;
        return number < (int64)thresholds[change + s.patterns];
#else
        return rule.beta[row(sweep, 1)] * change - rule.gain[row(sweep, s.pulls) + pull] <= number;
#endif
    }

    __device__ void visit(Slopes& slopes, int64 sweep, int64 r, int64 site, int64 number) {
        int64 unit = site / (s.weights / s.units);
        const uint32* inputs = patterns + site % s.inputs * s.pattern_words;
        int sign = sign_of(replica(r), site);
        int64 change = slopes.change(unit, sign, inputs);
        int towards = pull(r, site);
#ifdef HEAT_BATH
        bool moves = passes(sweep, -sign * change, towards, number) != (sign > 0);
#else
        bool moves = passes(sweep, change, sign * towards, number);
#endif
        if (!moves) return;
        lane_sync();
        if (lane() == 0) {
            replica(r)[site >> 5] ^= 1u << (site & 31);
            energy[r] += change;
            flips[r] += 1;
        }
        slopes.flip(unit, sign, inputs);
    }

    // Draw every weight of the centre from its conditional, after `done` sweeps of the run.
    __device__ void draw_centre(int64 sweep, int64 done) {
        const uint32* thresholds = rule.centre + row(sweep, s.replicas + 1);
        for (int64 first = 0; first < s.weights; first += 32) {
            uint32 word = 0;
            for (int64 block = lane(); block < 8; block += LANES) {
                Words u = philox(s.seed, STREAM_CENTRE, done, first / 4 + block, walker);
                for (int j = 0; j < 4; ++j) {
                    int64 site = first + 4 * block + j;
                    if (site >= s.weights) break;
                    int up = 0;
                    for (int64 r = 0; r < s.replicas; ++r) up += bit_of(replica(r), site);
                    word |= (uint32)((u.word(j) >> 1) < thresholds[up]) << (site & 31);
                }
            }
            word = lane_or(word);
            if (lane() == 0) centre[first >> 5] = word;
        }
        lane_sync();
    }
};

__device__ inline int64 align8(int64 bytes) { return (bytes + 7) / 8 * 8; }

// Bytes of workspace that a chain needs: the numbers drawn, and the caches of each replica.
__device__ inline int64 workspace_bytes(const Sizes& s) {
    return s.replicas * (8 * DRAWS + align8(Slopes::bytes(s)));
}

__device__ inline Chain chain_at(const Sizes& s, const Rule& rule, int64 item, uint32* weights, uint32* centre, int64* energy,
                                 int64* flips, const uint32* patterns, unsigned char* space) {
    Place place = place_of(s, item);
    return {s, rule, place, first_walker(s, place),
            weights + item * s.replicas * s.weight_words,
            s.centre == CENTRE_NONE ? nullptr : centre + item * s.weight_words,
            energy + item * s.replicas, flips + item * s.replicas,
            patterns + place.instance * s.inputs * s.pattern_words,
            (int64*)space, space + s.replicas * 8 * DRAWS};
}

extern "C" __global__ void sweep(int64 begin, int64 end, const Sizes* sizes, uint32* weights, uint32* centre, field_t* fields,
                                 int64* energy, int64* flips, const uint32* patterns, const int32* order,
                                 const uint32* thresholds, const int64* beta, const int64* gain, const uint32* centre_thresholds,
                                 const int64* log_table, const int32* rest, const int64* values, unsigned char* workspace) {
    const Sizes& s = *sizes;
    const Rule rule = {thresholds, beta, gain, centre_thresholds, log_table};
#ifdef DENSE
    const int64 values_width = 2 * s.readouts;
#else
    const int64 values_width = s.classes;
#endif
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        Chain chain = chain_at(s, rule, item, weights, centre, energy, flips, patterns, workspace + item * workspace_bytes(s));
        auto slopes_of = [&](int64 r) {
            return Slopes(s, rest, values + chain.place.grid * values_width,
                          fields + (item * s.replicas + r) * s.units * s.patterns,
                          chain.caches + r * align8(Slopes::bytes(s)));
        };
        for (int64 r = 0; r < s.replicas; ++r) slopes_of(r).prepare();
        for (int64 t = 0; t < s.sweeps; ++t) {
            for (int64 place = 0; place < s.weights; ++place) {
                if (place % DRAWS == 0) chain.draw(t, place);
                for (int64 r = 0; r < s.replicas; ++r) {
                    Slopes slopes = slopes_of(r);
                    chain.visit(slopes, t, r, order[t * s.weights + place], chain.draws[r * DRAWS + place % DRAWS]);
                }
            }
            if (s.centre == CENTRE_DRAWN) chain.draw_centre(t, s.first_sweep + t + 1);
        }
    }
}

// The centre of each chain, drawn once after sizes.first_sweep sweeps.
extern "C" __global__ void draw_centre(int64 begin, int64 end, const Sizes* sizes, uint32* weights, uint32* centre,
                                       const uint32* centre_thresholds) {
    const Sizes& s = *sizes;
    const Rule rule = {nullptr, nullptr, nullptr, centre_thresholds, nullptr};
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        Place place = place_of(s, item);
        Chain chain = {s, rule, place, first_walker(s, place), weights + item * s.replicas * s.weight_words,
                       centre + item * s.weight_words, nullptr, nullptr, nullptr, nullptr, nullptr};
        chain.draw_centre(0, s.first_sweep);
    }
}
