#include "dsl/suggest.h"

#include <algorithm>
#include <array>

namespace espalier::dsl {
namespace {

constexpr std::size_t kLongest = 64;
constexpr std::size_t kMostCandidates = 2000;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Optimal string alignment distance, letters without case.
std::size_t distance(std::string_view a, std::string_view b) {
  std::array<std::array<std::size_t, kLongest + 1>, 3> rows{};
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i - 1) % 3];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1]))
        row[j] = std::min(row[j], rows[(i - 2) % 3][j - 2] + 1);
    }
  }
  return rows[a.size() % 3][b.size()];
}

}  // namespace

std::string suggest(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.empty() || word.size() > kLongest) return {};
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::string result;
  std::size_t looked_at = 0;
  for (const std::string& candidate : candidates) {
    if (++looked_at > kMostCandidates) break;
    if (candidate.empty() || candidate.size() > kLongest || candidate == word) continue;
    const std::size_t edits = distance(word, candidate);
    if (edits < best && edits < candidate.size()) {
      best = edits;
      result = candidate;
    }
  }
  return result;
}

}  // namespace espalier::dsl
