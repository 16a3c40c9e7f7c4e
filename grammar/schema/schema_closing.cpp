// Closings: the one text that completes a place, along the plans of the containers around it.
#include <algorithm>
#include <optional>
#include <tuple>

#include "grammar/program.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {

// The alternative of a container whose plan is shortest, and so closes it.
const SchemaMachine::Alternative* SchemaMachine::closing_alternative(LevelId container) {
  const Level& at = levels_[container];
  const Alternative* best = nullptr;
  std::uint64_t least = UINT64_MAX;
  for (const Alternative& a : at.alternatives) {
    const Plan& closing = plan(at.kind, a.formula, at.seen);
    if (closing.verdict != Verdict::kYes) continue;
    const std::uint64_t size = closing.size + closing_cost(a.next);
    if (size < least) {
      least = size;
      best = &a;
    }
  }
  return best;
}

// Bytes that close a container and those around it by the plans of its alternatives, the best of
// them. What a closing goes by: each piece of it lowers this, so that it ends. (The least text of
// the container alone may leave what is around it owing as much as before, without end.)
std::uint64_t SchemaMachine::find_closing_cost(LevelId start) {
  std::vector<LevelId> work{start};
  while (!work.empty()) {
    const LevelId at = work.back();
    const std::size_t size = work.size();
    std::uint64_t least = UINT64_MAX / 2;
    for (std::size_t i = 0; i < levels_[at].alternatives.size(); ++i) {
      const Alternative a = levels_[at].alternatives[i];
      if (a.next != 0 && !levels_[a.next].closing_cost) {
        work.push_back(a.next);
        continue;
      }
      if (work.size() > size) continue;
      const Plan& closing = plan(levels_[at].kind, a.formula, levels_[at].seen);
      if (closing.verdict != Verdict::kYes) continue;
      const std::uint64_t after = a.next != 0 ? *levels_[a.next].closing_cost : 0;
      least = std::min(least, closing.size + after);
    }
    if (work.size() > size) continue;
    levels_[at].closing_cost = least;
    work.pop_back();
  }
  return *levels_[start].closing_cost;
}

// Sets the closing of a scalar's leaf, and of all that it leads through: by the part that completes
// the container around it soonest. A part that could end here is no reason to end: what must come
// behind it may be longer, or the very same again.
void SchemaMachine::find_leaf_closing(LeafId leaf) {
  std::string word;
  std::uint64_t least = UINT64_MAX;
  for (const LeafPart& part : leaves_[leaf].parts) {
    std::string closing = scalars_[part.scalar].run.closing_word(part.state);
    std::uint64_t size = closing.size();
    size += closing_cost(part.next);
    if (size < least) {
      least = size;
      word = std::move(closing);
    }
  }
  for (const char c : word) {
    if (leaves_[leaf].closes) return;
    const auto byte = static_cast<unsigned char>(c);
    const LeafId next = leaf_step(leaf, byte);
    ESP_CHECK(next != 0);
    leaves_[leaf].closes = true;
    leaves_[leaf].closing_byte = byte;
    leaves_[leaf].closing_next = next;
    leaf = next;
  }
  leaves_[leaf].closes = true;  // where it was not: it ends here
}

// Sets how a key goes on, and all that it leads through: to the key that the object's plan has,
// where it begins as that one, else to any that may still come. So a place inside a key closes as
// it does along the closing of the key's start, whether that was asked for or not. Goes that way to
// its end, or to where it is known, appending what is read; kDead where there is none.
SchemaMachine::Cursor SchemaMachine::find_key_closing(Cursor at, std::string& read) {
  constexpr std::size_t kFillers = 32;  // characters after which some key is new
  const State s = states_[at];
  const std::string begun = key_so_far(s.b, s.text);
  const auto leads = [&](const std::string& word) {
    LeafId leaf = s.a;
    std::uint32_t text = s.text;
    for (std::size_t i = 0; i < word.size(); ++i) {
      leaf = leaf_step(leaf, static_cast<unsigned char>(word[i]));
      if (leaf == 0 || leaves_[leaf].accepting != (i + 1 == word.size())) return false;
      if (!leaves_[leaf].accepting) text = extend(text, static_cast<unsigned char>(word[i]));
    }
    return value_after_spelled(s.b, key_so_far(s.b, text)) != 0;
  };
  std::optional<std::string> word;
  const Level& object = levels_[s.b];
  if (const Alternative* a = closing_alternative(s.b)) {
    const Plan& closing = plan(object.kind, a->formula, object.seen);
    const std::string planned = closing.end ? std::string() : Json(closing.key).dump().substr(1);
    if (!closing.end && planned.starts_with(begun)) word = planned.substr(begun.size());
    if (word && !leads(*word)) word.reset();
  }
  const LeafParts& parts = leaves_[s.a].parts;
  // A key of nobody's is worth the same wherever it starts: those of this object last.
  const bool others = levels_[s.b].any_key;
  std::string filler;
  while (others && !word && filler.size() < kFillers + own_keys(levels_[s.b])->size()) {
    if (!own_key(levels_[s.b], begun + filler) && leads(filler + "\"")) word = filler + "\"";
    filler += 'a';
  }
  for (std::size_t i = 0; i < parts.size() && !word; ++i) {
    std::string own = scalars_[parts[i].scalar].run.closing_word(parts[i].state);
    if (leads(own)) word = std::move(own);
  }
  filler.clear();
  while (!word && filler.size() < kFillers) {
    filler += 'a';
    if (leads(filler + "\"")) word = filler + "\"";
  }
  if (!word) return kDead;
  Cursor key = at;
  for (const char c : *word) {
    const auto byte = static_cast<unsigned char>(c);
    if (!key_closings_.emplace(key, byte).second) break;
    bytes_ += 48;
    read += c;
    key = step(key, byte);
  }
  return key;
}

