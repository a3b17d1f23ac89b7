// The fields of binary weights on all patterns: the twin of Machine.fields in gpumc/machines.py.
#include "population.cuh"
#include "vectors.cuh"

// One item is a walker: weights uint32 (items, weight_words), patterns (instances, inputs, pattern_words), fields (items, units, count), of
// `each` neighbouring walkers of an instance; zeros at first.
extern "C" __global__ void fields_of_weights(int64 begin, int64 end, const uint32* weights, const uint32* patterns, field_t* fields,
                                             int64 each, int64 sites, int64 inputs, int64 units, int64 count, int64 weight_words,
                                             int64 pattern_words) {
    for (int64 item = first_item(begin); item < end; item += item_stride()) {
        const uint32 *own = weights + item * weight_words, *known = patterns + item / each * inputs * pattern_words;
        for (int64 unit = 0; unit < units; ++unit) {
            field_t* f = fields + (item * units + unit) * count;
            for (int64 site = unit * (sites / units); site < (unit + 1) * (sites / units); ++site) {
                const int step = -sign_of(own, site);  // where the input is -1
                const uint32* words = known + site % inputs * pattern_words;
                for (int64 w = 0; w < pattern_words && 32 * w < count; ++w)
                    move_fields<false>(f + 32 * w, count - 32 * w, words[w], step, 0);
            }
        }
    }
}
