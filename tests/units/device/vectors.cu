// Every loop of kernels/vectors.cuh against plain ones, on random numbers: the program names what differs.
#include "chains.cuh"

#include <stdio.h>
#include <string.h>

static int failures = 0;
static uint64 state = 0x9E3779B97F4A7C15ull;

static void judged(bool same, const char* what, int n) {
    if (!same && failures++ < 20) printf("%s of %d\n", what, n);
}

// Random bits (xorshift64*, S. Vigna 2016).
static uint32 bits() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32)((state * 2685821657736338717ull) >> 32);
}

static int32 between(int32 low, int32 high) { return low + (int32)(bits() % (uint32)(high - low + 1)); }

#ifdef VECTORS

template <int N> static void chains_at_once() {
    enum { WORDS = 45 };
    uint32 rows[WORDS * N], inputs[WORDS * N], mixed[WORDS * N], one[WORDS];
    for (int i = 0; i < WORDS * N; ++i) rows[i] = bits(), inputs[i] = bits();
    for (uint32& word : one) word = bits() & bits();
    for (int own = 0; own < 2; ++own) {
        int32 counts[N], expected[N];
        for (int c = 0; c < N; ++c) {
            counts[c] = between(-5, 5);
            expected[c] = 0;
            for (int w = 0; w < WORDS; ++w) expected[c] += popcount(rows[N * w + c] & (own ? inputs[N * w + c] : one[w]));
        }
        shared_bits(counts, rows, own ? inputs : one, own, WORDS);
        judged(!memcmp(counts, expected, sizeof counts), "shared_bits", N);
    }

    uint32 from[N] = {~0u, ~0u << 3, ~0u << 5};
    mix_words<N>(mixed, rows, 20, from, 3, 15);
    bool same = true;
    for (int w = 0; w < 15; ++w)
        for (int c = 0; c < N; ++c) same = same && mixed[N * w + c] == rows[(c < 3 ? 0 : c < 5 ? 20 : 40) + w];
    judged(same, "mix_words", N);

    uint32 flags[N], word = 0, signs = bits(), which = bits();
    int32 out[N], positive[N], negative[N], added[N];
    for (int c = 0; c < N; ++c) {
        flags[c] = bits() & 1u;
        word |= flags[c] << c;
        positive[c] = between(-900, 900), negative[c] = between(-900, 900), added[c] = between(0, 400);
    }
    judged(packed(flags) == word, "packed", N);
    add_by_sign(out, signs, positive, negative, added);
    same = true;
    for (int c = 0; c < N; ++c)
        same = same && out[c] == ((signs >> c) & 1u ? positive[c] + added[c] : negative[c] - added[c]);
    judged(same, "add_by_sign", N);

    // Steps of a beta at which all differ from one another, of thresholds up to 2^31, which accepts all.
    uint32 low_row[101], high_row[101], words[N];
    for (int i = 0; i <= 100; ++i) {
        low_row[i] = i < 45 ? 1u << 31 : i < 70 ? (uint32)(100 - i) * 20000000u : 0;
        high_row[i] = i < 51 ? 1u << 31 : 0;
    }
    const Stairs low(low_row + 50, 50), high(high_row + 50, 50);
    judged(low.complete && high.complete, "Stairs", N);
    for (int c = 0; c < N; ++c) words[c] = bits(), out[c] = between(-50, 50);
    uint32 below = 0;
    for (int c = 0; c < N; ++c)
        below |= (words[c] >> 1 < ((which >> c) & 1u ? high_row : low_row)[50 + out[c]] ? 1u : 0u) << c;
    judged(below_stairs(words, out, which, low, high) == below, "below_stairs", N);

    uint64 walkers[N];
    for (uint64& walker : walkers) walker = bits() >> 1;
    uint32 random[4][N];
    philox_of(random, 0x123456789ABCDEFull, 6, 17, 5, walkers, 3);
    same = true;
    for (int c = 0; c < N; ++c) {
        const Words expected = philox(0x123456789ABCDEFull, 6, 17, 5, walkers[c] + 3);
        for (int j = 0; j < 4; ++j) same = same && random[j][c] == expected.word(j);
    }
    judged(same, "philox_of", N);
}

