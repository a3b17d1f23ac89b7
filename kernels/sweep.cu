// Sweeps of single flips: the twin of gpumc/sampling/sweep.py. One item is a few chains with their replicas.
//
// Variants: DENSE (differences of every pattern, or sums of units that are RECTIFIED or WEIGHTED) or margins of COMMITTEE (with PLANES) / PARITY / perceptron; ERROR_COUNT (thresholds)
// or variates; ERROR_COUNT_OF_ONE_CLASS; HEAT_BATH or Metropolis; WIDE (int32 fields);
// sizes as arguments or as constants (gpumc/device/constants.py).
#include "acceptance.cuh"
#include "chains.cuh"
#include "signs.cuh"

#if defined(RECTIFIED) || defined(WEIGHTED)
#include "sums.cuh"
#elif defined(DENSE)
#include "differences.cuh"
#ifdef SHARE
#include "registers.cuh"
#endif
#else
#include "margins.cuh"
#endif

#if defined(VECTORS) && defined(ERROR_COUNT) && !defined(DENSE)
#define STAIRS
#endif

struct Rule {
    const uint32* thresholds;
    const int64 *beta, *gain;
    const uint32* centre;
    const int64* log_table;
};

// What decides in one sweep.
struct Acceptance {
    const Sizes& s;
    const Rule& rule;
    int64 row[OWN];    // of the tables with one row for each sweep and grid point
    int64 width;       // thresholds for one pull
    const uint32* first[OWN];  // the threshold for the lowest pull and no change
#ifdef STAIRS
    Stairs stairs[2];  // where all chains have one row, and there are one or two pulls
#endif

    __device__ Acceptance(const Sizes& s, const Rule& rule, const Chains& chains, int64 sweep)
        : s(s), rule(rule), width(2 * s.patterns + 1) {
        for_own([&](int j) {
            row[j] = (s.ramps ? sweep : 0) * s.grid + chains.grid[j];
            first[j] = held(rule.thresholds + row[j] * s.pulls * width + s.patterns);
        });
#ifdef STAIRS
        for (int c = 1; c < chains.live; ++c)
            if (chains.grid[c] != chains.grid[0]) return;
        if (s.pulls > 2) return;
        for (int64 p = 0; p < s.pulls; ++p) stairs[p] = Stairs(first[0] + p * width, (int32)s.patterns);
        if (s.pulls == 1) stairs[1] = stairs[0];
#endif
    }

    // Together: which chains' weights move, by the energy `change` of flipping them, their `pull` and random `words`. Metropolis takes
    // the pull along the weight; the heat bath draws the weight, so that it asks for the change and pull of becoming +1.
    __device__ uint32 moves(const change_t (&change)[OWN], const int32 (&pull)[OWN], uint32 signs, const uint32 (&words)[OWN]) const {
#ifdef HEAT_BATH
        change_t upward[OWN];
        for_own([&](int j) { upward[j] = bit(signs, j) ? -change[j] : change[j]; });
        return signs ^ passing(upward, pull, words);
#else
        int32 aligned[OWN];
        for_own([&](int j) { aligned[j] = (2 * bit(signs, j) - 1) * pull[j]; });
        return passing(change, aligned, words);
#endif
    }

    // Together: which proposals pass.
    __device__ uint32 passing(const change_t (&change)[OWN], const int32 (&pull)[OWN], const uint32 (&words)[OWN]) const {
#ifdef STAIRS
        if (stairs[0].complete && stairs[1].complete) {
            const uint32 pulled = s.pulls == 1 ? 0 : vote([&](int j) { return pull[j] > 0; });
            return below_stairs(words, change, pulled, stairs[0], stairs[1]);
        }
#endif
        return vote([&](int j) { return passes(j, change[j], s.pulls == 1 ? 0 : ((int32)s.pulls - 1 + pull[j]) / 2, words[j]); });
    }

    __device__ bool passes(int j, change_t change, int32 pulled, uint32 word) const {
#ifdef ERROR_COUNT
        return word >> 1 < first[j][pulled * width + change];
#else
        return rule.beta[row[j]] * change <= limit(j, pulled, word);
#endif
    }

