#include "runtime/numerics.h"

#include <string>

namespace espalier::runtime {

const char* numerics_name(Numerics numerics) {
  return numerics == Numerics::kExact ? "exact" : "tensor";
}

Result<Numerics> parse_numerics(std::string_view text) {
  for (const Numerics numerics : {Numerics::kExact, Numerics::kTensor}) {
    if (text == numerics_name(numerics)) return numerics;
  }
  return fail(ErrorCode::kInvalid,
              "numerics '" + std::string(text) + "': there are exact and tensor");
}

}  // namespace espalier::runtime
