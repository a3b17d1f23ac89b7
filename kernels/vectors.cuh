// The innermost loops where AVX-512 has better instructions than a compiler finds; the plain loops beside them are what they do.
#pragma once
#include "lanes.cuh"
#include "philox.cuh"

#if !defined(__CUDACC__) && defined(__AVX512BW__) && defined(__AVX512VPOPCNTDQ__)
#define VECTORS
#include <immintrin.h>
#endif

// The patterns of a word whose field is 1 above a crossing, 1 below it, and positive.
struct Edges {
    uint32 above, below, positive;
};

#ifdef VECTORS

// counts[c] += the bits that rows[w][c] and inputs[w] share, over `words` rows of 32.
inline void add_shared_bits(int32 (&counts)[32], const uint32* rows, const uint32* inputs, int64 words) {
    __m512i low = _mm512_loadu_si512(counts), high = _mm512_loadu_si512(counts + 16);
    for (int64 w = 0; w < words; ++w) {
        const __m512i word = _mm512_set1_epi32((int)inputs[w]);
        low = _mm512_add_epi32(low, _mm512_popcnt_epi32(_mm512_and_si512(_mm512_loadu_si512(rows + 32 * w), word)));
        high = _mm512_add_epi32(high, _mm512_popcnt_epi32(_mm512_and_si512(_mm512_loadu_si512(rows + 32 * w + 16), word)));
    }
    _mm512_storeu_si512(counts, low);
    _mm512_storeu_si512(counts + 16, high);
}

// The word whose bit j is flags[j], 0 or 1.
inline uint32 packed(const uint32 (&flags)[32]) {
    const __m512i low = _mm512_loadu_si512(flags), high = _mm512_loadu_si512(flags + 16);
    return (uint32)_mm512_test_epi32_mask(low, low) | (uint32)_mm512_test_epi32_mask(high, high) << 16;
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

    // The thresholds at 16 changes.
    __m512i at(const int32* change) const {
        const __m512i place = _mm512_sub_epi32(_mm512_loadu_si512(change), _mm512_set1_epi32(first));
        const __m512i within = _mm512_min_epi32(_mm512_max_epi32(place, _mm512_setzero_si512()), _mm512_set1_epi32(31));
        return _mm512_permutex2var_epi32(_mm512_loadu_si512(step), within, _mm512_loadu_si512(step + 16));
    }
};

// Bit j is whether words[j] / 2 is below the threshold at change[j], of `high` where bit j of `which` is set, else of `low`.
inline uint32 below_stairs(const uint32 (&words)[32], const int32 (&change)[32], uint32 which, const Stairs& low, const Stairs& high) {
    uint32 below = 0;
    for (int j = 0; j < 32; j += 16) {
        const __m512i threshold = _mm512_mask_mov_epi32(low.at(change + j), (__mmask16)(which >> j), high.at(change + j));
        const __m512i number = _mm512_srli_epi32(_mm512_loadu_si512(words + j), 1);
        below |= (uint32)_mm512_cmplt_epu32_mask(number, threshold) << j;
    }
    return below;
}

// Whole lines are stored, since whole lines are read soon after.
inline void store_lower_halves(uint32* out, __m512i first, __m512i second) {
    const __m512i left = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(first));
    _mm512_storeu_si512(out, _mm512_inserti64x4(left, _mm512_cvtepi64_epi32(second), 1));
}

// philox() of 32 walkers, `offset` beyond those given and below 2^32: 32-bit words in 64-bit lanes, whose upper halves the multiplications do not read.
inline void philox_of_32(uint32 (&out)[4][32], uint64 seed, uint32 stream, uint32 sweep, uint32 site, const uint64* walkers,
                         uint64 offset) {
    const __m512i first = _mm512_set1_epi64(0xD2511F53u), second = _mm512_set1_epi64(0xCD9E8D57u);
    __m512i c0[4], c1[4], c2[4], c3[4];
    for (int g = 0; g < 4; ++g) {
        c0[g] = _mm512_set1_epi64(stream);
        c1[g] = _mm512_set1_epi64(sweep);
        c2[g] = _mm512_set1_epi64(site);
        c3[g] = _mm512_add_epi64(_mm512_loadu_si512(walkers + 8 * g), _mm512_set1_epi64((int64)offset));
    }
    uint32 key0 = (uint32)seed, key1 = (uint32)(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        const __m512i even_key = _mm512_set1_epi64(key0), odd_key = _mm512_set1_epi64(key1);
        for (int g = 0; g < 4; ++g) {
            const __m512i product0 = _mm512_mul_epu32(first, c0[g]), product1 = _mm512_mul_epu32(second, c2[g]);
            c0[g] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(product1, 32), c1[g], even_key, 0x96);
            c2[g] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(product0, 32), c3[g], odd_key, 0x96);
            c1[g] = product1;
            c3[g] = product0;
        }
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    for (int g = 0; g < 4; g += 2) {
        store_lower_halves(out[0] + 8 * g, c0[g], c0[g + 1]);
        store_lower_halves(out[1] + 8 * g, c1[g], c1[g + 1]);
        store_lower_halves(out[2] + 8 * g, c2[g], c2[g + 1]);
        store_lower_halves(out[3] + 8 * g, c3[g], c3[g + 1]);
    }
}

