// Tokens that are found by their text: control tokens ("<|im_start|>") and those a model's users
// added.
//
// Immutable; safe from any thread. A lookup at one place narrows a range of the sorted texts
// character by character: O(length of the longest match * log n), whatever the texts are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token.h"

namespace espalier::runtime {

class SpecialTokens {
 public:
  SpecialTokens() = default;
  /// Texts are not empty; of equal ones the lowest id counts.
  explicit SpecialTokens(std::vector<std::pair<std::string, TokenId>> tokens);

  struct Match {
    std::size_t offset = 0;
    std::size_t length = 0;
    TokenId id = kNoToken;
  };
  /// The first place at or after `from` where a token's text stands; of several there, the longest.
  [[nodiscard]] std::optional<Match> next(std::string_view text, std::size_t from) const;
  /// The longest token's text that stands at `offset`; its id is kNoToken where there is none.
  [[nodiscard]] Match longest_at(std::string_view text, std::size_t offset) const;
  /// kNoToken where there is none.
  [[nodiscard]] TokenId find(std::string_view text) const;

 private:
  std::vector<std::pair<std::string, TokenId>> tokens_;  // sorted by text
  std::string first_bytes_;                              // the distinct first bytes of the texts
};

}  // namespace espalier::runtime
