// Reads one member of a wheel (a zip archive) as a stream.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/system.h"

namespace espalier::runtime {

/// Streams `member` of the archive at `path` to `sink`, at most `limit` bytes. kCorrupt where the
/// archive is damaged (its checksum is checked), kNotFound where it has no such member, kLimit
/// where the member is larger.
[[nodiscard]] Status read_wheel_member(
    System& system, const std::string& path, const std::string& member, std::uint64_t limit,
    const std::function<Status(std::span<const std::byte>)>& sink);

}  // namespace espalier::runtime
