#include "dsl/turn_log.h"

#include <algorithm>
#include <utility>

namespace espalier::dsl {

bool LoggedTurn::constant() const {
  return std::all_of(pieces.begin(), pieces.end(),
                     [](const Piece& piece) { return piece.kind == Piece::Kind::kConstant; });
}

void TurnLog::open(runtime::Role role, std::size_t begin) {
  if (!open_.pieces.empty()) close();  // text outside of turns
  open_ = {role, begin, {}};
}

void TurnLog::close() {
  closed_.push_back(std::make_shared<const LoggedTurn>(std::move(open_)));
  open_ = {};
}

void TurnLog::reopen() {
  open_ = *closed_.back();
  closed_.pop_back();
}

std::vector<std::vector<std::size_t>> drop_order(const TurnLog& log) {
  std::vector<const LoggedTurn*> turns;
  for (const auto& one : log.closed()) turns.push_back(one.get());
  turns.push_back(&log.last());

  // The conversation as exchanges; what never goes belongs to none.
  std::vector<std::vector<std::size_t>> exchanges;
  std::optional<runtime::Role> before;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const auto role = turns[i]->role;
    if (!role || role == runtime::Role::kSystem) continue;
    if (exchanges.empty() || (role == runtime::Role::kUser && before != runtime::Role::kUser))
      exchanges.emplace_back();
    exchanges.back().push_back(i);
    before = role;
  }
  if (exchanges.empty()) return {};

  std::vector<std::vector<std::size_t>> order(exchanges.begin(), exchanges.end() - 1);
  const auto constant = [&](const std::vector<std::size_t>& exchange) {
    return std::all_of(exchange.begin(), exchange.end(),
                       [&](std::size_t i) { return turns[i]->constant(); });
  };
  order.erase(order.begin(), std::find_if_not(order.begin(), order.end(), constant));

  // Steps of the exchange under way. The last closed one stays: the model is about to answer it.
  std::vector<std::vector<std::size_t>> steps;
  for (const std::size_t i : exchanges.back()) {
    if (i + 1 == turns.size()) break;  // the open turn
    if (turns[i]->role == runtime::Role::kAssistant) steps.emplace_back();
    if (!steps.empty() && turns[i]->role != runtime::Role::kUser) steps.back().push_back(i);
  }
  if (!steps.empty()) steps.pop_back();
  order.insert(order.end(), steps.begin(), steps.end());
  return order;
}

}  // namespace espalier::dsl
