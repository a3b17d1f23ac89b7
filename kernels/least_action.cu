// An epoch of least action learning: the twin of gpumc/learning/least_action.py. One item is a walker: a replica of a start of an instance.
//
// Variants: REAL (patterns of real numbers) or of +-1; BINARY (hidden states, whose signs are the weights) or weights on spheres.
#include "lanes.cuh"

// Sums have so many parts, which are added pairwise, so that their bits do not depend on the number of lanes.
constexpr int PARTS = 32;
constexpr int SHARE = PARTS / LANES;

#ifdef REAL
typedef double input_t;
#else
typedef int8 input_t;
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
    double part[PARTS];
    for (int j = 0; j < SHARE; ++j) part[j] = 0.0;
    int64 first = 0;
    for (; first + PARTS <= count; first += PARTS)
        for (int j = 0; j < SHARE; ++j) part[j] += term(first + j * LANES + lane());
    for (int j = 0; j < SHARE; ++j)
        if (first + j * LANES + lane() < count) part[j] += term(first + j * LANES + lane());
    for (int half = SHARE / 2; half > 0; half /= 2)
        for (int j = 0; j < half; ++j) part[j] += part[j + half];
    return lane_sum(part[0]);
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
