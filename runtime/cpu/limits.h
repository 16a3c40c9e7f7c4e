// What this machine can do at most, measured: the limits that figures of the backend stand beside.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/system.h"

namespace espalier::runtime::cpu {

struct MachineLimits {
  std::string isa;                 // the kernels' name
  double bytes_per_second = 0;     // read, over and over, from a buffer of the size asked for
  double products_per_second = 0;  // int8 codes multiplied and added, operands in registers
};

/// The best of several short runs on `threads` threads; takes about 0.2 s and `bytes` of memory.
/// `isa` as in CpuOptions. kExhausted: memory or threads.
[[nodiscard]] Result<MachineLimits> measure_limits(unsigned threads, const std::string& isa,
                                                   std::uint64_t bytes, System& system);

}  // namespace espalier::runtime::cpu
