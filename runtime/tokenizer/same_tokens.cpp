#include "runtime/tokenizer/same_tokens.h"

#include <nlohmann/json.hpp>

namespace espalier::runtime {
namespace {

std::string quoted_bytes(const std::string& text) {
  constexpr std::size_t kShown = 40;
  return nlohmann::json(text.substr(0, kShown))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::optional<std::string> token_difference(const Tokenizer& model, const Tokenizer& other) {
  if (model.size() != other.size()) {
    return "it has " + std::to_string(other.size()) + " tokens, the model " +
           std::to_string(model.size());
  }
  const grammar::Vocabulary& a = *model.vocabulary();
  const grammar::Vocabulary& b = *other.vocabulary();
  for (std::size_t i = 0; i < model.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (a.bytes(id) == b.bytes(id) && !a.bytes(id).empty() && a.is_end(id) == b.is_end(id))
      continue;
    const std::string here = model.decode({&id, 1}, true);
    const std::string there = other.decode({&id, 1}, true);
    if (here != there || a.bytes(id) != b.bytes(id)) {
      return "token " + std::to_string(i) + " is " + quoted_bytes(here) + " in the model and " +
             quoted_bytes(there) + " in it" +
             (here == there ? ", once text and once a control token" : "");
    }
    if (a.is_end(id) != b.is_end(id)) {
      return "token " + std::to_string(i) + ", " + quoted_bytes(here) + ", ends a text in " +
             (a.is_end(id) ? "the model only" : "it only");
    }
  }
  return std::nullopt;
}

}  // namespace espalier::runtime
