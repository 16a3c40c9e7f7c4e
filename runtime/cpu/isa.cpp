#include "runtime/cpu/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
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

// Nor for AVX-VNNI before gcc 12.
bool has_avxvnni() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1U << 4)) != 0;
}

bool has_avx512vnni() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
#elif defined(__aarch64__)
bool has_dot_product() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & (1UL << 20)) != 0;  // HWCAP_ASIMDDP
#else
  return true;  // all of Apple's
#endif
}
#endif

bool known(const std::string& name) {
  return name == "scalar" || name == "avx2" || name == "avxvnni" || name == "avx512vnni" ||
         name == "neon";
}

}  // namespace

std::vector<const Kernels*> supported_kernels() {
  std::vector<const Kernels*> out = {&kScalarKernels};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (has_avx2()) out.push_back(&kAvx2Kernels);
  if (has_avxvnni()) out.push_back(&kAvxVnniKernels);
  if (has_avx512vnni()) out.push_back(&kAvx512VnniKernels);
#elif defined(__aarch64__)
  if (has_dot_product()) out.push_back(&kNeonKernels);
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
