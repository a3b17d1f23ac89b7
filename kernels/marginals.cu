// Total fields and moments of the weights of a row, given the messages to them and what else acts on them: the twin of
// gpumc/messages/marginals.py, priors.py and spherical_priors.py.
//
// Defined is one of PULL, DISTANCE, REPLICAS; and SPHERICAL where a message is a pair: B of all weights of a row, then A.
#include "real.cuh"
#include "stops.cuh"
#include "totals.cuh"

// A row: its messages, the reference, and two numbers of the prior: h or D, or y and the coupling.
struct Row {
    const real* incoming;
    const real* reference;
    double first, second;
    int64 count;

    __device__ double linear(int64 i) const { return incoming[i]; }
    __device__ double precision(int64 i) const { return incoming[count + i]; }
    __device__ double toward(int64 i) const { return reference[i]; }
};

#if defined(SPHERICAL)

// The search of spherical_priors.py.
constexpr int LAMBDA_HALVINGS = 70;
constexpr double LOWEST_LAMBDA = 1e-12, HIGHEST_LAMBDA = 1e12;

// The lambda, above minus the least precision, at which the falling function `excess` is 0.
template <class F> __device__ inline double lambda_of(const Row& row, F excess) {
    const double least = -largest(row.count, [&](int64 i) { return -row.precision(i); });
    double low = log(LOWEST_LAMBDA), high = log(HIGHEST_LAMBDA);
    for (int halving = 0; halving < LAMBDA_HALVINGS; ++halving) {
        const double middle = (low + high) / 2.0;
        const bool beyond = excess(exp(middle) - least) < 0.0;
        low = beyond ? low : middle;
        high = beyond ? middle : high;
    }
    return exp((low + high) / 2.0) - least;
}

#if defined(REPLICAS)

// The precision of the message from the other replicas, given that of a weight without them.
__device__ inline double of_others(double y, double t, double cavity) { return t * (y - 1.0) / ((1.0 - t) * y + t / cavity); }

__device__ inline void total_fields(const Row& row, real* fields) {
    const double y = row.first, t = 1.0 - 1.0 / (1.0 + row.second);
    const double lam = lambda_of(row, [&](double tried) {
        return total(row.count, [&](int64 i) {
            const double cavity = row.precision(i) + tried, mean = row.linear(i) / cavity;
            return mean * mean + 1.0 / (cavity + of_others(y, t, cavity));
        }) - (double)row.count;
    });
    for_range(0, row.count, [&](int64 i) {
        const double cavity = row.precision(i) + lam, precision = cavity + of_others(y, t, cavity);
        fields[i] = (real)(row.linear(i) / cavity * precision);
        fields[row.count + i] = (real)precision;
    });
}

#else

// Half of the field toward the reference: where a distance is wanted it is linear in the overlap, given lambda.
__device__ inline double half_field(const Row& row, double lam) {
#if defined(DISTANCE)
    const double alone = total(row.count, [&](int64 i) { return row.toward(i) * row.linear(i) / (row.precision(i) + lam); });
    const double rise = total(row.count, [&](int64 i) { return row.toward(i) * row.toward(i) / (row.precision(i) + lam); });
    return ((1.0 - 2.0 * row.first) * (double)row.count - alone) / rise;
#else
    (void)lam;
    return row.first / 2.0;
#endif
}

__device__ inline void total_fields(const Row& row, real* fields) {
    const double lam = lambda_of(row, [&](double tried) {
        const double half = half_field(row, tried);
        return total(row.count, [&](int64 i) {
            const double precision = row.precision(i) + tried, mean = (row.linear(i) + half * row.toward(i)) / precision;
            return mean * mean + 1.0 / precision;
        }) - (double)row.count;
    });
    const double half = half_field(row, lam);
    for_range(0, row.count, [&](int64 i) {
        fields[i] = (real)(row.linear(i) + half * row.toward(i));
        fields[row.count + i] = (real)(row.precision(i) + lam);
    });
}

#endif

__device__ inline double mean_of(const real* fields, int64 count, int64 i) { return (double)fields[i] / (double)fields[count + i]; }
__device__ inline double variance_of(const real* fields, int64 count, int64 i) { return 1.0 / (double)fields[count + i]; }
constexpr int PARAMETERS = 2;

#else

#if defined(REPLICAS)

// A coupling that holds replicas and centre together to double precision.
constexpr double RIGID = 50.0;

// The field that `field` makes across a coupling.
__device__ inline double across(double field, double coupling) {
    return (log_cosh2(field + coupling) - log_cosh2(field - coupling)) / 2.0;
}

