// Runs kernels on the CPU: one fiber for each CUDA thread, blocks one after the other (or all at
// once, where they were launched together), all on the thread that launches. Fibers run until they
// meet a collective (a barrier, a shuffle, a product of matrices) and go on when everybody whom it
// names has come, so a kernel behaves as CUDA promises and no better:
//
//   - a collective that can never complete is a failure that names the block, the threads and the
//     lines where they wait, not a hang;
//   - with an order seed, blocks, warps and lanes run in shuffled orders between collectives, so
//     that a missing barrier gives a wrong result under some seed;
//   - shared memory is filled with 0xFF before each block.
//
// Cost: some 10 to 50 ns a switch of fibers. One kernel runs at a time in the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "vector_types.h"

using cudaStream_t = struct CUstream_st*;

extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

/// Static shared memory: a variable of the function that is local to the thread, by which the shim
/// knows it among the program's symbols (gcc ignores sections of variables in templates). `used`:
/// the compiler must not think that it knows what is in it. Alignment is written __align__(n),
/// after it.
#define HOST_CUDA_SHARED static thread_local __attribute__((used))

namespace host_cuda {

/// A line of source. (clang 14 has no std::source_location.)
struct Where {
  const char* file = "";
  unsigned line = 0;
  static constexpr Where current(const char* file = __builtin_FILE(),
                                 unsigned line = __builtin_LINE()) {
    return {file, line};
  }
  bool operator==(const Where& other) const;
};

/// What shared memory holds before it is written, and device memory.
inline constexpr unsigned char kSharedPoison = 0xFF;
inline constexpr unsigned char kDevicePoison = 0xCB;

/// Runs `body` once for each thread of the grid. A shape that CUDA refuses is cudaGetLastError's
/// cudaErrorInvalidConfiguration; a failure, its cudaErrorLaunchFailure.
void launch(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            const std::function<void()>& body);

/// The same with all blocks live at once, which may wait for each other: a cooperative launch. Its
/// error (a cudaError_t): also where the device would not hold them.
int launch_together(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                    const std::function<void()>& body);
/// Waits for all threads of all blocks of such a launch.
void grid_barrier(const Where& where);

/// The block's dynamic shared memory.
unsigned char* dynamic_shared();

/// 0: threads, warps and blocks in order. Else a shuffle by this seed, for launches from now on.
void set_order_seed(std::uint64_t seed);
/// Whether work on a stream should run early now; never with the seed 0.
bool is_early();

/// What happens to failures: by default they are printed and end the process.
using FailureHandler = std::function<void(const std::string&)>;
void set_failure_handler(FailureHandler handler);
/// Reports a failure. Within a kernel it ends the launch and does not return (so what the stack of
/// the thread owns is lost: hence no std::string).
void fail(const char* message);

/// A collective of a warp's lanes in `mask` (those that have left the kernel aside): waits for all,
/// and the last to come calls `complete` with each lane's payload (null: not taking part).
using Complete = void (*)(void* const* payloads);
void warp_collective(const char* name, unsigned mask, Complete complete, void* payload,
                     const Where& where);

/// A barrier of the block; the sum of everybody's `value`, and how many came.
struct Votes {
  unsigned yes = 0;
  unsigned all = 0;
};
Votes block_barrier(const char* name, bool vote, const Where& where);

/// cp.async: copies of the calling thread, in groups. They are done when they are waited for, and
/// with an order seed some at once, since the chip may do them at any time between.
void copy_async(void* to, const void* from, std::size_t bytes);
void copy_async_commit();
/// All but the newest `pending` groups.
void copy_async_wait(std::size_t pending);

/// Of the calling thread within its warp.
unsigned lane();

}  // namespace host_cuda
