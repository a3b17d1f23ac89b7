// CUDA's names for code that is compiled for the host and run by warp.cpp. It is put before a kernel's text, which then takes its
// CUDA branches; it includes no library, so that kernels compile fast.
#pragma once
#define __CUDACC__ 1
#define __CUDA_ARCH__ 900
#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static

struct EmulatedIndex {
    unsigned x, y, z;
};

extern "C" {
extern EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;
// Wait until all lanes are here; gives each what `kind` makes of the values, of which `argument` names one.
unsigned long long emulated_meet(int kind, unsigned mask, unsigned long long value, int argument, const void* site);
}

enum EmulatedKind { EMULATED_SYNC = 1, EMULATED_SHFL, EMULATED_SHFL_XOR, EMULATED_BALLOT, EMULATED_SUM };

// Each collective is a function that is called, so that the address it returns to names the place.
#define EMULATED_COLLECTIVE __attribute__((noinline)) static
#define EMULATED_MEET(kind, value, argument) emulated_meet(kind, mask, value, argument, __builtin_return_address(0))

template <class To, class From> static inline To emulated_bits(From x) {
    static_assert(sizeof(From) <= 8 && sizeof(To) <= 8, "a collective takes 64 bits at most");
    unsigned long long bits = 0;
    To out;
    __builtin_memcpy(&bits, &x, sizeof x);
    __builtin_memcpy(&out, &bits, sizeof out);
    return out;
}

EMULATED_COLLECTIVE void __syncwarp(unsigned mask = 0xFFFFFFFFu) { EMULATED_MEET(EMULATED_SYNC, 0, 0); }
template <class T> EMULATED_COLLECTIVE T __shfl_sync(unsigned mask, T x, int lane) {
    return emulated_bits<T>(EMULATED_MEET(EMULATED_SHFL, emulated_bits<unsigned long long>(x), lane));
}
template <class T> EMULATED_COLLECTIVE T __shfl_xor_sync(unsigned mask, T x, int step) {
    return emulated_bits<T>(EMULATED_MEET(EMULATED_SHFL_XOR, emulated_bits<unsigned long long>(x), step));
}
EMULATED_COLLECTIVE unsigned __ballot_sync(unsigned mask, int x) { return (unsigned)EMULATED_MEET(EMULATED_BALLOT, x != 0, 0); }
EMULATED_COLLECTIVE int __reduce_add_sync(unsigned mask, int x) { return (int)EMULATED_MEET(EMULATED_SUM, (unsigned)x, 0); }
EMULATED_COLLECTIVE unsigned __reduce_add_sync(unsigned mask, unsigned x) { return (unsigned)EMULATED_MEET(EMULATED_SUM, x, 0); }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline long long __double_as_longlong(double x) { return emulated_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return emulated_bits<double>(x); }
template <class T> static inline T __ldg(const T* x) { return *x; }
template <class T> static inline T atomicAdd(T* x, T y) { return __atomic_fetch_add(x, y, __ATOMIC_RELAXED); }
template <class T> static inline T atomicXor(T* x, T y) { return __atomic_fetch_xor(x, y, __ATOMIC_RELAXED); }
extern "C" {
double sqrt(double), exp(double), expm1(double), log(double), log1p(double), cos(double), sin(double);
double erfc(double), fabs(double), floor(double), fmin(double, double), fmax(double, double);
}