    // What beta x change may be.
    __device__ int64 limit(int j, int32 pulled, uint32 word) const {
#ifdef HEAT_BATH
        const int64 variate = logistic(word, rule.log_table);
#else
        const int64 variate = exponential(word, rule.log_table);
#endif
        return variate + rule.gain[row[j] * s.pulls + pulled];
    }

    // The threshold of the centre's weight being +1 where `up` replicas are.
    __device__ uint32 centre(int j, int up) const { return rule.centre[row[j] * (s.replicas + 1) + up]; }
};

__device__ inline int64 aligned(int64 bytes) { return (bytes + 63) / 64 * 64; }

// a / b, which most often is 0: dividing takes long.
__device__ inline int32 quotient(int32 a, int32 b) { return a < b ? 0 : a / b; }

// The weights of an item, and its workspace: the signs of each replica and of the centre, the masks of a site, the random words of
// each replica, what its chains share, and its caches.
struct Item {
    const Sizes& s;
    const Chains& chains;
    uint32 *weights, *centres;
    unsigned char* space;

    __device__ static int64 masks(const Sizes& s) { return aligned(4 * (s.replicas + 1) * Signs::size(s)); }
    __device__ static int64 shared(const Sizes& s) { return aligned(masks(s) + Masks::bytes(s)); }
    __device__ static int64 draws(const Sizes& s) { return aligned(shared(s) + Shared::bytes(s)); }
    __device__ static int64 caches(const Sizes& s) { return aligned(draws(s) + 16 * CHAINS * s.replicas); }
    __device__ static int64 bytes(const Sizes& s) { return caches(s) + s.replicas * aligned(Slopes::bytes(s)); }

    __device__ Signs replica(int64 r) const {
        return {(uint32*)space + r * Signs::size(s), weights + (chains.first * s.replicas + r) * s.weight_words,
                s.replicas * s.weight_words};
    }

    __device__ Signs centre() const {
        return {(uint32*)space + s.replicas * Signs::size(s), centres + chains.first * s.weight_words, s.weight_words};
    }

    __device__ Draws& random(int64 r) const {
        return ((Draws*)(space + draws(s)))[OWN == CHAINS ? r : r * CHAINS + lane()];
    }

    // Together.
    __device__ void load() const {
        for (int64 r = 0; r < s.replicas; ++r) replica(r).load(chains, s);
        if (s.centre == CENTRE_GIVEN || s.centre == CENTRE_DRAWN) centre().load(chains, s);
    }

    // Together.
    __device__ void store() const {
        for (int64 r = 0; r < s.replicas; ++r) replica(r).store(chains, s);
        if (s.centre == CENTRE_DRAWN) centre().store(chains, s);
    }

    // The centre's weights, or the sums of the other replicas', or 0.
    __device__ void pull(int32 (&out)[OWN], int64 r, int64 site) const {
        clear(out);
        if (s.centre == CENTRE_GIVEN || s.centre == CENTRE_DRAWN) {
            const uint32 word = centre().at(site);
            for_own([&](int j) { out[j] += 2 * bit(word, j) - 1; });
        }
        if (s.centre == CENTRE_TRACED)
            for (int64 other = 0; other < s.replicas; ++other) {
                const uint32 word = replica(other).at(site);
                if (other != r) for_own([&](int j) { out[j] += 2 * bit(word, j) - 1; });
            }
    }

    // Together: draw every weight of the centre from its conditional, after `done` sweeps of the run; where all lanes have the same chain,
    // a site for each of them.
    __device__ void draw_centre(const Acceptance& acceptance, int64 done) const {
        lane_sync();  // lane 0 replaces the centre that others read in the sweep
        const uint32 sweep = (uint32)done;
        if constexpr (CHAINS == 1) {
            for (int64 base = 0; base < s.weights; base += 32) {
                const uint32 word = word_of(
                    [&](int64 site) {
                        int up = 0;
                        for (int64 r = 0; r < s.replicas; ++r) up += (int)replica(r).at(site);
                        const Words words = philox(s.seed, STREAM_CENTRE, sweep, (uint32)(site / 4), chains.walker[0]);
                        return words.word((int)(site % 4)) >> 1 < acceptance.centre(0, up);
                    },
                    base, s.weights);
                if (lane() == 0) centre().rows[base / 32] = word;
            }
        } else {
            Draws words;
            for (int64 site = 0; site < s.weights; ++site) {
                if (site % 4 == 0) words.draw(chains, s.seed, STREAM_CENTRE, sweep, (uint32)(site / 4), 0);
                int up[OWN] = {};
                for (int64 r = 0; r < s.replicas; ++r) {
                    const uint32 signs = replica(r).at(site);
                    for_own([&](int j) { up[j] += bit(signs, j); });
                }
                centre().set(site, vote([&](int j) { return words.of(site % 4)[j] >> 1 < acceptance.centre(j, up[j]); }));
            }
        }
        lane_sync();
    }
};

