// The slopes of beta times the cross-entropy by the preactivations of real weights: the twin of gpumc/sampling/spheres/loss_gradient.py.
#include "exponential.cuh"
#include "lanes.cuh"

// Patterns that are handled together, and those of one lane.
constexpr int CHUNK = 32;
constexpr int SHARE = CHUNK / LANES;

// A hidden unit's output, and its derivative, at the preactivation x.
__device__ inline double activated(double x, double slope, double* derivative) {
#if defined(TANH)
    const double value = 1.0 - 2.0 / (exponential(2.0 * slope * x) + 1.0);
    *derivative = slope * (1.0 - value * value);
    return value;
#elif defined(RELU)
    (void)slope;
    *derivative = x > 0.0 ? 1.0 : 0.0;
    return x > 0.0 ? x : 0.0;
#else
    (void)slope;
    *derivative = 1.0;
    return x;
#endif
}

// `count` patterns of one row from `fields` on, units `stride` apart, which slopes replace.
__device__ inline void slopes_of(double* fields, const double* labels, int count, int64 units, int64 stride, double scale,
                                 double slope, double beta, double gamma) {
    double output[SHARE];
    for (int j = 0; j < SHARE; ++j) output[j] = 0.0;
    for (int64 unit = 0; unit < units; ++unit) {
        double* own = fields + unit * stride;
#if defined(RELU)
        const double weight = 2 * unit < units ? scale : -scale;
#else
        const double weight = scale;
#endif
        for (int j = 0; j * LANES + lane() < count; ++j) {
            const int i = j * LANES + lane();
            double derivative;
            output[j] += weight * activated(own[i], slope, &derivative);
            own[i] = weight * derivative;
        }
    }
    for (int j = 0; j * LANES + lane() < count; ++j) {
        const double label = labels[j * LANES + lane()];
        output[j] = -beta * label / (1.0 + exponential(2.0 * gamma * label * output[j]));
    }
    for (int64 unit = 0; unit < units; ++unit)
        for (int j = 0; j * LANES + lane() < count; ++j) fields[unit * stride + j * LANES + lane()] *= output[j];
}

// One item is a row: fields float64 (units, rows, patterns), which slopes replace; labels (patterns); beta, gamma (rows).
extern "C" __global__ void slopes(int64 begin, int64 end, double* fields, const double* labels, const double* beta,
                                  const double* gamma, int64 units, int64 rows, int64 patterns, double scale, double slope) {
    for (int64 row = first_item(begin); row < end; row += item_stride())
        for (int64 first = 0; first < patterns; first += CHUNK)
            slopes_of(fields + row * patterns + first, labels + first, (int)smaller(CHUNK, patterns - first), units, rows * patterns,
                      scale, slope, beta[row], gamma[row]);
}
