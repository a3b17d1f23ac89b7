// Messages of patterns to weights in the expansion of gpumc/messages/amp.py, and their damping.
//
// SPHERICAL is defined where a message is a pair: B of all weights of a row, then A.
#include "real.cuh"
#include "stops.cuh"
#include "totals.cuh"

// One item is a unit of a row: linear, mean (rows, units, fan_in), and the curvatures of its patterns (rows, units, patterns), or what they
// add to each weight, (rows, units, fan_in), where there is one for each; messages (rows, [2,] units, fan_in).
extern "C" __global__ void combine(int64 begin, int64 end, const real* linear, const real* mean, const real* curvature, real* messages,
                                   int64 units, int64 fan_in, int64 patterns, int64 each) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const real *own = linear + item * fan_in, *at = mean + item * fan_in, *bend = curvature + item * (each ? fan_in : patterns);
        const double all = each ? 0.0 : -total(patterns, [&](int64 pattern) { return (double)bend[pattern]; });
#if defined(SPHERICAL)
        real* out = messages + (item / units * 2 * units + item % units) * fan_in;
#else
        real* out = messages + item * fan_in;
#endif
        for_range(0, fan_in, [&](int64 i) {
            const double precision = each ? -(double)bend[i] : all;
            out[i] = (real)((double)own[i] + (double)at[i] * precision);
#if defined(SPHERICAL)
            out[units * fan_in + i] = (real)precision;
#endif
        });
    }
}

// One item is 32 of the `each` numbers of a row: `old` becomes `wanted` and `kept` of what it was, unless its row was stopped before this
// iteration, as `stops` (rows, 2) says.
extern "C" __global__ void damp(int64 begin, int64 end, real* old, const real* wanted, double kept, const double* stops, int64 iteration,
                                int64 each) {
    const int64 parts = (each + 31) / 32;
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const int64 row = item / parts, first = row * each;
        if (is_frozen(stops[2 * row], iteration)) continue;
        for_lanes(first + 32 * (item % parts), first + each,
                  [&](int64 i) { old[i] = (real)(wanted[i] + kept * ((double)old[i] - (double)wanted[i])); });
    }
}
