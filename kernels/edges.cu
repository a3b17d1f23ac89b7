// Messages on all edges: the twin of `Exact`, whose nodes follow the distribution of their number of positive products, and of what
// `Relaxed` knows of Gaussian fields, in gpumc/messages/edges.py.
#include "functions.cuh"
#include "real.cuh"
#include "totals.cuh"

// The strongest message that is passed on.
constexpr double STRONGEST = 50.0;

// The place of the distribution over the numbers of positive products of the inputs before `input`, 0 to `input` of them.
__device__ inline int64 place(int64 input) { return input * (input + 1) / 2; }

// Together: log P that so many products before each input are positive, and of all, one after the other in `space`; cavity(i) is half the
// log odds that product i is.
template <class F> __device__ inline void distributions(double* space, int64 fan_in, F cavity) {
    if (lane() == 0) space[0] = 0.0;
    lane_sync();
    for (int64 i = 0; i < fan_in; ++i) {
        const double *before = space + place(i), odds = 2.0 * cavity(i);
        double* behind = space + place(i + 1);
        const double log_p = -log_add(0.0, -odds), log_q = -log_add(0.0, odds);
        if (lane() == 0) {
            behind[0] = before[0] + log_q;
            behind[i + 1] = before[i] + log_p;
        }
        for_range(1, i + 1, [&](int64 count) { behind[count] = quick_log_add(before[count] + log_q, before[count - 1] + log_p); });
        lane_sync();
    }
}

// The edges of one factor: patterns xi of its unit, fields of its row, and what it sent before.
struct Edges {
    const real *xi, *fields, *memory;

    __device__ double cavity(int64 i) const { return (double)xi[i] * (double)fields[i] - (double)memory[i]; }
};

// An item is a unit and a pattern of a row; xi holds the patterns of all instances, (instances, units or 1, patterns, fan_in).
__device__ inline Edges edges_of(int64 item, const real* xi, const int64* instance, const real* fields, const real* memory, int64 units,
                                 int64 of_xi, int64 patterns, int64 fan_in) {
    const int64 node = item / patterns, row = node / units, unit = of_xi == 1 ? 0 : node % units;
    return {xi + ((instance[row] * of_xi + unit) * patterns + item % patterns) * fan_in, fields + node * fan_in, memory + item * fan_in};
}

// log_counts (rows, units, patterns, fan_in + 1): the distribution over the number of positive products of each factor.
extern "C" __global__ void count_products(int64 begin, int64 end, const real* xi, const int64* instance, const real* fields, const real* memory,
                                 unsigned char* workspace, real* log_counts, int64 size, int64 units, int64 of_xi, int64 patterns,
                                 int64 fan_in) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const Edges edges = edges_of(item, xi, instance, fields, memory, units, of_xi, patterns, fan_in);
        double* space = (double*)own_space(workspace, item, size);
        distributions(space, fan_in, [&](int64 i) { return edges.cavity(i); });
        real* out = log_counts + item * (fan_in + 1);
        for_range(0, fan_in + 1, [&](int64 count) { out[count] = (real)space[place(fan_in) + count]; });
    }
}

// messages (rows, units, patterns, fan_in), given the log likelihood of each number of positive products, shaped as log_counts.
extern "C" __global__ void send_messages(int64 begin, int64 end, const real* xi, const int64* instance, const real* fields, const real* memory,
                                const real* log_factor, unsigned char* workspace, real* messages, int64 size, int64 units, int64 of_xi,
                                int64 patterns, int64 fan_in) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const Edges edges = edges_of(item, xi, instance, fields, memory, units, of_xi, patterns, fan_in);
        double* space = (double*)own_space(workspace, item, size);
        distributions(space, fan_in, [&](int64 i) { return edges.cavity(i); });
        // What follows the distributions in `space`: the likelihood given the number of positive products before an input, and of the one
        // after it.
        double *after = space + place(fan_in + 1), *next = after + fan_in + 1;
        for_range(0, fan_in + 1, [&](int64 count) { after[count] = log_factor[item * (fan_in + 1) + count]; });
        lane_sync();
        for (int64 i = fan_in - 1; i >= 0; --i) {
            const double *before = space + place(i), odds = 2.0 * edges.cavity(i);
            const double log_p = -log_add(0.0, -odds), log_q = -log_add(0.0, odds);
            // What is lost beside the larger one of both signs is far beyond the strongest message.
            const double top = largest(i + 1, [&](int64 count) { return before[count] + larger(after[count], after[count + 1]); });
            const double up = total(i + 1, [&](int64 count) { return exponential(before[count] + after[count + 1] - top); });
            const double down = total(i + 1, [&](int64 count) { return exponential(before[count] + after[count] - top); });
            const double sent = (log(up) - log(down)) / 2.0;
            if (lane() == 0) messages[item * fan_in + i] = (real)lesser(larger(sent, -STRONGEST), STRONGEST);
            for_range(0, i + 1, [&](int64 count) { next[count] = quick_log_add(after[count] + log_q, after[count + 1] + log_p); });
            lane_sync();
            double* const kept = after;
            after = next;
            next = kept;
        }
    }
}

// Gaussian fields: mean and variance of each factor, (rows, units, patterns), and without each of its inputs, (rows, units, patterns,
// fan_in). No variance is below `least`.
extern "C" __global__ void cavity_fields(int64 begin, int64 end, const real* xi, const int64* instance, const real* fields,
                                         const real* memory, real* mean, real* variance, real* cavity_mean, real* cavity_variance,
                                         double least, int64 units, int64 of_xi, int64 patterns, int64 fan_in) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const Edges edges = edges_of(item, xi, instance, fields, memory, units, of_xi, patterns, fan_in);
        real *means = cavity_mean + item * fan_in, *variances = cavity_variance + item * fan_in;
        for_range(0, fan_in, [&](int64 i) {
            means[i] = (real)tanh_of(edges.cavity(i));
            variances[i] = (real)larger(sech2_of(edges.cavity(i)), least);
        });
        const double all = total(fan_in, [&](int64 i) { return (double)means[i]; });
        const double spread = total(fan_in, [&](int64 i) { return (double)variances[i]; });
        for_range(0, fan_in, [&](int64 i) {
            means[i] = (real)(all - means[i]);
            variances[i] = (real)larger(spread - variances[i], least);
        });
        if (lane() == 0) {
            mean[item] = (real)all;
            variance[item] = (real)spread;
        }
    }
}

// incoming (rows, units, fan_in): the sum over patterns of xi times `messages`. An item is a unit of a row.
extern "C" __global__ void gather_messages(int64 begin, int64 end, const real* xi, const int64* instance, const real* messages, real* incoming,
                                  int64 units, int64 of_xi, int64 patterns, int64 fan_in) {
    for (int64 node = first_item(begin); node < end; node += item_stride()) {
        const real* own = xi + (instance[node / units] * of_xi + (of_xi == 1 ? 0 : node % units)) * patterns * fan_in;
        for_range(0, fan_in, [&](int64 i) {
            double sum = 0.0;
            for (int64 pattern = 0; pattern < patterns; ++pattern)
                sum += (double)own[pattern * fan_in + i] * (double)messages[(node * patterns + pattern) * fan_in + i];
            incoming[node * fan_in + i] = (real)sum;
        });
    }
}