#ifdef SHARE

#define BOUNDS __launch_bounds__(128, BLOCKS)

#ifdef HEAT_BATH
constexpr bool HEATED = true;
#else
constexpr bool HEATED = false;
#endif

// Together: visit every weight of replica r once. Each lane prepares one of the next 32 places: twice what the change may be, whose lowest
// bit says whether the weight is +1.
__device__ inline void sweep_in_registers(const Item& item, const Acceptance& acceptance, Registers<field_t>& slopes, int64 r, uint32 sweep,
                                          const int32* order, int64& energy, int64& flips) {
    const Sizes& s = item.s;
    const Signs weights = item.replica(r);
    const int32 beta = (int32)acceptance.rule.beta[acceptance.row[0]];
    const double inverse = 1.0 / beta;
    int64 gained = 0;  // twice
    int32 flipped = 0;
    for (int32 first = 0; first < s.weights; first += LANES) {
        const int32 count = (int32)smaller(LANES, s.weights - first);
        const int32 place = first + (lane() < count ? lane() : 0), site = order[place], up = (int32)weights.at(site);
        const bool pulled = s.pulls == 2 && (int32)item.centre().at(site) == (HEATED ? 1 : up);
        const Words words = philox(s.seed, STREAM_ACCEPT, sweep, place / 4, item.chains.walker[0] + r);
        const int32 own_limit = 2 * most_change(acceptance.limit(0, pulled, words.word(place % 4)), beta, inverse) + up;
        const uint32 offset = 4 * site * (uint32)s.pattern_words;
        uint32 moves = 0;
        for (int k = 0; k < count; ++k) {
            const int32 limit = lane_of(k, own_limit), weight = 2 * (limit & 1) - 1;
            const uint32 inputs = slopes.at(lane_of(k, offset));
            const int32 twice = slopes.twice_change(weight, inputs);
            if (((HEATED ? -weight * twice : twice) <= limit) == (HEATED && weight > 0)) continue;
            slopes.flip(weight, inputs, twice);
            gained += twice;
            moves |= 1u << k;
        }
        lane_sync();  // all have read their weights, whose words several lanes change
        if ((moves >> lane()) & 1u) atomicXor(weights.rows + (site >> 5), 1u << (site & 31));
        flipped += popcount(moves);
        lane_sync();
    }
    if (lane() != 0) return;
    energy += gained / 2;
    flips += flipped;
}

#else
#define BOUNDS
#endif

