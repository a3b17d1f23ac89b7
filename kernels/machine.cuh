// The machine that this variant is compiled for.
#pragma once
#include "population.cuh"
#if defined(COMMITTEE)
#include "machines/committee.cuh"
#elif defined(PARITY)
#include "machines/parity.cuh"
#elif defined(RECTIFIED)
#include "machines/relu.cuh"
#else
#include "machines/perceptron.cuh"
#endif
