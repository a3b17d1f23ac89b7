// Moves of real weights on spheres: the twins of gpumc/sampling/spheres/geometry.py and of `traced_pull` in target.py beside it.
#include "functions.cuh"
#include "totals.cuh"

// Orders beyond its own at which a Bessel function is expanded.
constexpr int BEYOND = 30;

// One item is a unit of a row: x, v and what they become (rows, units, fan_in); time (rows).
extern "C" __global__ void geodesic(int64 begin, int64 end, const double* x, const double* v, const double* time, double* new_x,
                                    double* new_v, int64 units, int64 fan_in) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const double *from = x + item * fan_in, *heading = v + item * fan_in;
        double *to = new_x + item * fan_in, *turned = new_v + item * fan_in;
        const double rate = sqrt(total(fan_in, [&](int64 i) { return heading[i] * heading[i]; })) / sqrt((double)fan_in);
        const double angle = rate * time[item / units];
        const double ahead = cos(angle), aside = sin(angle);
        const double along = aside / rate, back = rate * aside;
        for_range(0, fan_in, [&](int64 i) {
            to[i] = from[i] * ahead + heading[i] * along;
            turned[i] = heading[i] * ahead - from[i] * back;
        });
    }
}

// One item is a unit of a row: `kicked` is v less time (rows) times the part of `force` that is tangent at x, all (rows, units, fan_in).
extern "C" __global__ void kick(int64 begin, int64 end, const double* x, const double* v, const double* force, const double* time,
                                double* kicked, int64 units, int64 fan_in) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const double *at = x + item * fan_in, *before = v + item * fan_in, *pull = force + item * fan_in;
        double* after = kicked + item * fan_in;
        const double across = total(fan_in, [&](int64 i) { return at[i] * pull[i]; }) / (double)fan_in;
        const double step = time[item / units];
        for_range(0, fan_in, [&](int64 i) { after[i] = before[i] - step * (pull[i] - at[i] * across); });
    }
}

// log[Gamma(nu + 1) (2 / kappa)^nu I_nu(kappa)] by Debye's expansion.
__device__ inline double log_scaled(double nu, double kappa) {
    const double root = sqrt(nu * nu + kappa * kappa);
    const double t = nu / root, t2 = t * t, t3 = t * t2;
    const double u1 = (3.0 * t - 5.0 * t3) / 24.0;
    const double u2 = t2 * (81.0 - 462.0 * t2 + 385.0 * t2 * t2) / 1152.0;
    const double u3 = t3 * (30375.0 - 369603.0 * t2 + 765765.0 * t2 * t2 - 425425.0 * t2 * t2 * t2) / 414720.0;
    const double series = log1p(u1 / nu + u2 / (nu * nu) + u3 / (nu * nu * nu));
    const double stirling = 1.0 / (12.0 * nu) - 1.0 / (360.0 * nu * nu * nu) + 1.0 / (1260.0 * nu * nu * nu * nu * nu);
    const double rise = kappa * kappa / (root + nu);
    return rise - nu * log1p(rise / (2.0 * nu)) - 0.5 * log(root / nu) + series + stirling;
}

// log of the mean of exp(kappa cos) over the unit sphere, and its derivative.
__device__ inline double log_mean_exp(double kappa, double dimension, double* slope) {
    const double top = dimension / 2.0 - 1.0 + BEYOND;
    kappa = larger(kappa, 1e-12);
    double log_i = log_scaled(top, kappa);
    double ratio = exp(log_scaled(top + 1.0, kappa) - log_i) * kappa / (2.0 * (top + 1.0));
    for (int order = 0; order < BEYOND; ++order) {
        const double m = top - order;
        ratio = 1.0 / (ratio + 2.0 * m / kappa);
        log_i -= log(ratio * 2.0 * m / kappa);
    }
    *slope = ratio;
    return log_i;
}

// One item is a unit of a chain, the centre being integrated out: x (chains, replicas, units, fan_in), coupling (chains); the log weight,
// (chains, units), and its gradient by any replica's weights, (chains, units, fan_in).
extern "C" __global__ void traced(int64 begin, int64 end, const double* x, const double* coupling, double* value, double* gradient,
                                  int64 replicas, int64 units, int64 fan_in) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const int64 chain = item / units, stride = units * fan_in;
        const double* first = x + chain * replicas * stride + item % units * fan_in;
        double* sum = gradient + item * fan_in;
        for_range(0, fan_in, [&](int64 i) {
            double of_all = 0.0;
            for (int64 replica = 0; replica < replicas; ++replica) of_all += first[replica * stride + i];
            sum[i] = of_all;
        });
        const double length = larger(sqrt(total(fan_in, [&](int64 i) { return sum[i] * sum[i]; })), 1e-300);
        const double scale = coupling[chain] * sqrt((double)fan_in);
        double slope;
        const double log_mean = log_mean_exp(scale * length, (double)fan_in, &slope);
        if (lane() == 0) value[item] = log_mean;
        const double strength = scale * slope / length;
        for_range(0, fan_in, [&](int64 i) { sum[i] *= strength; });
    }
}
