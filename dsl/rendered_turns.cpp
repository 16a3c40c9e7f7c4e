#include "dsl/rendered_turns.h"

#include <algorithm>
#include <span>
#include <utility>

namespace espalier::dsl {

void RenderedTurns::begin(std::string_view role) {
  open_ = {turns_.size(), {}, false};
  RenderedTurn made;
  made.role = role;
  for (const std::string& fork : forks_) made.branch += (made.branch.empty() ? "" : ", ") + fork;
  turns_.push_back(std::move(made));
}

void RenderedTurns::open(std::string_view role) {
  if (!turns_.empty()) count();
  begin(role);
}

void RenderedTurns::add(const runtime::Segments& segments) {
  if (turns_.empty()) begin("");
  open_.segments.insert(open_.segments.end(), segments.begin(), segments.end());
}

void RenderedTurns::add(std::string_view text) {
  if (!text.empty()) add(runtime::Segments{{kNoToken, std::string(text)}});
}

void RenderedTurns::take_back(std::size_t bytes) {
  while (bytes > 0 && !open_.segments.empty() && open_.segments.back().control == kNoToken) {
    std::string& last = open_.segments.back().text;
    const std::size_t gone = std::min(bytes, last.size());
    last.resize(last.size() - gone);
    bytes -= gone;
    if (last.empty()) open_.segments.pop_back();
  }
}

void RenderedTurns::hole(RenderedHole hole) {
  if (turns_.empty()) begin("");
  count();
  open_.continues = true;
  turn().holes.push_back(std::move(hole));
}

void RenderedTurns::unknown() {
  if (turns_.empty()) begin("");
  count();
  open_.continues = true;
  turn().whole = false;
}

void RenderedTurns::dropped(std::size_t tokens) {
  const std::string role = turns_.empty() ? std::string() : turn().role;
  turns_.clear();
  begin("");
  turn().tokens = tokens;
  begin(role);
}

void RenderedTurns::enter(std::string_view fork) {
  const std::string role = turns_.empty() ? std::string() : turn().role;
  outer_.push_back(std::move(open_));
  forks_.emplace_back(fork);
  begin(role);
}

void RenderedTurns::leave() {
  count();
  forks_.pop_back();
  open_ = std::move(outer_.back());
  outer_.pop_back();
}

void RenderedTurns::count() {
  std::span<const runtime::Segment> rest(open_.segments);
  // What the vocabulary cannot spell fails the run, and the prompt's own count; here it is nothing.
  if (open_.continues) {
    std::string text;
    for (; !rest.empty() && rest.front().control == kNoToken; rest = rest.subspan(1))
      text += rest.front().text;
    const auto ids = tokenizer_.encode(text, runtime::TextStart::kContinuation);
    if (ids) turn().tokens += ids->size();
  }
  const auto ids = runtime::encode(tokenizer_, rest);
  if (ids) turn().tokens += ids->size();
  open_.segments.clear();
}

std::vector<RenderedTurn> RenderedTurns::take() {
  if (!turns_.empty()) count();
  // Between two turns there is most often nothing.
  std::erase_if(turns_, [](const RenderedTurn& one) {
    return one.tokens == 0 && one.holes.empty() && one.whole;
  });
  return std::move(turns_);
}

}  // namespace espalier::dsl