SchemaMachine::Cursor SchemaMachine::front(Cursor at, std::string& word) {
  fuel_ = Fuel("steps", kSteps);
  const State s = states_[at];
  const auto along = [&](LeafId leaf, std::uint32_t text) {  // to where the leaf ends
    for (;;) {
      if (!leaves_[leaf].closes) find_leaf_closing(leaf);
      if (leaves_[leaf].closing_next == 0) break;
      const unsigned char byte = leaves_[leaf].closing_byte;
      word += static_cast<char>(byte);
      leaf = leaves_[leaf].closing_next;
      text = recorded(leaf, text, byte);
    }
    return cursor(leaf_end(leaf, text));
  };
  const auto one = [&](char c) {
    word += c;
    return step(at, static_cast<unsigned char>(c));
  };
  switch (s.phase) {
    case Phase::kDead:
    case Phase::kDone:
      return at;
    case Phase::kValue: {
      // By the value that completes what is around it soonest.
      const LeafId scalars = scalars_of(s.a);
      std::optional<Kind> kind;
      std::tuple<std::uint64_t, std::uint32_t> least;
      const Alternatives& from = levels_[s.a].alternatives;
      for (const Alternative& a : from) {
        const ValueFacts facts = value_facts(a.formula);
        if (facts.verdict != Verdict::kYes) continue;
        const std::tuple cost(facts.size + closing_cost(a.next), facts.height);
        if (kind && cost >= least) continue;
        kind = facts.kind;
        least = cost;
      }
      ESP_CHECK(kind || scalars != 0);
      if (scalars != 0 && (!kind || *kind == Kind::kValue)) return along(scalars, s.text);
      return one(*kind == Kind::kObject ? '{' : '[');
    }
    case Phase::kLeaf:
      return along(s.a, s.text);
    case Phase::kOpen:
    case Phase::kComma:
    case Phase::kNext: {
      const bool object = levels_[s.a].kind == Kind::kObject;
      const bool must_end = s.phase == Phase::kNext && s.space != 0;
      bool ends = s.phase != Phase::kComma && may_end(s.a);
      if (ends && !must_end && levels_[s.a].alternatives.size() > 1) {
        const Alternative* best = closing_alternative(s.a);
        ends = best == nullptr || at_end(best->formula);
      }
      if (must_end || ends) return one(object ? '}' : ']');
      if (s.phase == Phase::kNext) return one(',');
      if (!object)
        return front(cursor({Phase::kValue, std::uint8_t{1}, next_item(s.a), 0, s.text}), word);
      return one('"');
    }
    case Phase::kKey: {
      Cursor key = at;
      while (states_[key].phase == Phase::kKey) {
        const auto known = key_closings_.find(key);
        if (known == key_closings_.end()) {
          key = find_key_closing(key, word);
          if (key == kDead) return kDead;
          continue;
        }
        word += static_cast<char>(known->second);
        key = step(key, known->second);
      }
      return key;
    }
    case Phase::kColon:
      return one(':');
  }
  return kDead;
}

std::uint64_t SchemaMachine::closing_size(Cursor start) {
  std::vector<std::pair<Cursor, std::uint64_t>> chain;  // and the bytes to the next
  Cursor at = start;
  std::uint64_t total = 0;
  while (closing_sizes_[at] == UINT64_MAX) {
    std::string word;
    const Cursor next = front(at, word);
    chain.emplace_back(at, word.size());
    total += word.size();
    if (next == kDead || total > Program::kLongestClosing) {
      for (const auto& [c, size] : chain) closing_sizes_[c] = kTooLong;
      return kTooLong;
    }
    at = next;
  }
  std::uint64_t size = closing_sizes_[at];
  while (!chain.empty()) {
    size = std::min(size + chain.back().second, kTooLong);
    closing_sizes_[chain.back().first] = size;
    chain.pop_back();
  }
  return closing_sizes_[start];
}

