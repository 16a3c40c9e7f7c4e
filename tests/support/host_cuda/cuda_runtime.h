// CUDA for a machine without it: what runtime/cuda uses of the language, of the device's functions
// and of the runtime's interface, as plain C++ (g++, clang++), run on the CPU. Found before the
// real header by the include path of the test programs that want it.
//
//   execution.h         fibers, launches, shared memory, collectives
//   device_functions.h  intrinsics, shuffles, votes, barriers, atomics
//   runtime_api.h       memory, streams, events, devices; faults to inject
//
// Written from CUDA's documentation; not a line of CUDA's own.
#pragma once

#include "device_functions.h"
#include "execution.h"
#include "runtime_api.h"
#include "vector_types.h"

#define CUDART_VERSION 13000

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
