// A map from code points to tokens: two array reads a look-up; 4 KiB for each 1,024 code points in
// which there is one.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/token.h"

namespace espalier::runtime {

class CodePointMap {
 public:
  /// `code_point` is a Unicode scalar value.
  void set(char32_t code_point, TokenId token) {
    std::uint16_t& page = pages_[code_point / kPageSize];
    if (page == 0) {
      contents_.resize(contents_.size() + kPageSize, kNoToken);
      page = static_cast<std::uint16_t>(contents_.size() / kPageSize);
    }
    contents_[(page - 1U) * kPageSize + code_point % kPageSize] = token;
  }
  /// kNoToken where none was set.
  [[nodiscard]] TokenId find(char32_t code_point) const {
    const std::uint16_t page = pages_[code_point / kPageSize];
    return page == 0 ? kNoToken : contents_[(page - 1U) * kPageSize + code_point % kPageSize];
  }

 private:
  static constexpr std::size_t kPageSize = 1024;
  std::array<std::uint16_t, 0x110000 / kPageSize> pages_{};  // 0: none, else its number + 1
  std::vector<TokenId> contents_;
};

}  // namespace espalier::runtime
