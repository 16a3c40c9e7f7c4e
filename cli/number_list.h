// "1,8,16": lists of numbers as options take them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace espalier::cli {

/// Whole numbers in [low, high], at least one; nothing where the text is not such a list.
[[nodiscard]] std::optional<std::vector<std::uint32_t>> parse_numbers(const std::string& text,
                                                                      std::uint32_t low,
                                                                      std::uint32_t high);

}  // namespace espalier::cli
