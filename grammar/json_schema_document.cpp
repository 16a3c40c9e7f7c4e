#include "grammar/json_schema_document.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace espalier::grammar {

std::string pointer_token(std::string_view key) {
  if (key.find_first_of("~/") == std::string_view::npos) return std::string(key);
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

Status check_schema_document(const Json& root, std::size_t max_depth) {
  struct Open {
    const Json* value;
    Json::const_iterator at;
  };
  std::vector<Open> open;
  const auto enter = [&](const Json& value) -> Status {
    if (value.is_structured()) {
      if (open.size() >= max_depth) {
        return fail(ErrorCode::kLimit,
                    "schema: nested more than " + std::to_string(max_depth) + " deep");
      }
      open.push_back({&value, value.begin()});
    } else if (value.is_string() &&
               utf8::find_malformed(value.get_ref<const std::string&>()) != std::string::npos) {
      return fail(ErrorCode::kInvalid, "schema: a string is not well-formed UTF-8");
    } else if (value.is_number_float() && !std::isfinite(value.get<double>())) {
      return fail(ErrorCode::kInvalid, "schema: a number is not finite");
    }
    return {};
  };
  ESP_TRY(enter(root));
  while (!open.empty()) {
    if (open.back().at == open.back().value->end()) {
      open.pop_back();
      continue;
    }
    const auto at = open.back().at++;
    if (open.back().value->is_object() && utf8::find_malformed(at.key()) != std::string::npos) {
      return fail(ErrorCode::kInvalid, "schema: a key is not well-formed UTF-8");
    }
    ESP_TRY(enter(*at));
  }
  return {};
}

tl::unexpected<Error> schema_error(ErrorCode code, std::string_view pointer,
                                   std::string_view what) {
  return fail(code, "schema " + std::string(pointer) + ": " + std::string(what));
}

}  // namespace espalier::grammar
