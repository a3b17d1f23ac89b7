// Factor nodes of losses that depend on the votes of hidden signs: the twin of gpumc/messages/votes.py and gpumc/channels/counting.py.
#include "functions.cuh"
#include "real.cuh"

// The logarithm of a probability of 0.
constexpr double IMPOSSIBLE = -1e30;

// The factors of one row: losses (patterns, votes + 1), gains (units).
struct Factors {
    const real* losses;
    const int64* gains;
    double beta;
    int64 units, votes, patterns;

    __device__ int64 of_unit(int64 unit) const { return gains[unit] < 0 ? -gains[unit] : gains[unit]; }

    // log exp(-beta L), finite at any beta.
    __device__ double log_factor(int64 pattern, int64 count) const {
        const double loss = losses[pattern * (votes + 1) + count];
        return loss == 0.0 ? 0.0 : larger(-beta * loss, IMPOSSIBLE);
    }
};

// The numbers of one pattern among 32 that lie side by side: log P that a unit is positive, and that it is not; log Z given that; the
// distribution of the votes of those before each unit, and behind the last; and the mean of the likelihood given them.
struct Space {
    double* at;
    int64 units, votes;

    __device__ double& place(int64 number) const { return at[32 * number]; }
    __device__ double& log_p(int64 unit) const { return place(unit); }
    __device__ double& log_q(int64 unit) const { return place(units + unit); }
    __device__ double& up(int64 unit) const { return place(2 * units + unit); }
    __device__ double& down(int64 unit) const { return place(3 * units + unit); }
    __device__ double& before(int64 unit, int64 count) const { return place(4 * units + unit * (votes + 1) + count); }
    __device__ double& after(int64 count) const { return place(4 * units + (units + 1) * (votes + 1) + count); }
};

// The distributions of the votes before each unit, up to that before unit `last`.
__device__ inline void count_votes(const Factors& factors, const Space& space, int64 last) {
    space.before(0, 0) = 0.0;
    int64 most = 0;
    for (int64 unit = 0; unit < last; ++unit) {
        const bool turned = factors.gains[unit] < 0;
        const int64 own = factors.of_unit(unit);
        const double p = turned ? space.log_q(unit) : space.log_p(unit), q = turned ? space.log_p(unit) : space.log_q(unit);
        for (int64 count = 0; count <= most + own; ++count) {
            const double stay = count <= most ? space.before(unit, count) + q : IMPOSSIBLE;
            const double rise = count >= own ? space.before(unit, count - own) + p : IMPOSSIBLE;
            space.before(unit + 1, count) = log_add(stay, rise);
        }
        most += own;
    }
}

// log Z, and log Z given a unit's sign, of the probabilities in `space`, whose votes are counted.
__device__ inline double log_partition(const Factors& factors, const Space& space, int64 pattern) {
    for (int64 count = 0; count <= factors.votes; ++count) space.after(count) = factors.log_factor(pattern, count);
    int64 most = factors.votes;
    for (int64 unit = factors.units - 1; unit >= 0; --unit) {
        const bool turned = factors.gains[unit] < 0;
        const int64 own = factors.of_unit(unit);
        const double p = turned ? space.log_q(unit) : space.log_p(unit), q = turned ? space.log_p(unit) : space.log_q(unit);
        most -= own;
        double agreed = space.before(unit, 0) + space.after(own), opposed = space.before(unit, 0) + space.after(0);
        for (int64 count = 1; count <= most; ++count) {
            agreed = log_add(agreed, space.before(unit, count) + space.after(count + own));
            opposed = log_add(opposed, space.before(unit, count) + space.after(count));
        }
        space.up(unit) = turned ? opposed : agreed;
        space.down(unit) = turned ? agreed : opposed;
        for (int64 count = 0; count <= most; ++count)
            space.after(count) = log_add(space.after(count) + q, space.after(count + own) + p);
    }
    return space.after(0);
}

// The mean loss of a pattern.
__device__ inline double mean_loss(const Factors& factors, const Space& space, int64 pattern) {
    double top = space.before(factors.units, 0) + factors.log_factor(pattern, 0);
    for (int64 count = 1; count <= factors.votes; ++count)
        top = log_add(top, space.before(factors.units, count) + factors.log_factor(pattern, count));
    double loss = 0.0;
    for (int64 count = 0; count <= factors.votes; ++count)
        loss += exp(space.before(factors.units, count) + factors.log_factor(pattern, count) - top) *
                (double)factors.losses[pattern * (factors.votes + 1) + count];
    return loss;
}

// Items are 32 patterns of a row. f(factors, space, row, pattern) for each of them.
template <class F>
__device__ inline void for_patterns(int64 begin, int64 end, const real* losses, const real* beta, const int64* gains, unsigned char* workspace,
                                    int64 size, int64 units, int64 votes, int64 patterns, F f) {
    const int64 parts = (patterns + 31) / 32;
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const int64 row = item / parts, base = 32 * (item % parts);
        double* space = (double*)own_space(workspace, item, size);
        const Factors factors = {losses + row * patterns * (votes + 1), gains, beta[row], units, votes, patterns};
        for_lanes(base, patterns, [&](int64 pattern) { f(factors, Space{space + (pattern - base), units, votes}, row, pattern); });
    }
}

