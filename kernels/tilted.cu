// Averages of exp(-beta f) over Gaussian stabilities by a trapezoid around the mode, f being the cross-entropy of a factor's patterns: the
// twin of gpumc/channels/quadrature.py.
#include "functions.cuh"
#include "real.cuh"

// Nodes that are handled together, in vector instructions of the host.
constexpr int TOGETHER = LANES == 1 ? 8 : 1;
constexpr double TRAPEZOID_REACH = 7.0, MODE_ERROR = 0.125, NODES_PER_DEVIATION = 1.2, NODES_PER_WIDTH = 1.25;

// `right` f(x) + `opposite` f(-x), f(x) = log(1 + exp(-2 gamma x)) / (2 gamma).
struct Loss {
    double gamma, right, opposite;

    __device__ double value(double x) const {
        const double y = 2.0 * gamma * x, shared = quick_log1p(exponential(-fabs(y))) / (2.0 * gamma);
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
            const double step = TRAPEZOID_REACH / (double)half;
            double part[4][TOGETHER] = {};
            for (int64 base = 0; base <= 2 * half; base += TOGETHER)
                for (int j = 0; j < TOGETHER; ++j) {
                    const double number = (double)(base + j), away = number * step - TRAPEZOID_REACH, z = mode + away;
                    const double f = loss.value(centre + spread * z), size = exponential(-b * f - z * z / 2.0 - top);
                    const double weight = base + j <= 2 * half ? size : 0.0;
                    part[0][j] += weight;
                    part[1][j] += weight * away;
                    part[2][j] += weight * away * away;
                    part[3][j] += weight * f;
                }
            for (int j = 1; j < TOGETHER; ++j)
                for (int k = 0; k < 4; ++k) part[k][0] += part[k][j];
            const double all = part[0][0], first = part[1][0] / all, second = part[2][0], cost = part[3][0];
            const double by_mean = (mode + first) / spread, spread_of_z = second / all - first * first;
            log_z[i] = (real)(top + log(all * step) - 0.9189385332046728);
            slope[i] = (real)(by_mean * scale);
            curvature[i] = (real)((spread_of_z - 1.0) / (spread * spread) * (scale * scale));
            energy[i] = (real)(cost / all);
        });
}
