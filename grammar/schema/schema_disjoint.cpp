// Which branches of a `oneOf` a value may satisfy together with what stands beside it, and of which
// types such a value may be. Found by reading: by their types, by their enumerated values, by
// bounds that leave nothing between them (of numbers, lengths and items), by what patterns begin
// with, and by members that tell them apart (one requires a member of which these say what they
// are, the other gives it different ones or forbids it). What is said of the value and which
// members are required may stand beside the `oneOf`; of a branch that is a choice itself each of
// its own branches is told apart. What cannot be told apart may meet.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>

#include "grammar/schema/pattern_beginning.h"
#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kDepth = 16;           // of references and allOf that are looked through
constexpr std::size_t kMostCompared = 512;   // branches that are compared by pairs, with their own
constexpr std::size_t kMostWays = 64;        // of one branch
constexpr std::size_t kMostLookedAt = 4096;  // schemas beside one for each branch and step

std::string text_of(const Json& value) { return in_name_order(value).dump(); }

bool numbers_meet(const Json& a, const Json& b) { return a.is_number() && b.is_number() && a == b; }

// Numbers between two bounds; an absent one says nothing.
struct Interval {
  struct Bound {
    Decimal at;
    bool itself = true;  // is inside
  };
  std::optional<Bound> least, most;

  void add_least(const Bound& bound) {
    const bool tighter = !least || bound.at > least->at || (bound.at == least->at && !bound.itself);
    if (tighter) least = bound;
  }
  void add_most(const Bound& bound) {
    const bool tighter = !most || bound.at < most->at || (bound.at == most->at && !bound.itself);
    if (tighter) most = bound;
  }
  void add(const Interval& other) {
    if (other.least) add_least(*other.least);
    if (other.most) add_most(*other.most);
  }
  [[nodiscard]] bool has(const Decimal& number) const {
    return (!least || number > least->at || (number == least->at && least->itself)) &&
           (!most || number < most->at || (number == most->at && most->itself));
  }
  static bool meet(const Interval& a, const Interval& b) {
    Interval both = a;
    both.add(b);
    if (!both.least || !both.most || both.least->at < both.most->at) return true;
    return both.least->at == both.most->at && both.least->itself && both.most->itself;
  }
};

// What is bounded, by type.
constexpr std::array<JsonTypes::Bit, 3> kBounded{JsonTypes::kNumber, JsonTypes::kString,
                                                 JsonTypes::kArray};

}  // namespace

