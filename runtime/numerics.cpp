#include "runtime/numerics.h"

#include <string>

namespace espalier::runtime {

const char* numerics_name(Numerics numerics) {
  switch (numerics) {
    case Numerics::kExact:
      return "exact";
    case Numerics::kTensor:
      return "tensor";
    case Numerics::kFp8:
      break;
  }
  return "fp8";
}

Result<Numerics> parse_numerics(std::string_view text) {
  for (const Numerics numerics : {Numerics::kExact, Numerics::kTensor, Numerics::kFp8}) {
    if (text == numerics_name(numerics)) return numerics;
  }
  return fail(ErrorCode::kInvalid,
              "numerics '" + std::string(text) + "': there are exact, tensor and fp8");
}

}  // namespace espalier::runtime
