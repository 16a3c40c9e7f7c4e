// A conversation that has outgrown the context.
#include <algorithm>
#include <utility>

#include "dsl/context.h"

namespace espalier::dsl {
namespace {

// Of the context, how much goes at a time: what stays is computed again in its new place, which
// would cost as much with every turn if only as much went as must.
constexpr std::size_t kPartDropped = 4;

}  // namespace

Status Context::write_again(const LoggedTurn& turn) {
  if (turn.role) ESP_TRY(open(*turn.role));
  for (const Piece& piece : turn.pieces) {
    switch (piece.kind) {
      case Piece::Kind::kConstant:
      case Piece::Kind::kText:
        text(piece.text, piece.kind == Piece::Kind::kConstant);
        break;
      case Piece::Kind::kValue:
        ESP_TRY(written(piece.text, piece.spelling));
        break;
      case Piece::Kind::kCalls:
        ESP_TRY(expect_calls());
        ESP_TRY(put_calls(piece.text, piece.spelling, piece.calls, {}));
        break;
      case Piece::Kind::kThought: {
        ESP_TRY(open_thought());
        break;
      }
      case Piece::Kind::kAfter:
        close_thought();
        break;
      case Piece::Kind::kHole: {
        if (!piece.calls.empty()) ESP_TRY(expect_calls());
        ESP_ASSIGN(const Healed healed, heal());
        if (healed.prefix == piece.spelling.prefix) {
          branch_.append(piece.spelling.ids);
          after_hole(piece.calls, piece.text);
          break;
        }
        // Text that joins what stood before it was cut otherwise: the hole's text is cut anew.
        dirty_ = true;
        std::string bytes;
        for (const TokenId id : piece.spelling.ids) bytes += model_->vocabulary().bytes(id);
        const std::string_view own =
            std::string_view(bytes).substr(std::min(bytes.size(), piece.spelling.prefix.size()));
        ESP_TRY(put_calls(own, {}, piece.calls, piece.text));
        break;
      }
    }
  }
  return {};
}

Result<std::vector<DroppedTurn>> Context::make_room(std::size_t needed) {
  const std::size_t context = model_->context;
  const std::size_t before = branch_.ids().size();
  if (before + needed <= context) return std::vector<DroppedTurn>();
  if (!log_) {
    return fail(ErrorCode::kLimit, "the prompt has " + std::to_string(before) + " tokens and " +
                                       std::to_string(needed) +
                                       " more may follow; the model's context holds " +
                                       std::to_string(context));
  }

  // How many ids a turn has is known from where the next one begins.
  const auto& turns = log_->closed();
  const auto begin = [&](std::size_t i) {
    if (i < turns.size()) return std::min(turns[i]->begin, before);
    return log_->last().role ? std::min(log_->last().begin, before) : before;
  };
  const auto length = [&](std::size_t i) {
    return begin(i + 1) - std::min(begin(i), begin(i + 1));
  };

  const std::size_t excess = before + needed - context;
  const std::size_t part = std::max<std::size_t>(1, context / kPartDropped);
  std::size_t wanted = (excess + part - 1) / part * part;
  const auto order = drop_order(*log_);
  std::vector<bool> gone(turns.size(), false);
  std::size_t freed = 0;
  for (auto group = order.begin();;) {
    const auto first = group;
    for (; group != order.end() && freed < wanted; ++group) {
      for (const std::size_t i : *group) {
        gone[i] = true;
        freed += length(i);
      }
    }
    std::size_t left = before;
    if (group != first) {
      // Written anew beside the path: a template may write a turn otherwise where another stands
      // before it.
      Context fresh(*model_, branch_.fork(), true);
      fresh.branch_.rollback(0);
      for (std::size_t i = 0; i < turns.size(); ++i) {
        if (gone[i]) continue;
        ESP_TRY(fresh.write_again(*turns[i]));
        if (turns[i]->role) ESP_TRY(fresh.close());
      }
      ESP_TRY(fresh.write_again(log_->last()));
      ESP_TRY(fresh.flush());
      left = fresh.branch_.ids().size();
      if (left + needed <= context) {
        std::vector<DroppedTurn> dropped;
        for (std::size_t i = turns.size(); i-- > 0;) {
          if (!gone[i]) continue;
          dropped.push_back({*turns[i]->role, length(i)});
          branch_.cut(begin(i), begin(i) + length(i));
        }
        std::reverse(dropped.begin(), dropped.end());
        const auto& ids = fresh.branch_.ids();
        const auto& have = branch_.ids();
        const auto common = static_cast<std::size_t>(
            std::mismatch(have.begin(), have.end(), ids.begin(), ids.end()).second - ids.begin());
        branch_.rollback(common);
        branch_.append(std::span(ids).subspan(common));
        runtime::Branch own = std::move(branch_);
        *this = std::move(fresh);
        branch_ = std::move(own);
        return dropped;
      }
    }
    if (group == order.end()) {
      return fail(ErrorCode::kLimit,
                  "the prompt has " + std::to_string(before) + " tokens" +
                      (order.empty() ? ", no turn of it may be dropped, and "
                                     : ", " + std::to_string(left) +
                                           " without the turns that may be dropped, and ") +
                      std::to_string(needed) + " more may follow; the model's context holds " +
                      std::to_string(context));
    }
    wanted = freed + 1;
  }
}

}  // namespace espalier::dsl
