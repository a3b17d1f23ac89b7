// Functions of real numbers: those of C by their names, which NVRTC knows and which the host takes from its library, and what is made of
// them. Between devices they agree to rounding, not in their bits.
#pragma once
#include "exponential.cuh"

#ifndef __CUDACC__
extern "C" {
double sqrt(double);
double exp(double);
double expm1(double);
double log(double);
double log1p(double);
double cos(double);
double sin(double);
double erfc(double);
double fabs(double);
}
#endif

// The larger and the smaller of two numbers; a where one is NaN.
__device__ inline double larger(double a, double b) { return b > a ? b : a; }
__device__ inline double lesser(double a, double b) { return b < a ? b : a; }

// tanh(x), and 1 - tanh(x)^2 without the difference, which no x beyond 300 makes smaller; both in vector instructions.
__device__ inline double tanh_of(double x) {
    const double square = x * x;
    // S. L. Moshier's Cephes, for small x.
    const double above = (-9.64399179425052238628e-1 * square - 9.92877231001918586564e1) * square - 1.61468768441708447952e3;
    const double below = ((square + 1.12811678491632931402e2) * square + 2.23548839060100448583e3) * square + 4.84406305325125486048e3;
    const double size = fabs(x);
    const double past = 1.0 - 2.0 / (exponential(2.0 * size) + 1.0);
    return size < 0.625 ? x + x * square * (above / below) : x < 0.0 ? -past : past;
}
__device__ inline double sech2_of(double x) {
    const double decay = exponential(-2.0 * lesser(fabs(x), 300.0));
    return 4.0 * decay / ((1.0 + decay) * (1.0 + decay));
}

// log(exp a + exp b), as NumPy has it.
__device__ inline double log_add(double a, double b) {
    if (a == b) return a + 0.6931471805599453;
    const double gap = a - b;
    if (fabs(gap) > 750.0) return larger(a, b);  // the smaller one vanishes
    return gap > 0.0 ? a + log1p(exp(-gap)) : b + log1p(exp(gap));
}

// log(1 + t) of t from 0 to 1, in vector instructions: 2 artanh(s), s = t / (2 + t), whose series ends where s^36 does.
__device__ inline double quick_log1p(double t) {
    const double s = t / (2.0 + t), square = s * s;
    double sum = 1.0 / 35.0;
    sum = sum * square + 1.0 / 33.0;
    sum = sum * square + 1.0 / 31.0;
    sum = sum * square + 1.0 / 29.0;
    sum = sum * square + 1.0 / 27.0;
    sum = sum * square + 1.0 / 25.0;
    sum = sum * square + 1.0 / 23.0;
    sum = sum * square + 1.0 / 21.0;
    sum = sum * square + 1.0 / 19.0;
    sum = sum * square + 1.0 / 17.0;
    sum = sum * square + 1.0 / 15.0;
    sum = sum * square + 1.0 / 13.0;
    sum = sum * square + 1.0 / 11.0;
    sum = sum * square + 1.0 / 9.0;
    sum = sum * square + 1.0 / 7.0;
    sum = sum * square + 1.0 / 5.0;
    sum = sum * square + 1.0 / 3.0;
    sum = sum * square + 1.0;
    return 2.0 * s * sum;
}

// log(exp a + exp b) of finite numbers, in vector instructions: for loops over many.
__device__ inline double quick_log_add(double a, double b) { return larger(a, b) + quick_log1p(exponential(-fabs(a - b))); }

// log(2 cosh x).
__device__ inline double log_cosh2(double x) { return fabs(x) + log1p(exp(-2.0 * fabs(x))); }

// log Phi(x) and log Phi(-x).
__device__ inline void log_normal(double x, double* log_p, double* log_q) {
    const double size = fabs(x), tail = 0.5 * erfc(size * 0.7071067811865476);
    const double near = log1p(-tail);
    // Beyond 30 by the asymptotic series, five terms.
    const double s = 1.0 / (size * size);
    const double far = size < 30.0 ? log(tail)
                                   : -0.5 * size * size - log(size) - 0.9189385332046728 +
                                         log1p(-s * (1.0 - 3.0 * s * (1.0 - 5.0 * s * (1.0 - 7.0 * s * (1.0 - 9.0 * s)))));
    *log_p = x > 0.0 ? near : far;
    *log_q = x > 0.0 ? far : near;
}