extern "C" __global__ BOUNDS void sweep(int64 begin, int64 end, const Sizes* sizes, uint32* weights, uint32* centres, field_t* fields,
                                 int64* energy, int64* flips, const uint32* patterns, const int32* order,
                                 const uint32* thresholds, const int64* beta, const int64* gain, const uint32* centre_thresholds,
                                 const int64* log_table, const int8* labels, const int32* rest, const int64* values, const int32* table,
                                 unsigned char* workspace) {
    const Sizes s = known(sizes);
    const Rule rule = {thresholds, beta, gain, centre_thresholds, log_table};
#ifdef SHARE
    __shared__ int32 tables[TABLES];
#endif
    for (int64 index = first_item(begin); index < end; index += item_stride()) {
        const Chains chains(s, index);
        const Item item = {s, chains, weights, centres, held(own_space(workspace, index, Item::bytes(s)))};
#ifdef SHARE
        const uint32* inputs = patterns + chains.instance[0] * s.inputs * s.pattern_words;
        const int64 readouts = chains.grid[0] * s.readouts;
        for (int64 t = 0; t < s.sweeps; ++t) {
            const Acceptance acceptance(s, rule, chains, t);
            for (int64 r = 0; r < s.replicas; ++r) {
                const int64 walker = chains.first * s.replicas + r;
                field_t* own = fields + walker * s.patterns;
                Registers<field_t> slopes(s, item.replica(r), inputs, values + readouts, table + readouts, tables, own);
                const uint32 sweep = (uint32)(s.first_sweep + t);
                sweep_in_registers(item, acceptance, slopes, r, sweep, order + t * s.weights, energy[walker], flips[walker]);
                slopes.store(s, own);
            }
            if (s.centre == CENTRE_DRAWN) item.draw_centre(acceptance, s.first_sweep + t + 1);
        }
#else
        const int32 fan_in = (int32)(s.weights / s.units), inputs = (int32)s.inputs;
        const auto input_of = [&](int32 site) { return s.inputs == s.weights ? site : site - quotient(site, inputs) * inputs; };
        const Shared shared(s, chains, table, item.space + Item::shared(s));
        auto slopes_of = [&](int64 r) {
            const int64 walker = chains.first * s.replicas + r;
            return Slopes(s, chains, shared, labels, rest, values, table, fields + walker * s.units * s.patterns,
                          item.space + Item::caches(s) + r * aligned(Slopes::bytes(s)));
        };
        item.load();
        for (int64 r = 0; r < s.replicas; ++r) slopes_of(r).prepare();
        for (int64 t = 0; t < s.sweeps; ++t) {
            const Acceptance acceptance(s, rule, chains, t);
            const int32* sites = held(order + t * s.weights);
            for (int32 place = 0; place < s.weights; ++place) {
                const int32 site = sites[place], unit = s.units == 1 ? 0 : quotient(site, fan_in);
                const Masks masks(s, chains, patterns + input_of(site) * s.pattern_words, item.space + Item::masks(s));
                for (int64 r = 0; r < s.replicas; ++r) {
                    Draws& random = item.random(r);
                    if (place % 4 == 0) {
                        lane_sync();  // lanes that share the words are done with the last ones
                        if (leads()) random.draw(chains, s.seed, STREAM_ACCEPT, s.first_sweep + t, place / 4, r);
                        lane_sync();
                    }
                    Slopes slopes = slopes_of(r);
                    const Signs replica = item.replica(r);
                    const uint32 signs = replica.at(site);
                    change_t change[OWN];
                    int32 pull[OWN];
                    slopes.change(change, unit, signs, masks);
                    item.pull(pull, r, site);
                    const uint32 moves = chains.alive & acceptance.moves(change, pull, signs, random.of(place % 4));
                    if (!moves) continue;
                    lane_sync();
                    replica.set(site, signs ^ moves);
                    for_own_of(moves, [&](int j) {
                        if (!leads()) return;
                        const int64 walker = (chains.first + chain_of(j)) * s.replicas + r;
                        energy[walker] += change[j];
                        flips[walker] += 1;
                    });
                    for_chains(moves, [&](int c) {
                        slopes.flip(c, unit, (signs >> c) & 1u ? 1 : -1, masks, change[OWN == CHAINS ? c : 0]);
                    });
                }
            }
            if (s.centre == CENTRE_DRAWN) item.draw_centre(acceptance, s.first_sweep + t + 1);
        }
        item.store();
#endif
    }
}

// The bytes of workspace of an item.
extern "C" __global__ void item_bytes(int64 begin, int64 end, const Sizes* sizes, int64* bytes) {
    for (int64 item = first_item(begin); item < end; item += item_stride())
        if (lane() == 0) bytes[item] = Item::bytes(*sizes);
}

// The centre of each chain, drawn once after sizes.first_sweep sweeps.
extern "C" __global__ void draw_centre(int64 begin, int64 end, const Sizes* sizes, uint32* weights, uint32* centres,
                                       const uint32* centre_thresholds, unsigned char* workspace) {
    const Sizes& s = *sizes;
    const Rule rule = {nullptr, nullptr, nullptr, centre_thresholds, nullptr};
    for (int64 index = first_item(begin); index < end; index += item_stride()) {
        const Chains chains(s, index);
        const Item item = {s, chains, weights, centres, own_space(workspace, index, Item::bytes(s))};
        item.load();
        item.centre().load(chains, s);
        item.draw_centre(Acceptance(s, rule, chains, 0), s.first_sweep);
        item.centre().store(chains, s);
    }
}
