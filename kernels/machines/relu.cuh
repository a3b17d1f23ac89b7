// Committees of ReLU units.
#pragma once
#include "../population.cuh"

// A hidden unit's value.
__device__ inline int32 value_of(int32 field) { return field > 0 ? field : 0; }
