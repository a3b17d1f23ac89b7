// Doubles every value of a row; OVERRUN writes one value too many.
#include "lanes.cuh"

#ifdef OVERRUN
constexpr int EXTRA = 1;
#else
constexpr int EXTRA = 0;
#endif

#ifdef BROKEN
this line is not C++
#endif

extern "C" __global__ void twice(int64 begin, int64 end, int32* values, int width) {
    for (int64 item = first_item(begin); item < end; item += item_stride())
        for (int i = lane(); i < width + EXTRA; i += LANES) values[item * width + i] *= 2;
}

extern "C" __global__ void shift(int64 begin, int64 end, int32* values, int by) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) values[item] = 1 << by;
}

// What lanes.cuh offers, over `count` values an item: sums as int32 and int64, bits of those that are odd, lane 0's value,
// and one count over all items.
extern "C" __global__ void reductions(
    int64 begin, int64 end, const int32* values, int count, int32* sum, int64* large_sum, uint32* odd, int32* first, int64* all) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const int32* here = values + item * count;
        int32 small = 0;
        int64 large = 0;
        for (int i = lane(); i < count; i += LANES) {
            small += here[i];
            large += (int64)here[i] * ((int64)1 << 32);
        }
        small = lane_sum(small);
        large = lane_sum(large);
        const int32 leading = lane_first(here[lane()]);
        for (int word = 0; word < (count + 31) / 32; ++word) {
            const uint32 bits = word_of([&](int64 i) { return here[i] % 2 != 0; }, 32 * word, count);
            if (lane() == 0) odd[item * ((count + 31) / 32) + word] = bits;
        }
        if (lane() == 0) {
            sum[item] = small;
            large_sum[item] = large;
            first[item] = leading;
            add_atomic(all, (int64)small);
        }
    }
}
