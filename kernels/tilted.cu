// Averages of exp(-beta f) over Gaussian stabilities by a trapezoid around the mode, f being the cross-entropy of a factor's patterns: the
// twin of gpumc/channels/quadrature.py.
#include "functions.cuh"
#include "real.cuh"

constexpr double TRAPEZOID_REACH = 7.0, MODE_ERROR = 0.125, NODES_PER_DEVIATION = 1.2, NODES_PER_WIDTH = 1.25;

// `right` f(x) + `opposite` f(-x), f(x) = log(1 + exp(-2 gamma x)) / (2 gamma).
struct Loss {
    double gamma, right, opposite;

    __device__ double value(double x) const {
        const double y = 2.0 * gamma * x, shared = log1p(exp(-fabs(y))) / (2.0 * gamma);
        return right * (shared + larger(-x, 0.0)) + opposite * (shared + larger(x, 0.0));
    }
    __device__ double slope(double x) const {
        const double y = 2.0 * gamma * x, decay = exp(-fabs(y)), less = decay / (1.0 + decay), more = 1.0 / (1.0 + decay);
        return y > 0.0 ? opposite * more - right * less : opposite * less - right * more;
    }
    __device__ double sweep() const { return right + opposite; }
};

// Near the z where the integrand is largest.
__device__ inline double mode_of(const Loss& loss, double beta, double mean, double spread, double widest) {
    const double pull = -beta * spread, start = pull * loss.slope(mean);
    double low = lesser(start, 0.0), high = larger(start, 0.0);
    for (double width = larger(1.0, beta * loss.sweep() * widest) / MODE_ERROR; width > 2.0; width /= 2.0) {
        const double middle = (low + high) / 2.0;
        const bool beyond = middle > pull * loss.slope(mean + spread * middle);
        low = beyond ? low : middle;
        high = beyond ? middle : high;
    }
    return (low + high) / 2.0;
}

// Nodes to either side of the mode, of spreads up to `widest`.
__device__ inline int64 half_of(const Loss& loss, double beta, double widest, double rule) {
    const double widths = widest / (1.0 / (2.0 * loss.gamma));
    const double per_deviation = NODES_PER_DEVIATION * sqrt(1.0 + beta * loss.sweep() * widest * widths / 4.0);
    const double wanted = TRAPEZOID_REACH * rule * larger(per_deviation, NODES_PER_WIDTH * widths);
    const int64 whole = (int64)wanted;
    return (double)whole < wanted ? whole + 1 : whole;
}

// One item is 32 fields of mean (rows, patterns, width) and a variance, shaped as it or, where `each` is 0, (rows); a stability is `scale`
// times a field. beta, gamma (rows); counts (2, rows, patterns). log Z, its first two derivatives by the mean field, and the mean of f.
extern "C" __global__ void tilted(int64 begin, int64 end, const real* mean, const real* variance, const real* beta, const double* gamma,
                                  const real* counts, real* log_z, real* slope, real* curvature, real* energy, double scale, double widest,
                                  double rule, int64 rows, int64 patterns, int64 width, int64 each) {
    for (int64 item = first_item(begin); item < end; item += item_stride())
        for_lanes(32 * item, rows * patterns * width, [&](int64 i) {
            const int64 node = i / width, row = node / patterns;
            const Loss loss = {gamma[row], counts[node], counts[rows * patterns + node]};
            const double centre = mean[i] * scale, spread = sqrt((double)variance[each ? i : row]) * scale, b = beta[row];
            const int64 half = half_of(loss, b, widest, rule);
            const double mode = mode_of(loss, b, centre, spread, widest), top = -b * loss.value(centre + spread * mode) - mode * mode / 2.0;
            double all = 0.0, first = 0.0, second = 0.0, cost = 0.0;
            for (int64 j = 0; j <= 2 * half; ++j) {
                const double away = -TRAPEZOID_REACH + (double)j * (TRAPEZOID_REACH / (double)half), z = mode + away;
                const double f = loss.value(centre + spread * z), weight = exp(-b * f - z * z / 2.0 - top);
                all += weight;
                first += weight * away;
                second += weight * away * away;
                cost += weight * f;
            }
            first /= all;
            const double by_mean = (mode + first) / spread, spread_of_z = second / all - first * first;
            log_z[i] = (real)(top + log(all * (TRAPEZOID_REACH / (double)half)) - 0.9189385332046728);
            slope[i] = (real)(by_mean * scale);
            curvature[i] = (real)((spread_of_z - 1.0) / (spread * spread) * (scale * scale));
            energy[i] = (real)(cost / all);
        });
}
