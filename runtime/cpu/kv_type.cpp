#include "runtime/cpu/kv_type.h"

namespace espalier::runtime {

const char* kv_type_name(KvType type) {
  switch (type) {
    case KvType::kF16:
      return "f16";
    case KvType::kBF16:
      return "bf16";
    case KvType::kQ8:
      return "q8";
  }
  return "";
}

}  // namespace espalier::runtime
