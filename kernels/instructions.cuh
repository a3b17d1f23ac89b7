// What a processor's vectors do, under the same names for vectors of 64 bytes (AVX-512), 32 (AVX2) and 16 (NEON). Masks are words with
// a bit for each lane.
#pragma once
#include "lanes.cuh"

#ifndef __CUDACC__
#if defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VPOPCNTDQ__)
#define VECTORS 64
#include <immintrin.h>
#elif defined(__AVX2__)
#define VECTORS 32
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define VECTORS 16
#include <arm_neon.h>
#endif
#endif

#ifdef VECTORS

// What the compiler's own vectors do.
template <class I, class H, class D, class B> struct Lanes {
    typedef I Words;     // int32
    typedef H Halves;    // int16
    typedef D Doubles;   // uint64
    typedef B Bytes;     // uint8
    enum { LANES = sizeof(I) / 4 };

    static Words load(const void* from) {
        Words v;
        __builtin_memcpy(&v, from, sizeof v);
        return v;
    }
    static void store(void* to, Words v) { __builtin_memcpy(to, &v, sizeof v); }
    static Words all(int32 x) { return Words{} + x; }
    static Halves halves(int x) { return Halves{} + (short)x; }
    static Doubles doubles(uint64 x) { return Doubles{} + x; }
};

// A table of 128 numbers of 24 bits, for look-ups that stay in registers of 32 or 16 bytes: the two lower bytes of each, and the steps of
// the upper one, which neighbours mostly share.
struct ByteTable {
    enum { MOST = 16 };
    uint8 bytes[2][128];
    struct {
        int8 before, change;  // the last place before the step; the first comes before all places
    } steps[MOST];
    int count;

    // False where there are too many steps.
    bool fill(const int32 (&numbers)[128]) {
        count = 0;
        int32 upper = 0;
        for (int i = 0; i < 128; ++i) {
            for (int b = 0; b < 2; ++b) bytes[b][i] = (uint8)(numbers[i] >> 8 * b);
            const int32 change = (numbers[i] >> 16) - upper;
            if (change == 0) continue;
            if (count == MOST || change != (int8)change) return false;
            steps[count++] = {(int8)(i - 1), (int8)change};
            upper += change;
        }
        return true;
    }
};

template <int BYTES> struct Vectors;

#define LANES_OF(BYTES)                                                                                                     \
    Lanes<int32 __attribute__((vector_size(BYTES))), int16 __attribute__((vector_size(BYTES))),                             \
          uint64 __attribute__((vector_size(BYTES))), uint8 __attribute__((vector_size(BYTES)))>

#if VECTORS == 64

