#include "runtime/sampling/sampling.h"

#include <cmath>
#include <cstdio>
#include <string>

namespace espalier::runtime {
namespace {

Status refuse(const char* field, double value, const char* range) {
  char shown[32];
  std::snprintf(shown, sizeof shown, "%g", value);
  return fail(ErrorCode::kInvalid, std::string(field) + " " + shown + ": must be " + range);
}

bool within(float value, float low, float high) {
  return std::isfinite(value) && value >= low && value <= high;
}

}  // namespace

Status Sampling::check() const {
  if (!within(temperature, 0.0F, 100.0F)) {
    return refuse("temperature", temperature, "from 0 to 100");
  }
  if (top_k < 0) return refuse("top_k", top_k, "0 (off) or more");
  if (!within(top_p, 0.0F, 1.0F) || top_p == 0.0F) {
    return refuse("top_p", top_p, "above 0 and at most 1");
  }
  if (!within(min_p, 0.0F, 1.0F)) return refuse("min_p", min_p, "from 0 to 1");
  if (!within(repetition, 0.01F, 100.0F)) {
    return refuse("repetition", repetition, "from 0.01 to 100");
  }
  if (!within(presence, -100.0F, 100.0F)) {
    return refuse("presence", presence, "from -100 to 100");
  }
  if (!within(frequency, -100.0F, 100.0F)) {
    return refuse("frequency", frequency, "from -100 to 100");
  }
  return {};
}

}  // namespace espalier::runtime
