#include "cli/number_list.h"

namespace espalier::cli {

std::optional<std::vector<std::uint32_t>> parse_numbers(const std::string& text, std::uint32_t low,
                                                        std::uint32_t high) {
  std::vector<std::uint32_t> out;
  std::uint64_t number = 0;
  bool digits = false;
  for (const char c : text + ",") {
    if (c == ',') {
      if (!digits || number < low || number > high) return std::nullopt;
      out.push_back(static_cast<std::uint32_t>(number));
      number = 0;
      digits = false;
    } else if (c >= '0' && c <= '9' && number <= high) {
      number = number * 10 + static_cast<std::uint64_t>(c - '0');
      digits = true;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace espalier::cli