template <> struct Vectors<64> : LANES_OF(64) {
    typedef __m512i M;

    static uint32 equal(Words a, Words b) { return _mm512_cmpeq_epi32_mask((M)a, (M)b); }
    static uint32 above(Words a, Words b) { return _mm512_cmpgt_epi32_mask((M)a, (M)b); }
    static uint32 below_unsigned(Words a, Words b) { return _mm512_cmplt_epu32_mask((M)a, (M)b); }
    static Words chosen(uint32 bits, Words yes, Words no) { return (Words)_mm512_mask_mov_epi32((M)no, (__mmask16)bits, (M)yes); }
    static Words smaller(Words a, Words b) { return (Words)_mm512_min_epi32((M)a, (M)b); }
    static Words larger(Words a, Words b) { return (Words)_mm512_max_epi32((M)a, (M)b); }

    static uint32 equal(Halves a, Halves b) { return _mm512_cmpeq_epi16_mask((M)a, (M)b); }
    static uint32 above(Halves a, Halves b) { return _mm512_cmpgt_epi16_mask((M)a, (M)b); }
    static Halves chosen(uint32 bits, Halves yes, Halves no) { return (Halves)_mm512_mask_mov_epi16((M)no, bits, (M)yes); }

    using LANES_OF(64)::load;
    using LANES_OF(64)::store;
    static Halves load(const int16* from, uint32 live, Halves others) { return (Halves)_mm512_mask_loadu_epi16((M)others, live, from); }
    static Words load(const int32* from, uint32 live, Words others) {
        return (Words)_mm512_mask_loadu_epi32((M)others, (__mmask16)live, from);
    }
    static void store(int16* to, uint32 live, Halves v) { _mm512_mask_storeu_epi16(to, live, (M)v); }
    static void store(int32* to, uint32 live, Words v) { _mm512_mask_storeu_epi32(to, (__mmask16)live, (M)v); }

    // Products of the lower halves of 64 bits.
    static Doubles product(Doubles a, uint32 b) { return (Doubles)_mm512_mul_epu32((M)a, _mm512_set1_epi64(b)); }
    // Whole lines are stored, since whole lines are read soon after.
    static void store_lower_halves(uint32* out, Doubles first, Doubles second) {
        const M left = _mm512_castsi256_si512(_mm512_cvtepi64_epi32((M)first));
        _mm512_storeu_si512(out, _mm512_inserti64x4(left, _mm512_cvtepi64_epi32((M)second), 1));
    }

    // Counts the bits of each lane of at most MOST words.
    struct Counter {
        enum { MOST = 1 << 26 };
        Words sum = {};
        void add(Words v) { sum += (Words)_mm512_popcnt_epi32((M)v); }
        Words counts() const { return sum; }
    };

    static Words looked_up(const uint32 (&table)[32], Words places) {
        return (Words)_mm512_permutex2var_epi32(_mm512_loadu_si512(table), (M)places, _mm512_loadu_si512(table + 16));
    }

    // A table of 128 numbers in halves of 16 bits, for look-ups that stay in registers.
    struct Table {
        uint16 low[128], high[128];
        bool fill(const int32 (&numbers)[128]) {
            for (int i = 0; i < 128; ++i) {
                low[i] = (uint16)numbers[i];
                high[i] = (uint16)(numbers[i] >> 16);
            }
            return true;
        }
    };
    struct Numbers {
        Words part[2];
    };
    // Places in it; those from 128 on are `outside`.
    struct Places {
        M at;
        uint32 outside;
    };
    static Places places_of(const Halves (&places)[1]) {
        return {(M)places[0], _mm512_cmpge_epu16_mask((M)places[0], _mm512_set1_epi16(128))};
    }
    // The numbers there, whatever there is outside.
    static Numbers looked_up(const Table& table, const Places& places) {
        const M to_first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3,
                                            34, 2, 33, 1, 32, 0);
        const M low = half(table.low, places), high = half(table.high, places);
        return {{(Words)_mm512_permutex2var_epi16(low, to_first, high),
                 (Words)_mm512_permutex2var_epi16(low, _mm512_add_epi16(to_first, _mm512_set1_epi16(16)), high)}};
    }
    static M half(const uint16 (&half)[128], const Places& place) {
        const M places = place.at;
        const M lower = _mm512_permutex2var_epi16(_mm512_loadu_si512(half), places, _mm512_loadu_si512(half + 32));
        const M upper = _mm512_permutex2var_epi16(_mm512_loadu_si512(half + 64), places, _mm512_loadu_si512(half + 96));
        return _mm512_mask_mov_epi16(lower, _mm512_test_epi16_mask(places, _mm512_set1_epi16(64)), upper);
    }

    static int64 total(Words v) {
        const M low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256((M)v)), high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64((M)v, 1));
        return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
    }
    static Words gathered(const int32* table, Words places) { return (Words)_mm512_i32gather_epi32((M)places, table, 4); }
    static Words widened(const int16* from) { return (Words)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i*)from)); }
};

#endif
#if VECTORS >= 32