// What every value of a branch has: an absent entry says nothing.
struct SchemaGraph::Profile {
  using Values = std::map<std::string, Json>;  // by text
  // What is said of one value.
  struct Value {
    JsonTypes types;
    std::optional<Values> values;
    std::array<Interval, kBounded.size()> bounds;  // by kBounded
    std::vector<PatternBeginning> patterns;
    void add(const Value& other) {
      types = types & other.types;
      if (!values) values = other.values;
      for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i].add(other.bounds[i]);
      patterns.insert(patterns.end(), other.patterns.begin(), other.patterns.end());
    }
    [[nodiscard]] bool may_be(const Json& value) const {
      if ((types & type_of(value)).none()) return false;
      const std::optional<Decimal> number = Decimal::of(value);
      return !number || bounds[0].has(*number);
    }
  };
  Value value;
  std::set<std::string> required;
  std::map<std::string, Value> members;
  std::set<std::string> forbidden;
  std::optional<std::set<std::string>> only;  // names of members, where others are forbidden

  static bool meet(const Values& a, const Values& b) {
    for (const auto& [text, value] : a) {
      if (b.contains(text)) return true;
      if (!value.is_primitive() || !value.is_number()) continue;
      for (const auto& [other, number] : b) {
        if (numbers_meet(value, number)) return true;
      }
    }
    return false;
  }
  // The types of values of which both may be said.
  static JsonTypes meet(const Value& a, const Value& b) {
    JsonTypes both = a.types & b.types;
    for (std::size_t i = 0; i < kBounded.size(); ++i) {
      if (!Interval::meet(a.bounds[i], b.bounds[i])) both = both & without(kBounded[i]);
    }
    for (const PatternBeginning& one : a.patterns) {
      const bool apart = std::ranges::any_of(b.patterns, [&](const PatternBeginning& other) {
        return PatternBeginning::apart(one, other);
      });
      if (apart) both = both & without(JsonTypes::kString);
    }
    const auto none_of = [](const std::optional<Values>& values, const Value& of) {
      return values && std::ranges::none_of(
                           *values, [&](const auto& value) { return of.may_be(value.second); });
    };
    if (none_of(a.values, b) || none_of(b.values, a)) return JsonTypes(0);
    return a.values && b.values && !meet(*a.values, *b.values) ? JsonTypes(0) : both;
  }
  [[nodiscard]] bool forbids(const std::string& name) const {
    return forbidden.contains(name) || (only && !only->contains(name));
  }
  // Of objects: that a value of `a` is none of `b`, by a member that `a` must have.
  static bool excludes(const Profile& a, const Profile& b) {
    return std::any_of(a.required.begin(), a.required.end(), [&](const std::string& name) {
      if (b.forbids(name)) return true;
      const auto own = a.members.find(name);
      const auto other = b.members.find(name);
      return own != a.members.end() && other != b.members.end() &&
             meet(own->second, other->second).none();
    });
  }
  // The types of values that both may have.
  static JsonTypes meet(const Profile& a, const Profile& b) {
    const JsonTypes both = meet(a.value, b.value);
    const bool apart = both.has(JsonTypes::kObject) && (excludes(a, b) || excludes(b, a));
    return apart ? both & without(JsonTypes::kObject) : both;
  }
  static JsonTypes without(JsonTypes types) {
    return {static_cast<std::uint8_t>(JsonTypes::kAll & ~types.bits())};
  }
  void add(const Profile& other) {
    value.add(other.value);
    required.insert(other.required.begin(), other.required.end());
    for (const auto& [name, member] : other.members) {
      const auto [at, fresh] = members.try_emplace(name, member);
      if (!fresh) at->second.add(member);
    }
    forbidden.insert(other.forbidden.begin(), other.forbidden.end());
    if (!only) {
      only = other.only;
    } else if (other.only) {
      std::erase_if(*only, [&](const std::string& name) { return !other.only->contains(name); });
    }
  }
};

