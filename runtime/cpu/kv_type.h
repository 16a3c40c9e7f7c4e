// How a pool keeps K and V (README.md, numerics contract 9).
//
// The type is a part of the numbers: what a model answers over q8 pages is not what it answers over
// f16 ones, and pages of one type are never read as another.
#pragma once

namespace espalier::runtime {

enum class KvType : unsigned char {
  kF16,   // binary16
  kBF16,  // bfloat16: as large; for models whose K or V leave binary16's range
  kQ8,    // 8 bits and a scale for 32 of them: half as large
};

/// "f16", "bf16", "q8".
[[nodiscard]] const char* kv_type_name(KvType type);

}  // namespace espalier::runtime
