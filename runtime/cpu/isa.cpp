#include "runtime/cpu/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace espalier::runtime::cpu {
namespace {

#if defined(__x86_64__)
// The compiler's support library has no name for F16C everywhere.
bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & (1U << 29)) != 0;
}

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

bool has_avx512vnni() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

bool known(const std::string& name) {
  return name == "scalar" || name == "avx2" || name == "avx512vnni";
}

}  // namespace

std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> out = {&kScalarKernels};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (has_avx2()) out.push_back(&kAvx2Kernels);
  if (has_avx512vnni()) out.push_back(&kAvx512VnniKernels);
#endif
  return out;
}

Result<const Kernels*> choose_kernels(const std::string& name) {
  const auto supported = supported_kernels();
  if (name.empty()) return supported.back();
  std::string names;
  for (const Kernels* kernels : supported) {
    if (kernels->name == name) return kernels;
    names += (names.empty() ? "" : ", ") + std::string(kernels->name);
  }
  if (known(name)) {
    return fail(ErrorCode::kUnsupported,
                "instruction set '" + name + "': this machine runs only " + names);
  }
  return fail(ErrorCode::kInvalid,
              "unknown instruction set '" + name.substr(0, 40) + "'; this machine runs " + names);
}

}  // namespace espalier::runtime::cpu
