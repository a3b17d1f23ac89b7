// Billiards on a sphere between flat walls: the twin of gpumc/volumes/billiards.py.
#include "constants.cuh"

// Walls that a lane looks at together, so that the host's compiler can use its vectors.
constexpr int SHARE = LANES == 1 ? 8 : 1;
constexpr int CHUNK = SHARE * LANES;

// One over the tangent of half the angle at which h cos + g sin falls to `wall`, not above 0 where it never does in half a turn.
__device__ inline double nearness(double h, double g, double wall) {
    const double above = h - wall;
    const double square = g * g + above * (h + wall);
    const double root = square_root(square > 0.0 ? square : 0.0);
    const double top = g > 0.0 ? h + wall : root - g;
    const double bottom = g > 0.0 ? root + g : (above > TOUCHING ? above : TOUCHING);
    const double value = top / bottom;
    return (square < 0.0) & (above > TOUCHING) ? 0.0 : value;
}

// A turn by an angle, and the part of a wall's normal that the heading loses after it.
struct Bounce {
    double cosine, sine, lost, at;
};

// The nearest of the walls that a lane has seen at each of its places, and where its chunk starts.
struct Nearest {
    double value[SHARE];
    double start[SHARE];
};

// COUNT walls from `first` on: their fields after the bounce, and how near they are.
template <int COUNT>
__device__ inline void walls_after(const Bounce& bounce, double* __restrict__ h, double* __restrict__ g,
                                   const double* __restrict__ row, const double* __restrict__ walls, int64 first,
                                   Nearest* __restrict__ nearest) {
    const double start = (double)first;
    for (int j = 0; j < COUNT; ++j) {
        const int64 i = first + j * LANES + lane();
        const double turned = bounce.cosine * h[i] + bounce.sine * g[i];
        const double ahead = bounce.cosine * g[i] - bounce.sine * h[i] - bounce.lost * (row[i] - bounce.at * turned);
        h[i] = turned;
        g[i] = ahead;
        const double value = nearness(turned, ahead, walls[i]);
        const bool nearer = value > nearest->value[j];
        nearest->value[j] = nearer ? value : nearest->value[j];
        nearest->start[j] = nearer ? start : nearest->start[j];
    }
}

// Together: the nearest wall after a bounce, the first of equals; -1 where none is met. `value` says how near.
__device__ inline int64 next_wall(const Bounce& bounce, double* __restrict__ h, double* __restrict__ g,
                                  const double* __restrict__ row, const double* __restrict__ walls, int64 patterns, double* value) {
    Nearest nearest;
    for (int j = 0; j < SHARE; ++j) {
        nearest.value[j] = 0.0;
        nearest.start[j] = 0.0;
    }
    int64 first = 0;
    for (; first + CHUNK <= patterns; first += CHUNK) walls_after<SHARE>(bounce, h, g, row, walls, first, &nearest);
    for (; first < patterns; first += LANES)
        if (first + lane() < patterns) walls_after<1>(bounce, h, g, row, walls, first, &nearest);
    double best = 0.0;
    for (int j = 0; j < SHARE; ++j) best = nearest.value[j] > best ? nearest.value[j] : best;
    *value = lane_largest(best);
    int64 left = 0;
    for (int j = 0; j < SHARE; ++j) {
        const int64 after = patterns - (int64)nearest.start[j] - j * LANES - lane();
        left = nearest.value[j] == *value && after > left ? after : left;
    }
    left = lane_largest(left);
    lane_sync();
    return *value > 0.0 ? patterns - left : -1;
}

// Together: `count` coordinates turned by an angle, and a normal taken out of the heading.
__device__ inline void coordinates_after(const Bounce& bounce, double* u, double* heading, const double* normal, int64 count) {
    for_range(0, count, [&](int64 i) {
        const double turned = bounce.cosine * u[i] + bounce.sine * heading[i];
        heading[i] = bounce.cosine * heading[i] - bounce.sine * u[i] - bounce.lost * (normal[i] - bounce.at * turned);
        u[i] = turned;
    });
}

// One path of the angle whose cosine and sine are given; the number of walls that it met, at most `most`.
__device__ inline int path(double* u, double* heading, double* h, double* g, const double* inputs, const double* gram,
                           const double* walls, double cosine, double sine, int64 weights, int64 patterns, int most) {
    Bounce bounce = {1.0, 0.0, 0.0, 0.0};
    double value;
    int64 wall = next_wall(bounce, h, g, gram, walls, patterns, &value);
    for (int met = 0; met < most; ++met) {
        if (wall < 0 || 1.0 + cosine >= value * sine) {
            bounce = {cosine, sine, 0.0, 0.0};
            coordinates_after(bounce, u, heading, inputs, weights);
            return met;
        }
        const double tangent = 1.0 / value;
        const double scale = 1.0 / (1.0 + tangent * tangent);
        bounce.cosine = (1.0 - tangent * tangent) * scale;
        bounce.sine = 2.0 * tangent * scale;
        const double left = cosine * bounce.cosine + sine * bounce.sine;
        sine = sine * bounce.cosine - cosine * bounce.sine;
        cosine = left;
        const double field = bounce.cosine * h[wall] + bounce.sine * g[wall];
        const double speed = bounce.cosine * g[wall] - bounce.sine * h[wall];
        const double* row = gram + wall * patterns;
        bounce.at = field / (double)weights;
        bounce.lost = speed < 0.0 ? 2.0 * speed / (row[wall] - field * bounce.at) : 0.0;
        const double* normal = inputs + wall * weights;
        lane_sync();
        wall = next_wall(bounce, h, g, row, walls, patterns, &value);
        coordinates_after(bounce, u, heading, normal, weights);
    }
    return most;
}

// One item is a particle: u, heading float64 (particles, weights), which are replaced, and their fields h, g (particles, patterns), which
// are used up; inputs (patterns, weights) and their products gram (patterns, patterns); walls (populations, patterns), `share` particles to
// each; cosine, sine of the path's angle and met int32 (particles).
extern "C" __global__ void billiards(int64 begin, int64 end, double* u, double* heading, double* h, double* g, int32* met,
                                     const double* inputs, const double* gram, const double* walls, const double* cosine,
                                     const double* sine, int64 share, int64 weights, int64 patterns, int32 most) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const int32 found =
            path(u + item * weights, heading + item * weights, h + item * patterns, g + item * patterns, inputs, gram,
                 walls + item / share * patterns, cosine[item], sine[item], weights, patterns, most);
        if (lane() == 0) met[item] = found;
    }
}