// Gaussian fields: mean (rows, units, patterns), variance shaped as it or, where `each` is 0, (rows, units). log Z (rows, patterns), its
// slope and curvature by each mean.
extern "C" __global__ void gaussian(int64 begin, int64 end, const real* mean, const real* variance, const real* losses, const real* beta,
                                    const int64* gains, unsigned char* workspace, real* log_z, real* slope, real* curvature, int64 size,
                                    int64 units, int64 votes, int64 patterns, int64 each) {
    for_patterns(begin, end, losses, beta, gains, workspace, size, units, votes, patterns,
                 [&](const Factors& factors, const Space& space, int64 row, int64 pattern) {
        for (int64 unit = 0; unit < units; ++unit) {
            const int64 at = (row * units + unit) * patterns + pattern;
            const double spread = sqrt((double)variance[each ? at : row * units + unit]);
            log_normal(mean[at] / spread, &space.log_p(unit), &space.log_q(unit));
        }
        count_votes(factors, space, units - 1);
        log_z[row * patterns + pattern] = (real)log_partition(factors, space, pattern);
        for (int64 unit = 0; unit < units; ++unit) {
            const int64 at = (row * units + unit) * patterns + pattern;
            const double of_field = variance[each ? at : row * units + unit], spread = sqrt(of_field), x = mean[at] / spread;
            const double gain = space.up(unit) - space.down(unit);
            const double all = log_add(space.log_p(unit) + lesser(gain, 0.0), space.log_q(unit) - larger(gain, 0.0));
            const double log_size = log(-expm1(-fabs(gain))) - 0.5 * (x * x + 1.8378770664093453) - all;
            const double sign = gain > 0.0 ? 1.0 : gain < 0.0 ? -1.0 : gain;
            const double found = sign * exp(log_size) / spread;
            slope[at] = (real)found;
            curvature[at] = (real)(-found * (mean[at] / of_field + found));
        }
    });
}

// Given distributions of the number of positive products: log_counts (rows, units, patterns, fan_in + 1), which the log likelihood of each
// number replaces in `log_factor`; log Z and the mean loss (rows, patterns).
extern "C" __global__ void counted(int64 begin, int64 end, const real* log_counts, const real* losses, const real* beta,
                                   const int64* gains, unsigned char* workspace, real* log_z, real* log_factor, real* loss, int64 size,
                                   int64 units, int64 votes, int64 patterns, int64 fan_in) {
    for_patterns(begin, end, losses, beta, gains, workspace, size, units, votes, patterns,
                 [&](const Factors& factors, const Space& space, int64 row, int64 pattern) {
        const int64 half = (fan_in + 1) / 2;
        for (int64 unit = 0; unit < units; ++unit) {
            const real* own = log_counts + ((row * units + unit) * patterns + pattern) * (fan_in + 1);
            double q = own[0], p = own[half];
            for (int64 count = 1; count < half; ++count) q = log_add(q, own[count]);
            for (int64 count = half + 1; count <= fan_in; ++count) p = log_add(p, own[count]);
            space.log_p(unit) = p;
            space.log_q(unit) = q;
        }
        count_votes(factors, space, units);
        loss[row * patterns + pattern] = (real)mean_loss(factors, space, pattern);
        log_z[row * patterns + pattern] = (real)log_partition(factors, space, pattern);
        for (int64 unit = 0; unit < units; ++unit) {
            real* own = log_factor + ((row * units + unit) * patterns + pattern) * (fan_in + 1);
            for (int64 count = 0; count <= fan_in; ++count) own[count] = (real)(2 * count > fan_in ? space.up(unit) : space.down(unit));
        }
    });
}

// Gaussian fields, as `gaussian` has them: log Z given that a unit is positive, and that it is not, (rows, units, patterns).
extern "C" __global__ void likelihoods(int64 begin, int64 end, const real* mean, const real* variance, const real* losses,
                                       const real* beta, const int64* gains, unsigned char* workspace, real* up, real* down, int64 size,
                                       int64 units, int64 votes, int64 patterns, int64 each) {
    for_patterns(begin, end, losses, beta, gains, workspace, size, units, votes, patterns,
                 [&](const Factors& factors, const Space& space, int64 row, int64 pattern) {
        for (int64 unit = 0; unit < units; ++unit) {
            const int64 at = (row * units + unit) * patterns + pattern;
            log_normal(mean[at] / sqrt((double)variance[each ? at : row * units + unit]), &space.log_p(unit), &space.log_q(unit));
        }
        count_votes(factors, space, units - 1);
        log_partition(factors, space, pattern);
        for (int64 unit = 0; unit < units; ++unit) {
            const int64 at = (row * units + unit) * patterns + pattern;
            up[at] = (real)space.up(unit);
            down[at] = (real)space.down(unit);
        }
    });
}

// One item is 32 numbers: half of log Z's gain where one input's product goes from -1 to +1, given mean and variance of the field without
// it, all (..., fan_in), and log Z given the sign of the field, (...).
extern "C" __global__ void push(int64 begin, int64 end, const real* mean, const real* variance, const real* up, const real* down,
                                real* messages, int64 fan_in, int64 count) {
    for (int64 item = first_item(begin); item < end; item += item_stride())
        for_lanes(32 * item, count, [&](int64 i) {
            const double spread = sqrt((double)variance[i]), of_positive = up[i / fan_in], of_negative = down[i / fan_in];
            double log_p, log_q;
            log_normal((mean[i] + 1.0) / spread, &log_p, &log_q);
            const double raised = log_add(log_p + of_positive, log_q + of_negative);
            log_normal((mean[i] - 1.0) / spread, &log_p, &log_q);
            messages[i] = (real)((raised - log_add(log_p + of_positive, log_q + of_negative)) / 2.0);
        });
}