// What a schema says by itself, without those that it refers to or holds.
SchemaGraph::Profile SchemaGraph::own_profile(const SchemaPlace& at) {
  Profile out;
  const auto interval_of = [&](const SchemaPlace& place, JsonTypes::Bit type) {
    Interval found;
    if (type == JsonTypes::kNumber) {
      for (const char* name : kNumberBounds) {
        if (const auto bound = number_bound(place, name); bound && bound->lower) {
          found.add_least({bound->at, !bound->strict});
        } else if (bound) {
          found.add_most({bound->at, !bound->strict});
        }
      }
      return found;
    }
    const bool text = type == JsonTypes::kString;
    const auto least = count(place, text ? "minLength" : "minItems");
    const auto most = count(place, text ? "maxLength" : "maxItems");
    if (least && *least) found.add_least({**least});
    if (most && *most) found.add_most({**most});
    return found;
  };
  // Whether something is said of it, and what.
  const auto value_of = [&](const SchemaPlace& place) -> std::optional<Profile::Value> {
    Profile::Value found;
    bool says = false;
    if (!place.schema->is_object() || !documents_.rules(place).validation) return std::nullopt;
    if (const auto types = read_types(place)) found.types = *types;
    says = found.types != JsonTypes();
    for (std::size_t i = 0; i < kBounded.size(); ++i) {
      found.bounds[i] = interval_of(place, kBounded[i]);
      says = says || found.bounds[i].least || found.bounds[i].most;
    }
    if (const Json* it = keyword(place, "pattern"); it != nullptr && it->is_string()) {
      found.patterns.emplace_back(it->get_ref<const std::string&>());
      says = true;
    }
    const auto values = grammar::read_values(place, has(place, "const"));
    if (!values || !*values) return says ? std::optional(found) : std::nullopt;
    JsonTypes types(0);
    found.values.emplace();
    for (const Json* value : **values) {
      found.values->emplace(text_of(*value), *value);
      types = types | type_of(*value);
    }
    found.types = found.types & types;
    return found;
  };
  out.value = value_of(at).value_or(Profile::Value());
  const auto names_of = [&](const SchemaPlace& place) -> const Json* {
    const Json* names = keyword(place, "required");
    return names != nullptr && names->is_array() ? names : nullptr;
  };
  if (const Json* names = names_of(at)) {
    for (const Json& name : *names) {
      if (name.is_string()) out.required.insert(name.get<std::string>());
    }
  }
  const Json* properties = keyword(at, "properties");
  if (properties != nullptr && properties->is_object()) {
    const SchemaPlace here = documents_.child(at, *properties, "properties");
    for (const auto& [name, schema] : properties->items()) {
      SchemaPlace place = documents_.child(here, schema, name);
      if (schema == false) out.forbidden.insert(name);
      for (std::size_t i = 0; i < kDepth && place.schema->is_object(); ++i) {
        const Json* to = keyword(place, "$ref");
        if (to == nullptr || !to->is_string()) break;
        const auto target = documents_.resolve(place, to->get_ref<const std::string&>(), "$ref");
        if (!target) break;
        place = *target;
      }
      if (auto member = value_of(place)) out.members.try_emplace(name, *std::move(member));
    }
  }
  const Json* others = keyword(at, "additionalProperties");
  if (others != nullptr && *others == false && keyword(at, "patternProperties") == nullptr) {
    out.only.emplace();
    if (properties != nullptr && properties->is_object()) {
      for (const auto& [name, schema] : properties->items()) out.only->insert(name);
    }
  }
  // Not an object that has this member, which whatever is no object counts as.
  const auto forbid = [&](const SchemaPlace& place) {
    if (!place.schema->is_object() || place.schema->size() != 1) return;
    const Json* names = names_of(place);
    if (names == nullptr || names->size() != 1 || !(*names)[0].is_string()) return;
    out.forbidden.insert((*names)[0].get<std::string>());
    out.value.types = out.value.types & JsonTypes(JsonTypes::kObject);
  };
  if (const Json* denied = keyword(at, "not"); denied != nullptr && denied->is_object()) {
    const SchemaPlace place = documents_.child(at, *denied, "not");
    forbid(place);
    const Json* any = keyword(place, "anyOf");
    if (any != nullptr && any->is_array() && denied->size() == 1) {
      const SchemaPlace here = documents_.child(place, *any, "anyOf");
      for (std::size_t i = 0; i < any->size(); ++i) {
        forbid(documents_.child(here, (*any)[i], std::to_string(i)));
      }
    }
  }
  return out;
}

// What a schema adds to each of the ways that a value may have, which become more where it holds a
// choice. Says less than there is where `left`, the schemas that may be looked at, runs out.
void SchemaGraph::profile(const SchemaPlace& at, std::size_t depth, std::size_t most,
                          std::size_t& left, std::vector<Profile>& ways) {
  if (depth > kDepth || !at.schema->is_object() || left == 0) return;
  --left;
  const SchemaRules& rules = documents_.rules(at);
  if (const Json* to = keyword(at, "$ref"); to != nullptr && to->is_string()) {
    if (const auto place = documents_.resolve(at, to->get_ref<const std::string&>(), "$ref")) {
      profile(*place, depth + 1, most, left, ways);
    }
    if (rules.declared && rules.draft <= SchemaDraft::k7) return;
  }
  const Profile own = own_profile(at);
  for (Profile& way : ways) way.add(own);
  const auto branches = [&](const char* name, auto&& visit) {
    const Json* list = keyword(at, name);
    if (list == nullptr || !list->is_array()) return;
    const SchemaPlace here = documents_.child(at, *list, name);
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (!visit(documents_.child(here, (*list)[i], std::to_string(i)))) return;
    }
  };
  branches("allOf", [&](const SchemaPlace& place) {
    profile(place, depth + 1, most, left, ways);
    return true;
  });
  for (const char* name : {"oneOf", "anyOf"}) {
    std::vector<Profile> chosen;
    bool whole = true;
    branches(name, [&](const SchemaPlace& place) {
      std::vector<Profile> next = ways;
      profile(place, depth + 1, most, left, next);
      std::ranges::move(next, std::back_inserter(chosen));
      return whole = chosen.size() <= most && left > 0;
    });
    if (whole && !chosen.empty()) ways = std::move(chosen);
  }
}

