#include "together.h"

#include <algorithm>
#include <mutex>

#include "streams.h"

namespace host_cuda {
namespace {

struct State {
  std::mutex mutex;
  bool supported = true;
  unsigned countdown = 0;  // to the first that is refused; 0: none is
  std::uint64_t taken = 0;
};
State& state() {
  static State it;
  return it;
}

// That a multiprocessor holds at a time.
std::size_t blocks_at_a_time(unsigned threads, std::size_t shared_bytes) {
  constexpr std::size_t kShared = std::size_t{228} << 10;
  constexpr std::size_t kOfABlock = std::size_t{1} << 10;  // what it needs besides
  return std::min(
      {std::size_t{2048} / threads, kShared / (shared_bytes + kOfABlock), std::size_t{32}});
}

}  // namespace

bool runs_together() {
  const std::lock_guard lock(state().mutex);
  return state().supported;
}

cudaError_t admit_together(std::size_t blocks, unsigned threads, std::size_t shared_bytes) {
  State& it = state();
  const std::lock_guard lock(it.mutex);
  if (!it.supported) return cudaErrorNotSupported;
  if (it.countdown == 1 || blocks > kMultiprocessors * blocks_at_a_time(threads, shared_bytes)) {
    return cudaErrorCooperativeLaunchTooLarge;
  }
  if (it.countdown > 1) --it.countdown;
  ++it.taken;
  return cudaSuccess;
}

void reset_together() {
  const std::lock_guard lock(state().mutex);
  state().supported = true;
  state().countdown = 0;
}

void set_together(bool supported) {
  const std::lock_guard lock(state().mutex);
  state().supported = supported;
}

void refuse_together_from(unsigned n) {
  const std::lock_guard lock(state().mutex);
  state().countdown = n;
}

std::uint64_t launches_together() {
  const std::lock_guard lock(state().mutex);
  return state().taken;
}

}  // namespace host_cuda

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int threads, std::size_t shared_bytes) {
  if (blocks == nullptr || function == nullptr || threads <= 0 || threads > 1024) {
    return host_cuda::failed(cudaErrorInvalidValue);
  }
  *blocks =
      static_cast<int>(host_cuda::blocks_at_a_time(static_cast<unsigned>(threads), shared_bytes));
  return host_cuda::enter();
}