// At least the bytes of any closing that starts at the level: it goes along alternatives whose
// plans are never longer than the longest here.
std::uint64_t SchemaMachine::find_level_bound(LevelId start) {
  Levels work;
  work.push_back(start);
  while (!work.empty()) {
    const LevelId at = work.back();
    if (levels_[at].closing_bound != 0) {
      work.pop_back();
      continue;
    }
    const std::size_t size = work.size();
    std::uint64_t own = 0, after = 0;
    std::uint32_t repeats = 0, repeats_after = 0;
    for (std::size_t i = 0; i < levels_[at].alternatives.size(); ++i) {
      const Alternative a = levels_[at].alternatives[i];
      if (a.next != 0 && levels_[a.next].closing_bound == 0) {
        work.push_back(a.next);
        continue;
      }
      if (a.next != 0) {
        after = std::max(after, levels_[a.next].closing_bound);
        repeats_after = std::max(repeats_after, levels_[a.next].repeats);
      }
      if (work.size() > size) continue;
      repeats |= static_cast<std::uint32_t>(wants_repeat(a.formula));
      const Kind kind = levels_[at].kind;
      own = std::max(own, kind == Kind::kValue ? value_facts(a.formula).size
                                               : plan(kind, a.formula, levels_[at].seen).size);
    }
    if (work.size() > size) continue;
    levels_[at].closing_bound = own + after + 8;
    levels_[at].repeats = repeats + repeats_after;
    most_repeats_ = std::max(most_repeats_, levels_[at].repeats);
    work.pop_back();
  }
  return levels_[start].closing_bound;
}

// In a key of the object, of which so many bytes are left.
std::uint64_t SchemaMachine::key_bound(LevelId object, std::uint64_t left) {
  constexpr std::uint64_t kKeyStart = 48;  // a key that is new, and its colon
  return left + std::max(level_bound(object), levels_[object].after_key) + kKeyStart;
}

std::uint64_t SchemaMachine::closing_bound(const State& s) {
  switch (s.phase) {
    case Phase::kDead:
    case Phase::kDone:
      return 0;
    case Phase::kLeaf: {
      std::uint64_t most = 0;
      for (const LeafPart& part : leaves_[s.a].parts) {
        most = std::max(
            most, scalars_[part.scalar].run.closing_size(part.state) + level_bound(part.next));
      }
      return most;
    }
    case Phase::kKey: {
      std::uint64_t most = 0;
      for (const LeafPart& part : leaves_[s.a].parts) {
        most = std::max(most, scalars_[part.scalar].run.closing_size(part.state));
      }
      return key_bound(s.b, most);
    }
    case Phase::kComma:  // a key has to come, though none may be owing
      return key_bound(s.a, longest_key(s.a));
    default:
      return level_bound(s.a) + 8;
  }
}

// What must come twice may be the item that is being read, or one inside of it, as it is spelled
// then: 1e15 by 18 bytes.
std::uint64_t SchemaMachine::with_repeats(std::uint64_t bound, const State& at, std::size_t more) {
  if (most_repeats_ == 0) return bound;
  constexpr std::uint64_t kSpelled = 6, kItem = 32;
  for (std::uint32_t text = at.text; text != 0 && text != kLostText; text = texts_[text].before) {
    ++more;
  }
  for (std::uint32_t left = most_repeats_; left > 0 && bound < kTooLong; --left) {
    bound += kSpelled * (bound + more) + kItem;
  }
  return bound;
}

std::optional<std::uint64_t> SchemaMachine::sure_bound(Cursor at) {
  const State s = states_[at];
  if (s.phase == Phase::kDead) return std::nullopt;
  if (s.phase == Phase::kKey) {
    // Inside a character, or in a key under patterns, the way out may be no key that may stand: one
    // that may is looked for, and what is behind it has a bound.
    const Level& object = levels_[s.b];
    const bool sure = object.any_key ? leaves_[s.a].bytes.has('a') : object.key_values.empty();
    if (!sure) {
      std::string way;
      const Cursor behind = front(at, way);
      if (behind == kDead) return std::nullopt;
      const State after = states_[behind];
      return with_repeats(way.size() + closing_bound(after), after, 0);
    }
  }
  return with_repeats(closing_bound(s), s, 0);
}

}  // namespace espalier::grammar
