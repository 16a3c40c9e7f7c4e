// The turns of a prompt that is being rendered, and what each takes in tokens.
//
// A run of text between control tokens and holes is tokenised as a whole, as a Context does, but
// within its turn: where a template has no control token between two turns, a token that would
// reach over the border counts twice.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dsl/render.h"
#include "runtime/chat/chat_template.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::dsl {

class RenderedTurns {
 public:
  explicit RenderedTurns(const runtime::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void open(std::string_view role);
  void close() { open(""); }
  void add(const runtime::Segments& segments);
  void add(std::string_view text);
  /// `bytes` at the end of what was added are not there after all.
  void take_back(std::size_t bytes);
  void hole(RenderedHole hole);
  /// A value that only a run knows.
  void unknown();

  /// Turns were dropped: all that stands before is `tokens` in one.
  void dropped(std::size_t tokens);

  /// What is added until leave() belongs to a branch; what stood open goes on then.
  void enter(std::string_view fork);
  void leave();

  [[nodiscard]] std::vector<RenderedTurn> take();

 private:
  struct Open {
    std::size_t turn = 0;
    runtime::Segments segments;  // not yet counted
    bool continues = false;      // they stand behind a hole
  };
  RenderedTurn& turn() { return turns_[open_.turn]; }
  void begin(std::string_view role);
  void count();

  const runtime::Tokenizer& tokenizer_;
  std::vector<RenderedTurn> turns_;
  std::vector<Open> outer_;
  std::vector<std::string> forks_;
  Open open_;
};

}  // namespace espalier::dsl
