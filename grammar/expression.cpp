#include "grammar/expression.h"

#include <algorithm>
#include <functional>
#include <map>

#include "base/utf8.h"
#include "grammar/hash.h"
#include "grammar/span_source.h"

namespace espalier::grammar {
namespace {

// The number of `value` among `values`, to which it is added where it is new.
template <class T, class View>
std::uint32_t number_of(const View& value, std::size_t hash, InternTable& ids,
                        std::vector<T>& values) {
  const std::uint32_t known = ids.find(hash, [&](std::uint32_t id) { return values[id] == value; });
  if (known != InternTable::kNone) return known;
  const auto id = static_cast<std::uint32_t>(values.size());
  values.emplace_back(value);
  ids.insert(hash, id);
  return id;
}

}  // namespace

ExpressionPool::ExpressionPool(Fuel& fuel) : fuel_(&fuel) {
  nodes_.push_back({Op::kNothing, false, 0, 0, 0, 0});
  nodes_.push_back({Op::kEmpty, false, 0, 0, 0, 0});
}

Expr ExpressionPool::add(Node node, std::span<const Expr> children, std::size_t payload) {
  std::size_t hash = mix(mix(static_cast<std::size_t>(node.op), node.a), node.b);
  for (const Expr c : children) hash = mix(hash, c.id);
  const std::uint32_t known = node_ids_.find(hash, [&](std::uint32_t id) {
    const Node& other = nodes_[id];
    const auto theirs = this->children(Expr{id});
    return other.op == node.op && other.lazy == node.lazy && other.a == node.a &&
           other.b == node.b &&
           std::equal(theirs.begin(), theirs.end(), children.begin(), children.end());
  });
  if (known != InternTable::kNone) return Expr{known};
  if (!ok()) return nothing();
  if (!fuel_->spend(1 + (payload + children.size_bytes()) / 64)) {
    status_ = fail(fuel_->error("grammar"));
    return nothing();
  }
  node.first = static_cast<std::uint32_t>(children_.size());
  node.count = static_cast<std::uint32_t>(children.size());
  children_.insert(children_.end(), children.begin(), children.end());
  const auto id = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back(node);
  node_ids_.insert(hash, id);
  return Expr{id};
}

std::uint32_t ExpressionPool::string_index(std::string_view text) {
  return number_of(text, std::hash<std::string_view>{}(text), string_ids_, strings_);
}

Expr ExpressionPool::bytes(std::string_view text) {
  if (!ok()) return nothing();
  if (text.empty()) return empty();
  return add({Op::kBytes, false, string_index(text), 0, 0, 0}, {}, text.size());
}

Expr ExpressionPool::byte_set(const ByteSet& set) {
  if (set.none()) return nothing();
  if (set.count() == 1) {
    const char only = static_cast<char>(set.lowest());
    return bytes(std::string_view(&only, 1));
  }
  std::size_t hash = 0;
  for (const std::uint64_t word : set.words()) hash = mix(hash, word);
  return add({Op::kSet, false, number_of(set, hash, set_ids_, sets_), 0, 0, 0}, {});
}

Expr ExpressionPool::concat(std::span<const Expr> parts) {
  std::vector<Expr> flat;
  std::string pending;  // adjacent byte strings become one
  std::size_t runs = 0;
  Expr run;
  const auto flush = [&] {
    if (runs == 0) return;
    flat.push_back(runs == 1 ? run : bytes(pending));
    pending.clear();
    runs = 0;
  };
  const auto put = [&](Expr e) {
    if (node(e).op == Op::kBytes) {
      pending += bytes_of(e);
      run = e;
      ++runs;
    } else {
      flush();
      flat.push_back(e);
    }
  };
  for (const Expr part : parts) {
    if (part == nothing()) return nothing();
    if (part == empty()) continue;
    if (node(part).op == Op::kConcat && node(part).count <= 64) {
      for (std::size_t i = 0; i < node(part).count; ++i) put(children(part)[i]);
    } else {
      put(part);
    }
  }
  flush();
  if (flat.empty()) return empty();
  if (flat.size() == 1) return flat[0];
  return add({Op::kConcat, false, 0, 0, 0, 0}, flat);
}

bool ExpressionPool::single_byte(Expr e, ByteSet* set) const {
  if (node(e).op == Op::kSet) {
    *set = set_of(e);
    return true;
  }
  if (node(e).op == Op::kBytes && bytes_of(e).size() == 1) {
    *set = ByteSet();
    set->add(static_cast<unsigned char>(bytes_of(e)[0]));
    return true;
  }
  return false;
}

Expr ExpressionPool::choice(std::span<const Expr> parts) {
  std::vector<Expr> flat;
  last_choice_.resize(nodes_.size());
  const std::uint32_t now = ++choices_;
  std::size_t set_at = 0;
  bool has_set = false;
  ByteSet merged;
  const auto put = [&](Expr e) {
    if (e == nothing() || last_choice_[e.id] == now) return;
    last_choice_[e.id] = now;
    ByteSet set;
    if (single_byte(e, &set)) {  // single bytes have no captures, so their order says nothing
      merged |= set;
      if (!has_set) {
        set_at = flat.size();
        has_set = true;
        flat.push_back(e);
      }
      return;
    }
    flat.push_back(e);
  };
  for (const Expr part : parts) {
    if (node(part).op == Op::kChoice && node(part).count <= 64) {
      for (std::size_t i = 0; i < node(part).count; ++i) put(children(part)[i]);
    } else {
      put(part);
    }
  }
  if (has_set) flat[set_at] = byte_set(merged);
  if (flat.empty()) return nothing();
  if (flat.size() == 1) return flat[0];
  return add({Op::kChoice, false, 0, 0, 0, 0}, flat);
}

Expr ExpressionPool::repeat(Expr child, std::uint32_t low, std::uint32_t high) {
  if (low > high) return nothing();
  if (child == nothing()) return low == 0 ? empty() : nothing();
  if (child == empty() || high == 0) return empty();
  if (low == 1 && high == 1) return child;
  if (low == 0 && high == 1) return optional(child);
  return add({Op::kRepeat, false, low, high, 0, 0}, std::span(&child, 1));
}

Expr ExpressionPool::lazy_repeat(Expr child, std::uint32_t low, std::uint32_t high) {
  const Expr greedy = repeat(child, low, high);
  if (low >= high || greedy == nothing() || greedy == empty()) return greedy;
  return add({Op::kRepeat, true, low, high, 0, 0}, std::span(&child, 1));
}

Expr ExpressionPool::separated(Expr child, Expr separator, std::uint32_t low, std::uint32_t high) {
  if (low > high) return nothing();
  if (high == 0) return empty();
  const Expr more = repeat(concat({separator, child}), low == 0 ? 0 : low - 1,
                           high == kUnbounded ? kUnbounded : high - 1);
  const Expr some = concat({child, more});
  return low == 0 ? optional(some) : some;
}

Expr ExpressionPool::intersection(Expr a, Expr b) {
  if (a == b) return a;
  if (a == nothing() || b == nothing()) return nothing();
  const Expr both[] = {a, b};
  return add({Op::kIntersection, false, 0, 0, 0, 0}, both);
}

Expr ExpressionPool::difference(Expr a, Expr b) {
  if (a == b || a == nothing()) return nothing();
  if (b == nothing()) return a;
  const Expr both[] = {a, b};
  return add({Op::kDifference, false, 0, 0, 0, 0}, both);
}

Expr ExpressionPool::words(std::span<const std::string> texts) {
  std::vector<std::string_view> sorted(texts.begin(), texts.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  // Bottom-up over the sorted list: `open` holds, per distinct length along the current word, the
  // alternatives that already left that prefix. Closing a prefix turns its alternatives into one
  // expression on the prefix before it.
  struct Level {
    std::size_t depth;
    std::vector<Expr> alternatives;
  };
  std::vector<Level> open;
  open.push_back({0, {}});
  std::string_view previous;
  const auto close_to = [&](std::size_t depth) {
    while (open.back().depth > depth) {
      const Level level = std::move(open.back());
      open.pop_back();
      if (open.back().depth < depth) open.push_back({depth, {}});
      const std::size_t from = open.back().depth;
      open.back().alternatives.push_back(
          concat({bytes(previous.substr(from, level.depth - from)), choice(level.alternatives)}));
    }
  };
  for (const std::string_view word : sorted) {
    const auto at = std::mismatch(previous.begin(), previous.end(), word.begin(), word.end());
    close_to(static_cast<std::size_t>(at.second - word.begin()));
    if (open.back().depth < word.size()) open.push_back({word.size(), {}});
    open.back().alternatives.push_back(empty());
    previous = word;
  }
  close_to(0);
  return choice(open[0].alternatives);
}

Expr ExpressionPool::multiple(const DecimalMultiple& multiple) {
  const auto known = std::find(multiples_.begin(), multiples_.end(), multiple);
  const auto index = static_cast<std::uint32_t>(known - multiples_.begin());
  if (known == multiples_.end()) multiples_.push_back(multiple);
  return add({Op::kMultiple, false, index, 0, 0, 0}, {});
}

Expr ExpressionPool::schema(std::shared_ptr<const SchemaGraph> schema) {
  schemas_.push_back(std::move(schema));
  return add({Op::kSchema, false, static_cast<std::uint32_t>(schemas_.size() - 1), 0, 0, 0}, {});
}

Expr ExpressionPool::factor(const std::shared_ptr<const SpanSource>& source, bool json) {
  const std::shared_ptr<const SourceWords>& words = source->words(json);
  if (words->closing_size(words->start()) == SourceWords::kNever) return nothing();
  auto known = std::find(factors_.begin(), factors_.end(), words);
  if (known == factors_.end()) known = factors_.insert(known, words);
  return add({Op::kFactor, false, static_cast<std::uint32_t>(known - factors_.begin()), 0, 0, 0},
             {});
}

Expr ExpressionPool::code_points(std::span<const CodePointRange> ranges) {
  std::vector<CodePointRange> sorted;
  for (auto [low, high] : ranges) {
    high = std::min<char32_t>(high, 0x10FFFF);
    if (low > high) continue;
    if (low < 0xD800) sorted.emplace_back(low, std::min<char32_t>(high, 0xD7FF));
    if (high > 0xDFFF) sorted.emplace_back(std::max<char32_t>(low, 0xE000), high);
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<CodePointRange> merged;
  for (const CodePointRange& r : sorted) {
    if (!merged.empty() && r.first <= merged.back().second + 1 &&
        !(merged.back().second == 0xD7FF && r.first == 0xE000)) {
      merged.back().second = std::max(merged.back().second, r.second);
    } else {
      merged.push_back(r);
    }
  }
  if (merged.empty()) return nothing();
  std::size_t hash = 0;
  for (const CodePointRange& r : merged) hash = mix(mix(hash, r.first), r.second);
  const std::uint32_t index = number_of(merged, hash, class_ids_, classes_);
  const Expr spelled = utf8_ranges(merged);
  return add({Op::kCodePoints, false, index, 0, 0, 0}, std::span(&spelled, 1), merged.size() * 8);
}

// Splits [low, high] until all code points of a piece have equal length and differ only in
// independent byte ranges, and factors pieces by their lead byte range. One level of the classic
// construction (Thompson's UTF-8 ranges).
Expr ExpressionPool::utf8_ranges(const std::vector<CodePointRange>& ranges) {
  struct Piece {
    unsigned char low[4], high[4];
    std::size_t length;
  };
  std::vector<Piece> pieces;
  std::vector<CodePointRange> work(ranges.rbegin(), ranges.rend());
  while (!work.empty()) {
    const char32_t low = work.back().first;
    const char32_t high = work.back().second;
    work.pop_back();
    const auto split = [&](char32_t last_of_left) {
      work.emplace_back(last_of_left + 1, high);
      work.emplace_back(low, last_of_left);
    };
    bool done = false;
    for (const char32_t edge : {0x7FU, 0x7FFU, 0xFFFFU}) {
      if (!done && low <= edge && high > edge) {
        split(edge);
        done = true;
      }
    }
    for (unsigned bits = 6; !done && bits <= 18 && low > 0x7F; bits += 6) {
      const char32_t mask = (char32_t{1} << bits) - 1;
      if ((low & ~mask) == (high & ~mask)) continue;
      if ((low & mask) != 0) {
        split(low | mask);
        done = true;
      } else if ((high & mask) != mask) {
        split((high & ~mask) - 1);
        done = true;
      }
    }
    if (done) continue;
    std::string from;
    std::string to;
    utf8::append(from, low);
    utf8::append(to, high);
    Piece piece{};
    piece.length = from.size();
    for (std::size_t i = 0; i < from.size(); ++i) {
      piece.low[i] = static_cast<unsigned char>(from[i]);
      piece.high[i] = static_cast<unsigned char>(to[i]);
    }
    pieces.push_back(piece);
    if (!fuel_->spend()) {
      status_ = fail(fuel_->error("character class"));
      return nothing();
    }
  }
  // Group by (length, lead range); the tails of a group are one choice, built from the last byte
  // forwards.
  const std::function<Expr(std::size_t, std::size_t, std::size_t)> tail =
      [&](std::size_t from, std::size_t to, std::size_t depth) -> Expr {
    std::vector<Expr> out;  // at most four levels deep: UTF-8 has four bytes
    for (std::size_t i = from; i < to;) {
      std::size_t j = i + 1;
      const Piece& p = pieces[i];
      while (j < to && pieces[j].length == p.length && pieces[j].low[depth] == p.low[depth] &&
             pieces[j].high[depth] == p.high[depth]) {
        ++j;
      }
      const Expr here = byte_range(p.low[depth], p.high[depth]);
      out.push_back(depth + 1 == p.length ? here : concat({here, tail(i, j, depth + 1)}));
      i = j;
    }
    return choice(out);
  };
  return tail(0, pieces.size(), 0);
}

Rule ExpressionPool::declare_rule(std::string name) {
  rules_.push_back({std::move(name), nothing(), false});
  return Rule{static_cast<std::uint32_t>(rules_.size() - 1)};
}

void ExpressionPool::define_rule(Rule rule, Expr body) {
  ESP_CHECK(rule.id < rules_.size() && !rules_[rule.id].defined);
  rules_[rule.id].body = body;
  rules_[rule.id].defined = true;
}

Expr ExpressionPool::rule(Rule rule) { return add({Op::kRule, false, rule.id, 0, 0, 0}, {}); }

Expr ExpressionPool::context_free(Expr child) {
  if (child == nothing() || child == empty()) return child;
  return add({Op::kContextFree, false, 0, 0, 0, 0}, std::span(&child, 1));
}

Expr ExpressionPool::add_capture(CaptureInfo info, Expr child) {
  if (child == nothing()) return nothing();
  std::string key(1, static_cast<char>(info.kind));
  key += info.name;
  key += '\0';
  if (!info.constant.is_null()) {
    key += info.constant.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  const auto [it, fresh] =
      capture_ids_.try_emplace(std::move(key), static_cast<std::uint32_t>(captures_.size()));
  const std::size_t payload = it->first.size();
  if (fresh) captures_.push_back(std::move(info));
  return add({Op::kCapture, false, it->second, 0, 0, 0}, std::span(&child, 1), payload);
}

Expr ExpressionPool::capture(Capture kind, Expr child) {
  return add_capture({kind, {}, {}}, child);
}
Expr ExpressionPool::field(std::string_view name, Expr child) {
  return add_capture({Capture::kField, std::string(name), {}}, child);
}
Expr ExpressionPool::constant(Json value, Expr child) {
  return add_capture({Capture::kConstant, {}, std::move(value)}, child);
}
Expr ExpressionPool::table(Json values_by_text, Expr child) {
  return add_capture({Capture::kTable, {}, std::move(values_by_text)}, child);
}

}  // namespace espalier::grammar