Result<std::vector<std::vector<SchemaGraph::Meeting>>> SchemaGraph::meeting(
    const SchemaPlace& at, const std::vector<SchemaPlace>& branches, JsonTypes may) {
  const std::size_t n = branches.size();
  const std::string pointer = at.pointer + "/oneOf";
  if (!fuel_->spend(n)) return fail(fuel_->error("schema " + pointer));
  std::vector<std::vector<Meeting>> out(n);
  std::vector<Profile> beside(1);
  std::size_t left = kMostLookedAt + n * kDepth;
  profile(at, 0, 1, left, beside);
  beside[0].value.types = beside[0].value.types & may;
  std::vector<std::vector<Profile>> profiles(n, std::vector<Profile>(1));
  const std::size_t most = std::clamp<std::size_t>(kMostCompared / std::max(n, 1UL), 1, kMostWays);
  for (std::size_t i = 0; i < n; ++i) {
    profile(branches[i], 0, most, left, profiles[i]);
    for (Profile& way : profiles[i]) {
      way.value.add(beside[0].value);
      for (const auto& [name, member] : way.members) {
        if (beside[0].required.contains(name)) way.required.insert(name);
      }
    }
  }
  // Many branches are compared by one member or by their values, at once.
  const auto all_differ = [&](const auto& values_of) {
    std::map<std::string, std::size_t> seen;  // and whose they are
    for (std::size_t i = 0; i < n; ++i) {
      for (const Profile& p : profiles[i]) {
        const Profile::Values* values = values_of(p);
        if (values == nullptr) return false;
        for (const auto& [text, value] : *values) {
          if (value.is_number_float() || seen.try_emplace(text, i).first->second != i) return false;
        }
      }
    }
    return true;
  };
  if (all_differ([](const Profile& p) { return p.value.values ? &*p.value.values : nullptr; }))
    return out;
  if (n > 0) {
    for (const std::string& name : profiles[0][0].required) {
      if (all_differ([&](const Profile& p) -> const Profile::Values* {
            const auto it = p.members.find(name);
            const bool tells = p.value.types == JsonTypes(JsonTypes::kObject) &&
                               p.required.contains(name) && it != p.members.end() &&
                               it->second.values;
            return tells ? &*it->second.values : nullptr;
          })) {
        return out;
      }
    }
  }
  if (!fuel_->spend(n * n)) return fail(fuel_->error("schema " + pointer));
  const auto types_of = [&](const std::vector<Profile>& a, const std::vector<Profile>& b) {
    JsonTypes types(0);
    for (const Profile& first : a) {
      for (const Profile& second : b) types = types | Profile::meet(first, second);
    }
    return types;
  };
  for (std::uint32_t i = 0; i < n; ++i) {
    JsonTypes own(0);
    for (const Profile& way : profiles[i]) own = own | way.value.types;
    for (std::uint32_t j = 0; j < n; ++j) {
      if (i == j) continue;
      const JsonTypes types = n > kMostCompared ? JsonTypes() : types_of(profiles[i], profiles[j]);
      if (!types.none()) out[i].push_back({j, types | Profile::without(own)});
    }
  }
  return out;
}

}  // namespace espalier::grammar
