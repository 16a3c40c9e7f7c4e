// Guesses of the tokens that come next: what another branch said at the same place of the tree,
// n-grams of the branch's own path, or what a smaller model would say (draft_model.h); and when
// they pay.
//
// A draft costs rows and never a text: the engine samples at each drafted place as it would have,
// and keeps a drafted token only where it is the one that was sampled. Prompt lookup (Saxena 2023)
// with exact verification, so that seeds and temperatures give the text they give without it
// (CONTRACTS 21).
//
// Owned by a request; not shared between threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"

namespace espalier::runtime {

/// Where a guess comes from; the surer first.
enum class DraftSource : std::uint8_t { kTree, kTrigram, kBigram, kModel };
inline constexpr std::size_t kDraftSources = 4;
/// The most tokens of one guess.
inline constexpr std::size_t kMostGuessed = 7;

/// What follows the latest earlier place of a path's last two or three tokens.
class NGramIndex {
 public:
  struct Guess {
    DraftSource source = DraftSource::kBigram;
    std::span<const TokenId> tokens;  // into the path
  };
  /// `path` is what the index has seen, with more behind it. At most `most` tokens; none where the
  /// path's end is new. O(new tokens), amortised.
  [[nodiscard]] Guess guess(std::span<const TokenId> path, std::size_t most);

 private:
  void enter(std::span<const TokenId> path);

  std::size_t seen_ = 0;  // n-grams that end before this position are known
  // Of two and three tokens: where the latest with a hash ends. A table of at least twice the path;
  // a newer n-gram takes an older one's place.
  std::array<std::vector<std::uint32_t>, 2> ends_;
};

/// How often each source was right of late: decides how far ahead a guess pays.
class DraftTrust {
 public:
  /// Tokens worth guessing where a row must be right with probability `threshold` to pay; now and
  /// then one token of a source that is not trusted, to see whether it has become better.
  [[nodiscard]] std::size_t worth(DraftSource source, double threshold, std::size_t most);
  void record(DraftSource source, bool right);

 private:
  std::array<double, kDraftSources> right_{0.9, 0.6, 0.4, 0.6};
  std::uint32_t passed_over_ = 0;
};

/// What a step's rows cost, as a line through the steps of late: a + b * rows seconds.
class StepCost {
 public:
  void record(double rows, double seconds);
  struct Line {
    double base = 0, row = 0;  // seconds
  };
  /// None before the first step. Until steps of several sizes were seen, a row counts as a tenth of
  /// a step of one.
  [[nodiscard]] std::optional<Line> line() const;
  /// How likely a further row must give a token for it to be worth its time, where `rows` rows give
  /// a token each, and a further row for all of them takes `more` seconds besides. Above 1: never.
  [[nodiscard]] double threshold(double rows, double more = 0) const;

 private:
  // Weighted sums of 1, rows, seconds, rows^2, rows * seconds: what was is forgotten slowly.
  double n_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;
};

}  // namespace espalier::runtime
