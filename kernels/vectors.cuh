// The innermost loops in a processor's vectors; the plain loops beside them are what they do.
#pragma once
#include "instructions.cuh"
#include "philox.cuh"

// The patterns of a word whose field is 1 above a crossing, 1 below it, and positive.
struct Edges {
    uint32 above, below, positive;
};

#ifdef VECTORS

// The vectors in which N numbers of 32 bits are handled.
template <int N> using Over = Vectors<(4 * N < VECTORS ? 4 * N : VECTORS)>;
typedef Vectors<VECTORS> Widest;

// counts[c] = the bits that rows[w][c] and inputs[w], or inputs[w][c] where they are `own`, share, over `words` rows of N.
template <int N> inline void shared_bits(int32 (&counts)[N], const uint32* rows, const uint32* inputs, bool own, int64 words) {
    typedef Over<N> V;
    constexpr int PARTS = N / V::LANES;
    typename V::Words counted[PARTS] = {};
    for (int64 first = 0; first < words; first += V::Counter::MOST) {
        typename V::Counter sums[PARTS];
        const int64 last = smaller(words, first + V::Counter::MOST);
        if (own)
#pragma GCC unroll 4
            for (int64 w = first; w < last; ++w)
                for (int p = 0; p < PARTS; ++p)
                    sums[p].add(V::load(rows + N * w + p * V::LANES) & V::load(inputs + N * w + p * V::LANES));
        else
#pragma GCC unroll 4
            for (int64 w = first; w < last; ++w)
                for (int p = 0; p < PARTS; ++p) sums[p].add(V::load(rows + N * w + p * V::LANES) & V::all((int32)inputs[w]));
        for (int p = 0; p < PARTS; ++p) counted[p] += sums[p].counts();
    }
    for (int p = 0; p < PARTS; ++p) V::store(counts + p * V::LANES, counted[p]);
}

// All 0, by stores: the string instruction that compilers make of a loop takes longer.
template <int N> inline void clear(int32 (&out)[N]) {
    for (int j = 0; j < N; j += Over<N>::LANES) Over<N>::store(out + j, Over<N>::all(0));
}

// out[j] = positive[j] + added[j] where bit j of `signs` is set, else negative[j] - added[j].
template <int N>
inline void add_by_sign(int32 (&out)[N], uint32 signs, const int32* positive, const int32* negative, const int32 (&added)[N]) {
    typedef Over<N> V;
    for (int j = 0; j < N; j += V::LANES) {
        const typename V::Words more = V::load(added + j);
        V::store(out + j, V::chosen(signs >> j, V::load(positive + j) + more, V::load(negative + j) - more));
    }
}

// mixed[w][c] = rows[k * apart + w], over `words` rows of N, for the last k < count with the bit of chain c in from[k].
template <int N>
inline void mix_words(uint32* mixed, const uint32* rows, int64 apart, const uint32 (&from)[N], int count, int64 words) {
    typedef Over<N> V;
    for (int64 w = 0; w < words; ++w)
        for (int c = 0; c < N; c += V::LANES) {
            typename V::Words v = V::all((int32)rows[w]);
            for (int k = 1; k < count; ++k) v = V::chosen(from[k] >> c, V::all((int32)rows[k * apart + w]), v);
            V::store(mixed + N * w + c, v);
        }
}

// The word whose bit j is flags[j], 0 or 1.
template <int N> inline uint32 packed(const uint32 (&flags)[N]) {
    typedef Over<N> V;
    uint32 word = 0;
    for (int j = 0; j < N; j += V::LANES) word |= V::above(V::load(flags + j), V::all(0)) << j;
    return word;
}

// Thresholds of neighbouring changes, for look-ups that stay in registers: all that differ, where those are few.
struct Stairs {
    uint32 step[32];
    int32 first;   // the change of the first
    bool complete;

    Stairs() : complete(false) {}

    // Of a row of thresholds that never rise, at changes -largest .. largest, `middle` pointing to no change.
    Stairs(const uint32* middle, int32 largest) : first(-largest) {
        while (first < largest && middle[first + 1] == middle[-largest]) ++first;
        for (int i = 0; i < 32; ++i) step[i] = middle[first + i < largest ? first + i : largest];
        complete = step[31] == middle[largest];
    }

