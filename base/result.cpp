#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace espalier {

std::string_view name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kLimit:
      return "limit";
    case ErrorCode::kExhausted:
      return "exhausted";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kTool:
      return "tool";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

namespace internal {
void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "espalier: broken invariant at %s:%d: %s\n", file, line, condition);
  std::abort();
}
}  // namespace internal

}  // namespace espalier
