// Ranks of one process that copy from each other's memory and meet on the host between.
//
// Works on any devices that one process sees, also on one device that several ranks share, and so
// is what tests the sharding. Every call waits for the stream: nothing can be recorded, and a step
// costs two meetings a call.
#pragma once

#include "runtime/cuda/communicator.h"

namespace espalier::runtime::cuda {

[[nodiscard]] Group thread_group(std::uint32_t ranks);

}  // namespace espalier::runtime::cuda