template <class T> static void fields(int count, int spread, bool smooth) {
    T f[96], moved[96];
    const uint32 inputs[3] = {bits(), bits(), bits()};
    for (int m = 0; m < 96; ++m) moved[m] = f[m] = (T)(2 * between(-spread, spread) + 1);
    const int step = bits() & 1u ? 2 : -2, crossing = 2 * between(-3, 3);
    Edges expected = {0, 0, 0};
    for (int m = 0; m < count && m < 32; ++m) {
        moved[m] += (T)((inputs[0] >> m) & 1u ? -step : step);
        expected.above |= (uint32)(moved[m] == crossing + 1) << m;
        expected.below |= (uint32)(moved[m] == crossing - 1) << m;
        expected.positive |= (uint32)(moved[m] > 0) << m;
    }
    const Edges edges = move_fields<true>(f, count, inputs[0], step, crossing);
    judged(edges.above == expected.above && edges.below == expected.below && edges.positive == expected.positive, "move_fields", count);
    judged(!memcmp(f, moved, sizeof f), "fields that are moved", count);

    // Slopes of 24 bits, of fields within and far beyond a window.
    enum { MIDDLE = 3001 };
    static int32 table[MIDDLE + 3];
    // Slopes of which neighbours share the upper bytes, from above 0 to below; or any.
    for (int32& slope : table) slope = smooth ? (int32)(1500000 - 1000 * (&slope - table)) + between(-900, 900) : between(-(1 << 22), 1 << 22);
    const Window window(table, MIDDLE + 1);
    int32 slopes[96], masks[96], looked_up[96];
    int64 all = 7, weighted = 9, all_expected = 7, weighted_expected = 9;
    for (int m = 0; m < 96; ++m) {
        masks[m] = -(int32)((inputs[m / 32] >> (m % 32)) & 1u);
        slopes[m] = looked_up[m] = -1;
        if (m >= 32 * ((count + 31) / 32)) continue;
        looked_up[m] = 0;
        if (m >= count) continue;
        moved[m] = (T)(f[m] + step - (masks[m] & 2 * step));
        looked_up[m] = table[(moved[m] + MIDDLE) / 2];
        all_expected += looked_up[m];
        weighted_expected += looked_up[m] & masks[m];
    }
    move_slopes(f, slopes, count, inputs, masks, step, table, MIDDLE, window, all, weighted);
    judged(!memcmp(slopes, looked_up, sizeof slopes), "slopes", count);
    judged(!memcmp(f, moved, sizeof f), "fields whose slopes are moved", count);
    judged(all == all_expected && weighted == weighted_expected, "sums of slopes", count);

    int64 sums[4] = {1, 2, 3, 4}, sums_expected[4] = {1, 2, 3, 4};
    int32 four[4 * 128];
    for (int32& slope : four) slope = between(-(1 << 22), 1 << 22);
    for (int r = 0; r < 4; ++r)
        for (int m = 0; m < 64; ++m) sums_expected[r] += four[128 * r + m] & masks[m];
    add_masked<4>(sums, four, 128, 64, masks);
    judged(!memcmp(sums, sums_expected, sizeof sums), "add_masked", 4);
}

#endif

int main() {
#ifdef VECTORS
    printf("%d\n", VECTORS);
    const int counts[] = {1, 2, 15, 31, 32, 33, 63, 64, 65, 96}, spreads[] = {5, 20, 60, 1400};
    for (int round = 0; round < 50; ++round) {
        chains_at_once<8>();
        chains_at_once<16>();
        chains_at_once<32>();
        for (int count : counts)
            for (int spread : spreads)
                for (int smooth = 0; smooth < 2; ++smooth) {
                    fields<int16>(count, spread, smooth);
                    fields<int32>(count, spread, smooth);
                }
    }
#else
    printf("0\n");
#endif
    return failures;
}