__device__ inline void total_fields(const Row& row, real* fields) {
    const double coupling = lesser(row.second, RIGID);
    for_range(0, row.count, [&](int64 i) {
        const double of_centre = (row.first - 1.0) * across(row.linear(i), coupling);
        fields[i] = (real)(row.linear(i) + across(of_centre, coupling));
    });
}

#else

// Half of the field toward the reference: where a distance is wanted by Newton's steps, halving the bracket where they leave it.
__device__ inline double half_field(const Row& row) {
#if defined(DISTANCE)
    // The search of priors.py.
    constexpr int SEARCH = 100;
    constexpr double CLOSE = 1e-13;
    const double overlap = 1.0 - 2.0 * row.first, count = (double)row.count;
    const double alone = (log1p(overlap) - log1p(-overlap)) / 2.0;
    double low = alone - largest(row.count, [&](int64 i) { return row.toward(i) * row.linear(i); });
    double high = alone + largest(row.count, [&](int64 i) { return -row.toward(i) * row.linear(i); });
    double x = alone - total(row.count, [&](int64 i) { return row.toward(i) * row.linear(i); }) / count;
    x = lesser(larger(x, low), high);
    for (int step = 0; step < SEARCH; ++step) {
        const double excess = total(row.count, [&](int64 i) { return tanh_of(row.toward(i) * row.linear(i) + x); }) / count - overlap;
        if (!(fabs(excess) > CLOSE)) break;
        low = excess < 0.0 ? x : low;
        high = excess > 0.0 ? x : high;
        const double slope = total(row.count, [&](int64 i) { return sech2_of(row.toward(i) * row.linear(i) + x); }) / count;
        const double next = x - excess / larger(slope, 1e-300);
        x = next > low && next < high ? next : (low + high) / 2.0;
    }
    return x;
#else
    return row.first / 2.0;
#endif
}

__device__ inline void total_fields(const Row& row, real* fields) {
    const double half = half_field(row);
    for_range(0, row.count, [&](int64 i) { fields[i] = (real)(row.linear(i) + half * row.toward(i)); });
}

#endif

__device__ inline double mean_of(const real* fields, int64, int64 i) { return tanh_of(fields[i]); }
__device__ inline double variance_of(const real* fields, int64, int64 i) { return sech2_of(fields[i]); }
constexpr int PARAMETERS = 1;

#endif

// The largest change of a row's means from `last`, for all lanes; NaN where one is.
template <class F> __device__ inline double change_of(int64 count, const real* last, F mean) {
    const double most = largest(count, [&](int64 i) { return fabs((double)(real)mean(i) - (double)last[i]); });
    const double lost = total(count, [&](int64 i) { return mean(i) - (double)last[i]; });
    return lost == lost ? most : lost;
}

// One item is a row: incoming (rows, [2,] count) becomes `undamped` and `kept` of what it was; fields shaped as it; mean, variance (rows,
// count); `stops` (rows, 2) follows how far the means move from `before`; first, second (rows).
extern "C" __global__ void marginals(int64 begin, int64 end, real* incoming, const real* undamped, double kept, const real* reference,
                                     const real* first, const real* second, const real* before, real* fields, real* mean, real* variance,
                                     double* stops, double tolerance, int64 iteration, int64 count) {
    const int64 size = PARAMETERS * count;
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        real *own = incoming + item * size, *total_of = fields + item * size;
        real *means = mean + item * count, *variances = variance + item * count;
        const real *wanted = undamped + item * size, *last = before + item * count, *toward = reference ? reference + item * count : own;
        const double one = first[item], two = second ? (double)second[item] : 0.0;
        const auto mean_now = [&](int64 i) { return mean_of(total_of, count, i); };
        const bool frozen = is_frozen(stops[2 * item], iteration);
        if (!frozen)
            for_range(0, size, [&](int64 i) { own[i] = (real)(wanted[i] + kept * ((double)own[i] - (double)wanted[i])); });
        lane_sync();
        total_fields({own, toward, one, two, count}, total_of);
        for_range(0, count, [&](int64 i) {
            means[i] = (real)mean_now(i);
            variances[i] = (real)variance_of(total_of, count, i);
        });
        if (frozen) continue;
        double residual = change_of(count, last, mean_now) / (1.0 - kept);
        const bool settled = residual <= tolerance;
        if (settled) {  // its fields are not needed further: those without damping take their place
            lane_sync();
            total_fields({wanted, toward, one, two, count}, total_of);
            residual = change_of(count, last, mean_now);
        }
        if (lane() == 0) {
            stops[2 * item] = settled || residual != residual ? (double)iteration : 0.0;
            stops[2 * item + 1] = residual;
        }
    }
}
