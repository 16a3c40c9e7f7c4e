// Which kernels this machine runs, chosen once at start.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/cpu/kernels.h"

namespace espalier::runtime::cpu {

/// The tables this machine can run, slowest (scalar) first.
[[nodiscard]] std::vector<const Kernels*> supported_kernels();

/// The fastest table, or the one called `name` ("scalar", "avx2", "avx512vnni"). kInvalid for an
/// unknown name, kUnsupported for one that this machine cannot run; both list what it can.
[[nodiscard]] Result<const Kernels*> choose_kernels(const std::string& name);

}  // namespace espalier::runtime::cpu
