// Functions of real numbers: those of C by their names, which NVRTC knows and which the host takes from its library, and what is made of
// them. Between devices they agree to rounding, not in their bits.
#pragma once
#include "lanes.cuh"

#ifndef __CUDACC__
extern "C" {
double sqrt(double);
double exp(double);
double expm1(double);
double log(double);
double log1p(double);
double cos(double);
double sin(double);
double tanh(double);
double cosh(double);
double erfc(double);
double fabs(double);
}
#endif

// The larger and the smaller of two numbers; a where one is NaN.
__device__ inline double larger(double a, double b) { return b > a ? b : a; }
__device__ inline double lesser(double a, double b) { return b < a ? b : a; }