// A mask of the first `count` of 32 numbers.
inline __mmask32 up_to(int64 count) { return count >= 32 ? ~0u : count <= 0 ? 0 : (1u << count) - 1; }

// The fields at f that are `live`, stored after adding `step` to those whose bit of `inputs` is 0 and taking it from the others.
inline __m512i moved(int16* f, __mmask32 live, uint32 inputs, int step) {
    const __m512i up = _mm512_set1_epi16((short)step), down = _mm512_set1_epi16((short)-step);
    const __m512i v = _mm512_maskz_add_epi16(live, _mm512_maskz_loadu_epi16(live, f), _mm512_mask_mov_epi16(up, inputs, down));
    _mm512_mask_storeu_epi16(f, live, v);
    return v;
}

// Move the fields f[0 .. count - 1], at most 32, as above.
inline Edges move_fields(int16* f, int64 count, uint32 inputs, int step, int crossing) {
    const __m512i v = moved(f, up_to(count), inputs, step);
    return {_mm512_cmpeq_epi16_mask(v, _mm512_set1_epi16((short)(crossing + 1))), _mm512_cmpeq_epi16_mask(v, _mm512_set1_epi16((short)(crossing - 1))),
            _mm512_cmpgt_epi16_mask(v, _mm512_setzero_si512())};
}

// Sixteen wide fields, moved as above.
inline __m512i moved(int32* f, __mmask16 live, __mmask16 inputs, int step) {
    const __m512i steps = _mm512_mask_mov_epi32(_mm512_set1_epi32(step), inputs, _mm512_set1_epi32(-step));
    const __m512i v = _mm512_maskz_add_epi32(live, _mm512_maskz_loadu_epi32(live, f), steps);
    _mm512_mask_storeu_epi32(f, live, v);
    return v;
}

inline Edges move_fields(int32* f, int64 count, uint32 inputs, int step, int crossing) {
    const __mmask32 live = up_to(count);
    Edges edges = {0, 0, 0};
    for (int part = 0; part < 32; part += 16) {
        const __m512i v = moved(f + part, (__mmask16)(live >> part), (__mmask16)(inputs >> part), step);
        edges.above |= (uint32)_mm512_cmpeq_epi32_mask(v, _mm512_set1_epi32(crossing + 1)) << part;
        edges.below |= (uint32)_mm512_cmpeq_epi32_mask(v, _mm512_set1_epi32(crossing - 1)) << part;
        edges.positive |= (uint32)_mm512_cmpgt_epi32_mask(v, _mm512_setzero_si512()) << part;
    }
    return edges;
}

// The slopes of 128 neighbouring readouts in halves of 16 bits, for look-ups that stay in registers.
struct Window {
    enum { SIZE = 128, BELOW = 48 };  // more of them for positive fields: patterns are learnt
    uint16 low[SIZE], high[SIZE];
    int32 first;  // its place in the table

    // Around place `middle` of `table`, which has `size` entries.
    Window(const int32* table, int32 size, int32 middle) : first(middle - BELOW) {
        for (int i = 0; i < SIZE; ++i) {
            const int32 place = first + i;
            const uint32 slope = place >= 0 && place < size ? (uint32)table[place] : 0;
            low[i] = (uint16)slope;
            high[i] = (uint16)(slope >> 16);
        }
    }
};

// One half of each entry at `places` < 128.
inline __m512i half_at(const uint16 (&half)[128], __m512i places) {
    const __m512i lower = _mm512_permutex2var_epi16(_mm512_loadu_si512(half), places, _mm512_loadu_si512(half + 32));
    const __m512i upper = _mm512_permutex2var_epi16(_mm512_loadu_si512(half + 64), places, _mm512_loadu_si512(half + 96));
    return _mm512_mask_mov_epi16(lower, _mm512_test_epi16_mask(places, _mm512_set1_epi16(64)), upper);
}

