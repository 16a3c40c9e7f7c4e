// Hashes of states, and the bytes that keys are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace espalier::grammar {

/// `h` with `v` worked in: every bit of both counts.
[[nodiscard]] inline std::size_t mix(std::size_t h, std::uint64_t v) {
  h ^= v + 0x9E3779B97F4A7C15ULL + (h << 6) + (h >> 2);
  h *= 0xBF58476D1CE4E5B9ULL;
  return h ^ (h >> 29);
}

/// Appends the bytes of a plain value.
template <class T>
void append_bytes(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace espalier::grammar
