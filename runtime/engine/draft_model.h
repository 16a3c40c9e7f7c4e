// A second, smaller model of the same vocabulary that guesses what the first will say.
//
// Its guesses are guesses like any other (drafter.h): the engine samples at each guessed place as
// it would have without, and keeps a token only where it is what was sampled. The draft is drawn
// under the request's own mask, sampling and key, so that two models that agree draw the same token
// at any temperature. (Leviathan et al. 2023, with verification by identity instead of by
// rejection, which keeps seeds and temperatures as they are without it.)
//
// It has a backend and a radix cache of its own, whose paths nobody holds between steps: they are
// found again while there is room. It guesses where the measured times of both models say that a
// guess pays, and only for paths whose missing beginning costs it little beside the text that is
// still to come. At most `max_rows` rows of catching up a step. Trouble with it never fails a
// request: it says so once, and guesses no more. Engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/system.h"
#include "radix_cache/radix_cache.h"
#include "runtime/backend.h"
#include "runtime/engine/drafter.h"

namespace espalier::runtime {

/// A path that is guessed for, token by token.
class DraftPath {
 public:
  virtual ~DraftPath() = default;
  /// How many tokens are worth guessing where one must be right with probability `threshold`.
  [[nodiscard]] virtual std::size_t worth(double threshold, std::size_t most) = 0;
  /// The ids before the guess.
  [[nodiscard]] virtual std::vector<TokenId> known() const = 0;
  [[nodiscard]] virtual std::uint64_t space() const = 0;
  /// Tokens that may still come.
  [[nodiscard]] virtual std::uint32_t to_come() const = 0;
  /// What is wanted of the row after the last guessed token: everything but the row.
  [[nodiscard]] virtual RowPlan next_guess() const = 0;
  /// Adds a token to the guess. False: nothing may follow (it was added, or it may not stand
  /// there).
  [[nodiscard]] virtual bool add_guess(TokenId token) = 0;
  /// The guess is whole: puts it, if there is one, behind the path in the engine's tree.
  virtual void enter_guess(radix_cache::RadixCache& tree) = 0;
};

class DraftModel {
 public:
  struct Options {
    std::uint32_t max_rows = 512;
    bool poison = false;  // tests
  };
  /// Runs a few rows to know what they cost. `note` is told once if it fails.
  DraftModel(std::unique_ptr<Backend> backend, const Options& options, System& system,
             std::function<void(const std::string&)> note);

  /// Guesses for these paths and enters the guesses into `tree`. `rows` of the engine's next step
  /// give a token each without guesses; `cost` is what its steps take, and `usual` how many tokens
  /// a text usually has.
  void guess(std::span<DraftPath* const> paths, double rows, const StepCost& cost, double usual,
             radix_cache::RadixCache& tree);
  [[nodiscard]] double seconds() const { return seconds_; }  // that it took so far

 private:
  struct Ask {
    DraftPath* path = nullptr;
    std::size_t most = 0;
    std::size_t guessed = 0;
    bool over = false;  // in this step
    radix_cache::Lease lease;
  };
  [[nodiscard]] bool pays(const Ask& ask, std::uint32_t missing, double rows, const StepCost& cost,
                          double usual) const;
  [[nodiscard]] bool round(std::vector<Ask>& asks, std::uint32_t budget);
  void measure();
  void fail(const std::string& why);

  std::unique_ptr<Backend> backend_;
  Options options_;
  System& system_;
  std::function<void(const std::string&)> note_;
  radix_cache::RadixCache cache_;
  StepCost cost_;
  std::uint64_t steps_ = 0;
  double seconds_ = 0;
  bool broken_ = false;
};

}  // namespace espalier::runtime
