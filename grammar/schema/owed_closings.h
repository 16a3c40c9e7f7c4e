// Of a finished automaton whose characters are counted and that goes on without end: the shortest
// ways to its end on which at least so many characters still begin.
//
// Needed where a way is not made longer one character at a time ("_id$": behind those three, none
// or at least three more). One size a state and number of characters owed, made when it is asked
// for: 4 bytes each, and some ten nanoseconds. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "grammar/held_bytes.h"
#include "grammar/schema/scalar_dfa.h"

namespace espalier::grammar {

class OwedClosings {
 public:
  /// `dfa` counts() and is endless().
  explicit OwedClosings(std::shared_ptr<const ScalarDfa> dfa) : dfa_(std::move(dfa)) {}

  /// The bytes of the shortest way from `q`, which is no end where any are owed.
  std::uint32_t size(ScalarDfa::State q, std::uint32_t owed) { return layer(owed)[q]; }
  /// The first byte of that way.
  unsigned char byte(ScalarDfa::State q, std::uint32_t owed);
  /// The longest of these ways, of all states.
  std::uint32_t longest(std::uint32_t owed);
  [[nodiscard]] std::size_t bytes() const {
    return layers_.size() * dfa_->size() * sizeof(std::uint32_t);
  }
  [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(layers_); }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  using Layer = std::vector<std::uint32_t>;  // by state

  const Layer& layer(std::uint32_t owed);
  [[nodiscard]] const Layer& behind(ScalarDfa::State q, std::uint32_t owed) const {
    return layers_[dfa_->between(q) && owed > 0 ? owed - 1 : owed];
  }

  std::shared_ptr<const ScalarDfa> dfa_;
  std::vector<Layer> layers_;
};

}  // namespace espalier::grammar
