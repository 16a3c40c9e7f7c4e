// How fast a backend takes its steps: prefill, and decoding by several branches of one prompt.
//
// Drives the backend itself, without an engine: what is timed is the model's arithmetic, sampling
// and, where masks are asked for, the masks.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "grammar/matcher.h"
#include "runtime/backend.h"

namespace espalier::cli {

class StepBench {
 public:
  /// The backend's pool holds pages() of the largest case. `go_on` is asked before each step: a run
  /// may take minutes, a step takes moments. Where it says no, what runs fails as kCancelled.
  StepBench(runtime::Backend& backend, System& system, std::function<bool()> go_on)
      : backend_(backend), system_(system), go_on_(std::move(go_on)) {}

  /// KV pages that decoding takes.
  [[nodiscard]] static std::uint64_t pages(std::uint32_t batch, std::uint32_t depth,
                                           std::uint32_t tokens);

  /// Tokens a second of a prompt of so many tokens, its last row sampled.
  [[nodiscard]] Result<double> prefill(std::uint32_t tokens);

  struct Decode {
    std::uint32_t batch = 1;      // branches
    std::uint32_t depth = 0;      // tokens of the prompt that they share; a multiple of a page
    std::uint32_t tokens = 0;     // decoded by each
    grammar::GrammarRef grammar;  // each branch writes its values, one after the other; or null
    bool ahead = false;  // steps begin before the ids of the one before are known, where they can
  };
  /// Tokens a second of all branches together.
  [[nodiscard]] Result<double> decode(const Decode& what);
  /// Whether the backend has such steps.
  [[nodiscard]] bool goes_ahead() const;

 private:
  struct Branch {
    std::vector<runtime::PageId> pages;
    std::uint32_t length = 0;
    TokenId next = 0;
    grammar::Matcher matcher;
  };
  [[nodiscard]] TokenId some_token(std::uint32_t i) const;
  [[nodiscard]] std::vector<runtime::PageId> take_pages(std::uint32_t tokens);
  static void append(runtime::Batch& batch, Branch& branch, TokenId token, std::uint32_t sequence);
  [[nodiscard]] Status begin_step(const runtime::Batch& batch,
                                  std::span<const std::uint32_t> wanted);
  Status feed(Branch& branch, std::uint32_t tokens);
  /// A row of each branch: of its next token, or of what the step before chooses for it.
  static runtime::Batch rows_of(std::vector<Branch>& branches, bool known);
  /// Ends a step of all branches, and begins `next` beside that, or else behind it; null: nothing.
  Status end_step(std::vector<Branch>& branches, const Decode& what, runtime::Batch* next);
  Status decode_all(std::vector<Branch>& branches, const Decode& what);

  runtime::Backend& backend_;
  System& system_;
  std::function<bool()> go_on_;
  runtime::PageId next_page_ = 0;
  runtime::Sampling greedy_;
  std::vector<std::uint32_t> wanted_;  // of steps of all branches: each row
};

}  // namespace espalier::cli
