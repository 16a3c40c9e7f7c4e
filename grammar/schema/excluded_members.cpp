#include "grammar/schema/excluded_members.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/number_map.h"
#include "grammar/schema/rising.h"
#include "grammar/small_vector.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostWays = 64;
constexpr std::size_t kMostSteps = 32'768;  // parts that are looked at, by the ways there

using Apart = std::function<bool(FormulaId, FormulaId)>;

// A member, and what its value satisfies.
struct Said {
  std::uint32_t name = 0;
  FormulaId value = Formulas::kTrue;
};

// One way in which what stands around may hold: members that come, and what it says of some.
struct Way {
  SmallVector<std::uint32_t, 4> come;
  SmallVector<Said, 4> said;
  void add(const Way& other) {
    come.append(other.come.begin(), other.come.end());
    said.append(other.said.begin(), other.said.end());
  }
};
using Ways = std::vector<Way>;

class Reader {
 public:
  Reader(Formulas& formulas, const Apart& apart) : formulas_(formulas), apart_(apart) {}

  // Whether it may be another formula without what is excluded: where a member that comes is spoken
  // of by what is said of members and by what is denied of them. Only such names are looked at.
  bool begin(FormulaId f) {
    std::vector<std::uint32_t> denied, asserted;
    formulas_.map(f, [&](FormulaId l) {
      const Atom& atom = formulas_.atom(l);
      if (atom.kind == AtomKind::kHas && !formulas_.negated(l)) names_.push_back(atom.a);
      if (atom.kind != AtomKind::kMembers) return l;
      (formulas_.negated(l) ? denied : asserted).push_back(atom.a);
      return l;
    });
    if (names_.empty() || denied.empty() || asserted.empty()) return false;
    for (std::vector<std::uint32_t>* of : {&names_, &denied, &asserted}) make_rising(*of);
    std::erase_if(names_, [&](std::uint32_t name) {
      const auto speaks = [&](std::uint32_t map) { return value(map, name) != Formulas::kTrue; };
      return std::ranges::none_of(denied, speaks) || std::ranges::none_of(asserted, speaks);
    });
    return !names_.empty();
  }
  [[nodiscard]] bool whole() const { return steps_ <= kMostSteps; }

  // `f` where one of the ways holds.
  FormulaId read(FormulaId f, const Ways& ways) {
    steps_ += ways.size();
    if (f <= Formulas::kTrue || !whole()) return f;
    if (formulas_.op(f) == Formulas::Op::kLiteral) {
      if (formulas_.atom(f).kind != AtomKind::kMembers || !excluded(formulas_.atom(f).a, ways)) {
        return f;
      }
      return formulas_.negated(f) ? Formulas::kTrue : Formulas::kFalse;
    }
    const bool all = formulas_.op(f) == Formulas::Op::kAnd;
    const FormulaId decides = all ? Formulas::kFalse : Formulas::kTrue;
    const std::vector<FormulaId> parts(formulas_.children(f).begin(), formulas_.children(f).end());
    // Of a conjunction each part is read where the others hold: what they say, and the choices
    // among them.
    Ways own = ways;
    std::vector<std::pair<FormulaId, Ways>> choices;
    if (all) {
      for (const FormulaId part : parts) {
        if (Way more = said(part); !more.come.empty() || !more.said.empty()) meet(own, {more});
      }
      std::size_t made = own.size();
      for (const FormulaId part : parts) {
        Ways one = choice(part);
        if (one.empty() || made * one.size() > kMostWays) continue;
        made *= one.size();
        choices.emplace_back(part, std::move(one));
      }
    }
    const auto beside = [&](FormulaId part) {
      Ways out = own;
      for (const auto& [other, of] : choices) {
        if (other != part) meet(out, of);
      }
      return out;
    };
    const Ways around = beside(Formulas::kFalse);
    std::vector<FormulaId> out;
    for (const FormulaId part : parts) {
      const bool chooses = std::ranges::any_of(
          choices, [&](const std::pair<FormulaId, Ways>& one) { return one.first == part; });
      out.push_back(read(part, chooses ? beside(part) : around));
      if (out.back() == decides) return decides;
      if (!whole()) return f;
    }
    return all ? formulas_.all(out) : formulas_.any(out);
  }

