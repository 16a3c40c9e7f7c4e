// Both halves of a backend's step at once, for tests whose plans are known before it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "runtime/backend.h"

namespace espalier::runtime {

/// The rows that plans name, as begin() takes them.
inline std::vector<std::uint32_t> rows_of(std::span<const RowPlan> plans) {
  std::vector<std::uint32_t> out;
  for (const RowPlan& plan : plans) out.push_back(plan.row);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

inline Result<std::vector<RowResult>> run_step(Backend& backend, const Batch& batch,
                                               std::span<const RowPlan> plans) {
  ESP_TRY(backend.begin(batch, rows_of(plans)));
  return backend.finish(plans);
}

}  // namespace espalier::runtime
