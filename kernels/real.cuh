// The numbers in arrays of messages: REAL is double unless another type is asked for. Calculations are in double in any case.
#pragma once

#ifndef REAL
#define REAL double
#endif
typedef REAL real;
