#include "cli/row_arguments.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "dsl/convert.h"
#include "dsl/static_types.h"

namespace espalier::cli {
namespace {

constexpr std::size_t kIgnoredFields = 20;

bool is_text(const grammar::TypeRef& type) {
  return type != nullptr &&
         (type->kind == grammar::TypeKind::kString || type->kind == grammar::TypeKind::kLine);
}

// What a table's cell gives a parameter; nothing where it is empty and need not be given.
std::optional<Json> cell(const dsl::Parameter& parameter, const std::string& text) {
  if (!text.empty()) return dsl::argument_from_text(parameter.type, text);
  if (parameter.omittable || parameter.fallback) return std::nullopt;
  if (dsl::may_be_null(parameter.type)) return Json();
  return Json(text);
}

}  // namespace

RowArguments::RowArguments(RowArguments&& other) noexcept
    : gen_(other.gen_),
      given_(std::move(other.given_)),
      document_key_(std::move(other.document_key_)),
      ignored_(std::move(other.ignored_)) {}

Result<RowArguments> RowArguments::create(const dsl::GenInfo& gen, Json given, bool documents) {
  RowArguments arguments(gen, std::move(given));
  if (!documents) return arguments;
  std::vector<const dsl::Parameter*> required;
  std::vector<const dsl::Parameter*> optional;
  for (const dsl::Parameter& parameter : gen.parameters) {
    if (!is_text(parameter.type) || arguments.given_.contains(parameter.key)) continue;
    (parameter.fallback || parameter.omittable ? optional : required).push_back(&parameter);
  }
  const auto& candidates = required.empty() ? optional : required;
  if (candidates.empty()) {
    return fail(ErrorCode::kInvalid, "'" + gen.name + "' has no string parameter for the document" +
                                         (gen.parameters.empty() ? "" : " that --arg leaves open"));
  }
  if (candidates.size() > 1) {
    std::string names;
    for (const auto* candidate : candidates)
      names += (names.empty() ? "'" : ", '") + candidate->name + "'";
    return fail(ErrorCode::kInvalid,
                "'" + gen.name + "' has several string parameters (" + names +
                    "): give all but the document's by --arg, or use rows (.jsonl, .csv)");
  }
  arguments.document_key_ = candidates.front()->key;
  return arguments;
}

Result<Json> RowArguments::of(const batch::Row& row) {
  Json arguments = given_;
  if (row.is_document) {
    arguments[document_key_] = row.document;
    return arguments;
  }
  for (const auto& entry : row.fields.items()) {  // clang before 16 captures no structured binding
    const std::string& field = entry.key();
    const auto parameter = std::find_if(gen_->parameters.begin(), gen_->parameters.end(),
                                        [&](const dsl::Parameter& candidate) {
                                          return candidate.key == field || candidate.name == field;
                                        });
    if (parameter != gen_->parameters.end()) {
      if (!row.of_table) {
        arguments[parameter->key] = entry.value();
      } else if (auto value = cell(*parameter, entry.value().get_ref<const std::string&>())) {
        arguments[parameter->key] = std::move(*value);
      }
    } else if (field != "id") {
      const std::lock_guard lock(mutex_);
      if (ignored_.size() < kIgnoredFields) ignored_.insert(field);
    }
  }
  return arguments;
}

std::set<std::string> RowArguments::ignored() {
  const std::lock_guard lock(mutex_);
  return ignored_;
}

}  // namespace espalier::cli
