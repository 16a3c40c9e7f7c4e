// Time that something took, by a clock that may jump: what is learnt from it must stay sane.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/system.h"

namespace espalier::runtime {

/// Seconds since `start`; 0 where the clock has gone back.
inline double elapsed(System& system, System::Clock::time_point start) {
  return std::max(0.0, std::chrono::duration<double>(system.now() - start).count());
}

}  // namespace espalier::runtime
