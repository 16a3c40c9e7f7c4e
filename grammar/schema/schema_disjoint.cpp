// Which branches of a `oneOf` a value may satisfy together with what stands beside it. Found by
// reading: by their types, by their enumerated values, and by members that tell them apart (one
// requires a member with certain values, the other gives it different ones or forbids it). Types
// and required members may stand beside the `oneOf`. What cannot be told apart may meet.
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kDepth = 16;          // of references and allOf that are looked through
constexpr std::size_t kMostCompared = 512;  // branches that are compared by pairs

std::string text_of(const Json& value) { return in_name_order(value).dump(); }

bool numbers_meet(const Json& a, const Json& b) { return a.is_number() && b.is_number() && a == b; }

}  // namespace

// What every value of a branch has: an absent entry says nothing.
struct SchemaGraph::Profile {
  using Values = std::map<std::string, Json>;  // by text
  JsonTypes types;
  std::optional<Values> values;
  std::set<std::string> required;
  std::map<std::string, Values> members;  // values that a member may have
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
  static bool meet(const Profile& a, const Profile& b) {
    const JsonTypes both = a.types & b.types;
    if (both.none()) return false;
    if (a.values && b.values && !meet(*a.values, *b.values)) return false;
    return both != JsonTypes(JsonTypes::kObject) || (!excludes(a, b) && !excludes(b, a));
  }
};

void SchemaGraph::profile(const SchemaPlace& at, std::size_t depth, Profile& out) {
  if (depth > kDepth || !at.schema->is_object()) return;
  const SchemaRules& rules = documents_.rules(at);
  if (const Json* to = keyword(at, "$ref"); to != nullptr && to->is_string()) {
    if (const auto place = documents_.resolve(at, to->get_ref<const std::string&>(), "$ref")) {
      profile(*place, depth + 1, out);
    }
    if (rules.declared && rules.draft <= SchemaDraft::k7) return;
  }
  const auto values_of = [&](const SchemaPlace& place) -> std::optional<Profile::Values> {
    if (!place.schema->is_object() || !documents_.rules(place).validation) return std::nullopt;
    const auto values = grammar::read_values(place, has(place, "const"));
    if (!values || !*values) return std::nullopt;
    Profile::Values found;
    for (const Json* value : **values) found.emplace(text_of(*value), *value);
    return found;
  };
  if (rules.validation) {
    if (const auto types = read_types(at)) out.types = out.types & *types;
  }
  if (const auto values = values_of(at)) {
    JsonTypes types(0);
    for (const auto& [text, value] : *values) types = types | type_of(value);
    out.types = out.types & types;
    if (!out.values) out.values = values;
  }
  if (const Json* names = keyword(at, "required"); names != nullptr && names->is_array()) {
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
      if (auto values = values_of(place)) out.members.try_emplace(name, std::move(*values));
    }
  }
  const Json* others = keyword(at, "additionalProperties");
  if (others != nullptr && *others == false && keyword(at, "patternProperties") == nullptr) {
    std::set<std::string> names;
    if (properties != nullptr && properties->is_object()) {
      for (const auto& [name, schema] : properties->items()) names.insert(name);
    }
    if (!out.only) {
      out.only = std::move(names);
    } else {
      std::erase_if(*out.only, [&](const std::string& name) { return !names.contains(name); });
    }
  }
  if (const Json* all = keyword(at, "allOf"); all != nullptr && all->is_array()) {
    const SchemaPlace here = documents_.child(at, *all, "allOf");
    for (std::size_t i = 0; i < all->size(); ++i) {
      profile(documents_.child(here, (*all)[i], std::to_string(i)), depth + 1, out);
    }
  }
}

Result<std::vector<std::vector<std::uint32_t>>> SchemaGraph::meeting(
    const SchemaPlace& at, const std::vector<SchemaPlace>& branches) {
  const std::size_t n = branches.size();
  const std::string pointer = at.pointer + "/oneOf";
  if (!fuel_->spend(n)) return fail(fuel_->error("schema " + pointer));
  std::vector<std::vector<std::uint32_t>> out(n);
  Profile beside;
  profile(at, 0, beside);
  std::vector<Profile> profiles(n);
  for (std::size_t i = 0; i < n; ++i) {
    Profile& own = profiles[i];
    profile(branches[i], 0, own);
    own.types = own.types & beside.types;
    for (const auto& [name, values] : own.members) {
      if (beside.required.contains(name)) own.required.insert(name);
    }
  }
  // Many branches are compared by one member or by their values, at once.
  const auto all_differ = [&](const auto& values_of) {
    std::set<std::string> seen;
    for (const Profile& p : profiles) {
      const Profile::Values* values = values_of(p);
      if (values == nullptr) return false;
      for (const auto& [text, value] : *values) {
        if (value.is_number_float() || !seen.insert(text).second) return false;
      }
    }
    return true;
  };
  if (all_differ([](const Profile& p) { return p.values ? &*p.values : nullptr; })) return out;
  if (n > 0) {
    for (const std::string& name : profiles[0].required) {
      if (all_differ([&](const Profile& p) -> const Profile::Values* {
            const auto it = p.members.find(name);
            const bool tells = p.types == JsonTypes(JsonTypes::kObject) &&
                               p.required.contains(name) && it != p.members.end();
            return tells ? &it->second : nullptr;
          })) {
        return out;
      }
    }
  }
  if (!fuel_->spend(n * n)) return fail(fuel_->error("schema " + pointer));
  for (std::uint32_t i = 0; i < n; ++i) {
    for (std::uint32_t j = 0; j < n; ++j) {
      if (i != j && (n > kMostCompared || Profile::meet(profiles[i], profiles[j]))) {
        out[i].push_back(j);
      }
    }
  }
  return out;
}

}  // namespace espalier::grammar
