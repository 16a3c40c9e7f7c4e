#include "dsl/patterns.h"

#include <utility>
#include <vector>

#include "dsl/mock_model.h"
#include "grammar/matcher.h"
#include "grammar/regex.h"

namespace espalier::dsl {

std::optional<Error> pattern_error(const std::string& pattern) {
  auto groups = grammar::regex_groups(pattern);
  if (groups) return std::nullopt;
  Error why = std::move(groups).error();
  why.message.erase(0, why.message.find(": ") + 2);  // what is read is known here
  return why;
}

namespace {

// The matcher after all of `text`, where that is a match.
Result<std::optional<grammar::Matcher>> matched(const std::string& pattern, std::string_view text) {
  ESP_ASSIGN(auto vocabulary, byte_vocabulary());
  ESP_ASSIGN(const auto compiled, grammar::compile_regex(std::move(vocabulary), pattern));
  grammar::Matcher matcher = compiled->start();
  for (const char c : text) {
    if (!matcher.advance(static_cast<unsigned char>(c))) return std::optional<grammar::Matcher>();
  }
  if (!matcher.accepting()) return std::optional<grammar::Matcher>();
  return std::optional(std::move(matcher));
}

}  // namespace

bool pattern_holds(const std::string& pattern, std::string_view text) {
  const auto match = matched(pattern, text);
  return match && match->has_value();
}

Result<std::optional<Json>> pattern_value(const std::string& pattern, std::string_view text) {
  ESP_ASSIGN(const auto match, matched(pattern, text));
  if (!match) return std::optional<Json>();
  const auto groups = grammar::regex_groups(pattern);
  if (!groups) return tl::unexpected(groups.error());
  if (groups->empty()) return std::optional<Json>(std::string(text));
  Json out = Json::object();
  for (const auto& group : *groups) out[group.name] = nullptr;
  const Json captured = match->value();
  for (const auto& [name, text_of_it] : captured.items()) out[name] = text_of_it;
  return std::optional<Json>(std::move(out));
}

TypeRef group_record(const std::string& pattern) {
  const auto groups = grammar::regex_groups(pattern);
  if (!groups || groups->empty()) return nullptr;
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kRecord;
  for (const grammar::NamedGroup& group : *groups) {
    grammar::Field field;
    field.name = field.key = group.name;
    field.type = basic_type(TypeKind::kString);
    if (group.literals) {
      std::vector<TypeRef> words;
      for (const std::string& word : *group.literals) words.push_back(literal_type(word));
      field.type = union_type(std::move(words));
    }
    if (!group.always) field.type = optional_type(std::move(field.type));
    made->fields.push_back(std::move(field));
  }
  return made;
}

}  // namespace espalier::dsl
