// TurnLog: what a program wrote of each turn, so that a conversation can be written again without
// some of its turns; and which turns go when it outgrows the context.
//
// A log is kept only where the program's `config` asks for `overflow: "drop_oldest"`. Pieces hold
// what was written as it was written (text by text, values with their ids, holes with theirs):
// written again, a turn has the ids that it would have had if the dropped ones had never been
// there. Closed turns are shared between forks and snapshots. A value type; O(bytes written).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dsl/value.h"
#include "runtime/chat/chat_template.h"
#include "runtime/chat/tool_syntax.h"

namespace espalier::dsl {

struct Piece {
  enum class Kind : std::uint8_t { kConstant, kText, kValue, kCalls, kHole, kThought, kAfter };
  Kind kind = Kind::kText;
  std::string text = {};   // kConstant, kText, kValue, kCalls; kHole: the follow behind calls
  Spelling spelling = {};  // kValue, kCalls; kHole: what healing took back, and all ids it gave
  std::vector<runtime::ToolCall> calls = {};  // kCalls, kHole: those that it wrote, if any
};

struct LoggedTurn {
  std::optional<runtime::Role> role;  // nothing: text outside of turns
  std::size_t begin = 0;              // its first id in the path
  std::vector<Piece> pieces;

  /// Whether no value and no hole stands in it: the same in every run.
  [[nodiscard]] bool constant() const;
};

class TurnLog {
 public:
  void open(runtime::Role role, std::size_t begin);
  void add(Piece piece) { open_.pieces.push_back(std::move(piece)); }
  void close();
  /// The turn that was closed last is open again.
  void reopen();

  [[nodiscard]] const std::vector<std::shared_ptr<const LoggedTurn>>& closed() const {
    return closed_;
  }
  [[nodiscard]] const LoggedTurn& last() const { return open_; }

 private:
  std::vector<std::shared_ptr<const LoggedTurn>> closed_;
  LoggedTurn open_;  // or the text behind the last turn
};

/// The groups of closed turns that may go, in the order in which they go; a group goes as a whole.
/// First the exchanges before the one that is under way, the oldest first: a user turn (or several)
/// and what follows it, calls and their results. Then, of the exchange under way, its steps: an
/// assistant turn with the tool turns behind it, but for the last one. System turns stay, text
/// outside of turns stays, and so do the exchanges at the beginning that are all constant.
[[nodiscard]] std::vector<std::vector<std::size_t>> drop_order(const TurnLog& log);

/// A turn that was dropped.
struct DroppedTurn {
  runtime::Role role{};
  std::size_t tokens = 0;
};

}  // namespace espalier::dsl
