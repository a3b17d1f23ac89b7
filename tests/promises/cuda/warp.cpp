// A warp of 32 lanes on the host. Each lane is a fiber; a collective is a place where all of them must meet.
//
// Between two meetings the lanes run one after the other, in an order that is chosen: ascending, descending, or drawn anew each
// time. What depends on the order is a race. With -fsanitize=thread only __syncwarp orders memory, as CUDA has it, and
// ThreadSanitizer names each race. One kernel runs at a time.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>

#include "cuda.hpp"
#include "fibers.hpp"

namespace {

constexpr int LANES = 32;
constexpr size_t MESSAGE = 512;
enum State { READY, WAITING, ENDED };
enum Order { ASCENDING, DESCENDING, RANDOM };
const char* const NAMES[] = {"the start", "__syncwarp", "__shfl_sync", "__shfl_xor_sync", "__ballot_sync", "__reduce_add_sync"};

struct Lane {
    Fiber fiber;
    State state;
    // Of the last meeting: which one, what the lane brought, and what it gets.
    int kind;
    unsigned mask;
    int argument;
    uint64_t value, result;
    const void* site;
};

typedef void (*Body)(void**);

Lane lanes[LANES];
Fiber scheduler;
int current;
Body body;
void** arguments;
Order order;
uint64_t random_state;
char* message;
char synchronised, started;  // whose addresses are what ThreadSanitizer sees released and acquired

// A lane comes after the start, and after the same lane of warps before, whose stack it takes over.
UNSEEN void run_lane() {
    Lane& lane = lanes[current];
    __tsan_acquire(&started);
    __tsan_acquire(&lane);
    body(arguments);
    __tsan_release(&lane);
    lane.state = ENDED;
    lane.fiber.leave_for(scheduler);
    abort();
}

// The lanes in the order in which they run until the next meeting.
UNSEEN void ordered(int (&out)[LANES]) {
    for (int l = 0; l < LANES; ++l) out[l] = order == DESCENDING ? LANES - 1 - l : l;
    if (order != RANDOM) return;
    for (int l = LANES - 1; l > 0; --l) {
        random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
        const int other = (int)((random_state >> 33) % (unsigned)(l + 1)), kept = out[l];
        out[l] = out[other];
        out[other] = kept;
    }
}

// Where a lane is, for people; a site is given as "library+offset".
UNSEEN void describe(int l, char* out, size_t size) {
    const Lane& lane = lanes[l];
    Dl_info found = {};
    if (lane.site) dladdr(lane.site, &found);
    snprintf(out, size, "lane %d %s %s (mask %08x) at %s+%#tx", l, lane.state == ENDED ? "has ended after" : "is at", NAMES[lane.kind],
             lane.mask, found.dli_fname ? found.dli_fname : "?", (const char*)lane.site - (const char*)found.dli_fbase);
}

UNSEEN bool fails(const char* what, int a, int b) {
    char first[MESSAGE], second[MESSAGE];
    describe(a, first, sizeof first);
    describe(b, second, sizeof second);
    snprintf(message, 3 * MESSAGE, "%s: block %u, warp %u: %s; %s", what, blockIdx.x, threadIdx.x / LANES, first, second);
    return true;
}

// Whether the lanes that have run do not meet as they must.
UNSEEN bool apart() {
    int first = -1;
    for (int l = 0; l < LANES; ++l)
        if (lanes[l].state == WAITING && first < 0) first = l;
    const Lane& one = lanes[first];
    for (int l = 0; l < LANES; ++l) {
        if (lanes[l].state == ENDED) return fails("a lane waits for one that has ended", first, l);
        if (lanes[l].kind != one.kind || lanes[l].mask != one.mask) return fails("lanes meet in different collectives", first, l);
        if (lanes[l].site != one.site) return fails("lanes meet at different places", first, l);
    }
    return one.mask != 0xFFFFFFFFu && fails("a mask without all lanes", first, first);
}

UNSEEN void exchange() {
    const int kind = lanes[0].kind;
    uint64_t all = 0;
    for (int l = 0; l < LANES; ++l) {
        if (kind == EMULATED_BALLOT) all |= lanes[l].value << l;
        if (kind == EMULATED_SUM) all = (uint32_t)(all + lanes[l].value);
    }
    for (int l = 0; l < LANES; ++l) {
        const int argument = lanes[l].argument & (LANES - 1);
        lanes[l].result = kind == EMULATED_SHFL ? lanes[argument].value : kind == EMULATED_SHFL_XOR ? lanes[l ^ argument].value : all;
        lanes[l].state = READY;
    }
}

// Run one warp to its end; whether it failed.
UNSEEN bool run_warp(unsigned first_thread) {
    for (Lane& lane : lanes) {
        lane.fiber.start(run_lane);
        lane.state = READY;
        lane.kind = 0;
        lane.site = nullptr;
    }
    bool failed = false;
    for (;;) {
        int next[LANES];
        bool waiting = false;
        ordered(next);
        for (int l : next)
            if (lanes[l].state == READY) {
                current = l;
                threadIdx = {first_thread + l, 0, 0};
                scheduler.leave_for(lanes[l].fiber);
                waiting |= lanes[l].state == WAITING;
            }
        if (!waiting || (failed = apart())) break;
        exchange();
    }
    for (Lane& lane : lanes) lane.fiber.forget();
    return failed;
}

}  // namespace

extern "C" {

EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

UNSEEN unsigned long long emulated_meet(int kind, unsigned mask, unsigned long long value, int argument, const void* site) {
    Lane& lane = lanes[current];
    lane.state = WAITING;
    lane.kind = kind;
    lane.mask = mask;
    lane.value = value;
    lane.argument = argument;
    lane.site = site;
    if (kind == EMULATED_SYNC) __tsan_release(&synchronised);
    lane.fiber.leave_for(scheduler);
    if (kind == EMULATED_SYNC) __tsan_acquire(&synchronised);
    return lane.result;
}

// Run `kernel` with the arguments that the pointers `values` lead to; 0 where all is well, else `error` says what is not.
UNSEEN int emulated_run(Body kernel, void** values, unsigned blocks, unsigned threads, int lane_order, char* error) {
    body = kernel;
    arguments = values;
    order = (Order)lane_order;
    random_state = 1;
    message = error;
    blockDim = {threads, 1, 1};
    gridDim = {blocks, 1, 1};
    scheduler.seen = __tsan_get_current_fiber();
    __tsan_release(&started);
    bool failed = false;
    for (unsigned block = 0; block < blocks && !failed; ++block) {
        blockIdx = {block, 0, 0};
        for (unsigned first = 0; first < threads && !failed; first += LANES) failed = run_warp(first);
    }
    for (Lane& lane : lanes) __tsan_acquire(&lane);
    return failed;
}

}
