// What a flip would cost where every pattern feels it: a loss of the perceptron's field (gpumc/sampling/flip_costs.py, Differences).
#pragma once
#include "chains.cuh"
#include "masks.cuh"

typedef int64 change_t;

#ifndef VECTORS
// Slopes are at most 2^22: so many can be summed in 32 bits.
constexpr int64 FITTING = 256;
#endif

// What the chains of an item share: on some processors, a part of the table of each grid point that they have.
struct Shared {
#ifdef VECTORS
    const Sizes& s;
    const Chains& chains;
    Window* windows;

    static int64 bytes(const Sizes& s) { return smaller(s.grid, CHAINS) * (int64)sizeof(Window); }

    Shared(const Sizes& s, const Chains& chains, const int32* table, unsigned char* space) : s(s), chains(chains), windows((Window*)space) {
        for (int c = 0; c < chains.live; ++c)
            if (c == 0 || chains.grid[c] != chains.grid[c - 1])
                windows[place(c)] = Window(table + chains.grid[c] * s.readouts, (int32)s.readouts);
    }

    const Window& window(int c) const { return windows[place(c)]; }

    // Grid points follow one another, and after the last comes the first of the next instance.
    int64 place(int c) const {
        const int64 beyond = chains.grid[c] - chains.grid[0];
        return beyond < 0 ? beyond + s.grid : beyond;
    }
#else
    __device__ static int64 bytes(const Sizes&) { return 0; }
    __device__ Shared(const Sizes&, const Chains&, const int32*, unsigned char*) {}
#endif
};

// The caches of one replica of each chain: int64 `down` and `up` (CHAINS), and int32 slopes (CHAINS, patterns to the end of the last word).
struct Slopes {
    const Sizes& s;
    const Chains& chains;
    const Shared& shared;
    const int64* upward;   // (grid, readouts): what the field's going up by 2 adds
    const int32* table;    // (grid, readouts): what its going down adds beyond that
    field_t* fields;
    int64 apart;
    int64 *down, *up;
    int32* slope;

    __device__ static int64 bytes(const Sizes& s) { return CHAINS * (16 + 4 * 32 * s.pattern_words); }

    __device__ Slopes(const Sizes& s, const Chains& chains, const Shared& shared, const int8*, const int32*, const int64* upward, const int32* table, field_t* fields,
                      unsigned char* space)
        : s(s), chains(chains), shared(shared), upward(upward), table(table), fields(fields), apart(s.replicas * s.patterns) {
        down = (int64*)space;
        up = down + CHAINS;
        slope = (int32*)(up + CHAINS);
    }

    __device__ void prepare() {
        for (int c = 0; c < CHAINS; ++c) {
            const bool live = c < chains.live;
            const int64 row = live ? chains.grid_of(c) * s.readouts : 0;
            const field_t* f = fields + c * apart;
            int32* own = slopes_of(c);
            int64 all = 0, upwards = 0;
            for_range(0, row_length(), [&](int64 m) {
                const bool known = live && m < s.patterns;
                const int64 place = known ? row + (f[m] + s.inputs) / 2 : 0;
                own[m] = known ? table[place] : 0;
                all += own[m];
                upwards += known ? upward[place] : 0;
            });
            follow(c, lane_sum(upwards), lane_sum(all));
        }
        lane_sync();
    }

    // Together: the energy change of each chain's flipping a weight, its `signs` being bits.
    __device__ void change(change_t (&out)[OWN], int64, uint32 signs, const Masks& inputs) const {
        int64 weighted[OWN] = {};
        for (int64 first = 0; first < row_length(); first += FITTING)
            add(weighted, first, smaller(FITTING, row_length() - first), inputs);
        for_own([&](int j) { out[j] = bit(signs, j) ? up[chain_of(j)] + weighted[j] : down[chain_of(j)] - weighted[j]; });
    }

    // Together: add the slopes of `count` patterns from `first` on whose input is 1.
    __device__ void add(int64 (&weighted)[OWN], int64 first, int64 count, const Masks& inputs) const {
#ifdef VECTORS
        for (int c = 0; c < chains.live;) {
            // Four rows at a time, where they have the same inputs.
            const bool four = c + 4 <= chains.live && chains.instance[c] == chains.instance[c + 3];
            const int32 *rows = slopes_of(c) + first, *masks = inputs.of(c).masks + first;
            if (four)
                add_masked<4>(weighted + c, rows, row_length(), count, masks);
            else
                add_masked<1>(weighted + c, rows, 0, count, masks);
            c += four ? 4 : 1;
        }
#else
        for (int c = 0; c < smaller(chains.live, OWN); ++c) {
            const Site site = inputs.of(chain_of(c));
            const int32* own = slopes_of(chain_of(c)) + first;
            int32 sum = 0;
            for_range(0, count, [&](int64 m) { sum += own[m] & site.at(first + m); });
            weighted[c] += lane_sum(sum);
        }
#endif
    }

    // The slopes of chain c.
    __device__ int32* slopes_of(int c) const { return slope + c * row_length(); }

    // Together: follow the flip of chain c's weight that had `sign` and gained `change`.
    __device__ void flip(int c, int64, int sign, const Masks& masks, int64 change) {
        const Site inputs = masks.of(c);
        int64 all = 0, weighted = 0;
        for (int64 first = 0; first < s.patterns; first += FITTING)
            move(c, first, smaller(FITTING, s.patterns - first), 2 * sign, inputs, all, weighted);
        // Flipping back would change the energy by -change.
        follow(c, sign > 0 ? weighted - all - change : -weighted - change, all);
        lane_sync();
    }

    // Together: add `step` to the fields of `count` patterns from `first` on whose bit of `inputs` is 0, take it from the others. Their
    // slopes are added to `all`, and to `weighted` where the bit is 1.
    __device__ void move(int c, int64 first, int64 count, int step, const Site& inputs, int64& all, int64& weighted) {
        field_t* f = fields + c * apart + first;
        int32* own = slopes_of(c) + first;
        const int32* row = table + chains.grid_of(c) * s.readouts;
        const int32 middle = (int32)s.inputs;
#ifdef VECTORS
        move_slopes(f, own, count, inputs.words + first / 32, inputs.masks + first, step, row, middle, shared.window(c), all, weighted);
#else
        int32 sum = 0, sum_of_inputs = 0;
        for_range(0, count, [&](int64 m) {
            const int32 input = inputs.at(first + m), moved = f[m] + step - (input & 2 * step);
            const int32 value = row[(moved + middle) >> 1];
            f[m] = (field_t)moved;
            own[m] = value;
            sum += value;
            sum_of_inputs += value & input;
        });
        all += lane_sum(sum);
        weighted += lane_sum(sum_of_inputs);
#endif
    }

    // `up` of chain c, and `down`, which is `all` slopes more.
    __device__ void follow(int c, int64 upwards, int64 all) {
        if (lane() != 0) return;
        up[c] = upwards;
        down[c] = upwards + all;
    }

    __device__ int64 row_length() const { return 32 * s.pattern_words; }
};
