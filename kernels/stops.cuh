// When rows of an iteration stop: the twin of Stops in gpumc/messages/marginals.py.
#pragma once
#include "lanes.cuh"

// Whether a row was stopped at an iteration, 0 where it was not, before this one.
__device__ inline bool is_frozen(double stopped, int64 iteration) { return stopped > 0.0 && stopped < (double)iteration; }