template <> struct Vectors<32> : LANES_OF(32) {
    typedef __m256i M;

    static uint32 bits(Words mask) { return (uint32)_mm256_movemask_ps(_mm256_castsi256_ps((M)mask)); }
    static uint32 equal(Words a, Words b) { return bits((Words)(a == b)); }
    static uint32 above(Words a, Words b) { return bits((Words)(a > b)); }
    static uint32 below_unsigned(Words a, Words b) {
        const Words lowest = all((int32)0x80000000u);
        return bits((Words)((b ^ lowest) > (a ^ lowest)));
    }
    static Words chosen(uint32 bits, Words yes, Words no) {
        const Words lane = {1, 2, 4, 8, 16, 32, 64, 128};
        return (all((int32)bits) & lane) == lane ? yes : no;
    }
    static Words smaller(Words a, Words b) { return (Words)_mm256_min_epi32((M)a, (M)b); }
    static Words larger(Words a, Words b) { return (Words)_mm256_max_epi32((M)a, (M)b); }

    static uint32 bits(Halves mask) {
        return (uint32)_mm_movemask_epi8(_mm_packs_epi16(_mm256_castsi256_si128((M)mask), _mm256_extracti128_si256((M)mask, 1)));
    }
    static uint32 equal(Halves a, Halves b) { return bits((Halves)(a == b)); }
    static uint32 above(Halves a, Halves b) { return bits((Halves)(a > b)); }
    static Halves chosen(uint32 bits, Halves yes, Halves no) {
        const Halves lane = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768};
        return (halves((int)bits) & lane) == lane ? yes : no;
    }

    static Doubles product(Doubles a, uint32 b) { return (Doubles)_mm256_mul_epu32((M)a, _mm256_set1_epi64x(b)); }
    static void store_lower_halves(uint32* out, Doubles first, Doubles second) {
        const __m256 mixed = _mm256_shuffle_ps((__m256)first, (__m256)second, 0x88);
        _mm256_storeu_si256((M*)out, _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xD8));
    }

    struct Counter {
#ifdef __AVX512VPOPCNTDQ__
        enum { MOST = 1 << 26 };
        Words sum = {};
        void add(Words v) { sum += (Words)_mm256_popcnt_epi32((M)v); }
        Words counts() const { return sum; }
#else
        enum { MOST = 31 };  // bytes count to 255
        Bytes sum = {};
        void add(Words v) {
            const Words low = v & 0x0F0F0F0F, high = (v >> 4) & 0x0F0F0F0F;
            sum += in_nibbles(low) + in_nibbles(high);
        }
        static Bytes in_nibbles(Words v) {
            const M counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
            return (Bytes)_mm256_shuffle_epi8(counts, (M)v);
        }
        Words counts() const {
            return (Words)_mm256_madd_epi16(_mm256_maddubs_epi16((M)sum, _mm256_set1_epi8(1)), _mm256_set1_epi16(1));
        }
#endif
    };

    static Words looked_up(const uint32 (&table)[32], Words places) {
        const __m256 low = (__m256)_mm256_slli_epi32((M)places, 28), high = (__m256)_mm256_slli_epi32((M)places, 27);  // signs choose
        const __m256 first = _mm256_blendv_ps(eight(table, places), eight(table + 8, places), low);
        const __m256 second = _mm256_blendv_ps(eight(table + 16, places), eight(table + 24, places), low);
        return (Words)_mm256_blendv_ps(first, second, high);
    }
    static __m256 eight(const uint32* table, Words places) {
        return _mm256_permutevar8x32_ps(_mm256_loadu_ps((const float*)table), (M)places);
    }

    typedef ByteTable Table;
    struct Numbers {
        Words part[4];
    };
    struct Places {
        M at;  // bytes
        uint32 outside;
    };
    static Places places_of(const Halves (&places)[2]) {
        const M most = _mm256_set1_epi16(128);
        const M both = _mm256_packus_epi16(_mm256_min_epu16((M)places[0], most), _mm256_min_epu16((M)places[1], most));
        const uint32 outside = (uint32)_mm256_movemask_epi8(both), second = outside >> 8 & 0xFF, third = outside >> 16 & 0xFF;
        // In the order in which the bytes come out as numbers.
        return {_mm256_permutevar8x32_epi32(both, _mm256_setr_epi32(0, 4, 2, 6, 1, 5, 3, 7)), (outside & 0xFF0000FF) | third << 8 | second << 16};
    }
    static Numbers looked_up(const Table& table, const Places& places) {
        const M zero = _mm256_setzero_si256(), highest = _mm256_set1_epi8((char)0x80);
        // Shuffles make 0 of places with the highest bit: those of odd rows in even ones, and of even rows in odd ones.
        const M even = _mm256_or_si256(places.at, _mm256_and_si256(_mm256_slli_epi16(places.at, 3), highest));
        const M odd = _mm256_xor_si256(even, highest);
        const M lowest = of_eight_rows(table.bytes[0], places.at, even, odd), middle = of_eight_rows(table.bytes[1], places.at, even, odd);
        M upper = zero;
        for (int i = 0; i < table.count; ++i) {
            const M beyond = _mm256_cmpgt_epi8(places.at, _mm256_set1_epi8(table.steps[i].before));
            upper = _mm256_add_epi8(upper, _mm256_and_si256(beyond, _mm256_set1_epi8(table.steps[i].change)));
        }
        const M sign = _mm256_cmpgt_epi8(zero, upper);
        const M low0 = _mm256_unpacklo_epi8(lowest, middle), low1 = _mm256_unpackhi_epi8(lowest, middle);
        const M high0 = _mm256_unpacklo_epi8(upper, sign), high1 = _mm256_unpackhi_epi8(upper, sign);
        return {{(Words)_mm256_unpacklo_epi16(low0, high0), (Words)_mm256_unpackhi_epi16(low0, high0),
                 (Words)_mm256_unpacklo_epi16(low1, high1), (Words)_mm256_unpackhi_epi16(low1, high1)}};
    }
    static M of_eight_rows(const uint8* rows, M place, M even, M odd) {
        const auto two = [&](int row) { return _mm256_or_si256(of_row(rows + 16 * row, even), of_row(rows + 16 * row + 16, odd)); };
        const M lower = _mm256_blendv_epi8(two(0), two(2), _mm256_slli_epi16(place, 2));  // highest bits choose
        const M upper = _mm256_blendv_epi8(two(4), two(6), _mm256_slli_epi16(place, 2));
        return _mm256_blendv_epi8(lower, upper, _mm256_slli_epi16(place, 1));
    }
    static M of_row(const uint8* row, M place) {
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)row)), place);
    }

    static int64 total(Words v) {
        const M low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128((M)v)), high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256((M)v, 1));
        const M four = _mm256_add_epi64(low, high);
        const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
        return _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)));
    }
    static Words gathered(const int32* table, Words places) { return (Words)_mm256_i32gather_epi32(table, (M)places, 4); }
    static Words widened(const int16* from) { return (Words)_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i*)from)); }
};

