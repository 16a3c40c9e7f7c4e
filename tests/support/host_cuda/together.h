// Which launches a device takes whose blocks run all at once.
#pragma once

#include <cstddef>

#include "runtime_api.h"

namespace host_cuda {

inline constexpr int kMultiprocessors = 8;

/// Whether there are such launches at all.
[[nodiscard]] bool runs_together();
/// What such a launch is answered; it counts.
[[nodiscard]] cudaError_t admit_together(std::size_t blocks, unsigned threads,
                                         std::size_t shared_bytes);
/// Forgets what set_together() and refuse_together_from() have said.
void reset_together();

}  // namespace host_cuda