 private:
  // What a map says of a member; nothing, where that goes by patterns.
  [[nodiscard]] FormulaId value(std::uint32_t map, std::uint32_t name) const {
    const MemberMap& of = formulas_.members_of(map);
    if (!of.patterns.empty()) return Formulas::kTrue;
    const auto own =
        std::ranges::lower_bound(of.named, name, {}, [](const auto& one) { return one.first; });
    return own != of.named.end() && own->first == name ? own->second : of.other;
  }
  // The same of all names that are looked at.
  const std::vector<Said>& says(std::uint32_t map) {
    const auto [at, fresh] = says_.try_emplace(map);
    if (!fresh) return at->second;
    for (const std::uint32_t name : names_) {
      if (const FormulaId f = value(map, name); f != Formulas::kTrue) {
        at->second.push_back({name, f});
      }
    }
    return at->second;
  }
  // What a part says by itself.
  [[nodiscard]] Way said(FormulaId part) {
    Way out;
    if (formulas_.op(part) != Formulas::Op::kLiteral || formulas_.negated(part)) return out;
    const Atom& atom = formulas_.atom(part);
    if (atom.kind == AtomKind::kHas && std::ranges::binary_search(names_, atom.a)) {
      out.come.push_back(atom.a);
    }
    if (atom.kind == AtomKind::kMembers) {
      const std::vector<Said>& of = says(atom.a);
      out.said.append(of.begin(), of.end());
    }
    return out;
  }
  // The ways of a choice each of whose alternatives says something of members; else none.
  [[nodiscard]] Ways choice(FormulaId part) {
    Ways out;
    if (formulas_.op(part) != Formulas::Op::kOr) return out;
    if (formulas_.children(part).size() > kMostWays) return out;
    for (const FormulaId one : formulas_.children(part)) {
      Way way;
      for (const FormulaId inner : formulas_.parts(one)) way.add(said(inner));
      if (way.said.empty()) return {};
      out.push_back(std::move(way));
    }
    return out;
  }
  void meet(Ways& ways, const Ways& with) {
    if (with.size() == 1) {
      for (Way& one : ways) one.add(with[0]);
      return;
    }
    Ways out;
    for (const Way& one : ways) {
      for (const Way& other : with) out.emplace_back(one).add(other);
    }
    ways = std::move(out);
    steps_ += ways.size();
  }
  // Whether what a map says of members cannot hold in any of the ways.
  [[nodiscard]] bool excluded(std::uint32_t map, const Ways& ways) {
    const std::vector<Said>& own = says(map);
    return std::ranges::all_of(ways, [&](const Way& way) {
      return std::ranges::any_of(own, [&](const Said& one) {
        if (std::ranges::find(way.come, one.name) == way.come.end()) return false;
        if (one.value == Formulas::kFalse) return true;
        return std::ranges::any_of(way.said, [&](const Said& other) {
          return other.name == one.name && apart(one.value, other.value);
        });
      });
    });
  }
  [[nodiscard]] bool apart(FormulaId a, FormulaId b) {
    if (a == b) return false;
    const std::uint64_t key = (std::uint64_t{std::min(a, b)} << 32) | std::max(a, b);
    if (const bool* known = known_.find(key)) return *known;
    ++steps_;
    const bool out = a == Formulas::kFalse || b == Formulas::kFalse || apart_(a, b);
    known_.set(key, out);
    return out;
  }

  Formulas& formulas_;
  const Apart& apart_;
  std::vector<std::uint32_t> names_;                           // that are looked at
  std::unordered_map<std::uint32_t, std::vector<Said>> says_;  // by map
  NumberMap<bool> known_;                                      // by two values
  std::size_t steps_ = 0;
};

}  // namespace

FormulaId without_excluded(Formulas& formulas, FormulaId f, const Apart& apart) {
  if (f <= Formulas::kTrue || formulas.op(f) == Formulas::Op::kLiteral) return f;
  Reader reader(formulas, apart);
  if (!reader.begin(f)) return f;
  const FormulaId out = reader.read(f, Ways(1));
  return reader.whole() ? out : f;
}

}  // namespace espalier::grammar