#endif
#if VECTORS == 16

template <> struct Vectors<16> : LANES_OF(16) {
    static uint32 bits(Words mask) { return vaddvq_u32((uint32x4_t)(mask & Words{1, 2, 4, 8})); }
    static uint32 equal(Words a, Words b) { return bits((Words)(a == b)); }
    static uint32 above(Words a, Words b) { return bits((Words)(a > b)); }
    static uint32 below_unsigned(Words a, Words b) { return bits((Words)vcltq_u32((uint32x4_t)a, (uint32x4_t)b)); }
    static Words chosen(uint32 bits, Words yes, Words no) {
        const Words lane = {1, 2, 4, 8};
        return (all((int32)bits) & lane) == lane ? yes : no;
    }
    static Words smaller(Words a, Words b) { return (Words)vminq_s32((int32x4_t)a, (int32x4_t)b); }
    static Words larger(Words a, Words b) { return (Words)vmaxq_s32((int32x4_t)a, (int32x4_t)b); }

    static uint32 bits(Halves mask) { return vaddvq_u16((uint16x8_t)(mask & Halves{1, 2, 4, 8, 16, 32, 64, 128})); }
    static uint32 equal(Halves a, Halves b) { return bits((Halves)(a == b)); }
    static uint32 above(Halves a, Halves b) { return bits((Halves)(a > b)); }
    static Halves chosen(uint32 bits, Halves yes, Halves no) {
        const Halves lane = {1, 2, 4, 8, 16, 32, 64, 128};
        return (halves((int)bits) & lane) == lane ? yes : no;
    }

    static Doubles product(Doubles a, uint32 b) { return (Doubles)vmull_u32(vmovn_u64((uint64x2_t)a), vdup_n_u32(b)); }
    static void store_lower_halves(uint32* out, Doubles first, Doubles second) {
        vst1q_u32(out, vuzp1q_u32((uint32x4_t)first, (uint32x4_t)second));
    }

    struct Counter {
        enum { MOST = 31 };
        Bytes sum = {};
        void add(Words v) { sum += (Bytes)vcntq_u8((uint8x16_t)v); }
        Words counts() const { return (Words)vpaddlq_u16(vpaddlq_u8((uint8x16_t)sum)); }
    };

    static Words looked_up(const uint32 (&table)[32], Words places) {
        const Bytes place = (Bytes)(places * 0x04040404 + 0x03020100);  // of each byte
        return (Words)(sixteen(table, place) | sixteen(table + 16, place - 64));  // 0 where it is beyond
    }
    static Bytes sixteen(const uint32* table, Bytes place) { return (Bytes)vqtbl4q_u8(vld1q_u8_x4((const uint8_t*)table), (uint8x16_t)place); }

    typedef ByteTable Table;
    struct Numbers {
        Words part[8];
    };
    struct Places {
        uint8x16_t at[2];
        uint32 outside;
    };
    static Places places_of(const Halves (&places)[4]) {
        Places found = {{}, 0};
        for (int part = 0; part < 4; ++part) {
            const uint16x8_t place = vminq_u16((uint16x8_t)places[part], vdupq_n_u16(128));
            found.outside |= bits((Halves)vcgeq_u16(place, vdupq_n_u16(128))) << 8 * part;
            const uint8x8_t bytes = vmovn_u16(place);
            found.at[part / 2] = part % 2 ? vcombine_u8(vget_low_u8(found.at[part / 2]), bytes) : vcombine_u8(bytes, bytes);
        }
        return found;
    }
    static Numbers looked_up(const Table& table, const Places& places) {
        Numbers numbers;
        for (int half = 0; half < 2; ++half) {
            const uint8x16_t place = places.at[half];
            uint8x16_t upper = vdupq_n_u8(0);
            for (int i = 0; i < table.count; ++i) {
                const uint8x16_t beyond = vcgtq_s8((int8x16_t)place, vdupq_n_s8(table.steps[i].before));
                upper = vaddq_u8(upper, vandq_u8(beyond, vdupq_n_u8((uint8)table.steps[i].change)));
            }
            uint8x16x4_t found = {{vdupq_n_u8(0), vdupq_n_u8(0), upper, vcltzq_s8((int8x16_t)upper)}};
            for (int b = 0; b < 2; ++b)
                found.val[b] = vorrq_u8(vqtbl4q_u8(vld1q_u8_x4(table.bytes[b]), place),
                                        vqtbl4q_u8(vld1q_u8_x4(table.bytes[b] + 64), vsubq_u8(place, vdupq_n_u8(64))));
            uint8 bytes[64];
            vst4q_u8(bytes, found);
            for (int part = 0; part < 4; ++part) numbers.part[4 * half + part] = load(bytes + 16 * part);
        }
        return numbers;
    }

    static int64 total(Words v) { return vaddlvq_s32((int32x4_t)v); }
    static Words gathered(const int32* table, Words places) { return Words{table[places[0]], table[places[1]], table[places[2]], table[places[3]]}; }
    static Words widened(const int16* from) { return (Words)vmovl_s16(vld1_s16(from)); }
};

#endif
#endif