    // The thresholds at changes.
    template <class V> typename V::Words at(typename V::Words change) const {
        return V::looked_up(step, V::smaller(V::larger(change - first, V::all(0)), V::all(31)));
    }
};

// Bit j is whether words[j] / 2 is below the threshold at change[j], of `high` where bit j of `which` is set, else of `low`.
template <int N>
inline uint32 below_stairs(const uint32 (&words)[N], const int32 (&change)[N], uint32 which, const Stairs& low, const Stairs& high) {
    typedef Over<N> V;
    uint32 below = 0;
    for (int j = 0; j < N; j += V::LANES) {
        const typename V::Words changes = V::load(change + j), numbers = V::load(words + j);
        const typename V::Words threshold = V::chosen(which >> j, high.at<V>(changes), low.at<V>(changes));
        below |= V::below_unsigned((numbers >> 1) & 0x7FFFFFFF, threshold) << j;
    }
    return below;
}

// philox() of N walkers, `offset` beyond those given and below 2^32: 32-bit words in 64-bit lanes, whose upper halves products do not read.
template <int N>
inline void philox_of(uint32 (&out)[4][N], uint64 seed, uint32 stream, uint32 sweep, uint32 site, const uint64* walkers, uint64 offset) {
    typedef Over<N> V;
    typedef typename V::Doubles D;
    constexpr int OF_64 = V::LANES / 2, GROUPS = N / OF_64, AT_ONCE = VECTORS == 64 && GROUPS >= 4 ? 4 : 2;
    for (int from = 0; from < GROUPS; from += AT_ONCE) {
        D c0[AT_ONCE], c1[AT_ONCE], c2[AT_ONCE], c3[AT_ONCE];
        for (int g = 0; g < AT_ONCE; ++g) {
            c0[g] = V::doubles(stream);
            c1[g] = V::doubles(sweep);
            c2[g] = V::doubles(site);
            c3[g] = (D)V::load(walkers + OF_64 * (from + g)) + V::doubles(offset);
        }
        uint32 key0 = (uint32)seed, key1 = (uint32)(seed >> 32);
        for (int round = 0; round < 10; ++round) {
            const D even_key = V::doubles(key0), odd_key = V::doubles(key1);
            for (int g = 0; g < AT_ONCE; ++g) {
                const D product0 = V::product(c0[g], 0xD2511F53u), product1 = V::product(c2[g], 0xCD9E8D57u);
                c0[g] = (product1 >> 32) ^ c1[g] ^ even_key;
                c2[g] = (product0 >> 32) ^ c3[g] ^ odd_key;
                c1[g] = product1;
                c3[g] = product0;
            }
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
        for (int g = 0; g < AT_ONCE; g += 2) {
            V::store_lower_halves(out[0] + OF_64 * (from + g), c0[g], c0[g + 1]);
            V::store_lower_halves(out[1] + OF_64 * (from + g), c1[g], c1[g + 1]);
            V::store_lower_halves(out[2] + OF_64 * (from + g), c2[g], c2[g + 1]);
            V::store_lower_halves(out[3] + OF_64 * (from + g), c3[g], c3[g + 1]);
        }
    }
}

constexpr uint32 first_bits(int64 count) { return count >= 32 ? ~0u : count <= 0 ? 0 : (1u << count) - 1; }

inline Widest::Halves same(int16, int x) { return Widest::halves(x); }
inline Widest::Words same(int32, int x) { return Widest::all(x); }

// N numbers at f, of which those that are `live` are read, the first ones; where these are not all, `own` has them, and 0 after them.
template <int N, class T> inline const T* padded(const T* f, uint32 live, T (&own)[N]) {
    live &= first_bits(N);
    if (live == first_bits(N)) return f;
    for (int i = 0; i < N; ++i) own[i] = 0;
    if (live) __builtin_memcpy(own, f, sizeof(T) * popcount(live));
    return own;
}

// The numbers at f that are `live`, and 0 in the other lanes.
template <class T> inline auto loaded(const T* f, uint32 live) {
    typedef decltype(same(T(), 0)) V;
#if VECTORS == 64
    return Widest::load(f, live, V{});
#else
    T own[VECTORS / sizeof(T)];
    return (V)Widest::load(padded(f, live, own));
#endif
}

template <class T, class V> inline void stored(T* f, uint32 live, V v) {
#if VECTORS == 64
    Widest::store(f, live, v);
#else
    constexpr uint32 ALL = first_bits(VECTORS / sizeof(T));
    if ((live & ALL) == ALL)
        Widest::store(f, (Widest::Words)v);
    else if (live & ALL)
        __builtin_memcpy(f, &v, sizeof(T) * popcount(live));
#endif
}

// The numbers at f that are `live`, stored after adding `step` to those whose bit of `inputs` is 0 and taking it from the others.
template <class T> inline auto moved(T* f, uint32 live, uint32 inputs, int step) {
    const auto v = loaded(f, live) + Widest::chosen(inputs, same(T(), -step), same(T(), step));
    stored(f, live, v);
    return v;
}

// Move the fields f[0 .. count - 1], at most 32, as above; which are positive is asked for or not.
template <bool POSITIVE, class T> inline Edges move_fields(T* f, int64 count, uint32 inputs, int step, int crossing) {
    const uint32 live = first_bits(count);
    Edges edges = {0, 0, 0};
    for (int part = 0; part < 32; part += VECTORS / (int)sizeof(T)) {
        if (!(live >> part)) break;
        const auto v = moved(f + part, live >> part, inputs >> part, step);
        edges.above |= Widest::equal(v, same(T(), crossing + 1)) << part;
        edges.below |= Widest::equal(v, same(T(), crossing - 1)) << part;
        if (POSITIVE) edges.positive |= Widest::above(v, same(T(), 0)) << part;
    }
    return {edges.above & live, edges.below & live, edges.positive & live};
}

// The slopes of 128 neighbouring readouts, around the one of no field.
struct Window {
    enum { SIZE = 128, BELOW = 48 };  // more of them for positive fields: patterns are learnt
    Widest::Table slopes;
    bool known;  // else they are not for such look-ups

    // Of `table`, which has `size` entries.
    Window(const int32* table, int32 size) {
        int32 numbers[SIZE];
        for (int i = 0; i < SIZE; ++i) {
            const int32 place = size / 2 - BELOW + i;
            numbers[i] = table[place < 0 ? 0 : place < size ? place : size - 1];
        }
        known = slopes.fill(numbers);
    }
};

typedef Widest::Numbers Numbers;  // 32 of them
typedef Widest::Places Places;

// Where 32 fields, moved as above, are in a window.
inline Places moved_places(int16* f, uint32 live, uint32 inputs, int step) {
    constexpr int LANES = 2 * Widest::LANES;
    Widest::Halves places[32 / LANES];
#pragma GCC unroll 4
    for (int part = 0; part < 32; part += LANES)
        places[part / LANES] = (moved(f + part, live >> part, inputs >> part, step) >> 1) + Widest::halves(Window::BELOW);
    return Widest::places_of(places);
}

// Wide fields are outside.
inline Places moved_places(int32* f, uint32 live, uint32 inputs, int step) {
    for (int part = 0; part < 32; part += Widest::LANES) moved(f + part, live >> part, inputs >> part, step);
    Places places = {};
    places.outside = ~0u;
    return places;
}

inline Widest::Words widened(const int32* f) { return Widest::load(f); }
inline Widest::Words widened(const int16* f) { return Widest::widened(f); }

// table[(fields + middle) / 2] of 32 fields, of those that are live.
template <class T> inline Numbers gathered(const T* f, uint32 live, const int32* table, int32 middle) {
    constexpr int LANES = Widest::LANES;
    Numbers slopes;
    for (int part = 0; part < 32; part += LANES) {
        T own[LANES];
        const Widest::Words fields = widened(padded(f + part, live >> part, own));
        slopes.part[part / LANES] = Widest::gathered(table, (fields + middle) >> 1);
    }
    return slopes;
}

// sums[r] += the sum of the `count` numbers of row r, `length` further than the row before, where `masks` has ones; those of a lane fit 32 bits.
template <int ROWS> inline void add_masked(int64* sums, const int32* rows, int64 length, int64 count, const int32* masks) {
    Widest::Words sum[ROWS] = {};
    for (int64 m = 0; m < count; m += Widest::LANES) {
        const Widest::Words mask = Widest::load(masks + m);
        for (int r = 0; r < ROWS; ++r) sum[r] += Widest::load(rows + r * length + m) & mask;
    }
    for (int r = 0; r < ROWS; ++r) sums[r] += Widest::total(sum[r]);
}

// So many of 32 slopes are looked up one by one; of more, all are gathered.
constexpr int FEW = 6;

// work(w, live) for every 32 of `count`, which are live; with narrow vectors, of all but the last the compiler knows it.
template <class F> __attribute__((always_inline)) inline void for_words(int64 count, F work) {
#if VECTORS == 64
    for (int64 w = 0; 32 * w < count; ++w) work(w, first_bits(count - 32 * w));
#else
    for (int64 w = 0; w < count / 32; ++w) work(w, ~0u);
    if (count % 32) work(count / 32, first_bits(count % 32));
#endif
}

// Whether all words are moved before one is looked up: with narrow vectors these wait for each other if they take turns.
constexpr bool MOVED_FIRST = VECTORS < 64;

// Slopes are at most 2^22: so many can be summed in 32 bits, 256 in each lane.
constexpr int64 FITTING = 256 * Widest::LANES;

// Moves fields f[0 .. count - 1], at most FITTING, whose `slopes` follow: table[(field + middle) / 2], of which `window` has a part. Adds
// all slopes to `all`, and those whose input is 1, with a mask of ones in `masks`, to `weighted`.
template <class T>
inline void move_slopes(T* f, int32* slopes, int64 count, const uint32* inputs, const int32* masks, int step, const int32* table,
                        int32 middle, const Window& window, int64& all, int64& weighted) {
    Widest::Words sum = Widest::all(0), sum_of_inputs = sum;
    Places places[FITTING / 32];
    const auto move = [&](int64 w, uint32 live) __attribute__((always_inline)) { return moved_places(f + 32 * w, live, inputs[w], step); };
    if (MOVED_FIRST) for_words(count, [&](int64 w, uint32 live) __attribute__((always_inline)) { places[w] = move(w, live); });
    for_words(count, [&](int64 w, uint32 live) __attribute__((always_inline)) {
        const Places own = MOVED_FIRST ? places[w] : move(w, live);
        uint32 left = own.outside & live;
        const bool few = window.known && popcount(left) <= FEW;
        const Numbers numbers = few ? Widest::looked_up(window.slopes, own) : gathered(f + 32 * w, live, table, middle);
        for (int part = 0; part < 32; part += Widest::LANES) {
            Widest::Words slope = numbers.part[part / Widest::LANES];
            if (live != ~0u) slope = Widest::chosen(live >> part, slope, Widest::all(0));
            Widest::store(slopes + 32 * w + part, slope);
            sum += slope;
            sum_of_inputs += slope & Widest::load(masks + 32 * w + part);
        }
        for (left = few ? left : 0; left; left &= left - 1) {
            const int64 m = 32 * w + lowest_bit(left);
            const int32 slope = table[(f[m] + middle) / 2];
            all += slope - slopes[m];
            weighted += (slope - slopes[m]) & masks[m];
            slopes[m] = slope;
        }
    });
    all += Widest::total(sum);
    weighted += Widest::total(sum_of_inputs);
}

#elif !defined(__CUDACC__)

template <int N> inline uint32 packed(const uint32 (&flags)[N]) {
    uint32 word = 0;
    for (int j = 0; j < N; ++j) word |= flags[j] << j;
    return word;
}

#endif

#ifndef VECTORS
template <int N> __device__ inline void clear(int32 (&out)[N]) {
    for (int j = 0; j < N; ++j) out[j] = 0;
}

// Together: add `step` to the fields f[0 .. count - 1], at most 32, whose bit of `inputs` is 0, and take it from the others; which are
// positive is asked for or not.
template <bool POSITIVE, class T> __device__ inline Edges move_fields(T* f, int64 count, uint32 inputs, int step, int crossing) {
    int32 moved[32 / LANES];
    for_lanes(0, count, [&](int64 m) {
        moved[m / LANES] = f[m] + ((inputs >> m) & 1u ? -step : step);
        f[m] = (T)moved[m / LANES];
    });
    const auto where = [&](auto of) { return word_of([&](int64 m) { return of(moved[m / LANES]); }, 0, count); };
    const uint32 above = where([&](int32 field) { return field == crossing + 1; });
    const uint32 below = where([&](int32 field) { return field == crossing - 1; });
    return {above, below, POSITIVE ? where([](int32 field) { return field > 0; }) : 0};
}
#endif