// table[(field + middle) / 2] of 16 fields; those that are not live are 0.
inline __m512i gathered(__m256i fields, const int32* table, int32 middle) {
    const __m512i places = _mm512_srai_epi32(_mm512_add_epi32(_mm512_cvtepi16_epi32(fields), _mm512_set1_epi32(middle)), 1);
    return _mm512_i32gather_epi32(places, table, 4);
}

// So many of 32 slopes are looked up one by one; of more, all are gathered.
constexpr int FEW = 6;

// Moves fields f[0 .. count - 1], at most FITTING, whose `slopes` follow: table[(field + middle) / 2], of which `window` has a part. Adds
// all slopes to `all`, and those where the bit of `inputs` is 1 to `weighted`.
inline void move_slopes(int16* f, int32* slopes, int64 count, const uint32* inputs, int step, const int32* table, int32 middle,
                        const Window& window, int64& all, int64& weighted) {
    const __m512i to_first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3,
                                         34, 2, 33, 1, 32, 0);
    const __m512i to_second = _mm512_add_epi16(to_first, _mm512_set1_epi16(16));
    const __m512i start = _mm512_set1_epi16((short)(2 * window.first - middle));
    __m512i sum = _mm512_setzero_si512(), sum_of_inputs = sum;
    for (int64 w = 0; 32 * w < count; ++w) {
        const __mmask32 live = up_to(count - 32 * w);
        const __m512i v = moved(f + 32 * w, live, inputs[w], step);
        const __m512i places = _mm512_srai_epi16(_mm512_sub_epi16(v, start), 1);
        const __mmask32 inside = _mm512_mask_cmplt_epu16_mask(live, places, _mm512_set1_epi16(Window::SIZE));
        const uint32 outside = live & ~inside;
        __mmask32 found = inside;
        __m512i first, second;
        if (popcount(outside) > FEW) {
            const __m256i left = _mm512_castsi512_si256(v), right = _mm512_extracti64x4_epi64(v, 1);
            first = gathered(left, table, middle);
            second = gathered(right, table, middle);
            found = live;
        } else {
            const __m512i low = half_at(window.low, places), high = half_at(window.high, places);
            first = _mm512_permutex2var_epi16(low, to_first, high);
            second = _mm512_permutex2var_epi16(low, to_second, high);
        }
        first = _mm512_maskz_mov_epi32((__mmask16)found, first);
        second = _mm512_maskz_mov_epi32((__mmask16)(found >> 16), second);
        _mm512_storeu_si512(slopes + 32 * w, first);
        _mm512_storeu_si512(slopes + 32 * w + 16, second);
        sum = _mm512_add_epi32(sum, _mm512_add_epi32(first, second));
        sum_of_inputs = _mm512_mask_add_epi32(sum_of_inputs, (__mmask16)inputs[w], sum_of_inputs, first);
        sum_of_inputs = _mm512_mask_add_epi32(sum_of_inputs, (__mmask16)(inputs[w] >> 16), sum_of_inputs, second);
        if (found == live) continue;
        int16 values[32];
        _mm512_storeu_si512(values, v);
        for (uint32 left = outside; left; left &= left - 1) {
            const int m = lowest_bit(left);
            const int32 slope = table[(values[m] + middle) / 2];
            slopes[32 * w + m] = slope;
            all += slope;
            weighted += (inputs[w] >> m) & 1u ? slope : 0;
        }
    }
    all += _mm512_reduce_add_epi32(sum);
    weighted += _mm512_reduce_add_epi32(sum_of_inputs);
}

#elif !defined(__CUDACC__)

inline uint32 packed(const uint32 (&flags)[32]) {
    uint32 word = 0;
    for (int j = 0; j < 32; ++j) word |= flags[j] << j;
    return word;
}

#endif

// Together: add `step` to the fields f[0 .. count - 1], at most 32, whose bit of `inputs` is 0, and take it from the others.
template <class T> __device__ inline Edges move_fields(T* f, int64 count, uint32 inputs, int step, int crossing) {
    for_lanes(0, count, [&](int64 m) { f[m] += (T)((inputs >> m) & 1u ? -step : step); });
    return {word_of([&](int64 m) { return f[m] == crossing + 1; }, 0, count), word_of([&](int64 m) { return f[m] == crossing - 1; }, 0, count),
            word_of([&](int64 m) { return f[m] > 0; }, 0, count)};
}
