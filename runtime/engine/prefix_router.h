// Which of several engines a new program is sent to: the one that probably holds most of its first
// prompt, unless others have much less to do.
//
// The rule. Of the engines that have not failed (of all, where all have) the one with the most of
//
//   matched - kProgramTokens * programs
//
// where `matched` are the leading tokens of the prompt that it is thought to hold, in whole pages,
// and `programs` those that live on it: a program on an engine costs whoever comes after it about
// as much time as computing kProgramTokens of a prompt. Of equal ones the one with fewest programs,
// then the one that was chosen longest ago. The bound: an engine is chosen that has at most
// matched / kProgramTokens programs more than any other. So many programs with one head settle on
// one engine until the others are worth computing the head once more, and from then on spread over
// all that hold it; prompts that nobody holds go to whoever has fewest programs. (SGLang's router
// takes the best match until loads differ by fixed amounts and then the shortest queue; here what a
// match is worth says how far they may differ.)
//
// What an engine holds is a guess, made of what was sent there: an index of as many pages as its
// pool has, the least recently used going first, at most kMostPages (150 bytes each). A wrong guess
// costs time and never changes a text.
//
// O(tokens / 16) an engine for a choice, O(tokens / 16) for saw(). Not thread-safe: the owner
// locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "runtime/engine/page_index.h"

namespace espalier::runtime {

class PrefixRouter {
 public:
  /// Reckoned, not measured: what a program computes of its own and says, on a CPU, beside what it
  /// shares.
  static constexpr std::uint64_t kProgramTokens = 256;
  static constexpr PageIndex::Slot kMostPages = 1U << 18;

  struct Standing {
    std::uint64_t programs = 0;
    bool failed = false;
  };

  /// For each engine the pages that it has room for.
  explicit PrefixRouter(std::span<const std::uint64_t> pages);

  [[nodiscard]] std::size_t engines() const { return held_.size(); }
  /// The engine for a program whose first request has this path. `standings`: of each engine.
  [[nodiscard]] std::size_t choose(std::uint64_t space, std::span<const TokenId> path,
                                   std::span<const Standing> standings);
  /// An engine computes this path: what it held longest without a use may go for it.
  void saw(std::size_t engine, std::uint64_t space, std::span<const TokenId> path);
  /// Leading tokens of the path that the engine is thought to hold.
  [[nodiscard]] std::uint64_t matched(std::size_t engine, std::uint64_t space,
                                      std::span<const TokenId> path) const;
  /// Every invariant of the indices, by a walk over all. For tests.
  [[nodiscard]] Status check() const;

 private:
  std::vector<PageIndex> held_;        // by engine
  std::vector<std::uint64_t> chosen_;  // by engine: when it was chosen last
  std::uint64_t choices_ = 0;
  std::vector<PageIndex::Slot> slots_;  // scratch
};

}  // namespace espalier::runtime
