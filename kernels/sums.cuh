// What a flip would cost where the readout is a weighted sum of signs or ReLU units (gpumc/sampling/flip_costs.py, Sums): readouts follow,
// losses are looked up.
#pragma once
#include "chains.cuh"
#include "machine.cuh"
#include "masks.cuh"

typedef int64 change_t;

// What the chains of an item share.
struct Shared {
    __device__ static int64 bytes(const Sizes&) { return 0; }
    __device__ Shared(const Sizes&, const Chains&, const int32*, unsigned char*) {}
};

// Of one replica of each chain, the readouts int32 (CHAINS, patterns to the end of the last word).
struct Slopes {
    const Sizes& s;
    const Chains& chains;
    const int8* labels;   // (instance, patterns)
    const int32* gains;   // what a unit's value adds to the readout
    const int32* losses;  // (grid, readouts)
    field_t* fields;      // of the first chain; the next one's are `apart` further
    int64 apart;
    int32* readout;

    __device__ static int64 bytes(const Sizes& s) { return CHAINS * 4 * 32 * s.pattern_words; }

    __device__ Slopes(const Sizes& s, const Chains& chains, const Shared&, const int8* labels, const int32* gains, const int64*,
                      const int32* losses, field_t* fields, unsigned char* space)
        : s(s), chains(chains), labels(labels), gains(gains), losses(losses), fields(fields),
          apart(s.replicas * s.units * s.patterns), readout((int32*)space) {}

    __device__ void prepare() {
        for (int c = 0; c < chains.live; ++c)
            for_range(0, s.patterns, [&](int64 m) {
                int32 sum = 0;
                for (int64 unit = 0; unit < s.units; ++unit) sum += gain(c, unit, m) * value_of(fields_of(c, unit)[m]);
                readouts(c)[m] = sum;
            });
        lane_sync();
    }

    // Together: the energy change of each chain's flipping a weight of `unit`, its `signs` being bits.
    __device__ void change(change_t (&out)[OWN], int64 unit, uint32 signs, const Masks& inputs) const {
        for_own([&](int j) {
            const int c = chain_of(j);
            int64 sum = 0;
            if (c < chains.live) {
                const int32* row = losses + chains.grid[j] * s.readouts;
                const field_t* f = fields_of(c, unit);
                const Site site = inputs.of(c);
                const int32 *own = readouts(c), step = bit(signs, j) ? 2 : -2, middle = (int32)s.readouts - 1;
                for_range(0, s.patterns, [&](int64 m) {
                    const int32 moved = own[m] + gain(c, unit, m) * (value_of(stepped(f[m], site.at(m), step)) - value_of(f[m]));
                    sum += row[(moved + middle) >> 1] - row[(own[m] + middle) >> 1];
                });
            }
            out[j] = lane_sum(sum);
        });
    }

    // Together: follow the flip of chain c's weight of `unit` that had `sign`.
    __device__ void flip(int c, int64 unit, int sign, const Masks& inputs, change_t) {
        field_t* f = fields_of(c, unit);
        const Site site = inputs.of(c);
        for_range(0, s.patterns, [&](int64 m) {
            const int32 moved = stepped(f[m], site.at(m), 2 * sign);
            readouts(c)[m] += gain(c, unit, m) * (value_of(moved) - value_of(f[m]));
            f[m] = (field_t)moved;
        });
        lane_sync();
    }

    // The field with `step` added where the mask is 0, and taken from it where all its bits are set.
    __device__ static int32 stepped(int32 field, int32 mask, int32 step) { return field + step - (mask & 2 * step); }

    // What a unit's value adds to the readout, with the pattern's label.
    __device__ int32 gain(int c, int64 unit, int64 m) const { return gains[unit] * labels[chains.instance_of(c) * s.patterns + m]; }

    __device__ field_t* fields_of(int c, int64 unit) const { return fields + c * apart + unit * s.patterns; }

    __device__ int32* readouts(int c) const { return readout + c * 32 * s.pattern_words; }
};
