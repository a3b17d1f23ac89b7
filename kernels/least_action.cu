// An epoch of least action learning: the twin of gpumc/learning/least_action.py. One item is a walker: a replica of a start of an instance.
//
// Variants: REAL (patterns of real numbers) or of +-1; BINARY (hidden states, whose signs are the weights) or weights on spheres.
#include "lanes.cuh"

// Sums have so many parts, which are added pairwise, so that their bits do not depend on the number of lanes.
constexpr int PARTS = 32;

#ifdef REAL
typedef double input_t;
#else
typedef int8 input_t;
#endif

#ifndef __CUDACC__
// Four numbers, in whatever vectors the processor has.
typedef double Four __attribute__((vector_size(32)));

inline Four loaded(const double* numbers) {
    Four four;
    __builtin_memcpy(&four, numbers, sizeof four);
    return four;
}
#endif

// The weight of a state.
__device__ inline double weight_of(double state) {
#ifdef BINARY
    return state > 0.0 ? 1.0 : -1.0;
#else
    return state;
#endif
}

// Together: the sum of term(i), i < count, for all.
template <class F> __device__ inline double sum_of(int64 count, F term) {
    int64 first = 0;
#ifdef __CUDACC__
    double part = 0.0;
    for (; first + PARTS <= count; first += PARTS) part += term(first + lane());
    if (first + lane() < count) part += term(first + lane());
    return lane_sum(part);
#else
    Four part[PARTS / 4] = {};
    double terms[2 * PARTS] = {};
    for (; first + PARTS <= count; first += PARTS) {
        for (int j = 0; j < PARTS; ++j) terms[j] = term(first + j);
        for (int g = 0; g < PARTS / 4; ++g) part[g] += loaded(terms + 4 * g);
    }
    // The rest, and zeros behind it, which change no part, as none is -0.
    int64 used = count - first;
    if (count >= PARTS) {
        for (int j = 0; j < PARTS; ++j) terms[j] = term(count - PARTS + j);
        used = PARTS;
    } else
        for (int64 i = 0; i < count; ++i) terms[i] = term(i);
    for (int g = 0; g < PARTS / 4; ++g) part[g] += loaded(terms + used - (count - first) + 4 * g);
    for (int half = PARTS / 8; half > 0; half /= 2)
        for (int g = 0; g < half; ++g) part[g] += part[g + half];
    return (part[0][0] + part[0][2]) + (part[0][1] + part[0][3]);
#endif
}

// Together: add `step` times the inputs to the states of a unit, and bring them back to its sphere, or to at most `limit`.
__device__ inline void move(double* state, const input_t* input, int64 fan_in, double step, double limit) {
#ifdef BINARY
    for_range(0, fan_in, [&](int64 i) {
        const double moved = state[i] + step * (double)input[i];
        state[i] = moved > limit ? limit : moved < -limit ? -limit : moved;
    });
#else
    (void)limit;
    for_range(0, fan_in, [&](int64 i) { state[i] += step * (double)input[i]; });
    lane_sync();
    const double square = sum_of(fan_in, [&](int64 i) { return state[i] * state[i]; });
    const double factor = square_root((double)fan_in / square);
    for_range(0, fan_in, [&](int64 i) { state[i] *= factor; });
#endif
    lane_sync();
}

// `states` (walkers, units, fan_in); `inputs` (instances, patterns, n) and `labels` (instances, patterns), so many `walkers` an instance;
// `order` (patterns); only the `active` walkers learn; `fields` (walkers, units) is space.
extern "C" __global__ void epoch(int64 begin, int64 end, double* states, const input_t* inputs, const int8* labels, const int32* order,
                                 const uint8* active, double* fields, int64 walkers, int64 units, int64 fan_in, int64 n,
                                 int64 patterns, double rate, double limit) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        double* state = states + item * units * fan_in;
        double* field = fields + item * units;
        const int64 instance = item / walkers;
        for (int64 place = 0; active[item] && place < patterns; ++place) {
            const int64 m = instance * patterns + order[place];
            const input_t* input = inputs + m * n;
            const double label = labels[m];
            int64 sum = 0;
            for (int64 unit = 0; unit < units; ++unit) {
                const double* own = state + unit * fan_in;
                const input_t* seen = input + unit * fan_in % n;
                const double total = sum_of(fan_in, [&](int64 i) { return weight_of(own[i]) * (double)seen[i]; });
                if (lane() == 0) field[unit] = label * total;
                sum += label * (total > 0.0 ? 1.0 : -1.0) > 0.0 ? 1 : -1;
            }
            lane_sync();
            if (sum > 0) continue;
            // As many of the units that vote wrongly as turn the majority, those nearest to their threshold first.
            for (int64 left = (1 - sum) / 2; left > 0; --left) {
                int64 nearest = -1;
                for (int64 unit = 0; unit < units; ++unit) {
                    const bool wrong = label > 0.0 ? field[unit] <= 0.0 : field[unit] < 0.0;
                    if (wrong && (nearest < 0 || field[unit] > field[nearest])) nearest = unit;
                }
                lane_sync();
                if (lane() == 0) field[nearest] = 1.0;
                lane_sync();
                move(state + nearest * fan_in, input + nearest * fan_in % n, fan_in, rate * label, limit);
            }
        }
    }
}
