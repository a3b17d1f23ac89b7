// One source for CUDA and for the host.
//
// A kernel handles *items* (a walker, a chain, a pattern): `extern "C" __global__ void name(int64 begin, int64 end, ...)` loops
//     for (int64 item = first_item(begin); item < end; item += item_stride()) work(item, ...);
// and `work` is a plain function over words and lanes. On CUDA one warp handles an item, with LANES = 32 lanes that run this
// code together; on the host one thread of C++ does, with LANES = 1, over the range of items it was given.
// All lanes must reach every function below that says "together".
#pragma once

typedef signed char int8;
typedef unsigned char uint8;
typedef short int16;
typedef unsigned short uint16;
typedef int int32;
typedef unsigned int uint32;
typedef long long int64;
typedef unsigned long long uint64;

#ifdef __CUDACC__

constexpr int LANES = 32, WARPS = 4;  // of a warp, and of a block
constexpr uint32 ALL_LANES = 0xFFFFFFFFu;

__device__ inline int lane() { return threadIdx.x % LANES; }

__device__ inline int64 first_item(int64 begin) { return begin + ((int64)blockIdx.x * blockDim.x + threadIdx.x) / LANES; }

__device__ inline int64 item_stride() { return (int64)gridDim.x * (blockDim.x / LANES); }

// Together: lanes see each other's writes to memory from before.
__device__ inline void lane_sync() { __syncwarp(); }

// Together: lane 0's x, for all.
template <class T> __device__ inline T lane_first(T x) { return __shfl_sync(ALL_LANES, x, 0); }

// Together: lane l's x, for all.
template <class T> __device__ inline T lane_of(int l, T x) { return __shfl_sync(ALL_LANES, x, l); }

// Together: the sum of x over the lanes, for all (of 32 bits or int64).
template <class T> __device__ inline T lane_sum(T x) {
    for (int step = LANES / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}

// Together: the largest x of the lanes, for all.
template <class T> __device__ inline T lane_largest(T x) {
    for (int step = LANES / 2; step > 0; step /= 2) {
        const T other = __shfl_xor_sync(ALL_LANES, x, step);
        x = other > x ? other : x;
    }
    return x;
}

// Together: x, which then stays in registers: the compiler would make it again wherever it is used.
template <class T> __device__ inline T* held(T* x) {
    T* own = (T*)__shfl_sync(ALL_LANES, (uint64)x, lane());
#ifdef __CUDACC_RTC__
    asm("" : "+l"(own));  // the address space is not known from a number
    __builtin_assume(__isGlobal(own));
#endif
    return own;
}

#if __CUDA_ARCH__ >= 800
__device__ inline int32 lane_sum(int32 x) { return __reduce_add_sync(ALL_LANES, x); }
__device__ inline uint32 lane_sum(uint32 x) { return __reduce_add_sync(ALL_LANES, x); }
#endif

// f(base), ..., f(base + 31), those below `end`: one for each lane.
template <class F> __device__ inline void for_lanes(int64 base, int64 end, F f) {
    if (base + lane() < end) f(base + lane());
}

// f(i) for each i from `begin` to `end` - 1, shared among the lanes.
template <class F> __device__ inline void for_range(int64 begin, int64 end, F f) {
    for (int64 i = begin + lane(); i < end; i += LANES) f(i);
}

// Together: the word whose bit b is f(base + b), 0 from `end` on, for all.
template <class F> __device__ inline uint32 word_of(F f, int64 base, int64 end) {
    return __ballot_sync(ALL_LANES, base + lane() < end && f(base + lane()));
}

// What `count` was before 1 is added to it.
__device__ inline int32 taken(int32* count) { return atomicAdd(count, 1); }

// The workspace of an item, of so many bytes.
__device__ inline unsigned char* own_space(unsigned char* workspace, int64 item, int64 bytes) { return workspace + item * bytes; }

__device__ inline double square_root(double x) { return sqrt(x); }
__device__ inline int popcount(uint32 x) { return __popc(x); }

// The place of the highest bit of x > 0, and of the lowest.
__device__ inline int highest_bit(uint64 x) { return 63 - __clzll((int64)x); }
__device__ inline int lowest_bit(uint32 x) { return __ffs((int)x) - 1; }

__device__ inline void add_atomic(int32* target, int32 x) { atomicAdd(target, x); }
__device__ inline void add_atomic(int64* target, int64 x) { atomicAdd((uint64*)target, (uint64)x); }

#else

#define __global__
#define __device__

constexpr int LANES = 1;

inline int lane() { return 0; }
inline int64 first_item(int64 begin) { return begin; }
inline int64 item_stride() { return 1; }
inline void lane_sync() {}
template <class T> inline T lane_first(T x) { return x; }
template <class T> inline T lane_of(int, T x) { return x; }
template <class T> inline T lane_sum(T x) { return x; }
template <class T> inline T lane_largest(T x) { return x; }
template <class T> inline T* held(T* x) { return x; }

template <class F> inline void for_lanes(int64 base, int64 end, F f) {
    const int64 stop = base + 32 < end ? base + 32 : end;
    for (int64 i = base; i < stop; ++i) f(i);
}

template <class F> inline void for_range(int64 begin, int64 end, F f) {
    for (int64 i = begin; i < end; ++i) f(i);
}

template <class F> inline uint32 word_of(F f, int64 base, int64 end) {
    uint32 word = 0;
    if (base + 32 <= end)
        for (int b = 0; b < 32; ++b) word |= (uint32)(f(base + b) ? 1 : 0) << b;
    else
        for (int b = 0; base + b < end; ++b) word |= (uint32)(f(base + b) ? 1 : 0) << b;
    return word;
}

inline int32 taken(int32* count) { return (*count)++; }

inline unsigned char* own_space(unsigned char* workspace, int64, int64) { return workspace; }

inline double square_root(double x) { return __builtin_sqrt(x); }
inline int popcount(uint32 x) { return __builtin_popcount(x); }
inline int highest_bit(uint64 x) { return 63 - __builtin_clzll(x); }
inline int lowest_bit(uint32 x) { return __builtin_ctz(x); }

inline void add_atomic(int32* target, int32 x) { __atomic_fetch_add(target, x, __ATOMIC_RELAXED); }
inline void add_atomic(int64* target, int64 x) { __atomic_fetch_add(target, x, __ATOMIC_RELAXED); }

#endif

__device__ constexpr int64 smaller(int64 a, int64 b) { return a < b ? a : b; }
