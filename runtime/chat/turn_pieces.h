// A template's pieces: what stands around each role's text, found by rendering probes.
//
// Short conversations of every useful shape are rendered with a text of its own in each turn, whose
// bytes are known by their origin. What stands between two turns' texts gives the pieces; what a
// template refuses, drops, moves or changes with later turns shows as well.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "runtime/chat/chat_template.h"
#include "runtime/chat/conversation.h"

namespace espalier::runtime {

struct TurnPieces {
  struct Pair {
    bool known = false;   // a conversation with the pair was rendered
    std::string refusal;  // else the template's words
    Segments open;        // of the second turn, behind the first one's close
  };
  struct Turn {
    bool supported = false;
    std::string refusal;
    TextForm form = TextForm::kPlain;
    std::string not_first;  // why no conversation starts with it; empty where one does
    Segments begin;         // before the opening, where the turn is the first one
    Segments first;         // its opening then
    Segments close;
  };
  std::array<Turn, kRoleCount> turns;
  std::array<std::array<Pair, kRoleCount>, kRoleCount> pairs;  // [previous][next]
  Segments generation_suffix;
  std::string not_incremental;
  bool drops_reasoning = false;
};

/// Where the model wants bos first, it is there whether the template writes it or not. A few dozen
/// renderings: some milliseconds. Errors are the tokenizer's alone; what the template fails at
/// becomes a refusal.
[[nodiscard]] Result<TurnPieces> find_pieces(const ConversationTemplate& conversation,
                                             const Tokenizer& tokenizer);

}  // namespace espalier::runtime
