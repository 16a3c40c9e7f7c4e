// Which branches of a `oneOf` a value may satisfy together with what stands beside it, and of which
// types such a value may be. Found by reading: by their types, by their enumerated values, and by
// members that tell them apart (one requires a member with certain values or of certain types, the
// other gives it different ones or forbids it). Types and required members may stand beside the
// `oneOf`; of a branch that is a choice itself each of its own branches is told apart. What cannot
// be told apart may meet.
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kDepth = 16;           // of references and allOf that are looked through
constexpr std::size_t kMostCompared = 512;   // branches that are compared by pairs, with their own
constexpr std::size_t kMostWays = 64;        // of one branch
constexpr std::size_t kMostLookedAt = 4096;  // schemas beside one for each branch and step

std::string text_of(const Json& value) { return in_name_order(value).dump(); }

bool numbers_meet(const Json& a, const Json& b) { return a.is_number() && b.is_number() && a == b; }

}  // namespace

// What every value of a branch has: an absent entry says nothing.
struct SchemaGraph::Profile {
  using Values = std::map<std::string, Json>;  // by text
  struct Member {
    JsonTypes types;
    std::optional<Values> values;
  };
  JsonTypes types;
  std::optional<Values> values;
  std::set<std::string> required;
  std::map<std::string, Member> members;
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
  static bool meet(const Member& a, const Member& b) {
    if ((a.types & b.types).none()) return false;
    return !a.values || !b.values || meet(*a.values, *b.values);
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
             !meet(own->second, other->second);
    });
  }
  // The types of values that both may have.
  static JsonTypes meet(const Profile& a, const Profile& b) {
    const JsonTypes both = a.types & b.types;
    if (a.values && b.values && !meet(*a.values, *b.values)) return JsonTypes(0);
    const bool apart = both.has(JsonTypes::kObject) && (excludes(a, b) || excludes(b, a));
    return apart ? both & without(JsonTypes::kObject) : both;
  }
  static JsonTypes without(JsonTypes types) {
    return {static_cast<std::uint8_t>(JsonTypes::kAll & ~types.bits())};
  }
  void add(const Profile& other) {
    types = types & other.types;
    if (!values) values = other.values;
    required.insert(other.required.begin(), other.required.end());
    for (const auto& [name, member] : other.members) {
      const auto [at, fresh] = members.try_emplace(name, member);
      if (fresh) continue;
      at->second.types = at->second.types & member.types;
      if (!at->second.values) at->second.values = member.values;
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
  // Of a value, by `type`, `enum` and `const`.
  const auto value_of = [&](const SchemaPlace& place) {
    Profile::Member found;
    if (!place.schema->is_object() || !documents_.rules(place).validation) return found;
    if (const auto types = read_types(place)) found.types = *types;
    const auto values = grammar::read_values(place, has(place, "const"));
    if (!values || !*values) return found;
    JsonTypes types(0);
    found.values.emplace();
    for (const Json* value : **values) {
      found.values->emplace(text_of(*value), *value);
      types = types | type_of(*value);
    }
    found.types = found.types & types;
    return found;
  };
  Profile::Member value = value_of(at);
  out.types = value.types;
  out.values = std::move(value.values);
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
      Profile::Member member = value_of(place);
      const bool says = member.values || member.types != JsonTypes();
      if (says) out.members.try_emplace(name, std::move(member));
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
    out.types = out.types & JsonTypes(JsonTypes::kObject);
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
    const SchemaPlace& at, const std::vector<SchemaPlace>& branches) {
  const std::size_t n = branches.size();
  const std::string pointer = at.pointer + "/oneOf";
  if (!fuel_->spend(n)) return fail(fuel_->error("schema " + pointer));
  std::vector<std::vector<Meeting>> out(n);
  std::vector<Profile> beside(1);
  std::size_t left = kMostLookedAt + n * kDepth;
  profile(at, 0, 1, left, beside);
  std::vector<std::vector<Profile>> profiles(n, std::vector<Profile>(1));
  const std::size_t most = std::clamp<std::size_t>(kMostCompared / std::max(n, 1UL), 1, kMostWays);
  for (std::size_t i = 0; i < n; ++i) {
    profile(branches[i], 0, most, left, profiles[i]);
    for (Profile& way : profiles[i]) {
      way.types = way.types & beside[0].types;
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
  if (all_differ([](const Profile& p) { return p.values ? &*p.values : nullptr; })) return out;
  if (n > 0) {
    for (const std::string& name : profiles[0][0].required) {
      if (all_differ([&](const Profile& p) -> const Profile::Values* {
            const auto it = p.members.find(name);
            const bool tells = p.types == JsonTypes(JsonTypes::kObject) &&
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
    for (const Profile& way : profiles[i]) own = own | way.types;
    for (std::uint32_t j = 0; j < n; ++j) {
      if (i == j) continue;
      const JsonTypes types = n > kMostCompared ? JsonTypes() : types_of(profiles[i], profiles[j]);
      if (!types.none()) out[i].push_back({j, types | Profile::without(own)});
    }
  }
  return out;
}

}  // namespace espalier::grammar
